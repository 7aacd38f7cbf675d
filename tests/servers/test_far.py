"""A bucket that is far away: as fast as work allows, and within the memory that the plan says."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.process import measure
from tests.servers.distance import Far, distance
from tests.servers.s3 import S3

EDGE = 512


class Noise:
    """An image that codecs cannot make smaller, so that as much is on its way as may be."""

    shape, dtype = (EDGE,) * 3, np.dtype("uint16")

    def __getitem__(self, index: Any) -> Any:
        shape = tuple(part.stop - part.start for part in index)
        return np.random.default_rng(0).integers(0, 2**16, shape, "uint16")


def write(
    url: str, fs_options: dict[str, Any], stored: dict[str, Any], threads: int, again: bool, folder: str = ""
) -> dict[str, int]:
    """Write noise, or what was written before, into a bucket or a folder; return our peak and that of the plan."""
    import dask

    import daskome
    from benchmarks.process import peak

    image: Any = daskome.read(url, fs_options=fs_options) if again else Noise()
    target = f"{url}{'-again' * again}"
    with dask.config.set(num_workers=threads):
        where: Any = {"group": folder} if folder else {"group": target, "fs_options": fs_options}
        plan = daskome.write_image(image, scale_factors=[2, 4], storage_options=stored, **where)
    return {"peak": peak(), "predicted": plan.memory, "in_flight": plan.workers.in_flight}


@pytest.mark.slow
@pytest.mark.parametrize("threads", [2, 8])
@pytest.mark.parametrize("stored", [{"chunks": 64}, {"chunks": 64, "shards": 128}], ids=["chunks", "shards"])
def test_memory_is_within_the_prediction_with_many_on_their_way(s3: S3, stored: dict[str, Any], threads: int) -> None:
    url = f"s3://{s3.bucket()}/noise"
    with distance(s3.endpoint, Far(0.1)) as far:
        options = {**s3.options, "endpoint_url": far.endpoint}
        for again in (False, True):
            asked = {"url": url, "fs_options": options, "stored": stored, "threads": threads, "again": again}
            found = measure("tests.servers.test_far:write", **asked).result
            assert found["in_flight"] == 64
            assert found["peak"] <= found["predicted"], asked
            assert far.set().most > 8


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
def test_memory_is_within_the_prediction_while_large_chunks_are_fetched(s3: S3, tmp_path: Path, threads: int) -> None:
    """Each that is on its way is in memory as it is encoded and as it is decoded; the target is near."""
    url = f"s3://{s3.bucket()}/noise"
    asked: dict[str, Any] = {"url": url, "fs_options": s3.options, "stored": {"chunks": 128}, "threads": 2}
    measure("tests.servers.test_far:write", **asked, again=False)
    with distance(s3.endpoint, Far(0.1)) as far:
        asked |= {"fs_options": {**s3.options, "endpoint_url": far.endpoint}, "stored": {"chunks": 64}}
        asked |= {"threads": threads, "folder": str(tmp_path / "a")}
        found = measure("tests.servers.test_far:write", **asked, again=True).result
    assert found["peak"] <= found["predicted"]
