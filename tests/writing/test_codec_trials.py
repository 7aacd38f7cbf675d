"""Compressors are tried on a user's own chunks."""

import numpy as np
import pytest
from click.testing import CliRunner

import daskome
from daskome.cli.main import main
from daskome.model.storage.codecs import parse_codec
from daskome.model.storage.layout import ZARR_V2, ZARR_V3
from daskome.writing.codec_trials import CHUNKS, COMPRESSORS, _spread

NOISE = np.random.default_rng(0).integers(0, 60000, (40, 64, 64), "uint16")
CELLS = np.repeat(np.arange(40 * 64, dtype="uint32").reshape(40, 64, 1), 64, 2)


@pytest.mark.parametrize("fmt", ["0.4", "0.5"])
def test_every_compressor_is_measured(fmt: str) -> None:
    found = daskome.try_codecs(CELLS, axes="zyx", fmt=fmt, chunks=16)
    assert [trial.compressor for trial in found.trials] == list(COMPRESSORS)
    assert found.chunks == (16, 16, 16)
    assert found.n == CHUNKS
    first = found.trials[0]
    assert first.ratio == 1
    assert all(trial.ratio > 1 and trial.encode > 0 and trial.decode > 0 for trial in found.trials[1:])
    for trial in found.trials:
        assert trial.compressor in repr(found)
        assert trial.compressor in found._repr_html_()


def test_a_chunk_of_nothing_but_the_fill_value_counts_too() -> None:
    found = daskome.try_codecs(np.zeros((32, 32), "uint8"), ["none", "zstd:1"])
    assert found.trials[0].ratio == 1
    assert 10 < found.trials[1].ratio < 1000


def test_chunks_lie_apart_along_every_axis() -> None:
    places = [tuple(_spread(i, 10, axis) for axis in range(4)) for i in range(CHUNKS)]
    assert all(len(set(along)) == CHUNKS for along in zip(*places, strict=True))
    assert all(0 <= place < 10 for along in places for place in along)


def test_refusals() -> None:
    with pytest.raises(TypeError, match="can only be planned"):
        daskome.try_codecs(daskome.Volume((64, 64), "uint8"))
    with pytest.raises(ValueError, match="brotli"):
        daskome.try_codecs(NOISE, ["brotli"])


def test_the_command(tmp_path) -> None:
    np.save(tmp_path / "a.npy", NOISE)
    done = CliRunner().invoke(main, ["plan", str(tmp_path / "a.npy"), "--axes=zyx", "--chunks=32", "--try-codecs"])
    assert done.exit_code == 0, done.output
    assert "blosc:zstd:1:bitshuffle" in done.output
    assert "32, 32, 32 uint16" in done.output
    done = CliRunner().invoke(main, ["plan", "--shape=64,64", "--dtype=uint8", "--try-codecs"])
    assert done.exit_code == 2
    assert "--try-codecs needs an image" in done.output


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("fmt", "arrays", "wanted"), [("0.4", ZARR_V2, "blosc:zstd:1:noshuffle"), ("0.5", ZARR_V3, "zstd:1")]
)
@pytest.mark.parametrize("options", [None, {"chunks": 16}, [{"chunks": 16}, {"chunks": 8}]])
def test_labels_have_a_compressor_of_their_own(tmp_path, fmt, arrays, wanted, options) -> None:
    daskome.write_image(NOISE, tmp_path / "a", [2], axes="zyx", fmt=fmt, storage_options=options)
    plan = daskome.write_labels(CELLS, tmp_path / "a", "cells", scale_factors=[2], storage_options=options)
    for level in plan.pyramids[0].levels:
        assert level.layout.options["compressors"] == parse_codec(wanted, arrays)
    own = {"compressors": parse_codec("gzip:1", arrays)}
    plan = daskome.write_labels(CELLS, tmp_path / "a", "gzip", scale_factors=[2], storage_options=own)
    assert plan.pyramids[0].levels[0].layout.options["compressors"] == own["compressors"]
