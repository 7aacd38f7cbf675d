"""Runs that this process owns: nobody else writes them, and it writes no more when another has taken over."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from zarr.storage import StorePath

from daskome.execution.executors import writes_alone
from daskome.execution.runner import Run
from daskome.model.paths import join_paths
from daskome.model.problem import WriteError
from daskome.stores import journal as journals
from daskome.stores.journal import JOURNAL, Journal
from daskome.stores.ownership.claims import WHOLE_RUN, Claim
from daskome.stores.ownership.owned_store import forget_half_done
from daskome.stores.ownership.owner import this_process
from daskome.stores.ownership.taking import claimed, end, naming_the_heir, take


@contextmanager
def owning(run: Run, slot: str = WHOLE_RUN, take_over: bool = False, home: StorePath | None = None) -> Iterator[Run]:
    """Yield a run, or a part of it, as its owner writes it; in stores that cannot keep a journal, as it is.

    `home` may be the group of the journal as it was looked at before.

    Raises
    ------
    FileExistsError
        If another process is the owner, and alive.
    WriteError
        If another has taken over meanwhile, or the run is over.
    """
    if not run.journal.keeps:
        yield run
        return
    with claimed(home or run.journal.home, slot, take_over, writes_alone(run.target)) as claim:
        journal = replace(run.journal, claim=claim)
        with naming_the_heir(claim):
            _begin_as_owner(run, claim)
            yield replace(run, journal=journal)


def _begin_as_owner(run: Run, claim: Claim) -> None:
    """Let no document that an owner before has half written get its name.

    Raises
    ------
    WriteError
        If a run that was begun is over: another process may have been faster.
    """
    if not (run.is_new or journals.is_current(run.journal)):
        raise WriteError(
            f"{run.journal.home} has just been finished, or started anew, by another process; nothing was written"
        )
    if claim.took_over:
        groups = [group.path for group in run.plan.groups]
        forget_half_done(run.journal.home, run.target, [*groups, join_paths(run.plan.home, JOURNAL)])


def own_graph(run: Run, take_over: bool) -> Journal:
    """Return the journal of a run that the tasks of a Dask graph write, wherever they run, until `disown`.

    No process knows whether all of them are still to come, or none; so another owner takes over without being told to.

    Raises
    ------
    FileExistsError
        If a process is the owner, and alive.
    WriteError
        If the run is over.
    """
    if not run.journal.keeps:
        return run.journal
    claim = take(run.journal.home, WHOLE_RUN, this_process(alone=False, attended=False), take_over)
    try:
        _begin_as_owner(run, claim)
    except BaseException:  # Nothing of the graph has written yet.
        end(claim)
        raise
    return replace(run.journal, claim=claim)


def disown(journal: Journal) -> None:
    """Give the claim of a journal back."""
    if journal.claim is not None:
        end(journal.claim)
