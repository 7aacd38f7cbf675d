"""The saved run that a job goes on with: where it is found, where it writes, and whether it reads images."""

from collections.abc import Sequence

from zarr.storage import StorePath

from daskome.execution.runner import Part
from daskome.kernels.methods import Method, find_method
from daskome.model.text import format_ranges, pluralize
from daskome.model.types import FunctionLike
from daskome.ome.detect import ome_keys
from daskome.ome.image_label import LABELS
from daskome.planning.plan import Plan
from daskome.stores import journal as journals
from daskome.stores.documents import list_names
from daskome.stores.groups import UNFINISHED_KEY, read_attributes
from daskome.stores.journal import SavedRun
from daskome.stores.remembered import for_each

MAX_LISTED = 20
"""How many ranges of missing units a message lists."""


def saved_run(target: StorePath, labels: str | None, method: FunctionLike | None = None) -> SavedRun:
    """Return the run that was begun at a target, for labels of the image there, or for wells of the plate there.

    A function that its plan names is not imported, but may be given.
    """
    home, given = target / LABELS / labels if labels else target, None if method is None else find_method(method)
    saved, attributes = journals.find_run(home, given), read_attributes(home) or {}
    kinds = ome_keys(attributes)
    is_image = "multiscales" in kinds
    if saved is None and not labels and ("plate" in kinds or UNFINISHED_KEY in attributes):
        saved = _run_of_plate(target, given)
        home = target if saved is None else saved.journal.home
    if saved is None:
        reason = "is finished" if is_image else "has no run; begin one with `daskome init`, or compute='init'"
        raise FileNotFoundError(f"{home} {reason}")
    if saved.plan.home != home.path[len(home.path) - len(saved.plan.home) :]:
        raise ValueError(f"{home} holds labels of an image; give the image, and the name of the labels")
    return saved


def _run_of_plate(target: StorePath, method: Method | None) -> SavedRun | None:
    """Return the run that writes one well of a plate, or one image in it: its journal lies there.

    Raises
    ------
    ValueError
        If there are several.
    """
    runs = runs_below(target, method)
    if len(runs) > 1:
        places = ", ".join(run.plan.home for run in runs[:MAX_LISTED])
        raise ValueError(f"{target} has several runs, at {places}; give the zarr group of one of them")
    return next(iter(runs), None)


WELL_DEPTH = 3
"""Row, column and field: so deep below a plate lies what a run may write alone."""


def runs_below(plate: StorePath, method: Method | None = None) -> list[SavedRun]:
    """Return the runs in a plate: of its wells, or of images in these where a well has none."""
    runs, folders = [], [plate]
    for _ in range(WELL_DEPTH):
        names = zip(folders, for_each(plate, list_names, folders), strict=True)
        inner = [folder / name for folder, inside in names for name in sorted(inside) if _may_hold_images(name)]
        found = for_each(plate, lambda home: journals.find_run(home, method), inner)
        runs += [run for run in found if run]
        folders = [folder for folder, run in zip(inner, found, strict=True) if not run]
    return runs


def _may_hold_images(name: str) -> bool:
    return not name.startswith(".") and name != "zarr.json"


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
