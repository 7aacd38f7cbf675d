"""From the nouns of `daskome.ome.metadata` to the attributes of a group, in the form of a row of `VERSIONS`."""

from collections.abc import Mapping
from typing import Any

from daskome.model.json_values import JSONDict
from daskome.ome.metadata import COORDINATES, Dataset, Metadata, Multiscale
from daskome.ome.versions import Version, axis_dicts, scale_then_translation


def to_attributes(version: Version, metadata: Metadata) -> JSONDict:
    """Return the attributes of a group, to be merged into those that it has.

    Parameters
    ----------
    version : Version
        A row of `VERSIONS`.
    metadata : Metadata
    """
    ome = _ome(version, metadata)
    beside = {key: value for m in metadata.multiscales[:1] for key, value in version.beside(m).items()}
    if version.root is None:
        return {**beside, **ome}
    return {**beside, version.root: version.document.write({"version": version.name, **ome})}


# ---- what is written


def _ome(version: Version, metadata: Metadata) -> JSONDict:
    """Return all objects, with the version where it belongs."""
    rows: JSONDict = {
        "multiscales": [_multiscale(version, m) for m in metadata.multiscales] or None,
        "omero": metadata.omero and metadata.omero.to_json(),
        "image-label": metadata.image_label and metadata.image_label.to_json(),
        "labels": metadata.labels if metadata.labels is None else list(metadata.labels),
        "plate": metadata.plate and metadata.plate.to_json(version.indexed),
        "well": metadata.well and metadata.well.to_json(),
        "bioformats2raw.layout": metadata.layout,
        "series": metadata.series if metadata.series is None else list(metadata.series),
        "scene": metadata.scene if metadata.scene is None else dict(metadata.scene),
    }
    written = {key: value for key, value in rows.items() if value is not None}
    for key in version.stated if metadata.stated is None else metadata.stated:
        written |= {key: _stating(written[key], version.name)} if key in written else {}
    return written


def _stating(value: Any, name: str) -> Any:
    return [_stating(item, name) for item in value] if isinstance(value, list) else {"version": name, **value}


def _multiscale(version: Version, multiscale: Multiscale) -> JSONDict:
    stated: JSONDict = {"name": multiscale.name, "type": multiscale.method, "metadata": _metadata(version, multiscale)}
    written = {key: value for key, value in stated.items() if value is not None} | version.axes.write(multiscale)
    written["datasets"] = [_dataset(version, dataset, multiscale.system.name) for dataset in multiscale.datasets]
    return {**written, **multiscale.rest}


def _dataset(version: Version, dataset: Dataset, system: str) -> JSONDict:
    transforms = version.transforms and version.transforms(dataset, system)
    return {"path": dataset.path, **({"coordinateTransformations": transforms} if transforms else {}), **dataset.rest}


def _metadata(version: Version, multiscale: Multiscale) -> Mapping[str, Any] | None:
    """Return the ``metadata``, which keep axes and scales for versions that have no other place for them."""
    described = any(a.type or a.unit or a.orientation for a in multiscale.system.axes)
    states_more = described or any(d.scale for d in multiscale.datasets)
    if version.transforms is not None or not states_more:
        return multiscale.metadata
    kept = axis_dicts(multiscale)
    kept["coordinateTransformations"] = [scale_then_translation(dataset, "") for dataset in multiscale.datasets]
    return {**(multiscale.metadata or {}), COORDINATES: kept}
