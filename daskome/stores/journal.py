"""Which units of a plan are finished, kept beside its images while they are written, in whatever zarr store.

::

    .daskome/current                 the id of the current run
    .daskome/announced               what is being made where no group can be marked, until a run is current
    .daskome/<id>/plan.json          the plan, and where its images come from
    .daskome/<id>/<stage>/<index>    one small record per finished unit
    .daskome/<id>/failed/<unit>      why a unit failed for good
    .daskome/claims/                 who may write now (`daskome.stores.ownership`)

A plan that starts anew gets a new id, so records by processes of the old run count for nothing. What makes a run
current is written last and deleted first: whenever a process is killed, either a complete plan is current, or none.

Where nothing may be deleted, ``current`` is emptied at the end instead: then no run is current, either.

Plans of format 6 and older lie in ``.daskome/plan.json``, with the id. Their runs are found, so that they are refused
with what to do.
"""

import json
import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from hashlib import sha256
from typing import Any
from uuid import uuid4

from zarr.core.sync import sync
from zarr.storage import StorePath

from daskome.kernels.methods import Method
from daskome.model.json_values import MALFORMED
from daskome.model.paths import check_inside, is_inside
from daskome.model.problem import WriteError
from daskome.model.regions import spread
from daskome.model.source import Origin
from daskome.model.text import pluralize
from daskome.planning.plan import Plan, Unit
from daskome.planning.serialize import from_json
from daskome.stores.documents import (
    fetch_json,
    fetch_text,
    list_names,
    read_json,
    read_text,
    some_at_once,
    write_text,
)
from daskome.stores.groups import CONSOLIDATED, UNFINISHED_KEY, read_attributes
from daskome.stores.kinds import kind_of
from daskome.stores.location import archive_at, single_file_of
from daskome.stores.objects.inventory import ALL
from daskome.stores.ownership.claims import CLAIMS, Claim, OwnershipLost
from daskome.stores.ownership.owned_store import owned
from daskome.stores.remembered import for_each

log = logging.getLogger("daskome")
JOURNAL = ".daskome"
CURRENT = "current"
PLAN = "plan.json"
FAILED = "failed"
REPLACES = "replaces_file"
"""The entry of a saved plan that says whether a single file is to be replaced."""
ANNOUNCED = "announced"
KEPT = frozenset((CURRENT, PLAN, CLAIMS.rpartition("/")[2]))
"""What is deleted on its own, or kept for the next run."""
SAMPLED_RECORDS = 64
"""How many records of a stage are read to measure how fast units are finished."""


@dataclass(frozen=True, slots=True)
class Journal:
    """The journal of one run: the group that keeps it (`Plan.home`), the id of the run, and the claim of who writes."""

    home: StorePath
    id: str
    claim: Claim | None = None

    @property
    def keeps(self) -> bool:
        """Whether the store can keep a journal; zip files cannot delete."""
        return bool(self.home.store.supports_deletes)

    def check_owned(self) -> None:
        """Ask the store whether who has this journal may write.

        Raises
        ------
        OwnershipLost
            If another process may, or the run is over.
        """
        if self.claim is not None:
            self.claim.check()
        elif not is_current(self):
            raise OwnershipLost(f"{self.home} is no longer being written: it was finished, or started anew elsewhere")

    def renew(self) -> None:
        """As `check_owned`, but what the store has just said of a claim still counts."""
        if self.claim is not None:
            self.claim.renew()
        else:
            self.check_owned()


@dataclass(frozen=True, slots=True)
class SavedRun:
    """A run as its journal keeps it: the plan, and where its images come from."""

    journal: Journal
    plan: Plan
    origins: tuple[Origin, ...]


@dataclass(frozen=True, slots=True)
class Record:
    """One finished unit.

    Attributes
    ----------
    time : float
        When, in seconds since 1970.
    seconds : float
        Of work.
    checksums : dict
        Of blocks of level 0 that it wrote, by their numbers.
    stored : tuple of str, optional
        Which objects it stored (`daskome.stores.objects.inventory.notes`); older versions of daskome do not say it.
    measured : int
        Bytes of memory that it took, if that was measured.
    """

    time: float
    seconds: float
    checksums: Mapping[int, str] = field(default_factory=dict)
    stored: tuple[str, ...] | None = None
    measured: int = 0


UNREADABLE = Record(0, 0, stored=ALL)
"""What stands for a record that is there, but is none: what its unit was to store counts as stored."""


def new_journal(home: StorePath, plan: Plan, origins: Sequence[Origin]) -> Journal:
    """Return the journal of a new run, whose id says by which plan, too."""
    return Journal(home, f"{uuid4().hex}-{_digest(_document(plan, origins))}")


def save_plan(journal: Journal, plan: Plan, origins: Sequence[Origin], consolidated: Sequence[str] = ()) -> None:
    """Save a plan, and where its images come from, for a run that has not begun; and which groups held copies.

    Of a single file it is noted whether it is there, as it may only then be replaced at the end.
    """
    if journal.keeps:
        saved = {"id": journal.id, CONSOLIDATED: list(consolidated), **_document(plan, origins)}
        file = single_file_of(journal.home)
        saved |= {} if file is None else {REPLACES: archive_at(file) is not None}
        write_text(_records(journal) / PLAN, json.dumps(saved))


def consolidated_groups(journal: Journal) -> list[str]:
    """Return the paths of the groups of a run that held consolidated metadata before it began."""
    saved = read_json(_records(journal) / PLAN) if journal.keeps else None
    listed = saved.get(CONSOLIDATED) if isinstance(saved, dict) else None
    return [path for path in listed if path == "" or is_inside(path)] if isinstance(listed, list) else []


def may_replace_file(journal: Journal) -> bool:
    """Whether the single file that a run ends in was there when the run began."""
    saved = read_json(_records(journal) / PLAN)
    return isinstance(saved, dict) and saved.get(REPLACES) is True


def copies_taken(home: StorePath) -> list[str]:
    """Return the same of the run that is current at a group; nothing where none is."""
    current = read_text(home / JOURNAL / CURRENT)
    return consolidated_groups(Journal(home, current)) if current and is_inside(current) else []


def announce(home: StorePath, marks: Mapping[str, Any]) -> None:
    """Say, by the paths of groups that stay what they are, what is going to be made in them."""
    write_text(home / JOURNAL / ANNOUNCED, json.dumps(marks))


def announced(home: StorePath) -> dict[str, dict[str, Any]]:
    """Return what was announced at a group, and not finished."""
    marks = read_json(home / JOURNAL / ANNOUNCED)
    return {path: mark for path, mark in marks.items() if isinstance(mark, dict)} if isinstance(marks, dict) else {}


def _document(plan: Plan, origins: Sequence[Origin]) -> dict[str, Any]:
    return {"images": [asdict(origin) for origin in origins], "plan": json.loads(plan.to_json())}


def _origin(saved: Mapping[str, Any]) -> Origin:
    """Return where an image comes from; older releases saved less of it."""
    return from_json(Origin, asdict(Origin()) | dict(saved))


def _digest(document: Mapping[str, Any]) -> str:
    """Return a hash of a plan and its images, by which a change of what was saved is seen."""
    kept = {key: document[key] for key in ("images", "plan")}
    return sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]


def begin(journal: Journal) -> None:
    """Begin a run whose plan is saved, and whose arrays exist: from now on its units can be written."""
    if journal.keeps:
        write_text(owned(journal.home, journal.claim) / JOURNAL / CURRENT, journal.id)


def find_run(home: StorePath, method: Method | None = None) -> SavedRun | None:
    """Return the unfinished run at a group; None where there is none.

    Parameters
    ----------
    home : StorePath
    method : Method, optional
        The function that the plan names, as in `Plan.from_json`.

    Raises
    ------
    ValueError
        If it cannot be read, as when another version of daskome saved it in another form; or if it is not the plan by
        which the image there is marked as unfinished.
    """
    current = read_text(home / JOURNAL / CURRENT)
    if current == "":
        return None
    try:
        check_inside(current or PLAN, "the id of the run,")
        folder = home / JOURNAL if current is None else _records(Journal(home, current))
        saved = read_json(folder / PLAN)
        if saved is None:
            return None
        plan, id_ = Plan.from_json(json.dumps(saved["plan"]), method), str(saved["id"])
        if current not in (None, id_) or not id_.endswith(f"-{_digest(saved)}"):
            raise ValueError("its plan has been changed since it was saved")
        _check_marked(home, plan)
        return SavedRun(Journal(home, id_), plan, tuple(map(_origin, saved["images"])))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{home}: the journal cannot be read ({error}); overwrite=True starts anew") from error


def _check_marked(home: StorePath, plan: Plan) -> None:
    """Raise a ValueError if the image that keeps a journal was begun by another plan."""
    if any(group.path == plan.home and group.is_marked for group, _ in plan.images):
        mark = (read_attributes(home) or {}).get(UNFINISHED_KEY)
        if isinstance(mark, dict) and mark.get("fingerprint") != plan.fingerprint:
            raise ValueError("its plan is not the one by which the image was begun")


def is_current(journal: Journal) -> bool:
    """Whether this journal's run is still the current one."""
    return not journal.keeps or _current(journal.home) == journal.id


def has_run(home: StorePath) -> bool:
    """Whether a run is current at a group. Records alone, as of processes that went on too long, are none."""
    return bool(_current(home))


def _current(home: StorePath) -> str | None:
    """Return the id of the current run at a group."""
    current = read_text(home / JOURNAL / CURRENT)
    old = read_json(home / JOURNAL / PLAN) if current is None else None
    return current if old is None else str(old["id"])


def record(journal: Journal, unit: Unit, done: Record) -> None:
    """Note that a unit is finished."""
    if journal.keeps:
        write_text(_records(journal) / unit.key, json.dumps(asdict(done)))


def fail(journal: Journal, unit: Unit, reason: str) -> None:
    """Note that a unit failed for good, and why; if even that fails, or the run is over, the unit is only missing."""
    with suppress(Exception):
        if journal.keeps and is_current(journal):
            write_text(_records(journal) / FAILED / unit.key.replace("/", "-"), reason)


def finished_indices(journal: Journal, stage: int) -> frozenset[int]:
    """Return the indices of the units of a stage that are finished."""
    return frozenset(map(int, filter(str.isdecimal, list_names(_records(journal) / str(stage)))))


def failures(journal: Journal) -> dict[str, str]:
    """Return why units failed for good, by their keys; some may have been written since."""
    folder = _records(journal) / FAILED
    names = [name for name in sorted(list_names(folder)) if "." not in name]
    reasons = sync(some_at_once(fetch_text(folder / name) for name in names))
    return {name.replace("-", "/"): reason or "" for name, reason in zip(names, reasons, strict=True)}


def records(journal: Journal, stage: int, indices: Sequence[int]) -> Iterator[Record]:
    """Yield some records of a stage, evenly spread over `indices`; those that cannot be read are left out."""
    keys = [f"{stage}/{indices[i]}" for i in spread(len(indices), SAMPLED_RECORDS)]
    yield from (one for one in records_of(journal, keys).values() if one != UNREADABLE)


def records_of(journal: Journal, keys: Collection[str]) -> dict[str, Record]:
    """Return the records of units, by the keys of the units; those that are missing are left out.

    One that cannot be read, as of a machine that lost power, is `UNREADABLE`.
    """
    if not journal.keeps:
        return {}
    found = sync(some_at_once(_fetch_record(_records(journal) / key) for key in keys))
    return {key: one for key, one in zip(keys, found, strict=True) if one is not None}


def readable_records(journal: Journal, keys: Sequence[str]) -> dict[str, Record]:
    """Return the records of finished units, by the keys of the units; nothing where the store keeps none.

    Raises
    ------
    WriteError
        If some cannot be read, or are gone; their units count as missing from now on.
    """
    found = records_of(journal, keys)
    lost = [key for key in keys if journal.keeps and found.get(key, UNREADABLE) == UNREADABLE]
    if lost:
        forget_units(journal, lost)
        raise WriteError(
            f"{journal.home} cannot be finished: the records of {pluralize(len(lost), 'unit')} cannot be read, such as"
            f" {lost[0]}; these units count as missing again: resume=True, or daskome run, writes them; then finish"
        )
    return found


async def _fetch_record(path: StorePath) -> Record | None:
    try:
        document = await fetch_json(path)
        return None if document is None else _record(document)
    except MALFORMED:
        return UNREADABLE


def _record(document: Any) -> Record:
    numbered = {int(number): str(one) for number, one in document.get("checksums", {}).items()}
    stored, measured = document.get("stored"), int(document.get("measured", 0))
    noted = None if stored is None else tuple(map(str, stored))
    return Record(float(document["time"]), float(document["seconds"]), numbered, noted, measured)


def forget_units(journal: Journal, keys: Iterable[str]) -> None:
    """Delete the records of units, which count as missing from now on."""
    for_each(journal.home, _delete_document, [_records(journal) / key for key in keys])


def delete_journal(home: StorePath, but_announced: bool = False) -> None:
    """Delete the journal of a group, but for claims; what cannot be deleted is made of no use, and logged.

    What is announced may stay, for what begins now.
    """
    _delete(home, partial(_delete_all_but, home / JOURNAL, KEPT | ({ANNOUNCED} if but_announced else set())))


def end_journal(home: StorePath, claim: Claim | None = None) -> None:
    """Delete the journal of a group that is published, with all claims, one's own too.

    What hinders that makes it no less finished, so it is logged.
    """
    try:
        _delete(home, partial(_delete_all, home, claim))
    except OwnershipLost:
        raise
    except Exception as error:
        log.warning("%s is finished, but its journal, %s in it, says otherwise: %r", home, JOURNAL, error)


def _delete(home: StorePath, others: Callable[[], None]) -> None:
    """Delete a journal. What makes a run current goes first, or is emptied: other records alone count for nothing."""
    if not home.store.supports_deletes:
        return
    try:
        for_each(home, _delete_document, [home / JOURNAL / name for name in (CURRENT, PLAN)])
        others()
    except OwnershipLost:
        raise
    except Exception as error:
        if has_run(home):
            write_text(home / JOURNAL / CURRENT, "")
        log.warning("%s of %s is of no use any more, but cannot be deleted: %r", JOURNAL, home, error)


def _delete_all_but(folder: StorePath, kept: Collection[str]) -> None:
    for name in list_names(folder):
        if name == ANNOUNCED and name not in kept:
            _delete_document(folder / name)
        elif name not in kept and "." not in name:
            _delete_folder(folder / name)


def _delete_all(home: StorePath, claim: Claim | None) -> None:
    """Delete a journal. Where lists lag, they may lack a claim."""
    _delete_folder(home / JOURNAL)
    if claim is not None and not kind_of(home)[0].lag:
        claim.note_gone()


def _delete_folder(folder: StorePath, tries: int = 3) -> None:
    """Delete a folder; again, if something was put into it meanwhile, as by an owner that says that it lives."""
    try:
        sync(folder.delete_dir())
    except FileNotFoundError:
        return
    except OSError:
        if tries == 1:
            raise
        _delete_folder(folder, tries - 1)


def _delete_document(path: StorePath) -> None:
    with suppress(FileNotFoundError):  # Another process, with its own part, has just done so.
        sync(path.delete())


def _records(journal: Journal) -> StorePath:
    return owned(journal.home, journal.claim) / JOURNAL / journal.id


def now() -> float:
    """Return the time, in seconds since 1970."""
    return time.time()
