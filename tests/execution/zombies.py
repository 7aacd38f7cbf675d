"""Processes that are stopped while they write, and go on after others have finished: what do they change then?

Run ``python -m tests.execution.zombies --trials 50`` for a table of 50 trials of each of `KINDS`.
"""

import argparse
import json
import multiprocessing
import os
import random
import signal
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest

import daskome
from daskome.stores.ownership.claims import CLAIMS
from tests.conftest import plan_as_if_large
from tests.cuboid import OPTIONS, VALUES

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["daskome.writer", __name__])
BLOCK_SECONDS = 0.02
"""How long it takes to read a block, of which there are twelve."""
AT_ONCE = 6
"""How many trials run at a time: most of their time is waiting."""
OTHER = (VALUES * 7 + 3) % 65521
"""The image that replaces the first."""
Tree = dict[str, bytes | None]


def slowly(values: np.ndarray[Any, Any]) -> da.Array:
    """Return an image of which each block takes a while."""

    def block(part: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        time.sleep(BLOCK_SECONDS)
        return part

    lazy = da.from_array(values, chunks=16)
    return lazy.map_blocks(block, dtype=lazy.dtype, meta=np.empty((0, 0, 0), lazy.dtype))


def write(target: Path, values: np.ndarray[Any, Any], **options: Any) -> None:
    daskome.write_image(slowly(values), target, **OPTIONS, **options)


def write_part(target: Path, values: np.ndarray[Any, Any], finish: bool = False, **options: Any) -> None:
    """Write all that is missing as one part of one, and finish."""
    daskome.run_part(target, slowly(values), **options)
    if finish:
        daskome.finish(target, **options)


def write_shares(target: Path, values: np.ndarray[Any, Any], n: int, finish: bool = True) -> None:
    """Write all that is missing in n parts of each stage, and finish although another process lives."""
    for stage in range(len(daskome.status(target).stages)):
        for part in range(n):
            daskome.run_part(target, slowly(values), stage, (part, n))
    if finish:
        daskome.finish(target, take_over=True)


def begin(target: Path, **options: Any) -> None:
    write(target, VALUES, compute="init", **options)


def nothing(target: Path) -> None:
    """Begin nothing."""


def image_there(target: Path) -> None:
    """Write an image, which both are to replace."""
    daskome.write_image(VALUES[::-1], target, **OPTIONS)


def old_plate(target: Path) -> None:
    """Write a plate of an old version, which both are to convert."""
    wells = {f"{row}/1": [np.ones((8, 8), "uint8")] * 4 for row in "ABC"}
    daskome.write_plate(wells, target, None, axes="yx", fmt="0.4")


def converted_plate(target: Path) -> None:
    old_plate(target)
    daskome.convert_metadata(target, "0.5")


def image(values: np.ndarray[Any, Any]) -> Callable[[Path], None]:
    """Return what writes an image at once."""
    return lambda target: daskome.write_image(values, target, **OPTIONS) and None


@dataclass(frozen=True)
class Kind:
    """Two calls at one target: that of a process which is stopped, and that of another, which finishes meanwhile.

    `published` writes what is there then, if nothing disturbs it.
    """

    before: Callable[[Path], None]
    first: Callable[[Path], None]
    second: Callable[[Path], None]
    published: Callable[[Path], None]


KINDS = {
    "resume": Kind(
        nothing, lambda t: write(t, VALUES), lambda t: write(t, VALUES, resume=True, take_over=True), image(VALUES)
    ),
    "overwrite": Kind(
        nothing, lambda t: write(t, VALUES), lambda t: write(t, OTHER, overwrite=True, take_over=True), image(OTHER)
    ),
    "overwrite twice": Kind(
        image_there,
        lambda t: write(t, VALUES, overwrite=True),
        lambda t: write(t, OTHER, overwrite=True, take_over=True),
        image(OTHER),
    ),
    "a part twice": Kind(
        begin,
        lambda t: write_part(t, VALUES, finish=True),
        lambda t: write_part(t, VALUES, finish=True, take_over=True),
        image(VALUES),
    ),
    "remove": Kind(
        nothing,
        lambda t: write(t, VALUES),
        lambda t: (daskome.remove(t, take_over=True), write(t, OTHER))[1],
        image(OTHER),
    ),
    "overwrite what is being removed": Kind(
        image_there,
        lambda t: daskome.remove(t) and None,
        lambda t: write(t, OTHER, overwrite=True, take_over=True),
        image(OTHER),
    ),
    "finish beside a part": Kind(
        begin, lambda t: write_part(t, VALUES), lambda t: write_shares(t, VALUES, 2), image(VALUES)
    ),
    "other parts, of a temporary copy": Kind(
        lambda t: begin(t, staging=True),
        lambda t: write_shares(t, VALUES, 2, finish=False),
        lambda t: write_shares(t, VALUES, 4),
        image(VALUES),
    ),
    "upgrade": Kind(
        old_plate,
        lambda t: daskome.convert_metadata(t, "0.5") and None,
        lambda t: daskome.convert_metadata(t, "0.5", take_over=True) and None,
        converted_plate,
    ),
}


LIVE = {
    "two at a new place": Kind(nothing, lambda t: write(t, VALUES), lambda t: write(t, OTHER), image(VALUES)),
    "two replace an image": Kind(
        image_there,
        lambda t: write(t, VALUES, overwrite=True),
        lambda t: write(t, OTHER, overwrite=True),
        image(VALUES),
    ),
}
"""Two calls at the same moment, neither of which takes over."""


def call(kind: str, which: str, target: Path, log: Path) -> None:
    """Do one of the calls of a kind, in a process of its own, and note how it ended."""
    uuid.uuid1 = uuid.uuid4  # Stopped in libuuid's, which Dask asks, it would hold up all who ask on this machine.
    with dask.config.set(num_workers=2), pytest.MonkeyPatch.context() as patch:
        plan_as_if_large(patch)
        try:
            getattr({**KINDS, **LIVE}[kind], which)(target)
            ended = ""
        except Exception as error:
            ended = f"{type(error).__name__}: {error}"
    log.write_text(ended)


def tree(folder: Path) -> Tree:
    """Return all files below a folder with their bytes, and all folders, but for those of a journal, often empty."""
    paths = {str(p.relative_to(folder)): p for p in folder.rglob("*")}
    return {
        path: None if p.is_dir() else p.read_bytes()
        for path, p in paths.items()
        if not (p.is_dir() and is_of_journal(path))
    }


def is_of_journal(path: str) -> bool:
    return CLAIMS.partition("/")[0] in path.split("/")


@dataclass(frozen=True)
class Trial:
    """What has become of it: whether the first process was stopped before it ended, and how each ended.

    `changed` are paths that the first has changed after it woke, but for what it was deleting of a journal; `wrong` those that the second has published otherwise
    than an undisturbed write.
    """

    kind: str
    stopped: bool
    first: str
    second: str
    changed: tuple[str, ...]
    wrong: tuple[str, ...]


def differing(one: Tree, other: Tree) -> tuple[str, ...]:
    return tuple(sorted(path for path in {*one, *other} if one.get(path, 0) != other.get(path, 0)))


def owns(target: Path, pid: int) -> bool:
    """Whether a process has a claim at a target."""
    for path in (target / CLAIMS).glob("*"):
        with suppress(OSError, ValueError):
            if json.loads(path.read_text())["pid"] == pid:
                return True
    return False


def trial(kind: str, target: Path, after: float, expected: Tree) -> Trial:
    """Stop a process some seconds after it has become the owner, let another finish, then let the first go on."""
    KINDS[kind].before(target)
    logs = [target.with_suffix(f".{which}") for which in ("first", "second")]
    first, second = (
        FORKS.Process(target=call, args=(kind, which, target, log))
        for which, log in zip(("first", "second"), logs, strict=True)
    )
    first.start()
    assert first.pid is not None
    while first.is_alive() and not owns(target, first.pid):
        time.sleep(0.001)
    time.sleep(after)
    with suppress(ProcessLookupError):
        os.kill(first.pid, signal.SIGSTOP)
    stopped = first.is_alive() and not logs[0].exists()
    second.start()
    second.join()
    before = tree(target)
    with suppress(ProcessLookupError):
        os.kill(first.pid, signal.SIGCONT)
    first.join()
    after_all = tree(target)
    return Trial(
        kind,
        stopped,
        *(log.read_text() for log in logs),
        changed=tuple(p for p in differing(before, after_all) if p in after_all or not is_of_journal(p)),
        wrong=differing(before, expected),
    )


def published(folder: Path, kind: str) -> Tree:
    """Return what the second call of a kind publishes if nothing disturbs it."""
    {**KINDS, **LIVE}[kind].published(folder)
    return tree(folder)


def undisturbed(folder: Path, kind: str) -> tuple[Tree, float]:
    """Return what the second call of a kind is to publish, and how long the first takes once it is the owner."""
    expected = published(folder / "published", kind)
    KINDS[kind].before(folder / "alone")
    first = FORKS.Process(target=call, args=(kind, "first", folder / "alone", folder / "alone.log"))
    first.start()
    assert first.pid is not None
    while first.is_alive() and not owns(folder / "alone", first.pid):
        time.sleep(0.001)
    began = time.monotonic()
    first.join()
    assert (folder / "alone.log").read_text() == ""
    return expected, time.monotonic() - began


def trials(folder: Path, kind: str, n: int, seed: int = 0) -> Iterator[Trial]:
    """Yield so many trials of a kind in which the first process was stopped; some may come more, in which it was not."""
    expected, takes = undisturbed(folder, kind)
    draw = random.Random(seed)
    with ThreadPoolExecutor(AT_ONCE) as threads:
        began = stopped = 0
        while stopped < n and began < 5 * n:
            some = range(began, began + n - stopped)
            began = some.stop
            moments = [draw.uniform(0, 1.5 * takes) for _ in some]
            run = [
                threads.submit(trial, kind, folder / str(i), t, expected) for i, t in zip(some, moments, strict=True)
            ]
            for each in run:
                done = each.result()
                stopped += done.stopped
                yield done


def two_at_once(target: Path, kind: str) -> list[str]:
    """Let two processes write different images to one target at the same time; return how each ended."""
    LIVE[kind].before(target)
    logs = [target.with_suffix(f".{which}") for which in ("first", "second")]
    both = [
        FORKS.Process(target=call, args=(kind, which, target, log))
        for which, log in zip(("first", "second"), logs, strict=True)
    ]
    for process in both:
        process.start()
    for process in both:
        process.join()
    return [log.read_text() for log in logs]


def table(found: list[Trial]) -> Iterator[str]:
    """Yield a line for each kind: trials, those that changed what was published, or published something else."""
    for kind in KINDS:
        some = [trial for trial in found if trial.kind == kind and trial.stopped]
        changed, wrong = sum(bool(t.changed) for t in some), sum(bool(t.wrong) for t in some)
        yield f"{kind}: {len(some)} stopped, {changed} changed afterwards, {wrong} published otherwise"
        ended = Counter((t.first.split(".")[0][:60], t.second[:60]) for t in some)
        yield from (f"    {n} × first: {one or 'done'} · second: {two or 'done'}" for (one, two), n in ended.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=50, help="of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=KINDS, action="append")
    chosen = parser.parse_args()
    found: list[Trial] = []
    for kind in chosen.kind or KINDS:
        with tempfile.TemporaryDirectory(prefix="zombies-") as folder, pytest.MonkeyPatch.context() as patch:
            plan_as_if_large(patch)
            for each in trials(Path(folder), kind, chosen.trials, chosen.seed):
                found.append(each)
                print(len(found), each, flush=True)
    print("\n".join(table(found)))
    raise SystemExit(any(each.changed or each.wrong for each in found if each.stopped))


if __name__ == "__main__":
    main()
