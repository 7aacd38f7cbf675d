"""The ``image-label`` object of OME-Zarr: colours and properties of label values."""

from collections.abc import Iterable, Mapping, Sequence
from colorsys import hsv_to_rgb
from dataclasses import dataclass, field
from typing import Any

from daskome.model.json_values import JSONDict
from daskome.model.paths import LONGEST_NAME, has_short_names

LABELS = "labels"
SOURCE = {"image": "../../"}
"""The path from ``labels/<name>`` to the labelled image (section "image-label", the default)."""
LISTS = ("colors", "properties")
GOLDEN = 0.618033988749895
"""Hues that are steps of the golden ratio apart are easy to tell from each other."""


@dataclass(frozen=True, slots=True)
class ImageLabel:
    """Colours and properties of label values, and the image that was labelled; None for absent keys.

    Attributes
    ----------
    colors, properties : tuple of dict, optional
        Each with a ``label-value``.
    source : dict, optional
        ``image``: the path of the image, relative to the label image.
    rest : dict
        All other keys.
    """

    colors: tuple[Mapping[str, Any], ...] | None = None
    properties: tuple[Mapping[str, Any], ...] | None = None
    source: Mapping[str, Any] | None = None
    rest: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def to_json(self) -> JSONDict:
        """Return the object as it stands in the metadata."""
        lists = {"colors": self.colors, "properties": self.properties}
        entries: JSONDict = {key: [dict(item) for item in value] for key, value in lists.items() if value is not None}
        return {**entries, **({} if self.source is None else {"source": dict(self.source)}), **self.rest}


def labelled_path(path: str) -> str | None:
    """Return the path of the image to which a group ``labels/<name>`` belongs; None for any other group.

    >>> labelled_path("a/labels/cells"), labelled_path("labels/cells"), labelled_path("a/cells")
    ('a', '', None)
    """
    image, _, folder = path.rpartition("/")[0].rpartition("/")
    return image if folder == LABELS else None


def check_label_name(name: Any) -> None:
    """Raise a ValueError for a name that a label image cannot have."""
    text = name if isinstance(name, str) else ""
    odd = text.startswith((".", "__")) or text == "zarr.json" or not (text.isprintable() and has_short_names(text))
    if odd or not text.strip() or "/" in text or "\\" in text:
        raise ValueError(
            f"label name {name!r} must be text of at most {LONGEST_NAME} bytes without slashes or a leading dot: it is"
            " the name of a group inside 'labels' (section 'labels')"
        )


def read_image_label(stored: Mapping[str, Any]) -> ImageLabel:
    """Read an ``image-label`` object; `ImageLabel.to_json` gives it back unchanged.

    Raises
    ------
    ValueError
        If it cannot be read.
    """
    if not isinstance(stored, Mapping):
        raise ValueError(f"image-label {stored!r} is not an object")
    rest = dict(stored)
    colors, properties = (_objects(rest.pop(key)) if _are_objects(rest.get(key)) else None for key in LISTS)
    source = rest.pop("source") if isinstance(rest.get("source"), Mapping) else None
    return ImageLabel(colors, properties, source, rest)


def parse_image_label(colors: Any = None, properties: Any = None, source: Any = None, **rest: Any) -> ImageLabel:
    """Return the ``image-label`` object that the caller describes.

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
        If they have another form. (`daskome.ome.rules` checks the entries.)

    Examples
    --------
    >>> parse_image_label({1: (255, 0, 0, 255)}, {1: {"area": 7}}).to_json()["properties"]
    [{'label-value': 1, 'area': 7}]
    """
    return ImageLabel(
        _listed(colors, "colors", "rgba"),
        _listed(properties, "properties"),
        SOURCE if source is None else source,
        rest,
    )


def colored(values: Iterable[int]) -> dict[int, tuple[int, int, int, int]]:
    """Return a colour for every label value, neighbouring values far apart; the background, 0, is transparent.

    >>> colored([0, 1, 2])
    {0: (0, 0, 0, 0), 1: (65, 109, 217, 255), 2: (154, 217, 65, 255)}
    """
    return {int(value): _color(int(value)) if value else (0, 0, 0, 0) for value in values}


def stated_colors(image_label: Mapping[str, Any]) -> dict[int, tuple[int, ...]]:
    """Return the colours that an ``image-label`` object states, by label value; those that cannot be read are left out.

    >>> stated_colors({"colors": [{"label-value": 7, "rgba": [255, 0, 16, 255]}, {"label-value": 8, "rgba": "red"}, 9]})
    {7: (255, 0, 16, 255)}
    """
    listed = image_label.get("colors")
    objects = [entry for entry in listed if isinstance(entry, Mapping)] if isinstance(listed, list) else []
    pairs = [(entry.get("label-value"), _rgba(entry.get("rgba"))) for entry in objects]
    return {value: rgba for value, rgba in pairs if isinstance(value, int) and rgba}


def _rgba(value: Any) -> tuple[int, ...]:
    """Return four bytes; nothing, if it is something else."""
    are_bytes = isinstance(value, list) and all(isinstance(v, int) and 0 <= v < 256 for v in value)
    return tuple(value) if are_bytes and len(value) == 4 else ()


def _color(value: int) -> tuple[int, int, int, int]:
    red, green, blue = (round(255 * v) for v in hsv_to_rgb(value * GOLDEN % 1, 0.7, 0.85))
    return red, green, blue, 255


def _listed(values: Any, what: str, vector: str | None = None) -> tuple[JSONDict, ...] | None:
    if isinstance(values, Mapping):
        values = [
            {"label-value": key} | _entry(key, value, what, vector) | {"label-value": key}
            for key, value in values.items()
        ]
    if values is None or (isinstance(values, Sequence) and not values):
        return None
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise ValueError(f"{what} {values!r}: give a list of dicts with 'label-value' (section 'image-label')")
    listed = list(values)
    if not _are_objects(listed):
        raise ValueError(f"{what} {listed!r}: give a list of dicts with 'label-value' (section 'image-label')")
    return _objects(listed)


def _entry(key: Any, value: Any, what: str, vector: str | None) -> JSONDict:
    """Return what is said of a label value: a dict, or a list that is its only entry."""
    if isinstance(value, Mapping):
        return dict(value)
    if vector is None or isinstance(value, str | bytes) or not isinstance(value, Iterable):
        form = "a dict" if vector is None else f"a dict, or a list of numbers ({vector})"
        raise ValueError(f"{what} of label value {key!r} are {value!r}; give {form} (section 'image-label')")
    return {vector: list(value)}


def _are_objects(items: Any) -> bool:
    return isinstance(items, list) and all(isinstance(item, Mapping) for item in items)


def _objects(items: Sequence[Mapping[str, Any]]) -> tuple[JSONDict, ...]:
    return tuple(dict(item) for item in items)
