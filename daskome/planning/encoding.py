"""How chunks of a stored array are encoded, and the layout of a level that takes them over as they are.

What counts is what decodes them: the grid, the order of axes and bytes, and the codecs. Both formats of zarr have
Blosc, zstd, gzip and crc32c with the same bytes, so chunks go from one to the other; and the chunks of an array without
shards, or of smaller ones, are those of a level in larger shards.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from daskome.model.axes import Axis
from daskome.model.image import ITEMSIZES
from daskome.model.json_values import JSONDict, JSONObject
from daskome.model.regions import Shape, ceil_div
from daskome.model.storage.codecs import CODEC_OPTIONS, with_codecs
from daskome.model.storage.layout import ZARR_V2, ZARR_V3, ArrayFormat, Layout, parse_edges, parse_layout
from daskome.ome.missing_axes import put_in
from daskome.planning.serialize import to_json

Codecs = tuple[JSONObject, ...]
DECODED_BY: Mapping[str, tuple[str, ...]] = {
    "blosc": (),
    "bytes": ("endian",),
    "crc32c": (),
    "gzip": (),
    "transpose": ("order",),
    "zstd": (),
}
"""The codecs that both formats have, and what of their configuration decoding depends on; chunks say the rest."""
TO_BYTES = ("bytes", "sharding_indexed", "numcodecs.pcodec", "numcodecs.zfpy")
"""Codecs that turn an array into bytes."""
LITTLE: JSONDict = {"name": "bytes", "configuration": {"endian": "little"}}
INDEX_CODECS = (LITTLE, {"name": "crc32c"})
"""Of the index of shards that can be taken apart and joined."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the chunks of an array are encoded.

    Attributes
    ----------
    zarr_format : int
        2 or 3.
    itemsize : int
        Bytes of one voxel.
    chunks : tuple of int
    shards : tuple of int, optional
    codecs : tuple of dict
        In the words of zarr v3, from an array to bytes.

    Examples
    --------
    >>> zarray = {"zarr_format": 2, "chunks": [32, 32], "dtype": ">u2", "order": "F", "filters": None}
    >>> for codec in encoding_of({**zarray, "compressor": {"id": "gzip", "level": 1}}).codecs:
    ...     print(codec)
    {'name': 'transpose', 'configuration': {'order': [1, 0]}}
    {'name': 'bytes', 'configuration': {'endian': 'big'}}
    {'name': 'gzip', 'configuration': {'level': 1}}
    """

    zarr_format: int
    itemsize: int
    chunks: Shape
    shards: Shape | None
    codecs: Codecs

    @property
    def objects(self) -> Shape:
        """The shape of one stored object."""
        return self.shards or self.chunks

    def with_axes(self, positions: tuple[int, ...]) -> "Encoding":
        """Return the encoding of the same chunks with axes of length 1 put in."""
        n = len(self.chunks) + len(positions)
        own, ones = [i for i in range(n) if i not in positions], (1,) * n
        codecs = tuple(_with_axes(codec, positions, own) for codec in self.codecs) if positions else self.codecs
        chunks, shards = (shape and put_in(shape, positions, ones) for shape in (self.chunks, self.shards))
        return replace(self, chunks=chunks or (), shards=shards, codecs=codecs)

    def layout(
        self,
        options: Mapping[str, Any],
        shape: Shape,
        axes: Sequence[Axis],
        itemsize: int,
        stored_as: ArrayFormat,
        default: Shape | None = None,
    ) -> Layout:
        """Return the layout of a level that takes these chunks over, as `parse_layout` does of one with its own.

        The caller's other storage options hold; `default` does not, as these chunks are the default.

        Raises
        ------
        ValueError
            If it cannot: what differs, as it is and as it is wanted.
        """
        own = self._options(stored_as)
        given = {key: value for key, value in options.items() if value is not None or key in CODEC_OPTIONS}
        if "compressor" in given:
            given["compressors"] = given.pop("compressor")
        if not isinstance(given.get("shards"), bool | str | None):
            given["shards"] = self._at_edges(parse_edges(given["shards"], self.objects, axes, "shards"), shape)
        wanted = parse_layout({**own, **given}, shape, axes, itemsize, stored_as)
        if reasons := list(self._differences(wanted, shape, stored_as)):
            raise _refusal(reasons)
        layout = parse_layout({**given, **own}, shape, axes, itemsize, stored_as)
        shards = self._shards(wanted, given.get("shards"), shape)
        return replace(layout, chunks=self.chunks, shards=shards, verbatim=True)

    def _at_edges(self, shards: Shape, shape: Shape) -> Shape:
        """Return shards that are a chunk where it is as long as the array."""
        return tuple(c if c >= n else s for s, c, n in zip(shards, self.chunks, shape, strict=True))

    def check(self, layout: Layout, shape: Shape, stored_as: ArrayFormat) -> None:
        """Raise a ValueError if these are not the chunks of a layout that was made of such ones."""
        clipped = replace(layout, chunks=tuple(map(min, layout.chunks, shape)))
        if reasons := list(self._differences(clipped, shape, stored_as)):
            raise _refusal(reasons)

    def _shards(self, wanted: Layout, given: Any, shape: Shape) -> Shape | None:
        """Return shards of whole chunks, no larger than the array needs; those of the source stay as they are."""
        if wanted.shards is None or (given is None and self.shards is not None):
            return wanted.shards and self.shards
        each = zip(wanted.shards, wanted.chunks, self.chunks, shape, strict=True)
        return tuple(min(s // w * c, ceil_div(n, c) * c) for s, w, c, n in each)

    def _options(self, stored_as: ArrayFormat) -> dict[str, Any]:
        """Return the storage options of an array in a zarr format that has these chunks."""
        own = {"chunks": self.chunks, **({"shards": self.shards} if self.shards else {})}
        names = [str(codec["name"]) for codec in self.codecs]
        strange = [name for name in names if name not in DECODED_BY]
        if strange and stored_as.zarr_format != self.zarr_format:
            known = ", ".join(DECODED_BY)
            raise _refusal([f"its codec {strange[0]} is not one that zarr v2 and v3 share, which are {known}"])
        at = next((k for k, name in enumerate(names) if name in TO_BYTES), None)
        if at is None:
            raise _refusal([f"which of its codecs {', '.join(names)} makes bytes of an array is not known"])
        before, to_bytes, after = self.codecs[:at], self.codecs[at], self.codecs[at + 1 :]
        if stored_as.zarr_format == 2 and self.shards is not None:
            raise _refusal([f"its shards are {self.shards}, and zarr v2 (OME-Zarr 0.4 and older) has none"])
        codecs: dict[str, Any] = {"compressors": after[0] if len(after) == 1 else list(after) or None}
        if stored_as.zarr_format == 2:
            return {**own, **self._as_zarr_v2(before, to_bytes, after)}
        codecs |= {"filters": list(before)} if before else {}
        codecs |= {} if self._decoders((to_bytes,)) == self._decoders((LITTLE,)) else {"serializer": to_bytes}
        return {**own, **codecs}

    def _as_zarr_v2(self, before: Codecs, to_bytes: JSONObject, after: Codecs) -> dict[str, Any]:
        """Return the options of zarr v2 for codecs in front of the one that makes bytes, that one, and those after."""
        order = self._decoders(before)
        if order not in ([], self._decoders((_last_axis_first(len(self.chunks)),))):
            raise _refusal([f"its axes are in the order of {_named(before)}, but zarr v2 has C and F only"])
        if self._decoders((to_bytes,)) != self._decoders((LITTLE,)):
            raise _refusal(
                [f"its chunks are made by {_named((to_bytes,))}, but those of zarr v2 are little-endian here"]
            )
        options = with_codecs({"filters": list(after[:-1]), "compressors": after[-1] if after else None}, ZARR_V2)
        return {**options, **({"order": "F"} if order else {})}

    def _differences(self, wanted: Layout, shape: Shape, stored_as: ArrayFormat) -> Iterator[str]:
        """Yield in words what differs from a layout."""
        if wanted.chunks != tuple(map(min, self.chunks, shape)):
            yield f"its chunks are {self.chunks}, but {wanted.chunks} are wanted"
        elif self.shards is not None:
            objects = zip(self.shards, wanted.objects, shape, strict=True)
            if not all(o >= n or o % s == 0 for s, o, n in objects):
                yield f"its shards are {self.shards}, but whole ones do not make {_shards_wanted(wanted)}"
        codecs = _codecs_of(wanted.options, len(shape), stored_as)
        if self._decoders(codecs) != self._decoders(self.codecs):
            yield f"its codecs are {_named(self.codecs)}, but {_named(codecs)} are wanted"

    def _decoders(self, codecs: Codecs) -> list[Any]:
        """Return of codecs what decoding depends on, so that equal ones decode each other's chunks."""
        return [known for codec in codecs if (known := _decoder(codec, self.itemsize, self.chunks))]


def encoding_of(document: JSONObject) -> Encoding:
    """Return how the chunks of an array are encoded, from its ``.zarray`` or ``zarr.json``.

    Raises
    ------
    ValueError
        If its chunks are not all alike, or its shards have an index that daskome does not read.
    """
    document = to_json(document)
    if document["zarr_format"] == 2:
        return _of_zarr_v2(document)
    grid, codecs, itemsize = document["chunk_grid"], tuple(document["codecs"]), ITEMSIZES[document["data_type"]]
    if grid["name"] != "regular":
        raise _refusal([f"they are not all alike: its grid is {grid['name']}"])
    objects = tuple(grid["configuration"]["chunk_shape"])
    if len(codecs) != 1 or codecs[0]["name"] != "sharding_indexed":
        return Encoding(3, itemsize, objects, None, codecs)
    inner = codecs[0]["configuration"]
    if [_decoder(codec, 8, ()) for codec in inner["index_codecs"]] != [
        _decoder(codec, 8, ()) for codec in INDEX_CODECS
    ]:
        raise _refusal([f"the index of its shards is encoded by {_named(inner['index_codecs'])}"])
    return Encoding(3, itemsize, tuple(inner["chunk_shape"]), objects, tuple(inner["codecs"]))


def _of_zarr_v2(document: JSONObject) -> Encoding:
    dtype, chunks = str(document["dtype"]), tuple(document["chunks"])
    little = {"compressors": [*(document["filters"] or ()), *filter(None, [document["compressor"]])]}
    after = with_codecs(little, ZARR_V3)["compressors"] or []
    endian = {"name": "bytes", "configuration": {"endian": "big" if dtype[0] == ">" else "little"}}
    before = [_last_axis_first(len(chunks))] if document["order"] == "F" and len(chunks) > 1 else []
    return Encoding(2, int(dtype[2:]), chunks, None, (*before, endian, *after))


def _codecs_of(options: Mapping[str, Any], ndim: int, stored_as: ArrayFormat) -> Codecs:
    """Return the codecs of an array in the words of zarr v3, from its storage options."""
    spelt = with_codecs({key: options.get(key) for key in ("filters", "serializer", "compressors")}, ZARR_V3)
    filters, serializer, compressors = (_listed(codecs) for codecs in spelt.values())
    to_bytes = [codec for codec in serializer if codec["name"] != "auto"] or [LITTLE]
    filters = [codec for codec in filters if codec["name"] != "auto"]
    if stored_as.zarr_format == 3:
        return (*filters, *to_bytes, *compressors)
    before = [_last_axis_first(ndim)] if options.get("order") == "F" else []
    return (*before, *to_bytes, *filters, *compressors)


def _last_axis_first(ndim: int) -> JSONObject:
    """Return the codec that stores arrays in the order that zarr v2 calls F."""
    return {"name": "transpose", "configuration": {"order": [*range(ndim)][::-1]}}


def _listed(codecs: Any) -> list[JSONObject]:
    """Return one codec or several as a list, zarr's own choice as one called auto."""
    some = codecs if isinstance(codecs, list | tuple) else [] if codecs is None else [codecs]
    return [{"name": codec} if isinstance(codec, str) else codec for codec in some]


def _decoder(codec: JSONObject, itemsize: int, chunks: Shape) -> tuple[Any, ...]:
    """Return what decoding depends on; nothing of a codec that changes nothing."""
    name, settings = codec["name"], {**codec.get("configuration", {})}
    if name == "bytes":
        settings = {"endian": settings.get("endian") or "little"} if itemsize > 1 else {}
    if name == "transpose":
        settings["order"] = [axis for axis in settings["order"] if chunks[axis] > 1]
        if settings["order"] == sorted(settings["order"]):
            return ()
    return (name, {key: settings.get(key) for key in DECODED_BY.get(name, settings)})


def _with_axes(codec: JSONObject, positions: tuple[int, ...], own: Sequence[int]) -> JSONObject:
    """Return a codec for arrays with axes of length 1 put in, between which its own ones are at `own`."""
    if codec["name"] != "transpose":
        return codec
    return {**codec, "configuration": {"order": [*positions, *(own[i] for i in codec["configuration"]["order"])]}}


def _shards_wanted(layout: Layout) -> str:
    return f"shards of {layout.shards}" if layout.shards else f"chunks of {layout.chunks} without shards"


def _named(codecs: Sequence[JSONObject]) -> str:
    """Return codecs in words, with what decoding depends on.

    >>> _named([LITTLE, {"name": "zstd", "configuration": {"level": 3}}])
    'bytes (endian little), zstd'
    """
    each = ((codec["name"], codec.get("configuration", {})) for codec in codecs)
    words = ((name, ", ".join(f"{k} {c[k]}" for k in DECODED_BY.get(name, c) if k in c)) for name, c in each)
    return ", ".join(f"{name} ({settings})" if settings else name for name, settings in words)


def _refusal(reasons: Sequence[str]) -> ValueError:
    return ValueError(
        f"verbatim=True (--verbatim) cannot take the chunks of the image over as they are: {'; '.join(reasons)}; leave"
        " the storage options out that differ, or verbatim"
    )
