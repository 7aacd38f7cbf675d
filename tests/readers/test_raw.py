"""Raw numbers, as a caller describes them."""

import numpy as np
import pytest
import zarr
from click.testing import CliRunner

import daskome
from daskome.cli.main import main
from daskome.execution.batch import parts
from daskome.readers import read
from tests.readers.test_readers import check

VOLUME = np.random.default_rng(6).integers(0, 2**16, (6, 17, 13), dtype="uint16")


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<u2", ">u2", "f4"])
@pytest.mark.parametrize("offset", [0, 7])
def test_raw(tmp_path, order, dtype, offset):
    array = VOLUME.astype(dtype)
    (tmp_path / "a.raw").write_bytes(b"header."[:offset] + array.tobytes(order))
    source = read(tmp_path / "a.raw", shape=VOLUME.shape, dtype=dtype, offset=offset, order=order)
    assert source.name == "a"
    check(source, array)


def test_any_suffix_will_do(tmp_path):
    (tmp_path / "a.vol").write_bytes(VOLUME.tobytes())
    check(read(tmp_path / "a.vol", shape=VOLUME.shape, dtype="uint16"), VOLUME)


def test_planes_of_raw_numbers(tmp_path):
    for z, plane in enumerate(VOLUME):
        (tmp_path / f"z{z}.raw").write_bytes(plane.tobytes())
    source = read(tmp_path, shape=VOLUME.shape[1:], dtype="uint16")
    check(source, VOLUME)
    daskome.write_image(source, tmp_path / "out.zarr", compute="init")
    parts.run_part(tmp_path / "out.zarr")
    daskome.finish(tmp_path / "out.zarr")
    np.testing.assert_array_equal(zarr.open_group(tmp_path / "out.zarr", mode="r")["s0"][:], VOLUME)


def test_on_the_command_line(tmp_path):
    (tmp_path / "a.raw").write_bytes(bytes(16) + VOLUME.astype(">u2").tobytes("F"))
    said = "--shape 6,17,13 --dtype >u2 --offset 16 --order F".split()
    done = CliRunner().invoke(main, ["write", f"{tmp_path}/a.raw", f"{tmp_path}/out.zarr", *said, "-q"])
    assert done.exit_code == 0, done.output
    np.testing.assert_array_equal(zarr.open_group(tmp_path / "out.zarr", mode="r")["s0"][:], VOLUME)
    assert "uint16" in CliRunner().invoke(main, ["plan", f"{tmp_path}/a.raw", *said]).output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({}, "does not describe itself; give shape and dtype"),
        ({"shape": (6, 17, 13)}, "does not describe itself"),
        (
            {"shape": (6, 17, 14), "dtype": "u2"},
            r"2,652 bytes, but \(6, 17, 14\) of uint16 are 2,856 bytes, from byte 0$",
        ),
        ({"shape": (6, 17, 12), "dtype": "u2"}, "if there is a header of 204 bytes, give that as offset"),
        ({"shape": (6, 17, 13), "dtype": "u2", "offset": 1}, "from byte 1"),
        ({"shape": (6, 17, 13), "dtype": "u2", "offset": -1}, "0 or more"),
        ({"shape": (6, 17, 13), "dtype": "nope"}, "dtype 'nope' is not known"),
        ({"shape": (6, 17, 13), "dtype": "u2", "order": "A"}, "order 'A'"),
        ({"shape": (0, 17, 13), "dtype": "u2"}, "must be positive"),
    ],
)
def test_descriptions_that_do_not_fit(tmp_path, words, message):
    (tmp_path / "a.raw").write_bytes(VOLUME.tobytes())
    with pytest.raises(ValueError, match=message):
        read(tmp_path / "a.raw", **words)


def test_other_files_describe_themselves(tmp_path):
    np.save(tmp_path / "a.npy", VOLUME)
    with pytest.raises(ValueError, match=r"a.npy: NumPy takes no dtype; leave it out"):
        read(tmp_path / "a.npy", dtype="u2")
