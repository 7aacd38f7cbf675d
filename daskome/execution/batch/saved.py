"""The saved run that a job of an array goes on with: found, checked, and its sources opened."""

from collections.abc import Sequence

from zarr.storage import StorePath

from daskome.model.text import format_ranges, pluralize
from daskome.ome.detect import ome_keys
from daskome.ome.image_label import LABELS
from daskome.planning.plan import Plan
from daskome.stores import journal as journals
from daskome.stores.groups import read_attributes
from daskome.stores.journal import SavedRun

MAX_LISTED = 20
"""So many runs of missing units are named."""


def saved_run(place: StorePath, labels: str | None) -> SavedRun:
    """Return the run that was begun at a place, or for labels of the image there."""
    home = place / LABELS / labels if labels else place
    begun = journals.find_run(home)
    if begun is None:
        found = read_attributes(home)
        whole = found and "multiscales" in ome_keys(found)
        what = "is finished" if whole else "holds nothing that was begun; `daskome init`, or compute='init', begins"
        raise FileNotFoundError(f"{home} {what}")
    if begun.plan.home != home.path[len(home.path) - len(begun.plan.home) :]:
        raise ValueError(f"{home} are labels of an image; give that, and the name of the labels")
    return begun


def target_of(begun: SavedRun) -> StorePath:
    """Return the target of a plan, from the group that keeps its journal."""
    home = begun.journal.home
    return StorePath(home.store, home.path.removesuffix(begun.plan.home).rstrip("/"))


def reads_images(plan: Plan, parts: Sequence[tuple[int, range]]) -> bool:
    """Whether some of these units read an image, not only what is stored already."""
    return any(work.image is not None for stage, _ in parts for work in plan.stages[stage].passes)


def name_failures(stage: int, indices: Sequence[int]) -> str:
    """Return missing units in words.

    >>> name_failures(0, [1, 2, 3, 7])
    '  stage 0: 4 units, 1-3, 7'
    """
    words = format_ranges(indices).split(",")
    named = ", ".join(words[:MAX_LISTED] + ["…"] * (len(words) > MAX_LISTED))
    return f"  stage {stage}: {pluralize(len(indices), 'unit')}, {named}"
