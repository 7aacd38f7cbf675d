"""Metadata as they will be stored: checked against the specification before anything is written."""

from dataclasses import replace
from typing import Any

from daskome.model.json_values import to_plain_json
from daskome.model.pyramid import Pyramid
from daskome.ome.detect import ome_keys
from daskome.ome.metadata import TRANSFORMS, Dataset, Metadata, image_metadata
from daskome.ome.read import read_metadata
from daskome.ome.rules.walk import check_attributes
from daskome.ome.versions import Version
from daskome.ome.write import to_attributes


def checked(version: Version, metadata: Metadata) -> Metadata:
    """Return metadata as they are read back from JSON.

    Raises
    ------
    ValueError
        If the specification forbids something, all of which the message lists, or a value cannot be stored as JSON.
    """
    attributes: dict[str, Any] = to_plain_json(to_attributes(version, metadata), "metadata")
    shown = replace(metadata, omero=metadata.omero and metadata.omero.shown)
    check_attributes(to_plain_json(to_attributes(version, shown), "metadata"), version.name)
    return read_metadata(attributes) if ome_keys(attributes) else metadata


def with_more_levels(old: Metadata, pyramid: Pyramid, version: Version) -> Metadata:
    """Return the metadata of an image that has become the first levels of a pyramid, checked.

    A transformation that applied to all levels is put into each of them.
    """
    first, new = old.multiscales[0], image_metadata(pyramid).multiscales[0]
    others = {key: value for key, value in first.rest.items() if key != TRANSFORMS}
    folded = first.shared is not None
    placed = [Dataset(p.path, p.scale, p.translation) for p in first.placed]
    levels = placed if folded or version.transforms is None else first.datasets
    multiscale = replace(
        first,
        datasets=(*levels, *new.datasets[len(placed) :]),
        method=new.method,
        metadata={**(first.metadata or {}), **(new.metadata or {})},
        rest=others if folded else first.rest,
    )
    return checked(version, replace(old, multiscales=(multiscale, *old.multiscales[1:])))
