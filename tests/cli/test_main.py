"""The command line as users type it."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import zarr
from click.testing import CliRunner, Result

import daskome
from daskome.cli.console import going_on
from daskome.cli.main import main
from daskome.execution.batch.schedulers import SCHEDULERS
from daskome.kernels.methods import METHODS
from daskome.model.axes import parse_axes, parse_orientations
from daskome.ome.versions import VERSIONS
from daskome.planning.work import Workers
from daskome.stores import journal
from tests.written import contents, is_image, levels

CUBE = np.random.default_rng(0).integers(0, 1000, (20, 30, 40)).astype("uint16")


def daskome_(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture
def npy(tmp_path: Path) -> Path:
    np.save(tmp_path / "cube.npy", CUBE)
    return tmp_path / "cube.npy"


def test_help_is_quick_and_shows_every_option() -> None:
    assert {"write", "plan", "info", "verify", "validate", "preview"} <= set(main.commands)
    script = """if True:
        import sys
        from daskome.cli.main import main
        main(["--help"], standalone_mode=False)
        print([m for m in ("dask", "zarr", "numpy", "distributed") if m in sys.modules])
    """
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    for word in (
        "--scale-factors",
        "--chunks",
        "--shards",
        "--compressor",
        "--method",
        "--fmt",
        "--overwrite",
        "--quiet",
    ):
        assert word in daskome_("write", "--help").output


def test_write_verify_info_preview(tmp_path: Path, npy: Path) -> None:
    out = tmp_path / "a.ome.zarr"
    done = daskome_("write", npy, out, "--scale", "2,0.5,0.5", "--unit", "micrometer", "--scale-factors", "2,4", "--chunks", "8",
                    "--shards", "z=16,y=16,x=16", "--compressor", "blosc:lz4:3:bitshuffle", "--channels", "DAPI", "--name", "cells")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "3 levels, 53.5 KiB of pixels in" in done.output
    assert "peak memory" in done.output
    daskome.write_image(
        CUBE, tmp_path / "b", [2, 4], "cells", scale=(2, 0.5, 0.5), axes_units="micrometer", channels=["DAPI"],
        storage_options={"chunks": 8, "shards": 16, "compressors": zarr.codecs.BloscCodec(cname="lz4", clevel=3, shuffle="bitshuffle")},
    )  # fmt: skip
    assert contents(out) == contents(tmp_path / "b")
    assert daskome_("verify", out, "--pixels", "--source", npy).exit_code == 0
    told = daskome_("info", out).output
    for word in ("0.5", "cells", "s2", "5, 8, 10", "micrometer", "DAPI", "blosc lz4 3 bitshuffle"):
        assert word in told
    assert json.loads(daskome_("info", out, "--json").output)["ome"]["version"] == "0.5"
    assert daskome_("preview", out, tmp_path / "a.png").exit_code == 0
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"


def test_quiet_prints_nothing(tmp_path: Path, npy: Path) -> None:
    assert daskome_("write", npy, tmp_path / "a", "--quiet").output == ""
    assert daskome_("verify", tmp_path / "a", "--quiet", "--pixels=3").output == ""


def test_scale_factors_and_storage_options_as_json(tmp_path: Path, npy: Path) -> None:
    options = '[{"chunks": 16}, {"chunks": 8}]'
    done = daskome_(
        "write",
        npy,
        tmp_path / "a",
        "--scale-factors",
        '[{"y": 2, "x": 2}]',
        "--storage-options",
        options,
        "--fmt",
        "0.4",
    )
    assert done.exit_code == 0, done.output
    assert [level.shape for level in levels(tmp_path / "a")] == [(20, 30, 40), (20, 15, 20)]
    assert zarr.open_array(tmp_path / "a" / "s1", mode="r").chunks == (8, 8, 8)
    assert (tmp_path / "a" / ".zattrs").exists()


def test_a_unit_of_one_axis_leaves_the_others(npy: Path, tmp_path: Path) -> None:
    daskome_("write", npy, tmp_path / "a", "--axes", "zyx", "--unit", "z=nm,y=um", "--scale-factors", "none")
    axes = zarr.open_group(tmp_path / "a", mode="r").attrs["ome"]["multiscales"][0]["axes"]
    assert [axis.get("unit") for axis in axes] == ["nanometer", "micrometer", None]


def test_an_orientation_is_said_or_left_out(npy: Path, tmp_path: Path) -> None:
    """As in Python: False, here "none", leaves out what IN says; without the option it goes along."""
    said = {
        "a": (npy, ["--axes", "zyx", "--orientation", "RAS"]),
        "b": (tmp_path / "a", ["--only-image"]),
        "c": (tmp_path / "a", ["--only-image", "--orientation", "none"]),
        "d": (tmp_path / "a", ["--only-image", "--orientation", "z=superior-to-inferior"]),
    }
    written: dict[str, Any] = {}
    for name, (source, words) in said.items():
        done = daskome_("write", source, tmp_path / name, "--scale-factors", "none", *words)
        assert done.exit_code == 0, done.output
        written[name] = daskome.open(tmp_path / name).orientations
    assert written["a"] == written["b"] == parse_orientations("RAS", parse_axes("zyx", 3))
    assert written["c"] == {}
    assert written["d"] == {**written["a"], "z": "superior-to-inferior"}
    done = daskome_("write", tmp_path / "a", tmp_path / "e", "--orientation", "none")
    assert (done.exit_code, "a group of OME-Zarr takes no --orientation" in done.output) == (2, True)


def test_an_ome_zarr_is_input_too(tmp_path: Path, npy: Path) -> None:
    daskome_("write", npy, tmp_path / "a", "--scale", "2,1,1", "--fmt", "0.4")
    assert (
        daskome_("write", tmp_path / "a", tmp_path / "b", "--method", "mode", "--scale-factors", "none").exit_code == 0
    )
    scale = zarr.open_group(tmp_path / "b", mode="r").attrs["ome"]["multiscales"][0]["datasets"][0]
    assert scale["coordinateTransformations"][0]["scale"] == [2, 1, 1]


def test_the_plan_writes_nothing(tmp_path: Path, npy: Path) -> None:
    done = daskome_("plan", npy, tmp_path / "a", "--chunks", "8")
    assert done.exit_code == 0
    assert "peak memory" in done.output
    assert not (tmp_path / "a").exists()
    assert daskome_("plan", npy).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["IN", "OUT", "--scale-factors", "0"], "whole number"),
        (["IN", "OUT", "--scale-factors", "2,3"], "multiple of the previous one"),
        (["IN", "OUT", "--method", "meen"], "mean"),
        (["IN", "OUT", "--axes", "yx"], "3 dimensions"),
        (["IN", "OUT", "--scale", "a,b"], "is not a number; give one, numbers as in 2,0.5,0.5"),
        (["IN", "OUT", "--compressor", "zip"], "compressor"),
        (["IN", "OUT", "--manifest", "--quiet"], "--manifest needs a value; --quiet is another option"),
        (["IN", "OUT", "--manifest", "--help"], "--manifest needs a value; --help is another option"),
        (["IN", "OUT", "--fs-option", "--fmt", "0.5"], "needs a value; --fmt is another option"),
        (["missing.npy", "OUT"], "missing.npy"),
        (["IN.what", "OUT"], "IN.what"),
    ],
)
def test_what_is_refused_exits_with_2(tmp_path: Path, npy: Path, arguments: list[str], said: str) -> None:
    named = {"IN": str(npy), "OUT": str(tmp_path / "out")}
    done = daskome_("write", *[named.get(a, a) for a in arguments])
    assert done.exit_code == 2, done.output
    assert said in done.output
    assert "Traceback" not in done.output
    assert not (tmp_path / "out").exists()


def test_an_existing_image_is_refused_with_the_way_out(tmp_path: Path, npy: Path) -> None:
    daskome_("write", npy, tmp_path / "a")
    done = daskome_("write", npy, tmp_path / "a")
    assert (done.exit_code, "--overwrite" in done.output) == (2, True)
    assert daskome_("write", npy, tmp_path / "a", "--overwrite").exit_code == 0


def test_problems_exit_with_1(tmp_path: Path, npy: Path) -> None:
    daskome_("write", npy, tmp_path / "a", "--scale-factors", "2")
    zarr.open_array(tmp_path / "a" / "s1", mode="r+")[3, 3, 3] += 1
    assert daskome_("verify", tmp_path / "a").exit_code == 0
    done = daskome_("verify", tmp_path / "a", "--pixels")
    assert (done.exit_code, "s1" in done.output) == (1, True)


ALL = ["0.1", "0.2", "0.3", "0.4", "0.5", "0.6"]
old_versions = pytest.mark.filterwarnings("ignore:OME-Zarr 0.[123] cannot store:UserWarning")


@pytest.fixture
def warned(tmp_path: Path) -> Path:
    """An image without units, which it should have."""
    daskome.write_image(CUBE, tmp_path / "warned", [2], axes="zyx")
    return tmp_path / "warned"


@pytest.fixture
def wrong(warned: Path) -> Path:
    """The same, without a level."""
    shutil.rmtree(warned / "s1")
    return warned


MISSING = "error: multiscales/0/datasets/1: there is no array at 's1' (section 'multiscales')"
NO_UNIT = "warning: multiscales/0/axes/{}/unit: is missing; it should be there, as in 'micrometer' (section 'axes')"


@pytest.mark.parametrize(
    ("options", "status", "lines"),
    [
        ([], 0, [*map(NO_UNIT.format, range(3)), "URL: 0 errors, 3 warnings"]),
        (["--strict"], 1, [*map(NO_UNIT.format, range(3)), "URL: 0 errors, 3 warnings"]),
        (["--quiet"], 0, []),
        (["-q", "--strict"], 1, [*map(NO_UNIT.format, range(3))]),
        (["--version", "0.5"], 0, [*map(NO_UNIT.format, range(3)), "URL: 0 errors, 3 warnings"]),
    ],
)
def test_warnings_fail_only_if_strict(warned: Path, options: list[str], status: int, lines: list[str]) -> None:
    done = daskome_("validate", warned, *options)
    assert (done.exit_code, done.output.splitlines()) == (status, [line.replace("URL", str(warned)) for line in lines])


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        ([], [*map(NO_UNIT.format, range(3)), MISSING, "URL: 1 error, 3 warnings"]),
        (["--strict"], [*map(NO_UNIT.format, range(3)), MISSING, "URL: 1 error, 3 warnings"]),
        (["--quiet"], [MISSING]),
    ],
)
def test_errors_fail(wrong: Path, options: list[str], lines: list[str]) -> None:
    done = daskome_("validate", wrong, *options)
    assert (done.exit_code, done.output.splitlines()) == (1, [line.replace("URL", str(wrong)) for line in lines])


def test_problems_as_json(wrong: Path) -> None:
    done = daskome_("validate", wrong, "--json")
    problems = [daskome.Problem(**problem) for problem in json.loads(done.stdout)]
    assert (done.exit_code, problems) == (1, daskome.validate(wrong))
    daskome.write_image(CUBE, wrong.with_name("b"), [2], axes="zyx", axes_units="micrometer")
    done = daskome_("validate", wrong.with_name("b"), "--json")
    assert (done.exit_code, json.loads(done.output)) == (0, [])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--version", "7"], "unknown OME-Zarr version"),
        (["--fs-option", "anon=true"], "local path"),
        (["--fs-option", "anon"], "has no '='"),
    ],
)
def test_validation_is_refused(warned: Path, options: list[str], said: str) -> None:
    done = daskome_("validate", warned, *options)
    assert (done.exit_code, said in done.output, "Traceback" in done.output) == (2, True, False), done.output


def test_validation_against_another_version_and_of_nothing(warned: Path) -> None:
    done = daskome_("validate", warned, "--version", "0.6")
    assert (done.exit_code, "error: version: is '0.5'" in done.output) == (1, True), done.output
    done = daskome_("validate", warned.with_name("nothing"))
    assert (done.exit_code, "error: group: there is no zarr group" in done.output) == (1, True), done.output


@pytest.mark.sampled(6)
@pytest.mark.parametrize("fmt", ALL)
@old_versions
def test_all_versions_of_all_groups_validate_and_are_told(tmp_path: Path, fmt: str) -> None:
    field, options = CUBE[0], {"fmt": fmt, "axes": "yx", "axes_units": "micrometer"}
    days = [{"id": 0, "name": "first day", "maximumfieldcount": 1}, {"id": 1, "name": "second", "maximumfieldcount": 2}]
    wells = {"A/1": {0: [field], 1: [field, field]}, "B/2": {0: [field]}}
    daskome.write_plate(wells, tmp_path / "p", [2], "screen", columns=(1, 2, 3), acquisitions=days, **options)
    colors = {value: (255, value, 0, 255) for value in range(1, 15)}
    cells = {"labels": (field > 500).astype("uint8"), "colors": colors}
    cells |= {"properties": {1: {"area": 3}, 2: {"area": 5}}} if fmt > "0.1" else {}
    daskome.write_image(field, tmp_path / "a", [2], "brain", labels={"cells": cells, "dots": cells}, **options)
    for target, lines in {
        "p": ["plate 'screen': 2 rows, 3 columns, 2 wells, 4 fields, 2 acquisitions", "acquisition 0: first day",
              "acquisition 1: second", "first image: SHAPE uint16, 2 levels; axes: "],
        "p/A/1": ["well: 3 fields of 2 acquisitions", "first image: SHAPE uint16, 2 levels; axes: "],
        "a": ["image 'brain'", "labels: cells, dots"],
        "a/labels": ["labels: cells, dots"],
        "a/labels/cells": ["image 'cells'", "label image of ../../: 14 colours, properties of N values",
                           "colours: 1 #FF0100FF, 2 #FF0200FF", "12 #FF0C00FF, and 2 more"],
    }.items():  # fmt: skip
        assert daskome_("validate", tmp_path / target, "--strict").exit_code == 0
        told = daskome_("info", tmp_path / target).output
        assert told.startswith(f"OME-Zarr {fmt} {lines[0].partition(':')[0]}"), told
        for line in lines:
            shape = "1, 1, 1, 30, 40" if fmt < "0.3" else "30, 40"
            assert line.replace("SHAPE", shape).replace("N", "2" if fmt > "0.1" else "0") in told, told


@pytest.mark.sampled(6)
@pytest.mark.parametrize("fmt", ALL)
@old_versions
def test_the_tree_of_a_large_plate_is_short(tmp_path: Path, fmt: str) -> None:
    wells = {f"{row}/{column}": [CUBE[0, :4, :4]] for row in "AB" for column in range(1, 15)}
    daskome.write_plate(wells, tmp_path / "p", None, axes="yx", fmt=fmt)
    shutil.rmtree(tmp_path / "p" / "B")
    told = daskome_("info", tmp_path / "p").output.splitlines()
    assert "2 rows, 14 columns, 28 wells, 14 fields, 0 acquisitions" in told[0]
    assert (told[2:4], told[14]) == (["MISSING: B/1", "MISSING: B/2"], "and 2 more that are missing or unfinished")
    tree = told[told.index("tree:") + 1 :]
    assert (len(tree), tree[:3], tree[-1]) == (38, ["  A/", "    1/", "      0/"], "    … and 2 more")


def test_a_tree_of_many_lines_is_cut(tmp_path: Path) -> None:
    root = zarr.create_group(tmp_path / "z")
    for name in "abcdefg":
        group = root.create_group(name)
        for k in range(14):
            group.create_array(str(k), shape=(3,), dtype="u1")
    told = daskome_("info", tmp_path / "z").output.splitlines()
    assert (told[:2], told[14], len(told)) == (["tree:", "  a/"], "    … and 2 more", 42)
    assert told[-1] == "  … and more; here are the first 40 lines"


@pytest.mark.parametrize("fmt", ["0.4", "0.5", "0.6"])
def test_a_layout_of_bioformats2raw_and_what_is_unfinished_in_it(tmp_path: Path, fmt: str) -> None:
    for i in "01":
        daskome.write_image(CUBE[0], tmp_path / "b" / i, [2], axes="yx", fmt=fmt)
    said = {"bioformats2raw.layout": 3}
    told = {"ome": {"version": fmt, **said}} if fmt >= "0.5" else said
    root = zarr.create_group(tmp_path / "b", zarr_format=3 if fmt >= "0.5" else 2, attributes=told)
    assert (
        f"OME-Zarr {fmt} bioformats2raw layout: 2 images\nfirst image: 30, 40"
        in daskome_("info", tmp_path / "b").output
    )
    root["1"].attrs.put({"daskome": {"unfinished": True}})
    assert "\nUNFINISHED: 1\n" in daskome_("info", tmp_path / "b").output
    assert daskome_("info", tmp_path / "b" / "1").output.startswith("UNFINISHED: this image")
    assert daskome_("validate", tmp_path / "b").exit_code == 1


@pytest.mark.parametrize("pixels", ["foo", "0", "1.5", ""])
def test_pixels_are_all_or_a_number(tmp_path: Path, pixels: str) -> None:
    done = daskome_("verify", tmp_path / "a", f"--pixels={pixels}")
    assert (done.exit_code, "Usage" in done.output, "neither 'all' nor a positive number" in done.output) == (
        2,
        True,
        True,
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "metadata, not its pixels (see --pixels)"),
        (["--pixels"], "metadata, all pixels"),
        (["--pixels=all"], "metadata, all pixels"),
        (["--pixels=3"], "metadata, 3 blocks a level"),
        (["--source", "IN"], "metadata, the first level against IN, not the others"),
        (["--pixels", "--source", "IN"], "metadata, all pixels, the first level against IN"),
    ],
)
def test_verify_says_what_it_compared(tmp_path: Path, npy: Path, options: list[str], said: str) -> None:
    daskome_("write", npy, tmp_path / "a")
    done = daskome_("verify", tmp_path / "a", *[str(npy) if o == "IN" else o for o in options])
    assert done.exit_code == 0
    assert done.output.rstrip().endswith(said.replace("IN", str(npy)) + (" (see --pixels)" if "others" in said else ""))


SOURCES = [
    ["a.npy", "b.npy", "--stack", "c"],
    ["planes"],
    ["planes/*.npy"],
    ["planes/z{z}.npy"],
    ["planes", "--pattern", "z{z}.npy"],
    ["a.raw", "--shape", "20,30,40", "--dtype", ">u2", "--offset", "3"],
]


@pytest.mark.sampled(2)
@pytest.mark.parametrize("words", SOURCES, ids=" ".join)
def test_verify_compares_with_whatever_write_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("planes").mkdir()
    for z, plane in enumerate(CUBE):
        np.save(f"planes/z{z}.npy", plane)
    np.save("a.npy", CUBE)
    np.save("b.npy", CUBE + 1)
    Path("a.raw").write_bytes(b"abc" + CUBE.astype(">u2").tobytes())
    paths = [word for word in words if "/" in word or word.startswith(("a.", "b.", "planes"))]
    said = words[len(paths) :]
    assert daskome_("write", *paths, "out", *said, "--chunks", 16).exit_code == 0
    sources = [word for path in paths for word in ("--source", path)]
    assert daskome_("verify", "out", *sources, *said).exit_code == 0
    zarr.open_group("out")["s0"][..., 19, 3, 5] = 7  # type: ignore[index]
    done = daskome_("verify", "out", *sources, *said, "-q")
    assert (done.exit_code, "but" in done.output, "in the source" in done.output) == (1, True, True)


@pytest.mark.parametrize("option", ["--stack=c", "--pattern={z}.npy", "--dtype=u1", "--offset=0"])
def test_words_about_a_source_that_is_not_given_are_refused(tmp_path: Path, npy: Path, option: str) -> None:
    daskome_("write", npy, tmp_path / "a")
    done = daskome_("verify", tmp_path / "a", option)
    assert (done.exit_code, f"{option.partition('=')[0]} is for --source" in done.output) == (2, True)


def test_options_of_a_file_system_that_is_not_asked_are_refused(tmp_path: Path, npy: Path) -> None:
    daskome_("write", npy, tmp_path / "a")
    done = daskome_("verify", tmp_path / "a", "--in-option", "anon=true")
    assert (done.exit_code, "--in-option is for --source" in done.output) == (2, True)


@pytest.mark.parametrize("name", sorted(main.commands))
def test_whatever_opens_an_image_takes_options_for_its_file_system(name: str) -> None:
    taken = {parameter.name for parameter in main.commands[name].params}
    assert "source" not in taken or "in_options" in taken
    assert not taken & {"url", "target"} or "fs_options" in taken


class NoCredentialsError(Exception):
    """As of botocore."""


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (
            NoCredentialsError("Unable to locate\n  credentials"),
            1,
            "Error: NoCredentialsError: Unable to locate credentials\n",
        ),
        (EOFError(), 1, "Error: EOFError\n"),
        (
            RuntimeError("overwrite=True replaces it"),
            1,
            "Error: RuntimeError: overwrite=True (--overwrite) replaces it\n",
        ),
        (ValueError("no"), 2, "Error: no\n"),
        (daskome.WriteError("no"), 1, "Error: no\n"),
    ],
)
@pytest.mark.parametrize("command", ["plan", "write"])
def test_any_error_is_one_line(
    tmp_path: Path, npy: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, said: str, command: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(daskome, f"{command}_image", fail)
    done = daskome_(command, npy, tmp_path / "a", *(["--quiet"] if command == "write" else []))
    words = ("write", str(npy), str(tmp_path / "a"), "--quiet")
    going = f"to go on: {going_on(words)}\n" if command == "write" and isinstance(error, daskome.WriteError) else ""
    assert (done.exit_code, done.output) == (status, f"{said}{going}")


def test_what_can_go_on_says_by_which_command_and_that_command_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "cells of mine.npy", CUBE)
    out = tmp_path / "a"
    words = (
        "write",
        tmp_path / "cells of mine.npy",
        out,
        "--chunks",
        "8",
        "--retries",
        "0",
    )
    monkeypatch.setattr(journal, "record", _fail)
    done = daskome_(*words)
    assert done.exit_code == 1, done.output
    monkeypatch.undo()
    command = shlex.split(done.output.rpartition("to go on: ")[2])
    assert command == ["daskome", *map(str, words), "--resume"]
    assert daskome_(*command[1:]).exit_code == 0
    assert is_image(out)


def _fail(*_: object, **__: object) -> None:
    raise OSError("disk full")


@pytest.mark.parametrize(
    "option", ["secret=tell-nobody", "sas_token=tell-nobody", "account_key=tell-nobody", "PASSWORD=tell-nobody"]
)
@pytest.mark.parametrize("form", ["{}", "--fs-option={}"])
def test_a_command_that_goes_on_shows_no_secret(option: str, form: str) -> None:
    shown = going_on(("write", "a", "s3://b/c", "--fs-option", form.format(option)))
    assert "tell" not in shown
    assert option.split("=")[0] in shown


def test_a_plan_warns_of_a_disk_that_is_too_small(npy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "warning" not in daskome_("plan", npy, tmp_path / "deep" / "a").output
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=20_000))
    said = daskome_("plan", npy, tmp_path / "deep" / "a").output
    assert "has 19.5 KiB of room, and the image may take up to" in said


def test_machines_may_ask(npy: Path, tmp_path: Path) -> None:
    out = tmp_path / "a"
    done = json.loads(daskome_("write", npy, out, "--json").stdout)
    assert (done["images"], done["nbytes"] >= CUBE.nbytes) == (1, True)
    assert json.loads(daskome_("verify", out, "--json", "--pixels").stdout) == []
    assert json.loads(daskome_("upgrade", out, "--version", "0.6", "--dry-run", "--json").stdout)
    daskome_("init", npy, tmp_path / "b")
    assert json.loads(daskome_("run", tmp_path / "b", "--json").stdout)["failures"] == {}
    assert json.loads(daskome_("finish", tmp_path / "b", "--json").stdout)["version"] == "0.5"


def test_what_was_begun_is_begun_again_without_harm(npy: Path, tmp_path: Path) -> None:
    out = tmp_path / "a"
    line = ("init", npy, out, "--chunks", "8", "--scale-factors", "2", "--resume", "-q")
    assert daskome_(*line).exit_code == 0
    assert daskome_("run", out, "--stage", "0", "-q").exit_code == 0
    assert daskome_(*line).exit_code == 0
    assert json.loads(daskome_("status", out, "--json").stdout)["stages"][0]["missing"] == []
    other = daskome_("init", npy, out, "--chunks", "16", "--scale-factors", "2", "--resume")
    assert (other.exit_code, "begun with other settings" in other.output) == (2, True)
    assert daskome_("init", npy, out, "--chunks", "8", "--scale-factors", "2").exit_code == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_its_words(shell: str) -> None:
    assert "_DASKOME_COMPLETE" in daskome_("completion", shell).output


def test_an_empty_file_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "a.npy").touch()
    done = daskome_("plan", tmp_path / "a.npy")
    assert done.exit_code in (1, 2)
    assert done.output.startswith("Error: ")
    assert done.output.count("\n") == 1


@pytest.mark.parametrize(("command", "said"), [("write", "is unfinished, and says so\n"), ("plan", "\ninterrupted\n")])
def test_only_a_write_leaves_something_when_interrupted(
    tmp_path: Path, npy: Path, monkeypatch: pytest.MonkeyPatch, command: str, said: str
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(daskome, f"{command}_image", interrupt)
    done = daskome_(command, npy, tmp_path / "a")
    assert done.exit_code == 130
    assert said in done.output
    assert done.output.endswith(f"to go on: {going_on((command, str(npy), str(tmp_path / 'a')))}\n") == (
        command == "write"
    )


@pytest.mark.parametrize("values", [[np.nan], [np.nan, np.inf, -np.inf], [np.nan, np.inf, 1.0, 2.0], [0.0]])
def test_a_preview_of_no_numbers(tmp_path: Path, values: list[float]) -> None:
    daskome.write_image(np.resize(np.array(values, "float32"), (8, 9)), tmp_path / "a", [2], method="nearest")
    done = daskome_("preview", tmp_path / "a", tmp_path / "a.png")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "a.png").exists()


def test_a_preview_of_truth(tmp_path: Path) -> None:
    daskome.write_image(np.eye(9, dtype=bool), tmp_path / "a", [2])
    assert daskome_("preview", tmp_path / "a", tmp_path / "a.png").exit_code == 0


def test_ctrl_c_leaves_what_is_visibly_unfinished(tmp_path: Path) -> None:
    """Of five units, each of which takes a while: pressed once the first chunk is there, the last is not begun."""
    np.save(tmp_path / "big.npy", np.ones((256, 512, 512), "uint8"))
    environment = os.environ | {"PYTHONPATH": str(Path(daskome.__file__).parents[1]), "NAP": "0.05"}
    options = ["--method", "tests.habits:largest", "--chunks", "64", "--scale-factors", "2,4,8"]
    command = [sys.executable, "-m", "daskome", "write", tmp_path / "big.npy", tmp_path / "a", *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, env=environment, text=True)
    while not (tmp_path / "a" / "s0" / "c").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "unfinished" in errors
    assert "Traceback" not in errors
    assert not is_image(tmp_path / "a")
    assert "UNFINISHED" in daskome_("info", tmp_path / "a").output
    assert daskome_("verify", tmp_path / "a").exit_code == 1


# ---- planning what is not there

CUBE_OF_A_PETABYTE = ["--shape", "100000,100000,100000", "--dtype", "uint8"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (CUBE_OF_A_PETABYTE, ["909 TiB", "478,211,768", "PUT requests", "units in", "each one task of a scheduler"]),
        ([*CUBE_OF_A_PETABYTE, "--source-chunks", "1,100000,100000", "--memory", "64GB"], ["the source is read"]),
        ([*CUBE_OF_A_PETABYTE, "--shards", "1024", "--chunks", "128"], ["128, 128, 128  1024, 1024, 1024"]),
        (["--shape", "31622777,31622777", "--dtype", "uint8", "--method", "mode"], ["yx uint8, mode", "909 TiB"]),
        (["--shape", "500,3,900,30000,25000", "--dtype", "uint16", "--source-chunks", "1,1,1,2048,2048"], ["tczyx"]),
        (["--shape", "1000000,1,1000,1000,1000", "--dtype", "uint8", "--fmt", "0.4"], ["OME-Zarr 0.4"]),
        (["--shape", "90000,80000", "--dtype", "uint8", "--fmt", "0.4", "--name", "slide"], ["slide: yx uint8"]),
        (["--shape", "200,300", "--dtype", "bool", "--workers", "3", "--threads", "2"], ["3 workers of 2 threads"]),
        (["--shape", "4096,4096,4096", "--dtype", "uint16", "--rate", "1MB/s"], ["takes 38.3 h", "1 MB/s"]),
    ],
)
def test_a_volume_that_is_not_there_is_planned(options: list[str], said: list[str]) -> None:
    done = daskome_("plan", *options)
    assert done.exit_code == 0, done.output
    for words in said:
        assert words in done.output


def test_what_is_not_there_is_planned_as_python_plans_it(npy: Path) -> None:
    options = [
        "--name",
        "image",
        "--chunks",
        "8",
        "--scale-factors",
        "2,4",
        "--memory",
        "4GB",
        "--workers",
        "3",
        "--threads",
        "5",
        "--json",
    ]
    workers = Workers(3, 5, 4 * 10**9)
    described = daskome_("plan", "--shape", "20,30,40", "--dtype", "uint16", *options)
    plan = daskome.Plan.from_json(described.output)
    own = daskome.plan_image(CUBE, scale_factors=[2, 4], storage_options={"chunks": 8})
    assert (plan.pyramids, plan.workers) == (own.pyramids, workers)
    assert daskome.Plan.from_json(daskome_("plan", npy, *options).output) == plan


def test_the_target_is_checked_for_other_workers_too(tmp_path: Path, npy: Path) -> None:
    assert daskome_("plan", npy, tmp_path / "a", "--workers", "3").exit_code == 0
    daskome_("write", npy, tmp_path / "a", "--fmt", "0.4", "--quiet")
    done = daskome_("plan", npy, tmp_path / "a", "--workers", "3")
    assert (done.exit_code, "--overwrite" in done.output) == (2, True)
    done = daskome_("plan", npy, tmp_path / "a", "--workers", "3", "--threads", "2", "--overwrite")
    assert "OME-Zarr 0.4" in done.output
    assert "3 workers of 2 threads" in done.output


def test_threads_alone_are_those_of_the_workers_there_are(npy: Path) -> None:
    done = daskome_("plan", npy, "--threads", "7", "--json")
    plan = daskome.Plan.from_json(done.output)
    assert plan.workers == replace(daskome.plan_image(CUBE).workers, threads=7)
    assert plan.workers == daskome.plan_image(CUBE, threads=7).workers


@pytest.mark.parametrize(
    "option", ["--axes=zyx", "--scale=2", "--name=a", "--fmt=0.4", "--channels=DAPI", "--staging", "--labels=cells"]
)
def test_added_levels_take_nothing_that_has_no_effect(tmp_path: Path, npy: Path, option: str) -> None:
    daskome_("write", npy, tmp_path / "a", "--scale-factors", "none", "--quiet")
    done = daskome_("write", tmp_path / "a", "--add-levels", option)
    assert (done.exit_code, f"--add-levels takes no {option.split('=')[0]}" in done.output) == (2, True), done.output


def test_labels_have_one_name(tmp_path: Path, npy: Path) -> None:
    daskome_("write", npy, tmp_path / "a", "--scale-factors", "none", "--quiet")
    done = daskome_("write", npy, tmp_path / "a", "--labels", "cells", "--name", "nuclei")
    assert (done.exit_code, "--labels cells names the labels" in done.output) == (2, True), done.output
    assert not (tmp_path / "a" / "labels").exists()


@pytest.mark.parametrize("fmt", ["0.4", "0.5"])
def test_the_compressor_is_spelt_for_the_version_that_is_stored(tmp_path: Path, npy: Path, fmt: str) -> None:
    daskome_("write", npy, tmp_path / "a", "--fmt", fmt, "--scale-factors", "none", "--quiet")
    for options in ([npy, tmp_path / "a", "--labels", "cells"], [tmp_path / "a", "--add-levels"]):
        done = daskome_("write", *options, "--chunks", "8", "--compressor", "gzip:5")
        assert done.exit_code == 0, done.output
    for path in ("s1", "labels/cells/s0"):
        assert "gzip" in type(zarr.open_array(tmp_path / "a" / path, mode="r").compressors[0]).__name__.lower()


def test_every_row_of_a_table_is_in_the_help() -> None:
    words = " ".join(daskome_("write", "--help").output.split())
    assert all(name in words for name in (*METHODS, *VERSIONS))
    assert all(f"--{name}" in daskome_("script", "--help").output for name in SCHEDULERS)
    assert all(row.index in daskome_("run", "--help").output for row in SCHEDULERS.values())


def test_the_first_scheduler_is_the_default(tmp_path: Path, npy: Path) -> None:
    assert daskome_("init", npy, tmp_path / "a").exit_code == 0
    script = daskome_("script", tmp_path / "a")
    assert script.exit_code == 0, script.output
    assert script.output == daskome_("script", tmp_path / "a", f"--{next(iter(SCHEDULERS))}").output


def test_a_plan_as_json(npy: Path) -> None:
    plan = daskome.Plan.from_json(daskome_("plan", npy, "--name", "image", "--chunks", "8", "--json").output)
    assert plan == daskome.plan_image(CUBE, storage_options={"chunks": 8})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "give an image, or --shape and --dtype of one that does not exist yet"),
        (["--shape", "20,30"], "give an image, or --shape and --dtype"),
        (["--dtype", "uint8"], "give an image, or --shape and --dtype"),
        (["IN", "--shape", "20,30", "--dtype", "uint8"], "NumPy takes no shape; leave it out"),
        (["IN", "--source-chunks", "20,30"], "--source-chunks describes a volume that does not exist yet; leave "),
        (["--shape", "20", "--dtype", "uint8"], "--shape 20 must be numbers by commas, one per axis"),
        (["--shape", "20,30", "--dtype", "int128"], "dtype 'int128' is not known"),
        (["--shape", "20,30", "--dtype", "complex64"], "dtype complex64 cannot be stored as an image"),
        (["--shape", "20,30", "--dtype", "uint8", "--source-chunks", "1,2,3"], "must have one length for each"),
        (["--shape", "20,0", "--dtype", "uint8"], "must be positive"),
        (["--shape", "1,2,3,4,5,6", "--dtype", "uint8"], "2 to 5 dimensions"),
        (["--shape", "20,30", "--dtype", "uint8", "--rate", "fast"], "'fast' is not a number of bytes"),
        (["--shape", "20,30", "--dtype", "uint8", "--memory", "much"], "'much' is not a number of bytes"),
        (["--shape", "20,30", "--dtype", "uint8", "--memory", "1MB"], "needs"),
        (["--shape", "20,30", "--dtype", "uint8", "--fmt", "0.9"], "0.9"),
    ],
)
def test_what_can_not_be_planned_is_refused_with_the_way_out(npy: Path, options: list[str], said: str) -> None:
    done = daskome_("plan", *[str(npy) if word == "IN" else word for word in options])
    assert (done.exit_code, done.output.count("\n")) == (2, 1), done.output
    assert said in done.output


PLANNED = """
import json, resource, sys
from daskome.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as done:
    loaded = [name for name in ("dask", "distributed", "zarr", "fsspec") if name in sys.modules]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps([done.code, loaded, peak]))
"""


@pytest.mark.extended
@pytest.mark.parametrize(
    "options",
    [
        CUBE_OF_A_PETABYTE,
        [*CUBE_OF_A_PETABYTE, "--source-chunks", "1,100000,100000"],
        [*CUBE_OF_A_PETABYTE, "--source-chunks", "100,100,100", "--method", "gaussian"],
        ["--shape", "31622777,31622777", "--dtype", "uint8"],
        ["--shape", "1000000000,1000,1000", "--dtype", "uint8", "--source-chunks", "1,1000,1000"],
        ["--shape", "1000000,1,1000,1000,1000", "--dtype", "uint8", "--source-chunks", "1,1,1,1000,1000"],
    ],
    ids=" ".join,
)
def test_a_petabyte_is_planned_in_little_memory_and_without_dask(options: list[str]) -> None:
    """The process is started by a small one: ``ru_maxrss`` begins with that of the one that starts it."""
    command = ["/bin/sh", "-c", '"$@" & wait $!', "sh", sys.executable, "-c", PLANNED, "plan", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    code, loaded, peak = json.loads(done.stdout.splitlines()[-1])
    assert (code, loaded) == (0, [])
    assert peak < 300e6
