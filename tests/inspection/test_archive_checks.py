"""What `validate` says of archives: each recommendation of RFC-9 broken once, and what would harm a reader."""

import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import daskome
from daskome.model.problem import errors
from tests.stores.archives.archived import CHUNKS, IMAGE, LABELS, PIXELS, image_folder, zipped

COMMENT = json.dumps({"ome": {"version": "0.5", "zipFile": {"centralDirectory": {"jsonFirst": True}}}}).encode()
Files = dict[str, bytes]


def in_order(files: Files) -> Files:
    """Return files as RFC-9 wants them."""
    names = sorted(files, key=lambda name: (not name.endswith("zarr.json"), name.count("/"), name))
    return {name: files[name] for name in names}


def root_last(files: Files) -> Files:
    return {**{name: data for name, data in files.items() if name != "zarr.json"}, "zarr.json": files["zarr.json"]}


def below(files: Files, folder: str) -> Files:
    return {f"{folder}/{name}": data for name, data in files.items()}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return in_order(image_folder(tmp_path_factory.mktemp("folder") / "a"))


Make = Callable[[Path, Files], Path]
CASES: dict[str, tuple[Make, list[tuple[str, bool, str]]]] = {
    "good": (lambda p, f: zipped(p, f, comment=COMMENT), []),
    "siblings in another order": (
        lambda p, f: zipped(p, dict(sorted(f.items(), key=lambda i: (not i[0].endswith("zarr.json"), i[0].count("/"), -len(i[0])))), comment=COMMENT),
        [],
    ),
    "no comment": (lambda p, f: zipped(p, f), [("archive comment", True, "is missing")]),
    "no JSON": (lambda p, f: zipped(p, f, comment=b"hello"), [("archive comment", True, "is not JSON")]),
    "no version": (lambda p, f: zipped(p, f, comment=b'{"ome": {}}'), [("archive comment", True, "states no version")]),
    "a list": (lambda p, f: zipped(p, f, comment=b"[]"), [("archive comment", True, "states no version")]),
    "jsonFirst is no flag": (
        lambda p, f: zipped(p, f, comment=b'{"ome": {"version": "0.5", "zipFile": {"centralDirectory": {"jsonFirst": 1}}}}'),
        [("archive comment", True, "jsonFirst true or false")],
    ),
    "another version": (
        lambda p, f: zipped(p, f, comment=COMMENT.replace(b"0.5", b"0.6")),
        [("archive comment", True, "states version '0.6', but the hierarchy is '0.5'")],
    ),
    "compressed": (
        lambda p, f: zipped(p, f, zipfile.ZIP_DEFLATED, COMMENT),
        [("archive zarr.json", True, "is compressed by ZIP, as 17 members are in all")],
    ),
    "root last": (
        lambda p, f: zipped(p, root_last(f), comment=b'{"ome": {"version": "0.5"}}'),
        [("archive", True, "does not list its documents first"), ("archive", True, "does not hold its documents first")],
    ),
    "root last, and the comment lies": (
        lambda p, f: zipped(p, root_last(f), comment=COMMENT),
        [("archive", False, "though the comment says so"), ("archive", True, "does not hold its documents first")],
    ),
    "not ZIP64": (lambda p, f: zipped(p, f, comment=COMMENT, zip64=False), [("archive", True, "not in the form of ZIP64")]),
    "nested archive": (
        lambda p, f: zipped(p, {**f, "inner.ozx": b"PK"}, comment=COMMENT),
        [("archive inner.ozx", False, "is an archive inside of the archive")],
    ),
    "in a folder": (
        lambda p, f: zipped(p, below(f, "a.ome.zarr"), comment=COMMENT),
        [("archive zarr.json", False, "is missing; the hierarchy lies in 'a.ome.zarr'"), ("group", False, "")],
    ),
    "two hierarchies": (
        lambda p, f: zipped(p, in_order({**below(f, "a"), **below(f, "b")}), comment=COMMENT),
        [("archive", False, "holds 2 hierarchies, such as 'a' and 'b'"), ("group", False, "")],
    ),
    "another hierarchy below": (
        lambda p, f: zipped(p, in_order({**f, **below(f, "not/linked")}), comment=COMMENT),
        [("archive not/linked", False, "is no part of the hierarchy, as 'not' is no group")],
    ),
    "no group": (
        lambda p, f: zipped(p, {"readme.txt": b"hello"}, comment=COMMENT),
        [("archive", False, "holds no zarr group"), ("group", False, "")],
    ),
    "names that lead out": (
        lambda p, f: zipped(p, {**f, "../evil": b"", "s0\\c": b""}, comment=COMMENT),
        [("archive ../evil", False, "leads out of the archive"), ("archive s0\\c", False, "leads out")],
    ),
    "another method": (
        lambda p, f: zipped(p, f, zipfile.ZIP_LZMA, COMMENT),
        [("archive zarr.json", False, "is compressed by method 14, which zarr does not read"), ("archive s0", False, "")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_is_said_of_an_archive(case: str, files: Files, tmp_path: Path) -> None:
    make, expected = CASES[case]
    found = daskome.validate(make(tmp_path / "a.ozx", files))
    if case == "another method":
        found, expected = found[:1], expected[:1]
    assert [(problem.where, problem.warning) for problem in found] == [(where, warns) for where, warns, _ in expected]
    for problem, (_, _, message) in zip(found, expected, strict=True):
        assert message in problem.message


def test_one_name_twice(files: Files, tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.ozx", files, comment=COMMENT)
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("s0/c/0/0", b"other")
    (problem,) = daskome.validate(path)
    assert str(problem).startswith("archive s0/c/0/0: is there several times")


def test_members_that_overlap(files: Files, tmp_path: Path) -> None:
    """As of bombs: a few bytes that are many members."""
    path = zipped(tmp_path / "a.zip", {name: files[name] for name in ("zarr.json", "s0/zarr.json")})
    data = bytearray(path.read_bytes())
    at = data.rfind(b"PK\1\2")
    struct.pack_into("<L", data, at + 42, 10)
    path.write_bytes(bytes(data))
    assert "overlaps 's0/zarr.json' in the file" in str(daskome.validate(path)[0])


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-5], lambda data: data[50:], lambda data: b"", lambda data: b"hi"]
)
def test_a_cut_archive_is_one_problem(damage: Callable[[bytes], bytes], files: Files, tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.ozx", files, comment=COMMENT)
    path.write_bytes(damage(path.read_bytes()))
    (problem,) = daskome.validate(path)
    assert problem.where == "archive"
    assert str(path) in problem.message
    assert "cut" in problem.message
    for call in (daskome.open, daskome.read, lambda url: daskome.unpack(url, tmp_path / "out")):
        with pytest.raises(ValueError, match=r"a\.ozx"):
            call(path)
    assert not (tmp_path / "out").exists()


def test_chunks_without_shards(tmp_path: Path) -> None:
    daskome.write_image(PIXELS, tmp_path / "a.ozx", [2], storage_options={"chunks": 8, "shards": False}, **IMAGE)
    found = daskome.validate(tmp_path / "a.ozx")
    assert [(problem.where, problem.warning) for problem in found] == [("archive s0", True), ("archive s1", True)]


def test_a_zip_is_only_asked_for_what_a_reader_needs(files: Files, tmp_path: Path) -> None:
    assert daskome.validate(zipped(tmp_path / "a.zip", root_last(files), zipfile.ZIP_DEFLATED)) == []
    daskome.write_image(PIXELS, tmp_path / "b.zip", [2], fmt="0.4", **IMAGE)
    assert daskome.validate(tmp_path / "b.zip") == []
    (tmp_path / "b.zip").rename(tmp_path / "b.ozx")
    assert any("is zarr v2" in str(problem) for problem in errors(daskome.validate(tmp_path / "b.ozx")))


@pytest.mark.extended
def test_ours_are_as_they_should_be(tmp_path: Path) -> None:
    daskome.write_image(PIXELS, tmp_path / "a.ozx", [2], **IMAGE, **CHUNKS, **LABELS)
    assert daskome.validate(tmp_path / "a.ozx") == []
