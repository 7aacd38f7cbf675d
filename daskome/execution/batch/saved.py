"""The saved run that a job goes on with: where it is found, where it writes, and whether it reads images."""

from collections.abc import Sequence

from zarr.storage import StorePath

from daskome.execution.runner import Part
from daskome.model.text import format_ranges, pluralize
from daskome.ome.detect import ome_keys
from daskome.ome.image_label import LABELS
from daskome.planning.plan import Plan
from daskome.stores import journal as journals
from daskome.stores.groups import read_attributes
from daskome.stores.journal import SavedRun

MAX_LISTED = 20
"""How many ranges of missing units a message lists."""


def saved_run(target: StorePath, labels: str | None) -> SavedRun:
    """Return the run that was begun at a target, or for labels of the image there."""
    home = target / LABELS / labels if labels else target
    saved = journals.find_run(home)
    if saved is None:
        attributes = read_attributes(home)
        is_image = attributes and "multiscales" in ome_keys(attributes)
        reason = "is finished" if is_image else "has no run; begin one with `daskome init`, or compute='init'"
        raise FileNotFoundError(f"{home} {reason}")
    if saved.plan.home != home.path[len(home.path) - len(saved.plan.home) :]:
        raise ValueError(f"{home} holds labels of an image; give the image, and the name of the labels")
    return saved


def target_of(saved: SavedRun) -> StorePath:
    """Return the target of a plan, from the group that keeps its journal."""
    home = saved.journal.home
    return StorePath(home.store, home.path.removesuffix(saved.plan.home).rstrip("/"))


def reads_images(plan: Plan, parts: Sequence[Part]) -> bool:
    """Whether some of these units read an image, not only levels or copies that are stored."""
    return any(work.image is not None for part in parts for work in plan.stages[part.stage].passes)


def name_failures(stage: int, indices: Sequence[int]) -> str:
    """Return missing units as a line of a message.

    >>> name_failures(0, [1, 2, 3, 7])
    '  stage 0: 4 units, 1-3, 7'
    """
    words = format_ranges(indices).split(",")
    named = ", ".join(words[:MAX_LISTED] + ["…"] * (len(words) > MAX_LISTED))
    return f"  stage {stage}: {pluralize(len(indices), 'unit')}, {named}"
