"""Several images one after the other along an axis: one that they all lack, or one that they have."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from daskome.model.axes import TYPES
from daskome.model.chunks import Chunks, regular_chunks
from daskome.model.source import Source
from daskome.readers.described import shown
from daskome.readers.sequences.files import check_axis, named_axes
from daskome.readers.sequences.names import natural_order
from daskome.sources.joined import Joined


def stacked(sources: Sequence[Source], axis: str) -> Source:
    """Return images in a row along an axis; those along an axis of channels that they lack name these.

    Raises
    ------
    ValueError
        If they differ in dtype, axes, or lengths along the other axes; or there is no such axis.
    """
    check_axis(axis)
    _check_order([source.origin.path for source in sources])
    sources = [named_axes(source, source.origin.path) for source in sources]
    first = sources[0]
    dims = first.dims or ()
    names = tuple(name for name in TYPES if name in {*dims, axis})
    for source in sources:
        _check_alike(first, source, axis)
    added = tuple(i for i, name in enumerate(names) if name not in dims)
    lengths = [dict(zip(dims, source.shape, strict=True)) for source in sources]
    blocks = tuple(tuple(one.get(name, 1) for one in (lengths if name == axis else lengths[:1])) for name in names)
    omero, unshown = _channels(sources, axis)
    return replace(
        first,
        array=Joined(tuple(source.array for source in sources), blocks, np.dtype(first.dtype), added),
        chunks=_chunks(sources, names, axis),
        dims=names,
        buffer_copies=max(source.buffer_copies for source in sources),
        far=any(source.far for source in sources),
        omero=omero,
        name=None,
        left=tuple(dict.fromkeys([*(note for one in sources for note in one.left), *unshown, *_other_sizes(sources)])),
    )


def _check_order(paths: Sequence[str]) -> None:
    """Raise a ValueError for the order into which a shell puts numbered files: z1, z10, z2."""
    natural = sorted(paths, key=natural_order)
    if len(paths) > 2 and list(paths) == sorted(paths) != natural:
        i = next(i for i, path in enumerate(natural) if path != paths[i])
        raise ValueError(
            f"{paths[i - 1]} is followed by {paths[i]}, in the order of the alphabet; give them in the order that is"
            " meant, or as a glob in quotes, as in 'folder/*.tif', which is read in the order of its numbers"
        )


def _check_alike(first: Source, source: Source, axis: str) -> None:
    """Raise a ValueError unless two images differ at most in their lengths along an axis."""
    own, theirs = (
        {"dtype": one.dtype, "axes": one.dims, **dict(zip(one.dims or (), one.shape, strict=True))}
        for one in (first, source)
    )
    for key in ("dtype", "axes", *(name for name in first.dims or () if name != axis)):
        if own[key] != theirs[key]:
            what = key if key in ("dtype", "axes") else f"length along {key}"
            raise ValueError(
                f"{source.origin.path} has {what} {_said(theirs[key])}, but {first.origin.path} has {_said(own[key])};"
                f" images in a row along {axis} differ in nothing else"
            )


def _said(value: Any) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def _chunks(sources: Sequence[Source], names: Sequence[str], axis: str) -> Chunks:
    """Return the chunks of images in a row: one after the other along the axis, those of the first along others."""
    own = dict(zip(sources[0].dims or (), sources[0].chunks, strict=True))
    if axis not in own:
        return tuple(own.get(name) or regular_chunks((len(sources),), (1,))[0] for name in names)
    along = [source.chunks[(source.dims or ()).index(axis)] for source in sources]
    return tuple(tuple(n for sizes in along for n in sizes) if name == axis else own[name] for name in names)


def _channels(sources: Sequence[Source], axis: str) -> tuple[Mapping[str, Any] | None, tuple[str, ...]]:
    """Return how channels are shown: those of all images along an axis of channels, else those of the first."""
    if axis != "c":
        return sources[0].omero, ()
    channels = [channel for source in sources for channel in _channels_of(source)]
    row = replace(sources[0], dims=("c",), array=np.empty(len(channels), bool), chunks=((len(channels),),))
    return shown(row, {"channels": channels})


def _channels_of(source: Source) -> list[dict[str, Any]]:
    """Return what is known of the channels of an image; one without a name has that of its file."""
    n = dict(zip(source.dims or (), source.shape, strict=True)).get("c", 1)
    known = (source.omero or {}).get("channels") or [{}] * n
    names = [source.name or "channel"] if n == 1 else [f"{source.name or 'channel'} {i}" for i in range(n)]
    return [{"label": name, **dict(one)} for name, one in zip(names, known, strict=False)]


def _other_sizes(sources: Sequence[Source]) -> list[str]:
    """Return, in words, the sizes of voxels of images that differ from those of the first."""
    first = sources[0]
    return [
        f"the voxel size of {source.origin.path}, {dict(source.scale)}, which is not that of {first.origin.path}"
        for source in sources[1:]
        if (dict(source.scale), dict(source.units)) != (dict(first.scale), dict(first.units))
    ]
