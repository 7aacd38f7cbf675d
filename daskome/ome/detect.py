"""Which attributes are OME-Zarr's, and which version they state or look like."""

from collections.abc import Iterator, Mapping
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
}
"""What OME-Zarr may say of a group, and of which kind that makes it; "" for none."""


def ome_of(found: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the part of a group's attributes that is OME-Zarr's: what stands under ``ome``, or at the top level."""
    ome = found.get("ome", found)
    return ome if isinstance(ome, Mapping) else {}


def ome_keys(found: Mapping[str, Any]) -> list[str]:
    """Return what OME-Zarr says of a group: the keys of `OME_KEYS` in its attributes."""
    ome = ome_of(found)
    return [key for key in OME_KEYS if key in ome]


def kinds_of(found: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a group's attributes say it is: image, image-label, labels, plate, well, bioformats2raw.

    Examples
    --------
    >>> kinds_of({"multiscales": [], "image-label": {}})
    ('image', 'image-label')
    """
    keys = ome_keys(found) if isinstance(found, Mapping) else []
    return tuple(dict.fromkeys(OME_KEYS[key] for key in keys if OME_KEYS[key]))


def version_in(found: Mapping[str, Any]) -> str | None:
    """Return the version that a group's attributes state, known or not; None if they state none."""
    if "ome" in found:
        stated = ome_of(found).get("version")
        return stated if isinstance(stated, str) else None
    stated = (item.get("version") for key in STATING for item in objects_of(found, key))
    return next((version for version in stated if isinstance(version, str)), None)


def objects_of(found: Mapping[str, Any], key: str) -> Iterator[Mapping[str, Any]]:
    """Yield the objects under a key: itself, or those in a list."""
    value = found.get(key)
    yield from (item for item in (value if isinstance(value, list) else [value]) if isinstance(item, Mapping))
