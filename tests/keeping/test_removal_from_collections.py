"""What goes from a collection leaves its list of series and its OME-XML, too, and what stays is described as before."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import dask
import numpy as np
import ome_types
import pytest
import zarr
from zarr.storage import MemoryStore, StorePath

import daskome
from daskome.model.problem import errors
from daskome.ome.detect import ome_of
from daskome.ome.xml.collection_xml import image_ids, pixels_in, xml_without_images
from daskome.stores.groups import read_attributes, removal_mark
from tests.kills import Death, Mortal, calm, copied, digest
from tests.plates_in_tiff import plate_tiff, plate_xml
from tests.written import contents

XML = "OME/METADATA.ome.xml"
IMAGES = [np.ones((n, 8), "uint8") for n in (10, 11, 12)]


def collection(target: Any, **options: Any) -> Any:
    """Write images that are 10, 11 and 12 long."""
    daskome.write_series(IMAGES, target, [2], axes="yx", storage_options={"chunks": 8}, **options)
    return target


def plate(folder: Path, **options: Any) -> Path:
    """Write a plate of a file: two fields in A/1, and one in B/3."""
    plate_tiff(folder / "a.ome.tif", plate_xml([(0, 0, 2), (1, 2, 1)], acquisitions=2))
    daskome.write_series(folder / "a.ome.tif", folder / "p.ome.zarr", [2], **options)
    return folder / "p.ome.zarr"


def series(target: Any) -> Any:
    return ome_of(zarr.open_group(target, path="OME", mode="r").attrs.asdict())["series"]


def lengths(xml: str) -> list[str]:
    return [pixels["SizeY"] for pixels in pixels_in(xml)]


@pytest.mark.parametrize("fmt", ["0.4", "0.5", "0.6"])
def test_an_image_leaves_its_collection(tmp_path: Path, fmt: str) -> None:
    target = collection(tmp_path / "a", fmt=fmt)
    with calm():
        zarr.consolidate_metadata(target)
    gone = daskome.remove(target / "1")
    assert (gone.kind, gone.listed) == ("image", f"series at file://{target}/OME")
    assert series(target) == ome_of(zarr.open_consolidated(target)["OME"].attrs.asdict())["series"] == ["0", "2"]
    xml = (target / XML).read_text()
    ome_types.validate_xml(xml)
    assert (lengths(xml), image_ids(xml)) == (["10", "12"], ["Image:0", "Image:2"])
    assert errors(daskome.validate(target)) == []
    assert list(daskome.open(target).images) == ["0", "2"]
    daskome.append(target / "2", IMAGES[2], "y")
    assert lengths((target / XML).read_text()) == ["10", "24"]
    daskome.remove(target / "0")
    before = contents(target)
    with pytest.raises(
        ValueError, match=r"2 is the last image of the bioformats2raw collection at .*; remove the biof"
    ):
        daskome.remove(target / "2")
    assert contents(target) == before


@pytest.mark.parametrize(
    ("path", "left", "kind"),
    [
        ("A/1", ["B/3/0"], "well, and A, which is empty then"),
        ("A/1/0", ["A/1/1", "B/3/0"], "image"),
        ("B/3", ["A/1/0", "A/1/1"], "well, and B, which is empty then"),
    ],
)
def test_what_goes_from_a_plate_leaves_its_series_and_its_ome_xml(
    tmp_path: Path, path: str, left: list[str], kind: str
) -> None:
    target = plate(tmp_path)
    gone = daskome.remove(target / path)
    what = "plate at file://{0}, and that of series at file://{0}/OME" if path.count("/") == 1 else "well at file://{0}"
    assert (gone.kind, gone.listed.startswith(what.format(target))) == (kind, True)
    assert series(target) == left
    xml = (target / XML).read_text()
    ome_types.validate_xml(xml)
    kept = ome_types.from_xml(xml)
    refs = [one.image_ref.id for well in kept.plates[0].wells for one in well.well_samples if one.image_ref]
    assert [image.id for image in kept.images] == refs
    assert len(refs) == len(left)
    assert errors(daskome.validate(target)) == []


@pytest.mark.parametrize("path", ["0/labels/cells", "0/labels"])
def test_labels_of_an_image_go_and_it_stays_described(tmp_path: Path, path: str) -> None:
    target = collection(tmp_path / "a")
    before = contents(target)
    daskome.write_labels(np.ones((10, 8), "uint8"), target / "0", "cells", axes="yx")
    daskome.remove(target / path)
    assert contents(target) == before


def test_in_a_group_and_without_ome_xml(tmp_path: Path) -> None:
    store = MemoryStore()
    collection(StorePath(store, "a/b"))
    del store._store_dict[f"a/b/{XML}"]
    daskome.remove(StorePath(store, "a/b/0"))
    assert series(StorePath(store, "a/b")) == ["1", "2"]
    assert errors(daskome.validate(StorePath(store, "a/b"))) == []


def test_an_image_that_somebody_deleted_leaves_the_list(tmp_path: Path) -> None:
    store = collection(MemoryStore())
    for key in [key for key in store._store_dict if key.startswith("1/")]:
        del store._store_dict[key]
    daskome.remove(StorePath(store, "1"))
    assert (series(store), lengths(store._store_dict[XML].to_bytes().decode())) == (["0", "2"], ["10", "12"])


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        (lambda xml: "<OME><Image/>", "cannot be read as XML"),
        (lambda xml: xml_without_images(xml, ["Image:0"]), "describes 2 images, but the collection lists 3"),
        (lambda xml: xml.replace('"Image:1"', '"Image:0"'), "has images without an ID of their own"),
    ],
)
def test_ome_xml_that_cannot_follow_is_named(tmp_path: Path, changed: Callable[[str], str], why: str) -> None:
    target = collection(tmp_path / "a")
    (target / XML).write_text(xml := changed((target / XML).read_text()))
    with pytest.warns(UserWarning, match=f"METADATA.ome.xml keeps what it says of 1: {why}"):
        daskome.remove(target / "1")
    assert (target / XML).read_text() == xml
    assert series(target) == ["0", "2"]


def test_a_plate_that_lists_no_series_keeps_its_ome_xml(tmp_path: Path) -> None:
    target = plate(tmp_path)
    zarr.open_group(target / "OME", mode="r+").attrs.put({"ome": {"version": "0.5"}})
    with pytest.warns(UserWarning, match="keeps what it says of what goes: does not say which of its images goes"):
        daskome.remove(target / "A" / "1")
    (problem,) = errors(daskome.validate(target))
    assert problem.message.startswith("describes 3 images, but there are 1")


def test_ome_xml_that_may_not_change_is_an_error_before_anything_changes(tmp_path: Path) -> None:
    target = collection(tmp_path / "a")
    (target / XML).rename(tmp_path / "elsewhere.xml")
    (target / XML).symlink_to(tmp_path / "elsewhere.xml")
    before = contents(target)
    with pytest.raises(FileExistsError, match="is a link, behind which OME-XML describes the image"):
        daskome.remove(target / "0")
    assert contents(target) == before


def test_comments_and_elements_of_others_stay(tmp_path: Path) -> None:
    target = collection(tmp_path / "a")
    xml = (target / XML).read_text().replace("<Image ", '<!-- ours --><Image xmlns:a="urn:a" a:of="us" ', 1)
    (target / XML).write_text(xml)
    daskome.remove(target / "1")
    after = (target / XML).read_text()
    assert "<!-- ours --><Image " in after
    assert ':of="us"' in after


OTHERS: dict[str, Callable[[Any], Any]] = {
    "remove": lambda store: daskome.remove(StorePath(store, "1")),
    "append": lambda store: daskome.append(StorePath(store, "2"), IMAGES[2], "y", start=12),
    "overwrite": lambda store: overwrite(store, "2"),
}


def overwrite(store: Any, path: str, **options: Any) -> None:
    daskome.write_image(
        IMAGES[0][:7], StorePath(store, path), [2], axes="yx", storage_options={"chunks": 8}, overwrite=True, **options
    )


@pytest.mark.sampled(2)
@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("at", range(9))
def test_while_a_removal_is_half_done_others_know_which_image_is_theirs(other: str, at: int) -> None:
    """Between a kill and the same call again: what another call changes is what it would be without the kill."""
    first = collection(MemoryStore())
    with dask.config.set(scheduler="sync"):
        wanted = [partial(daskome.remove, StorePath(first, "0")), partial(OTHERS[other], first)]
        killed = copied(first)
        for step in wanted:
            step()
        with pytest.raises(Death):
            daskome.remove(StorePath(Mortal(killed, at), "0"))
        OTHERS[other](killed)
        daskome.remove(StorePath(killed, "0"))
    assert digest(killed) == digest(first)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("at", range(9))
@pytest.mark.parametrize("fmt", ["0.4", "0.5"])
def test_what_is_being_removed_is_not_overwritten(fmt: str, at: int) -> None:
    """Its mark would be gone, which alone says how far the list and OME-XML have come."""
    store, options = collection(MemoryStore(), fmt=fmt), {"fmt": fmt}
    with dask.config.set(scheduler="sync"):
        with pytest.raises(Death):
            daskome.remove(StorePath(Mortal(store, at), "0"))
        before = digest(store)
        if removal_mark(read_attributes(StorePath(store, "0"))):
            for some in (options, {**options, "labels": {"cells": IMAGES[0][:7]}}):
                with pytest.raises(FileExistsError, match=r"/0 is being removed from the collection at .*: call it fi"):
                    overwrite(store, "0", **some)
            assert digest(store) == before
            daskome.remove(StorePath(store, "0"))
        overwrite(store, "0", **options)
    xml = store._store_dict[XML].to_bytes().decode()
    assert list(zip(series(store), lengths(xml), strict=True))[-2:] == [("1", "11"), ("2", "12")]


def test_labels_that_are_being_removed_are_overwritten_in_a_collection_too() -> None:
    store, cells = collection(MemoryStore()), np.ones((10, 8), "uint8")
    daskome.write_labels(cells, StorePath(store, "0"), "cells", axes="yx")
    with dask.config.set(scheduler="sync"), pytest.raises(Death):
        daskome.remove(StorePath(Mortal(store, 3), "0/labels/cells"))
    daskome.write_labels(cells, StorePath(store, "0"), "cells", axes="yx", overwrite=True)
    assert errors(daskome.validate(store)) == []
