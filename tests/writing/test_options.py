"""Options that cannot be are refused before anything is written; what calls return is what ome_zarr's users handle."""

from collections.abc import Callable
from operator import add
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
from dask.delayed import Delayed

import daskome
from tests.written import is_image

IMAGE = np.arange(64 * 64, dtype="uint16").reshape(64, 64)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, value) for name in ("overwrite", "resume", "staging") for value in ("no", "", 1, None)),
        *(("compute", value) for value in ("Init", 0, "later")),
        *(("retries", value) for value in ("2", -1, True, 1.5)),
    ],
)
def test_options_that_cannot_be_are_refused(tmp_path: Path, name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name}={value!r} must be"):
        daskome.write_image(IMAGE, tmp_path / "a", axes="yx", **{name: value})
    assert not (tmp_path / "a").exists()


def extended(jobs: Any) -> list[Any]:
    every: list[Any] = []
    every += jobs
    every.extend(jobs)
    return every


@pytest.mark.parametrize(
    "compute",
    [
        lambda jobs: dask.compute(*jobs),
        lambda jobs: dask.compute(jobs),
        lambda jobs: dask.compute([jobs]),
        lambda jobs: dask.compute(*([*jobs] if jobs else [])),
        lambda jobs: dask.compute(*add([], jobs)),
        lambda jobs: dask.compute(*add(jobs, [])),
        lambda jobs: dask.compute(*extended(jobs)),
        lambda jobs: [job.compute() for job in jobs],
        lambda jobs: jobs[0].compute(),
        lambda jobs: dask.compute(*jobs[:1]),
        lambda jobs: [jobs[k].compute() for k in range(len(jobs))],
    ],
)
def test_a_write_for_later_is_a_list_of_delayed_objects(tmp_path: Path, compute: Callable[[Any], Any]) -> None:
    jobs = daskome.write_image(IMAGE, tmp_path / "a", [2], axes="yx", compute=False)
    assert len(jobs) == 1
    assert all(isinstance(job, Delayed) for job in jobs)
    assert not (tmp_path / "a").exists()
    compute(jobs)
    assert is_image(tmp_path / "a")


def test_after_a_write_nothing_is_left_to_compute(tmp_path: Path) -> None:
    plan = daskome.write_image(IMAGE, tmp_path / "a", [2], axes="yx")
    assert (list(plan), len(plan), dask.compute(*plan), extended(plan)) == ([], 0, (), [])
    assert plan
    assert dask.compute(plan)[0] == plan
