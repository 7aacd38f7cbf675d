"""What anything is, whether it is whole, and if not, how far it is, who writes it, and how to go on or give up."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from zarr.storage import StorePath

from daskome.execution.batch.saved import MAX_LISTED, runs_below
from daskome.execution.batch.status import Status, status_of
from daskome.inspection.hierarchy import Node, nodes
from daskome.inspection.stored_image import StoredImage, read_stored_image
from daskome.keeping.place import NOTHING, OURS, WORDS_OF_KINDS, Place, place_at
from daskome.model.text import format_numbers
from daskome.model.types import FileSystemOptions, GroupLike
from daskome.ome.detect import version_in
from daskome.ome.image_label import LABELS
from daskome.readers.kinds import is_image_file
from daskome.stores import journal as journals
from daskome.stores.documents import list_names
from daskome.stores.groups import UNFINISHED_KEY, change_in, find_array
from daskome.stores.journal import JOURNAL, SavedRun
from daskome.stores.location import folder_of, locate, rooted
from daskome.stores.ownership.taking import owners_at
from daskome.stores.remembered import remembered_to_read

TROUBLES_LISTED = 12
"""How many troubles, or names, a status lists."""
TO_GO_ON = "to go on: the call that began it, with resume=True (--resume); or `daskome run` and `daskome finish`"
TO_GIVE_UP = "to give it up: `daskome remove`"
TO_CHANGE_ELSE = (
    "the image was being changed, by update or append; to change it otherwise: update or append, with overwrite=True"
    " (--overwrite), which make again what depends on what was begun; `daskome remove` removes the whole image"
)


@dataclass(frozen=True, slots=True, repr=False)
class State(Status):
    """What is at a place, and how far it is if it is being written. Print it.

    Attributes
    ----------
    kind : str
        Such as "image", "unfinished image", "plate", "zarr array", "other files", "nothing".
    version : str
        Of OME-Zarr; empty if none is stated.
    whole : bool
        Whether it is OME-Zarr that was written as a whole, with all that it lists.
    levels : tuple of str
        Of an image: paths, shapes and dtypes.
    holds : tuple of str
        Paths of the label images, wells or images in it; of what is not OME-Zarr, names.
    troubles : tuple of str
        What is missing, unfinished or cannot be read.
    writers : tuple of str
        Who writes it, or did when it was killed.
    advice : tuple of str
        What to do.
    """

    kind: str = NOTHING
    version: str = ""
    whole: bool = False
    levels: tuple[str, ...] = ()
    holds: tuple[str, ...] = ()
    troubles: tuple[str, ...] = ()
    writers: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Return it as lines of text."""
        version = f"OME-Zarr {self.version} " if self.version else ""
        whole = ", whole" if self.whole else ""
        run = super(State, self).lines()[1:] if self.stages else []
        lists = {"levels": self.levels, "holds": self.holds}
        listed = [f"{word}: {_some(names)}" for word, names in lists.items() if names]
        return [
            f"{self.where}: {version}{self.kind}{whole}",
            *listed,
            *_first_of(self.troubles),
            *(["being written:", *run] if run else []),
            *_first_of(self.writers),
            *self.advice,
        ]


def _some(names: Sequence[str]) -> str:
    return ", ".join(_first_of(names))


def _first_of(items: Sequence[str]) -> list[str]:
    more = len(items) - TROUBLES_LISTED
    return [*items[:TROUBLES_LISTED], *([f"and {more:,} more"] if more > 0 else [])]


def status(group: GroupLike, *, labels: str | None = None, fs_options: FileSystemOptions | None = None) -> State:
    """Return what is at a place: an image and whether it is whole, a run and how far it is, something else, or nothing.

    Parameters
    ----------
    group : str, path, zarr.Group or zarr store
        Of an image, labels, a plate, of a run that was begun with ``compute="init"`` or was interrupted, or of
        anything else.
    labels : str, optional
        The name of labels of the image there, if these are meant.
    fs_options : dict, optional
        For the file system of a URL.

    Returns
    -------
    State
        Print it. ``missing`` has the units of a run that are not finished.

    Raises
    ------
    ValueError
        If documents of what is there cannot be read.

    Examples
    --------
    >>> import numpy as np, zarr
    >>> from daskome import status, write_image
    >>> store = zarr.storage.MemoryStore()
    >>> plan = write_image(np.zeros((64, 64), "uint8"), store, [2], axes="yx", compute="init")
    >>> status(store).kind, status(store).missing
    ('unfinished image', ('0/0',))
    >>> plan = write_image(np.zeros((64, 64), "uint8"), store, [2], axes="yx", overwrite=True)
    >>> status(store)
    memory://...: OME-Zarr 0.5 image, whole
    levels: s0 64, 64 uint8, s1 32, 32 uint8
    """
    place = locate(group, fs_options)
    return _state(remembered_to_read(rooted(place / LABELS / labels if labels else place)))


def _state(store_path: StorePath) -> State:
    place = place_at(store_path)
    if place.kind == "file":
        image = is_image_file(str(folder_of(store_path)))
        advice = ("`daskome write` makes an OME-Zarr pyramid of it",) if image else ()
        return State(str(store_path), (), {}, None, "image file" if image else "file", advice=advice)
    runs = list(_runs(place))
    if len(runs) == 1:
        return replace(_described(place, runs[0].journal.home), **_of_run(status_of(runs[0])))
    state = _described(place, store_path)
    if runs:
        homes = ", ".join(run.plan.home for run in runs[:MAX_LISTED])
        return replace(state, advice=(f"being written: {homes}; give one of these for how far it is",))
    return state


def _of_run(run: Status) -> dict[str, Any]:
    """Return what a run says of itself, by the names of fields."""
    return {name: getattr(run, name) for name in ("where", "stages", "failures", "seconds_left")}


def _runs(place: Place) -> Iterator[SavedRun]:
    """Yield the runs that write at a place, or of a plate below it."""
    store_path = _home_of(place)
    run = journals.find_run(store_path)
    if run is not None:
        yield run
    elif place.kind in ("plate", "unfinished plate"):
        yield from runs_below(store_path)


def _home_of(place: Place) -> StorePath:
    """Return the group whose journal counts: that around it, of a journal itself."""
    path = place.store_path
    return StorePath(path.store, path.path.rpartition("/")[0]) if place.kind == "journal" else path


def _described(place: Place, home: StorePath) -> State:
    store_path, attributes = place.store_path, place.attributes or {}
    below = list(nodes(store_path))[1:] if place.kind in WORDS_OF_KINDS.values() else []
    image = read_stored_image(store_path) if place.kind in ("image", "label image") else None
    troubles = (*_troubles(below), *_of_image(image))
    return State(
        str(store_path),
        (),
        {},
        None,
        place.kind,
        version_in(attributes) or next((v for v in map(_version_of, below) if v), ""),
        place.kind in WORDS_OF_KINDS.values() and not troubles,
        tuple(_levels(image)) if isinstance(image, StoredImage) else (),
        tuple(_holds(place, below)),
        troubles,
        tuple(f"written by {owner}{'' if alive else ', which has ended'}" for owner, alive in owners_at(home)),
        tuple(_advice(place, home)),
    )


def _version_of(node: Node) -> str:
    return version_in(node.attributes or {}) or ""


def _troubles(below: Sequence[Node]) -> Iterator[str]:
    for node in below:
        if node.attributes is None:
            yield f"missing: {node.path}" if node.trouble.startswith("there is no") else f"{node.path}: {node.trouble}"
        elif UNFINISHED_KEY in node.attributes:
            yield f"unfinished: {node.path}"


def _of_image(image: object) -> Iterator[str]:
    if isinstance(image, StoredImage):
        yield from (f"missing: {level.dataset.path}" for level in image.levels if level.array is None)
        yield from map(str, image.problems)
    elif image is not None:
        yield str(image)


def _levels(image: StoredImage) -> Iterator[str]:
    for level, array in image.stored:
        yield f"{level.dataset.path} {format_numbers(array.shape)} {array.dtype}"


def _holds(place: Place, below: Sequence[Node]) -> Iterator[str]:
    """Yield what is in it: of OME-Zarr what it lists, of others the names."""
    if place.kind == "zarr array":
        array = find_array(place.store_path)
        yield "" if array is None else f"{format_numbers(array.shape)} {array.dtype}"
    elif place.kind in ("zarr group", "other files"):
        yield from sorted(name for name in list_names(place.store_path) if name != "zarr.json")
    yield from (node.path for node in below if node.role in ("label", "well", "image"))


def _advice(place: Place, home: StorePath) -> Iterator[str]:
    """Yield what to do with what is not whole."""
    if place.kind in ("unfinished image", "unfinished plate") or journals.has_run(home):
        run = journals.has_run(home)
        yield (TO_GO_ON if run else "killed as it began: the call that began it goes on, with resume=True (--resume)")
        if change_in(place.attributes or {}) is not None:
            yield TO_CHANGE_ELSE
        else:
            yield TO_GIVE_UP if place.is_unfinished else f"{TO_GIVE_UP} of {JOURNAL} in it"
    elif place.kind in ("what is left of a removal", "what a kill has left"):
        yield "`daskome remove` removes the rest"
    elif place.kind in OURS and journals.announced(home):
        yield f"levels were being added: add_levels(resume=True) goes on; {TO_GIVE_UP} of {JOURNAL} in it"
