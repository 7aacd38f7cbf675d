"""Claims as documents in a store: what they say, and whether they stand."""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from uuid import uuid4

from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import StorePath

from daskome.planning.serialize import from_json
from daskome.stores.documents import fetch_json, fetch_names, fetch_text, put_text, read_text, some_at_once
from daskome.stores.ownership.owner import Owner

CLAIMS = ".daskome/claims"
"""The folder of claims: inside that of the journal."""
WHOLE_RUN = "run"
"""The slot of whoever writes or finishes a whole run: meanwhile, nobody else owns anything there."""
UPGRADE = "upgrade"
"""The slot of whoever converts a hierarchy: it excludes the same, and whoever writes in groups below."""
PART_SLOT = "part-"
"""How the slots of parts begin. They are parts of a run that has begun, which no upgrade touches."""
LISTING = "list-"
"""How the slots of those begin that add to a list alone: many do that at a time, and none while a run has the group."""
ALONE = frozenset((WHOLE_RUN, UPGRADE))
"""The slots that exclude all others."""
LAST_SEEN = ".seen"
"""The suffix of what says when an owner was last alive."""
LEASE = 2.0
"""Seconds for which it holds what a store has said of a claim."""


class OwnershipLost(RuntimeError):
    """Another process is the owner now, or all is finished: nothing more may be written."""


Moment = tuple[float, float]


def moment() -> Moment:
    """Return the time on two clocks: both go on while a process is stopped, and one while its machine is."""
    return _since_boot(), time.time()


_since_boot = partial(time.clock_gettime, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic


class _Lease:
    """What this process knows of a claim: when it last asked with success, and who is asking."""

    def __init__(self) -> None:
        self.asked: Moment | None = None
        self.is_over = False
        self.turn = asyncio.Lock()

    @property
    def holds(self) -> bool:
        """Whether the last answer still counts."""
        return self.asked is not None and max(map(float.__sub__, moment(), self.asked)) < LEASE


_LEASES: dict[str, _Lease] = {}


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to write at a target: it travels with what is written under it.

    Attributes
    ----------
    home : StorePath
        The group that keeps the journal.
    name : str
        That of its document: the slot and a number.
    owner : Owner
    took_over : bool
        Whether an owner before it may have been alive.
    """

    home: StorePath
    name: str
    owner: Owner
    took_over: bool = field(default=False, compare=False)

    @property
    def path(self) -> StorePath:
        """Its document."""
        return self.home / CLAIMS / self.name

    def check(self) -> None:
        """Ask the store whether it stands.

        Raises
        ------
        OwnershipLost
            If it does not.
        """
        asked = moment()
        self._judge(read_text(self.path), asked)

    def renew(self) -> None:
        """Ask the store, if its last answer does not count any more; raises as `check`."""
        if not self._lease.holds:
            self.check()

    async def renewed(self) -> None:
        """As `renew`, on an event loop: one asks for all that wait."""
        lease = self._lease
        if not lease.holds:
            async with lease.turn:
                if not lease.holds:
                    await self._check()

    @property
    def _lease(self) -> _Lease:
        return _LEASES.setdefault(self.owner.token, _Lease())

    async def _check(self) -> None:
        asked = moment()
        self._judge(await fetch_text(self.path), asked)

    def _judge(self, found: str | None, asked: Moment) -> None:
        self._lease.asked = asked if found == self._text else None
        if found != self._text:
            raise OwnershipLost(
                f"process {self.owner.pid} on {self.owner.host} owns {self.home} no longer, and writes nothing more"
            )

    def heir(self) -> Owner | None:
        """Return the owner that has taken over; None if it has ended already, or nobody has."""
        slot, _ = split_name(self.name)
        rivals = list(sync(fetch_rival_owners(self.home, slot)).values())[::-1]
        return next((owner for owner in rivals if owner is not None and owner.token != self.owner.token), None)

    async def make(self) -> None:
        """Make its document, unless there is one by this name: exclusively where the store can do that.

        Elsewhere if there was none just before.
        """
        document = default_buffer_prototype().buffer.from_bytes(self._text.encode())
        try:
            await self.path.store.set_if_not_exists(self.path.path, document)
        except OSError:  # As of file systems without hard links. What else is wrong comes again.
            if await fetch_text(self.path) is None:
                await put_text(self.path, self._text)

    async def is_made(self) -> bool:
        """Whether the document by its name is its own: this is the first time that the store is asked for it."""
        _LEASES[self.owner.token] = lease = _Lease()
        asked = moment()
        made = await fetch_text(self.path) == self._text
        lease.asked = asked if made else None
        return made

    def end(self) -> None:
        """Delete its document, unless that is gone, and forget it."""
        lease = _LEASES.pop(self.owner.token, None)
        if lease is None or not lease.is_over:
            sync(delete_claims(self.home, {self.name: self.owner}))

    def note_gone(self) -> None:
        """Note that its document has been deleted with the journal: there may soon be another's by its name."""
        self._lease.asked, self._lease.is_over = None, True

    @property
    def _text(self) -> str:
        return json.dumps(asdict(self.owner))


def listing_slot() -> str:
    """Return a slot of one's own, to add to a list."""
    return f"{LISTING}{uuid4().hex}"


def split_name(name: str) -> tuple[str, int]:
    """Return the slot and the number that the name of a claim is made of; number 0 is none.

    >>> split_name("part-3-of-64-2"), split_name("run-1.seen")
    (('part-3-of-64', 2), ('run', 0))
    """
    slot, _, number = name.rpartition("-")
    return slot, int(number) if number.isdecimal() and len(number) < 10 else 0


def is_claim(name: str) -> bool:
    """Whether a document beside claims is one, or says when the owner of one was last alive.

    >>> is_claim("run-1"), is_claim("run-1.seen"), is_claim("run-1.0123.partial")
    (True, True, False)
    """
    return split_name(name.removesuffix(LAST_SEEN))[1] > 0


async def fetch_rivals(home: StorePath, slot: str) -> list[str]:
    """Return the names of claims that exclude one of a slot, in the order in which those of each slot were made."""
    named = sorted((*split_name(name), name) for name in await fetch_names(home / CLAIMS))
    return [name for other, number, name in named if number and (ALONE & {slot, other} or slot == other)]


async def fetch_owner(home: StorePath, name: str) -> Owner | None:
    """Return the owner of a claim; None if it has ended, or is no claim of ours."""
    with suppress(ValueError, KeyError, TypeError):
        document = await fetch_json(home / CLAIMS / name)
        return None if document is None else from_json(Owner, document)
    return None


async def fetch_rival_owners(home: StorePath, slot: str, but: str = "") -> dict[str, Owner | None]:
    """Return the owners of claims that exclude one of a slot, by the names of the claims, without one of these."""
    return await fetch_owners(home, [name for name in await fetch_rivals(home, slot) if name != but])


async def fetch_owners(home: StorePath, names: Sequence[str]) -> dict[str, Owner | None]:
    """Return the owners of claims, by the names of the claims."""
    return dict(zip(names, await some_at_once(fetch_owner(home, name) for name in names), strict=True))


async def fetch_seen(home: StorePath, names: Sequence[str]) -> dict[str, float]:
    """Return when the owners of claims last said that they are alive, in seconds since 1970; 0: never."""
    return dict(zip(names, await some_at_once(_fetch_seen(home, name) for name in names), strict=True))


async def _fetch_seen(home: StorePath, name: str) -> float:
    with suppress(ValueError):
        return float(await fetch_text(home / CLAIMS / f"{name}{LAST_SEEN}") or 0)
    return 0


async def delete_claims(home: StorePath, owners: Mapping[str, Owner | None]) -> None:
    """Delete claims by name, as long as they are of these owners: names come again. What cannot be deleted stays."""
    await some_at_once(_delete_claim(home, name, owner) for name, owner in owners.items())


async def _delete_claim(home: StorePath, name: str, owner: Owner | None) -> None:
    with suppress(Exception):
        if await fetch_owner(home, name) == owner:
            for suffix in ("", LAST_SEEN):
                await (home / CLAIMS / f"{name}{suffix}").delete()
