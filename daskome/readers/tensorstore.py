"""N5 and Neuroglancer precomputed, read by TensorStore: folders of chunks with the fastest axis first."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import tensorstore

from daskome.model.source import Source
from daskome.readers.axes import ordered
from daskome.readers.described import Described, Quantities, described
from daskome.readers.inputs import Input, listed
from daskome.sources.adapt import as_source

N5, PRECOMPUTED = "attributes.json", "info"
N5_SIZES = ("resolution", "pixelResolution", "voxelSize")
"""What programs call the sizes of voxels in the attributes of N5, with the fastest axis first."""


def read(input_: Input) -> Source:
    """Return the dataset of N5, or the first scale of a precomputed volume, in a folder."""
    folder = Path(input_.path)
    is_precomputed = folder.suffix == ".precomputed" or (folder / PRECOMPUTED).exists()
    return (_precomputed if is_precomputed else _n5)(folder, input_.part)


def _precomputed(folder: Path, part: str) -> Source:
    """Return a scale of a precomputed volume, by its number, or the first, which is the largest."""
    info = _json(folder / PRECOMPUTED)
    scales = info.get("scales")
    if not isinstance(scales, list) or not scales:
        raise ValueError(f"{folder} has no file {PRECOMPUTED} with scales in it, and is no precomputed volume")
    number = int(part or 0) if (part or "0").isdecimal() else len(scales)
    if number >= len(scales):
        choices = [f"{i} {scale.get('key')} {scale.get('size')}" for i, scale in enumerate(scales)]
        raise ValueError(f"{folder} has no scale {part}; give one of {listed(choices, 'scales')}")
    opened = _opened(folder, {"driver": "neuroglancer_precomputed", "scale_index": number})
    scale = scales[number]
    sizes: Quantities = {a: (float(v), "nm") for a, v in zip("xyz", scale["resolution"], strict=True)}
    offset = scale.get("voxel_offset") or (0, 0, 0)
    places = zip("xyz", offset, sizes.values(), strict=True)
    positions: Quantities = {axis: (float(n) * size, unit) for axis, n, (size, unit) in places}
    left = [f"{len(scales) - 1} other scales, made anew from the first"] if len(scales) > 1 else []
    left += [f"of its info: {', '.join(rest)}"] if (rest := _rest(info)) else []
    return described(_in_order(opened, "xyzc"), Described(sizes, positions, left=tuple(left)))


def _rest(info: Mapping[str, Any]) -> list[str]:
    return [key for key in info if key not in ("@type", "type", "data_type", "num_channels", "scales")]


def _n5(folder: Path, part: str) -> Source:
    """Return a dataset of N5: that of a folder, its largest scale, or the one that is named."""
    path = folder / part
    if not (path / N5).exists() and part:
        raise ValueError(f"{folder} has no dataset {part}; give one of {listed(_datasets(folder), 'datasets')}")
    around: Mapping[str, Any] = {}
    attributes = _json(path / N5)
    if "dimensions" not in attributes:
        if not (path / "s0" / N5).exists():
            raise ValueError(
                f"{path} is no dataset of N5; give one, as in {path}::name, of {listed(_datasets(path), 'datasets')}"
            )
        path, around = path / "s0", attributes
        attributes = _json(path / N5)
    opened = _opened(path, {"driver": "n5"})
    stated = next((said[key] for said in (attributes, around) for key in N5_SIZES if key in said), None)
    axes, units = (attributes.get(key) or around.get(key) for key in ("axes", "units"))
    names = "".join(str(axis).lower() for axis in axes) if axes else "xyzct"[: opened.ndim]
    known = {"dimensions", "dataType", "blockSize", "compression", "n5", "axes", "units", "axisOrder", *N5_SIZES}
    rest = sorted({*attributes, *around} - known - {"downsamplingFactors", "scales", "multiScale"})
    left = (f"attributes {', '.join(rest)}",) if rest else ()
    return described(_in_order(opened, names), Described(_sizes(stated, names, units), left=left))


def _sizes(stated: Any, names: str, units: Any) -> Quantities:
    """Return the sizes of voxels, of which some programs keep the unit beside them."""
    values, unit = (stated.get("dimensions"), stated.get("unit")) if isinstance(stated, Mapping) else (stated, None)
    if not isinstance(values, Sequence) or not all(isinstance(value, int | float) for value in values):
        return {}
    each = units if isinstance(units, Sequence) and not isinstance(units, str) else [unit] * len(values)
    return {a: (float(v), str(u or "")) for a, v, u in zip(names, values, each, strict=False)}


def _datasets(folder: Path) -> list[str]:
    """Return the datasets below a folder, down to four levels."""
    found = sorted(path for depth in range(1, 5) for path in folder.glob(f"{'*/' * depth}{N5}"))
    described_ = [(path.parent.relative_to(folder), _json(path)) for path in found]
    return [f"{path} {said['dimensions']} {said['dataType']}" for path, said in described_ if "dimensions" in said]


def _json(path: Path) -> Mapping[str, Any]:
    if not path.exists():
        return {}
    try:
        document = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise ValueError(f"{path} is no object of JSON")
    return document


def _opened(folder: Path, spec: Mapping[str, Any]) -> Any:
    store = {"driver": "file", "path": f"{folder.as_posix()}/"}
    try:
        return tensorstore.open({**spec, "kvstore": store}, open=True, read=True).result()
    except ValueError as error:
        raise ValueError(f"{folder} cannot be read by TensorStore: {str(error)[:300]}") from error


def _in_order(opened: Any, names: str) -> Source:
    """Return a volume with its axes in the order of OME-Zarr; those without a place have length 1 and go."""
    source = as_source(opened)
    kept = [name if n > 1 or name != "c" else "" for name, n in zip(names, source.shape, strict=True)]
    return ordered(replace(source, dims=None), kept)
