"""What kind of thing lies at a place: an image, what a kill has left of one, something else, or nothing."""

from dataclasses import dataclass

from zarr.storage import StorePath

from daskome.inspection.stored_image import read_document
from daskome.model.json_values import JSONObject
from daskome.ome.detect import kinds_of
from daskome.stores.documents import list_names
from daskome.stores.groups import UNFINISHED_KEY, find_array, read_attributes, removal_mark
from daskome.stores.journal import JOURNAL
from daskome.stores.location import address_of, folder_of
from daskome.stores.targets.conflicts import is_litter

WORDS_OF_KINDS = {
    "plate": "plate",
    "well": "well",
    "image-label": "label image",
    "image": "image",
    "labels": "labels",
    "bioformats2raw": "bioformats2raw collection",
    "scene": "scene",
}
"""What a group is called: the first of its kinds counts."""
OURS = (
    *WORDS_OF_KINDS.values(),
    "unfinished image",
    "unfinished plate",
    "what is left of a removal",
    "journal",
    "what a kill has left",
)
"""What OME-Zarr or daskome has made."""
NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Place:
    """What lies at a place.

    Attributes
    ----------
    store_path : StorePath
    kind : str
        One of `OURS`, or "zarr group", "zarr array", "file", "other files", "nothing".
    attributes : dict, optional
        Of the group; None where there is none.
    """

    store_path: StorePath
    kind: str
    attributes: JSONObject | None = None

    @property
    def is_unfinished(self) -> bool:
        """Whether daskome has begun to write or remove it, and not ended."""
        return UNFINISHED_KEY in (self.attributes or {})


def place_at(store_path: StorePath) -> Place:
    """Return what lies at a place.

    Raises
    ------
    ValueError
        If its documents cannot be read.
    """
    folder = folder_of(store_path)
    if folder is not None and folder.is_file():
        return Place(store_path, "file")
    if address_of(store_path)[-1:] == (JOURNAL,):
        return Place(store_path, "journal" if list_names(store_path) else NOTHING)
    if find_array(store_path) is not None:
        return Place(store_path, "zarr array")
    attributes = read_attributes(store_path)
    if attributes is None:
        return Place(store_path, _without_group(store_path))
    return Place(store_path, _of_group(attributes), attributes)


def _of_group(attributes: JSONObject) -> str:
    mark, kinds = attributes.get(UNFINISHED_KEY), kinds_of(attributes)
    if removal_mark(attributes):
        return "what is left of a removal"
    words = [words for kind, words in WORDS_OF_KINDS.items() if kind in kinds]
    if words:
        return words[0]
    if mark is None:
        return "zarr group"
    return "unfinished image" if isinstance(mark, dict) and mark.get("levels") else "unfinished plate"


def _without_group(store_path: StorePath) -> str:
    names = {name for name in list_names(store_path) if not is_litter(name)}
    if not names:
        return NOTHING
    attributes = read_document(store_path, ".zattrs")
    left = {JOURNAL, *([".zattrs"] if isinstance(attributes, dict) and UNFINISHED_KEY in attributes else [])}
    return "what a kill has left" if names <= left else "other files"
