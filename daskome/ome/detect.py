"""Which of a group's attributes are OME-Zarr's, what kind of group they make, and which version they state."""

from collections.abc import Container, Iterator, Mapping
from typing import Any

STATING = ("multiscales", "omero", "image-label", "plate", "well")
"""The objects that may state a version."""
OME_KEYS: Mapping[str, str] = {
    "multiscales": "image",
    "omero": "",
    "image-label": "image-label",
    "labels": "labels",
    "plate": "plate",
    "well": "well",
    "bioformats2raw.layout": "bioformats2raw",
    "series": "bioformats2raw",
    "scene": "scene",
}
"""The keys of OME-Zarr, and the kind of group that each makes; "" for none."""
NESTED = ("scene",)
"""Those that are OME-Zarr's only under ``ome``."""


def ome_of(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the OME-Zarr part of a group's attributes, in the form of 0.6: that under ``ome``, or else all of them."""
    ome = attributes.get("ome", attributes)
    return as_of_all(ome) if isinstance(ome, Mapping) else {}


def as_of_all(ome: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what stands under ``ome`` in the form of 0.6, whatever document its version makes of it."""
    from daskome.ome.versions import VERSIONS

    name = ome.get("version")
    version = VERSIONS.get(name) if isinstance(name, str) else None
    return ome if version is None else version.document.read(ome)


def ome_keys(attributes: Mapping[str, Any]) -> list[str]:
    """Return the keys of `OME_KEYS` that a group's attributes have; at the top level, others may have a ``scene``."""
    ome = ome_of(attributes)
    return [key for key in OME_KEYS if key in ome and ("ome" in attributes or key not in NESTED)]


def kinds_of(attributes: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the kinds of a group by its attributes: image, image-label, labels, plate, well, bioformats2raw, scene.

    Examples
    --------
    >>> kinds_of({"multiscales": [], "image-label": {}})
    ('image', 'image-label')
    """
    keys = ome_keys(attributes) if isinstance(attributes, Mapping) else []
    return tuple(dict.fromkeys(OME_KEYS[key] for key in keys if OME_KEYS[key]))


def version_in(attributes: Mapping[str, Any]) -> str | None:
    """Return the version that a group's attributes state, known or not; None if they state none."""
    if "ome" in attributes:
        stated = ome_of(attributes).get("version")
        return stated if isinstance(stated, str) else None
    stated = (item.get("version") for key in STATING for item in list_objects(attributes, key))
    return next((version for version in stated if isinstance(version, str)), None)


def list_objects(parent: Mapping[str, Any], key: str) -> Iterator[Mapping[str, Any]]:
    """Yield the objects under a key: itself, or those in a list."""
    value = parent.get(key)
    yield from (item for item in (value if isinstance(value, list) else [value]) if isinstance(item, Mapping))


ENTRY_LISTS: Mapping[str, tuple[str, ...]] = {
    "labels": ("labels",),
    "plate": ("plate", "wells"),
    "well": ("well", "images"),
    "series": ("series",),
}
"""Where each kind of group lists what lies below it, or beside it."""


def without_entries(attributes: Mapping[str, Any], kind: str, paths: Container[str]) -> dict[str, Any]:
    """Return the attributes of a group without some entries of its list (`ENTRY_LISTS`).

    >>> without_entries({"ome": {"version": "0.5", "labels": ["a", "b"]}}, "labels", ["a"])
    {'ome': {'version': '0.5', 'labels': ['b']}}
    >>> without_entries({"well": {"images": [{"path": "0"}, {"path": "1"}]}}, "well", ["0"])
    {'well': {'images': [{'path': '1'}]}}
    """
    under = "ome" in attributes
    shorter = _without(ome_of(attributes), ENTRY_LISTS[kind], paths)
    return {**attributes, "ome": shorter} if under else dict(shorter)


def _without(value: Any, keys: tuple[str, ...], paths: Container[str]) -> Any:
    if keys and isinstance(value, Mapping) and keys[0] in value:
        return {**value, keys[0]: _without(value[keys[0]], keys[1:], paths)}
    if keys or not isinstance(value, list):
        return value
    return [item for item in value if (item.get("path") if isinstance(item, Mapping) else item) not in paths]
