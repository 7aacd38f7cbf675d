"""What is said of a label image: the ``image-label`` object of OME-Zarr."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from colorsys import hsv_to_rgb
from dataclasses import dataclass, field
from typing import Any

from daskome.model.json_values import JSONDict

LABELS = "labels"
SOURCE = {"image": "../../"}
"""Where the image of labels lies that are in ``labels/<name>`` (section "image-label", the default)."""
LISTS = ("colors", "properties")
GOLDEN = 0.618033988749895
"""Steps of the golden ratio around the circle of hues are far apart."""


@dataclass(frozen=True, slots=True)
class ImageLabel:
    """Colours and properties of label values, and the image that was labelled; None for what is not said.

    Attributes
    ----------
    colors, properties : tuple of dict, optional
        Each with a ``label-value``.
    source : dict, optional
        ``image``: the path of the image, relative to the label image.
    rest : dict
        What else is said.
    """

    colors: tuple[Mapping[str, Any], ...] | None = None
    properties: tuple[Mapping[str, Any], ...] | None = None
    source: Mapping[str, Any] | None = None
    rest: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def to_json(self) -> JSONDict:
        """Return the object as it stands in the metadata."""
        lists = {"colors": self.colors, "properties": self.properties}
        found: JSONDict = {key: [dict(item) for item in value] for key, value in lists.items() if value is not None}
        return {**found, **({} if self.source is None else {"source": dict(self.source)}), **self.rest}


def read_image_label(found: Mapping[str, Any]) -> ImageLabel:
    """Return what an ``image-label`` object says; `ImageLabel.to_json` gives it back unchanged.

    Raises
    ------
    ValueError
        If it can't be read.
    """
    if not isinstance(found, Mapping):
        raise ValueError(f"image-label {found!r} is no object")
    rest = dict(found)
    colors, properties = (_objects(rest.pop(key)) if _are_objects(rest.get(key)) else None for key in LISTS)
    source = rest.pop("source") if isinstance(rest.get("source"), Mapping) else None
    return ImageLabel(colors, properties, source, rest)


def parse_image_label(colors: Any = None, properties: Any = None, source: Any = None, **rest: Any) -> ImageLabel:
    """Return what the caller says of a label image.

    Parameters
    ----------
    colors, properties : sequence of dict, or dict of label value to colour or properties, optional
        ``[{"label-value": 1, "rgba": [255, 0, 0, 255]}, …]`` or ``{1: [255, 0, 0, 255]}``;
        ``[{"label-value": 1, "area": 7}, …]`` or ``{1: {"area": 7}}``.
    source : dict, optional
        ``{"image": "../../"}``, where the label image lies inside its image.

    Raises
    ------
    ValueError
        If they are none of these. (`daskome.ome.rules.agreement` checks what is inside.)

    Examples
    --------
    >>> parse_image_label({1: (255, 0, 0, 255)}, {1: {"area": 7}}).to_json()["properties"]
    [{'label-value': 1, 'area': 7}]
    """
    return ImageLabel(
        _listed(colors, "colors", lambda rgba: {"rgba": list(rgba)}),
        _listed(properties, "properties", dict),
        SOURCE if source is None else source,
        rest,
    )


def colored(values: Iterable[int]) -> dict[int, tuple[int, int, int, int]]:
    """Return a colour for every label value, neighbours far apart; the background, 0, has none.

    >>> colored([0, 1, 2])
    {0: (0, 0, 0, 0), 1: (65, 109, 217, 255), 2: (154, 217, 65, 255)}
    """
    return {int(value): _color(int(value)) if value else (0, 0, 0, 0) for value in values}


def _color(value: int) -> tuple[int, int, int, int]:
    red, green, blue = (round(255 * v) for v in hsv_to_rgb(value * GOLDEN % 1, 0.7, 0.85))
    return red, green, blue, 255


def _listed(values: Any, what: str, entry: Callable[[Any], JSONDict]) -> tuple[JSONDict, ...] | None:
    if isinstance(values, Mapping):
        values = [
            {"label-value": key} | (dict(v) if isinstance(v, Mapping) else entry(v)) | {"label-value": key}
            for key, v in values.items()
        ]
    if values is None or (isinstance(values, Sequence) and not values):
        return None
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise ValueError(f"{what} {values!r}: give a list of dicts with 'label-value' (section 'image-label')")
    listed = list(values)
    if not _are_objects(listed):
        raise ValueError(f"{what} {listed!r}: give a list of dicts with 'label-value' (section 'image-label')")
    return _objects(listed)


def _are_objects(found: Any) -> bool:
    return isinstance(found, list) and all(isinstance(item, Mapping) for item in found)


def _objects(found: Sequence[Mapping[str, Any]]) -> tuple[JSONDict, ...]:
    return tuple(dict(item) for item in found)
