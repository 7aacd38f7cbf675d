"""How a process becomes the owner of a run, of a part of one, or of a hierarchy, and ceases to be it."""

import asyncio
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from threading import Event, Thread

from zarr.core.sync import sync
from zarr.storage import StorePath

from daskome.model.problem import WriteError
from daskome.stores.documents import fetch_names, write_text
from daskome.stores.kinds import in_flight_to
from daskome.stores.location import fetch_holds_group, folder_of, parent_of
from daskome.stores.ownership.claims import (
    CLAIMS,
    LAST_SEEN,
    LEASE,
    PART_SLOT,
    UPGRADE,
    WHOLE_RUN,
    Claim,
    OwnershipLost,
    delete_claims,
    fetch_owners,
    fetch_rival_owners,
    fetch_seen,
    split_name,
)
from daskome.stores.ownership.owned_store import MOVED, owned
from daskome.stores.ownership.owner import HELD, SEEN_EVERY, Owner, this_process
from daskome.stores.remembered import forgotten

WATCHED = SEEN_EVERY + 5
"""Seconds after which an owner elsewhere that is alive has said so again, whatever its clock says."""
LANDING = 0.5
"""Seconds, beside `LEASE`, until what an owner has sent before must have arrived: as files, and …"""
FAR_LANDING = 10.0
"""… in a store that is far away. An owner looks at its claim every `LEASE` while it waits there, and takes a request
back after `KNOWN_WITHIN` at the latest; the rest is for the store, which may have all of it. Nothing takes back what is
to be asked again just when a process is stopped: when that wakes, one object may land.
"""
CLAIM_TRIES = 5
"""How many times a claim is tried that others try at the same moment."""
TURN = 0.2
"""Seconds between these, at most."""
MOST_ABOVE = 5
"""How many groups may lie around one that is written: those around ``plate/A/1/0/labels/cells``."""
OR_ELSE = ". take_over=True (--take-over) goes on at once, and it writes nothing more"
"""What else can be done by a call that takes it."""
Upgrades = list[tuple[StorePath, list[str]]]
"""Groups, with the names of the claims of upgrades there."""
DOING = {WHOLE_RUN: "written", UPGRADE: "converted to another version"}
"""What an owner does, by its slot."""


@contextmanager
def owning_place(place: StorePath, slot: str = WHOLE_RUN, take_over: bool | None = False) -> Iterator[StorePath]:
    """Yield a group as its owner writes there; as it is, in stores that cannot keep claims.

    Raises
    ------
    FileExistsError
        If another process is the owner, and alive.
    WriteError
        If another has taken over meanwhile.
    """
    if not place.store.supports_deletes:
        yield place
        return
    with claimed(place, slot, take_over) as claim, naming_the_heir(claim):
        yield owned(place, claim)


@contextmanager
def naming_the_heir(claim: Claim | None) -> Iterator[None]:
    """Turn the loss of a claim into a WriteError that says who has it now."""
    try:
        yield
    except OwnershipLost as error:
        heir = None if claim is None else claim.heir()
        why = "it was finished, or started anew elsewhere" if heir is None else f"it was taken over by {heir}"
        raise WriteError(f"{error}: {why}") from error


@contextmanager
def claimed(home: StorePath, slot: str, take_over: bool | None = False, alone: bool = True) -> Iterator[Claim]:
    """Own what a group's journal is about, and say so as long as it lasts.

    Parameters
    ----------
    home : StorePath
        The group that keeps the journal. A far one may remember that nobody had claimed it when it was looked at.
    slot : str
        `WHOLE_RUN`, or a part of it.
    take_over : bool
        Whether an owner that may be alive loses its right to write. None: the caller cannot say so.
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


def take(home: StorePath, slot: str, owner: Owner, take_over: bool | None) -> Claim:
    """Return a claim that stands alone: who was the owner before writes nothing any more, nor converts a group above.

    Raises
    ------
    FileExistsError
        That says who is the owner.
    """
    claim, above = _made(home, slot, owner, take_over)
    try:
        _end_all([(_writable(place), sync(fetch_owners(place, names))) for place, names in above if names], take_over)
        _let_land(claim)
    except BaseException:
        end(claim)
        raise
    return claim


def _made(home: StorePath, slot: str, owner: Owner, take_over: bool | None) -> tuple[Claim, Upgrades]:
    """Return a claim whose rivals have ended, and the claims of upgrades around it.

    What was remembered counts for the first try alone: rivals that have come since are seen once the claim is made.
    """
    now = forgotten(home)
    for place in (home, *[now] * (CLAIM_TRIES - 1)):
        before = _rivals(place, slot)
        took_over = _check_free(now, before, take_over)
        number = 1 + max((number for other, number in map(split_name, before) if other == slot), default=0)
        claim = Claim(now, f"{slot}-{number}", owner, took_over)
        is_made, after, above = sync(_make(claim, slot))
        if is_made:  # Names come again: one may be another's by now.
            if all(rival in (None, before.get(name)) for name, rival in after.items()):
                sync(delete_claims(now, before))
                return claim, above
            claim.end()
        time.sleep(random.uniform(0, TURN))
    raise FileExistsError(f"{home}: other processes begin to write there at this moment; try again")


async def _make(claim: Claim, slot: str) -> tuple[bool, dict[str, Owner | None], Upgrades]:
    """Make a claim; return whether it is there, its rivals, and upgrades around it, as all are from then on."""
    await claim.make()
    rivals = fetch_rival_owners(claim.home, slot, but=claim.name)
    above = None if slot.startswith(PART_SLOT) else parent_of(claim.home)
    try:
        return await asyncio.gather(claim.is_made(), rivals, _upgrades_above(claim.home, above))
    except BaseException:
        with suppress(Exception):
            await delete_claims(claim.home, {claim.name: claim.owner})
        raise


def end(claim: Claim) -> None:
    """Give a claim back, and leave no folder behind that holds nothing else."""
    claim.end()
    folder = folder_of(claim.home / CLAIMS)
    for empty in () if folder is None else (folder, folder.parent / MOVED, folder.parent):
        with suppress(OSError):
            empty.rmdir()


def check_free(home: StorePath, take_over: bool | None) -> None:
    """Raise a FileExistsError if a process that is alive owns anything there, and may not be taken over."""
    _check_free(home, _rivals(home, WHOLE_RUN), take_over)


def end_owners_below(homes: Sequence[StorePath], take_over: bool | None) -> None:
    """Let nobody write in groups of a hierarchy that this process owns.

    Raises
    ------
    FileExistsError
        If a process that is alive owns one, and may not be taken over.
    """
    _end_all([(home, _rivals(home, UPGRADE)) for home in homes], take_over)


async def _upgrades_above(home: StorePath, place: StorePath | None, left: int = MOST_ABOVE) -> Upgrades:
    """Return the claims of upgrades at a place above a group, and at those around it.

    Of a far store, outside of that which is open, only what is a group is looked at.
    """
    if place is None or not left:
        return []
    here = asyncio.ensure_future(_upgrades_at(place))
    if place.store is home.store or folder_of(place) or await _is_seen_to_be_group(place):
        above = await _upgrades_above(home, parent_of(place), left - 1)
        return [(place, await here), *above]
    await here
    return []


async def _is_seen_to_be_group(place: StorePath) -> bool:
    with suppress(Exception):  # Logins may be for what is below alone.
        return await fetch_holds_group(place)
    return False


async def _upgrades_at(place: StorePath) -> list[str]:
    with suppress(Exception):  # As above.
        return [name for name in await fetch_names(place / CLAIMS) if split_name(name)[0] == UPGRADE]
    return []


def _writable(place: StorePath) -> StorePath:
    return StorePath(place.store.with_read_only(False), place.path) if place.read_only else place


def _end_all(owners: Sequence[tuple[StorePath, Mapping[str, Owner | None]]], take_over: bool | None) -> None:
    """End claims of others, and wait until what they have sent before must have arrived."""
    taken = [home for home, rivals in owners if _check_free(home, rivals, take_over)]
    for home, rivals in owners:
        sync(delete_claims(home, rivals))
        stays = next((o for o in sync(fetch_owners(home, list(rivals))).values() if o in rivals.values() and o), None)
        if stays is not None and home in taken:
            raise PermissionError(f"{home} is owned by {stays}, and its claim there cannot be deleted")
    if taken:
        time.sleep(max(map(_landing, taken)))


def owners_at(home: StorePath) -> list[tuple[Owner, bool]]:
    """Return who writes at a group, or did when it was killed, and whether each may still be alive."""
    owners = _rivals(home, WHOLE_RUN)
    seen = sync(fetch_seen(home, list(owners)))
    return [(owner, owner.is_alive(seen[name])) for name, owner in owners.items() if owner is not None]


def _rivals(home: StorePath, slot: str) -> dict[str, Owner | None]:
    return sync(fetch_rival_owners(home, slot))


def _check_free(home: StorePath, rivals: Mapping[str, Owner | None], take_over: bool | None) -> bool:
    """Return whether owners of claims may still be writing; raise if one is alive, and may not be taken over."""
    seen = sync(fetch_seen(home, list(rivals)))
    owners = {name: owner for name, owner in rivals.items() if owner is not None}
    or_else = "" if take_over is None else OR_ELSE
    for name in () if take_over else owners:
        if owners[name].is_alive(seen[name]):
            raise FileExistsError(_refusal(home, name, owners[name], seen[name]) + or_else)
    for name in () if take_over else _who_says_it_lives(home, owners, seen):
        raise FileExistsError(_refusal(home, name, owners[name], time.time()) + or_else)
    return any(owner is None or not owner.is_gone(seen[name]) for name, owner in rivals.items())


def _who_says_it_lives(home: StorePath, owners: Mapping[str, Owner], seen: Mapping[str, float]) -> list[str]:
    """Return the names of claims whose owners, dead by their clocks, are not: clocks of machines may differ."""
    watched = [name for name, owner in owners.items() if owner.may_be_watched(seen[name])]
    if watched:
        time.sleep(WATCHED)
    return [name for name, now in sync(fetch_seen(home, watched)).items() if now not in (0, seen[name])]


def _refusal(home: StorePath, name: str, owner: Owner, seen: float) -> str:
    """Return who is the owner, and what to do."""
    slot = split_name(name)[0]
    what = f", {slot.replace('-', ' ')}," if slot.startswith(PART_SLOT) else ""
    last = "" if owner.is_here else f", last seen {max(time.time() - max(seen, owner.since), 0):.0f} s ago"
    return (
        f"{home}{what} is being {DOING.get(slot, DOING[WHOLE_RUN])} by {owner}{last}; wait until it has ended, or stop"
        " it"
    )


def _let_land(claim: Claim) -> None:
    """Wait until an owner that was taken over knows it, and what it has sent before has arrived."""
    if claim.took_over:
        time.sleep(_landing(claim.home))
        claim.check()


def _landing(home: StorePath) -> float:
    return LEASE + (FAR_LANDING if in_flight_to(home) else LANDING)


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
