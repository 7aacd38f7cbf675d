"""How a process becomes the owner of a run, or of a part of one, and ceases to be it."""

import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from threading import Event, Thread

from zarr.core.sync import sync
from zarr.storage import StorePath

from daskome.stores.documents import write_text
from daskome.stores.kinds import in_flight_to
from daskome.stores.location import folder_of
from daskome.stores.ownership.claims import (
    CLAIMS,
    LAST_SEEN,
    LEASE,
    WHOLE_RUN,
    Claim,
    OwnershipLost,
    delete_claims,
    fetch_owner,
    fetch_rivals,
    fetch_seen,
    split_name,
)
from daskome.stores.ownership.owned_store import owned
from daskome.stores.ownership.owner import HELD, SEEN_EVERY, Owner, this_process

WATCHED = SEEN_EVERY + 5
"""Seconds after which an owner elsewhere that is alive has said so again, whatever its clock says."""
LANDING = 0.5
"""Seconds, beside `LEASE`, until what an owner has sent before must have arrived: as files, and …"""
FAR_LANDING = 10.0
"""… in a store that is far away."""
TRIES = 5
"""How many times a claim is tried that others try at the same moment."""
TURN = 0.2
"""Seconds between these, at most."""


@contextmanager
def claimed(home: StorePath, slot: str, take_over: bool = False, alone: bool = True) -> Iterator[Claim]:
    """Own what a group's journal is about, and say so as long as it lasts.

    Parameters
    ----------
    home : StorePath
        The group that keeps the journal.
    slot : str
        `WHOLE_RUN`, or a part of it.
    take_over : bool
        Whether an owner that may be alive loses its right to write.
    alone : bool
        Whether nobody but threads of this process writes under the claim. If others may still be writing when it ends
        with an error, its document stays, so that the next owner waits for them.

    Raises
    ------
    FileExistsError
        That says who is the owner.
    """
    owner = this_process(alone, attended=True)
    HELD.add(owner.token)
    try:
        claim = take(home, slot, owner, take_over)
        try:
            with _saying_that_it_lives(claim):
                yield claim
        except BaseException:
            if alone:
                end(claim)
            raise
        end(claim)
    finally:
        HELD.discard(owner.token)


def take(home: StorePath, slot: str, owner: Owner, take_over: bool) -> Claim:
    """Return a claim that stands alone: who was the owner before writes nothing any more.

    Raises
    ------
    FileExistsError
        That says who is the owner.
    """
    for _ in range(TRIES):
        before = _rivals(home, slot)
        took_over = _check_free(home, before, take_over)
        number = 1 + max((number for other, number in map(split_name, before) if other == slot), default=0)
        claim = Claim(home, f"{slot}-{number}", owner, took_over)
        if claim.make():
            after = _rivals(home, slot, but=claim.name)  # Names come again: one may be another's by now.
            if all(rival in (None, before.get(name)) for name, rival in after.items()):
                sync(delete_claims(home, before))
                _let_land(claim)
                return claim
            claim.end()
        time.sleep(random.uniform(0, TURN))
    raise FileExistsError(f"{home}: other processes begin to write there at this moment; try again")


def end(claim: Claim) -> None:
    """Give a claim back, and leave no folder behind that holds nothing else."""
    claim.end()
    folder = folder_of(claim.home / CLAIMS)
    for empty in () if folder is None else (folder, folder.parent):
        with suppress(OSError):
            empty.rmdir()


def check_free(home: StorePath, take_over: bool) -> None:
    """Raise a FileExistsError if a process that is alive owns anything there, and may not be taken over."""
    _check_free(home, _rivals(home, WHOLE_RUN), take_over)


def owners_at(home: StorePath) -> list[tuple[Owner, bool]]:
    """Return who writes at a group, or did when it was killed, and whether each may still be alive."""
    owners = _rivals(home, WHOLE_RUN).items()
    return [(owner, owner.is_alive(sync(fetch_seen(home, name)))) for name, owner in owners if owner is not None]


def _rivals(home: StorePath, slot: str, but: str = "") -> dict[str, Owner | None]:
    """Return the owners of claims that exclude one of a slot, by the names of the claims, without one of these."""
    return {name: sync(fetch_owner(home, name)) for name in sync(fetch_rivals(home, slot)) if name != but}


def _check_free(home: StorePath, rivals: Mapping[str, Owner | None], take_over: bool) -> bool:
    """Return whether owners of claims may still be writing; raise if one is alive, and may not be taken over."""
    seen = {name: sync(fetch_seen(home, name)) for name in rivals}
    owners = {name: owner for name, owner in rivals.items() if owner is not None}
    for name in () if take_over else owners:
        if owners[name].is_alive(seen[name]):
            raise FileExistsError(_refusal(home, name, owners[name], seen[name]))
    for name in () if take_over else _who_says_it_lives(home, owners, seen):
        raise FileExistsError(_refusal(home, name, owners[name], time.time()))
    return any(owner is None or not owner.is_gone(seen[name]) for name, owner in rivals.items())


def _who_says_it_lives(home: StorePath, owners: Mapping[str, Owner], seen: Mapping[str, float]) -> list[str]:
    """Return the names of claims whose owners, dead by their clocks, are not: clocks of machines may differ."""
    watched = [name for name, owner in owners.items() if owner.may_be_watched(seen[name])]
    if watched:
        time.sleep(WATCHED)
    return [name for name in watched if sync(fetch_seen(home, name)) not in (0, seen[name])]


def _refusal(home: StorePath, name: str, owner: Owner, seen: float) -> str:
    """Return who is the owner, and what to do."""
    slot = split_name(name)[0]
    what = "" if slot == WHOLE_RUN else f", {slot.replace('-', ' ')},"
    last = "" if owner.is_here else f", last seen {max(time.time() - max(seen, owner.since), 0):.0f} s ago"
    return (
        f"{home}{what} is being written by {owner}{last}; wait until it has ended, or stop it. take_over=True"
        " (--take-over) goes on at once, and it writes nothing more"
    )


def _let_land(claim: Claim) -> None:
    """Wait until an owner that was taken over knows it, and what it has sent before has arrived."""
    if claim.took_over:
        time.sleep(LEASE + (FAR_LANDING if in_flight_to(claim.home) else LANDING))
        claim.check()


@contextmanager
def _saying_that_it_lives(claim: Claim) -> Iterator[None]:
    """Write from time to time that the owner is alive, on a thread of its own."""
    over = Event()
    thread = Thread(target=_say, args=(claim, over), name="daskome-owner", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()


def _say(claim: Claim, over: Event) -> None:
    home = owned(claim.home, claim)
    while not over.wait(SEEN_EVERY):
        try:
            write_text(home / CLAIMS / f"{claim.name}{LAST_SEEN}", str(time.time()))
        except OwnershipLost:
            return
        except Exception:  # The store may answer the next time.
            continue
