"""A file whose OME-XML describes a plate becomes that plate, as bioformats2raw makes it, and nothing is lost."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import ome_types
import pytest
import tifffile
import zarr
from click.testing import CliRunner
from hypothesis import given, strategies as st
from ome_types.model import OME, MetadataOnly

import daskome
from daskome.cli.main import main
from daskome.inspection.describe import describe
from daskome.model.problem import errors
from daskome.ome.xml.plate_xml import plates_in
from daskome.readers import read_series
from tests.plates_in_tiff import plate_tiff, plate_xml
from tests.strategies import law
from tests.written import contents, lights_out

XML = "OME/METADATA.ome.xml"
WELLS = [(0, 0, 2), (0, 2, 1), (1, 1, 2)]
PATHS = ["A/1/0", "A/1/1", "A/3/0", "B/2/0", "B/2/1"]


def ome(target: Any, path: str = "") -> Any:
    said = zarr.open_group(target, path=path, mode="r").attrs.asdict()
    return said.get("ome", said)


def check_plate(target: Any, pixels: list[np.ndarray[Any, Any]], paths: list[str]) -> None:
    """The fields lie where the plate has them, are listed for those that know no plates, and all is valid."""
    assert ome(target)["bioformats2raw.layout"] == 3
    assert ome(target, "OME")["series"] == paths
    root = zarr.open_group(target, mode="r")
    for path, image in zip(paths, pixels, strict=True):
        np.testing.assert_array_equal(root[f"{path}/s0"][...], image)
    assert errors(daskome.validate(target)) == []
    assert daskome.verify(target, pixels=True) == []
    wells = daskome.open(target).wells
    assert [f"{well}/{field}" for well in wells for field in wells[well].images] == paths


@pytest.mark.parametrize("fmt", ["0.4", "0.5", "0.6"])
def test_a_file_with_a_plate_becomes_the_plate(tmp_path: Path, fmt: str) -> None:
    described, target = plate_xml(WELLS, acquisitions=2, rows=2, columns=4), tmp_path / "a.ome.zarr"
    pixels = plate_tiff(tmp_path / "a.ome.tif", described)
    daskome.write_series(tmp_path / "a.ome.tif", target, [2], fmt=fmt)  # without a warning: nothing is left behind
    check_plate(target, pixels, PATHS)
    plate = ome(target)["plate"]
    assert (plate["name"], plate["field_count"]) == ("screen 7", 2)
    assert [row["name"] for row in plate["rows"]] == ["A", "B"]
    assert [column["name"] for column in plate["columns"]] == ["1", "2", "3", "4"]
    acquired = [{"id": k, "name": f"run {k}", "maximumfieldcount": 1} for k in (0, 1)]
    assert plate["acquisitions"] == acquired
    assert ome(target, "A/1")["well"]["images"] == [{"path": "0", "acquisition": 0}, {"path": "1", "acquisition": 1}]
    names = [ome(target, path)["multiscales"][0]["name"] for path in PATHS]
    assert names == ["cells 0 0 0", "cells 0 0 1", "cells 0 2 0", "cells 1 1 0", "cells 1 1 1"]
    xml = (target / XML).read_text("utf-8")
    ome_types.validate_xml(xml)
    assert [one.model_dump() for one in ome_types.from_xml(xml).plates] == [
        one.model_dump() for one in described.plates
    ]
    assert f"OME-Zarr {fmt} plate 'screen 7': 2 rows, 4 columns, 3 wells, 5 fields, 2 acquisitions" in describe(target)


def test_there_and_back_nothing_of_a_plate_is_lost(tmp_path: Path) -> None:
    target, copy = tmp_path / "a.ome.zarr", tmp_path / "b.ome.zarr"
    pixels = plate_tiff(tmp_path / "a.ome.tif", plate_xml(WELLS))
    daskome.write_series(tmp_path / "a.ome.tif", target, [2], fmt="0.4")
    xml = (target / XML).read_bytes()
    for version in ("0.5", "0.6"):
        assert not [line for line in daskome.convert_metadata(target, version) if "lost" in line]
        check_plate(target, pixels, PATHS)
    daskome.transcode(target, copy, storage_options={"chunks": 16}, fmt="0.5")
    check_plate(copy, pixels, PATHS)
    daskome.pack(copy, tmp_path / "b.ozx")
    check_plate_of_file(tmp_path / "b.ozx")
    assert (target / XML).read_bytes() == (copy / XML).read_bytes() == xml


def check_plate_of_file(path: Path) -> None:
    assert errors(daskome.validate(path)) == []
    assert daskome.verify(path, pixels=True) == []


@pytest.mark.skipif(sys.version_info < (3, 12), reason="ome-zarr-models needs Python 3.12")
def test_others_find_plates_of_files_valid(tmp_path: Path) -> None:
    import yaozarrs
    from ome_zarr_models.v05.hcs import HCS

    plate_tiff(tmp_path / "a.ome.tif", plate_xml(WELLS, acquisitions=2))
    daskome.write_series(tmp_path / "a.ome.tif", tmp_path / "a.ome.zarr", [2])
    assert HCS.from_zarr(zarr.open_group(tmp_path / "a.ome.zarr", mode="r")) is not None
    yaozarrs.validate_zarr_store(str(tmp_path / "a.ome.zarr"))


def test_rows_and_columns_are_named_as_the_file_says(tmp_path: Path) -> None:
    said = {"row_naming_convention": "number", "column_naming_convention": "letter"}
    pixels = plate_tiff(tmp_path / "a.ome.tif", plate_xml([(1, 27, 1)], **said))
    daskome.write_series(tmp_path / "a.ome.tif", tmp_path / "a.ome.zarr", [2])
    check_plate(tmp_path / "a.ome.zarr", pixels, ["2/AB/0"])
    assert len(ome(tmp_path / "a.ome.zarr")["plate"]["columns"]) == 28


@law(60)
@given(
    wells=st.dictionaries(st.tuples(st.integers(0, 40), st.integers(0, 40)), st.integers(0, 3), min_size=1),
    conventions=st.tuples(*[st.sampled_from(["letter", "number", None])] * 2),
)
def test_each_image_has_a_place_of_its_own(wells: Any, conventions: tuple[str | None, str | None]) -> None:
    described = plate_xml(
        [(*place, n) for place, n in wells.items()],
        row_naming_convention=conventions[0],
        column_naming_convention=conventions[1],
    )
    plates = plates_in(described.to_xml())
    fields = [field for plate in plates for field in plate.fields]
    assert [field.image for field in fields] == list(range(sum(wells.values())))
    assert len({(field.well, field.path) for field in fields}) == len(fields)
    for plate in plates:
        rows, columns = (set(side) for side in (plate.rows, plate.columns))
        assert len(plate.rows) == max(row for row, _ in wells) + 1
        assert all(set(field.well.split("/")) <= rows | columns for field in fields)


def replaced(*pairs: tuple[str, str]) -> Any:
    def edited(xml: str) -> str:
        for old, new in pairs:
            assert old in xml
            xml = xml.replace(old, new, 1)
        return xml

    return edited


LAST = '<ImageRef ID="Image:4"/>'


@pytest.mark.parametrize(
    ("edited", "message"),
    [
        (replaced((LAST, '<ImageRef ID="Image:7"/>')), "field 1 of well B/2 refers to 'Image:7', which is none"),
        (
            replaced(('Column="1"', 'Column="2"'), ('Row="1"', 'Row="0"')),
            "two fields lie at A/3/0: there are two wells in row 0, column 2",
        ),
        (replaced((LAST, '<ImageRef ID="Image:0"/>')), "image 0 is a field of well A/1 and of well B/2"),
        (replaced(('Row="1"', 'Row="one"')), "Row of Well is 'one', not a whole number"),
        (replaced(('Row="1"', 'Row="999999999"')), "a plate of 1,000,000,000 rows is none"),
    ],
)
def test_plates_that_cannot_be_are_refused_before_anything_is_written(
    tmp_path: Path, edited: Any, message: str
) -> None:
    source, target = tmp_path / "a.ome.tif", tmp_path / "a.ome.zarr"
    pixels = plate_tiff(source, plate_xml(WELLS), edited)
    with pytest.raises(ValueError, match="the plate in its OME-XML cannot be written") as refused:
        daskome.write_series(source, target, [2])
    assert message in str(refused.value)
    assert "give a list of its images" in str(refused.value)
    assert [path.name for path in tmp_path.iterdir()] == [source.name]
    with pytest.warns(UserWarning, match="of its OME-XML: Plate"):
        daskome.write_series([f"{source}::{i}" for i in range(5)], target, [2])
    assert ome(target, "OME")["series"] == ["0", "1", "2", "3", "4"]
    np.testing.assert_array_equal(zarr.open_array(target, path="4/s0")[...], pixels[4])


@pytest.mark.parametrize(
    ("described", "edited", "why"),
    [
        (plate_xml(WELLS, others=["macro"]), str, "macro would lie in no well"),
        (
            plate_xml(WELLS),
            replaced(('<Well ID="Well:2"', '</Plate><Plate ID="Plate:1"><Well ID="Well:2"')),
            "it describes 2",
        ),
    ],
)
def test_images_that_no_plate_can_hold_are_a_collection_and_it_is_said(
    tmp_path: Path, described: OME, edited: Any, why: str
) -> None:
    plate_tiff(tmp_path / "a.ome.tif", described, edited)
    with pytest.warns(UserWarning, match=f"not written as a plate, but as a collection of images: {why}"):
        daskome.write_series(tmp_path / "a.ome.tif", tmp_path / "a.ome.zarr", [2])
    assert "plate" not in ome(tmp_path / "a.ome.zarr")
    assert errors(daskome.validate(tmp_path / "a.ome.zarr")) == []
    assert "<Plate " in (tmp_path / "a.ome.zarr" / XML).read_text()


def test_fields_without_an_image_are_gaps_and_those_without_pixels_are_named(tmp_path: Path) -> None:
    described = plate_xml([(0, 0, 3), (0, 1, 2)])
    described.plates[0].wells[0].well_samples[1].image_ref = None
    described.images[4].pixels.tiff_data_blocks = []
    described.images[4].pixels.metadata_only = MetadataOnly()
    del described.images[1]
    pixels = plate_tiff(tmp_path / "a.ome.tif", described, n=5)
    with pytest.warns(UserWarning, match=r"1 field of its plate not written, as the file has no pixels of A/2/1"):
        daskome.write_series(tmp_path / "a.ome.tif", tmp_path / "a.ome.zarr", [2])
    check_plate(tmp_path / "a.ome.zarr", [pixels[i] for i in (0, 2, 3)], ["A/1/0", "A/1/2", "A/2/0"])
    ome_types.validate_xml((tmp_path / "a.ome.zarr" / XML).read_text("utf-8"))


def test_acquisitions_that_not_all_fields_are_of_stand_in_the_file_only(tmp_path: Path) -> None:
    edited = replaced(('<WellSampleRef ID="WellSample:4"/>', ""))
    pixels = plate_tiff(tmp_path / "a.ome.tif", plate_xml(WELLS, acquisitions=2), edited)
    with pytest.warns(
        UserWarning, match=r"its 2 acquisitions stand in its OME-XML only: B/2/1 would have to be of one"
    ):
        daskome.write_series(tmp_path / "a.ome.tif", tmp_path / "a.ome.zarr", [2])
    check_plate(tmp_path / "a.ome.zarr", pixels, PATHS)
    assert "acquisitions" not in ome(tmp_path / "a.ome.zarr")["plate"]
    assert "PlateAcquisition" in (tmp_path / "a.ome.zarr" / XML).read_text()


def test_a_plate_that_was_interrupted_goes_on(tmp_path: Path) -> None:
    source, target, whole = tmp_path / "a.ome.tif", tmp_path / "a.ome.zarr", tmp_path / "whole.ome.zarr"
    plate_tiff(source, plate_xml(WELLS))
    daskome.write_series(source, whole, [2])
    with lights_out(1), pytest.raises(daskome.WriteError):
        daskome.write_series(source, target, [2], retries=0)
    assert "plate" not in str(ome(target))
    for _ in range(2):
        daskome.write_series(source, target, [2], resume=True)
        assert contents(target) == contents(whole)
    with pytest.raises(FileExistsError, match=r"holds plate, bioformats2raw.layout; a collection is written to a new"):
        daskome.write_series(source, target, [2])


def test_the_command_writes_plates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pixels = plate_tiff(tmp_path / "a.ome.tif", plate_xml(WELLS, acquisitions=1))
    words = ["write", "a.ome.tif", "a.ome.zarr", "--all-series", "--scale-factors", "2", "-q"]
    assert CliRunner().invoke(main, words).exit_code == 0
    check_plate("a.ome.zarr", pixels, PATHS)


def test_a_field_of_a_plate_becomes_longer(tmp_path: Path) -> None:
    target = tmp_path / "a.ome.zarr"
    pixels = plate_tiff(tmp_path / "a.ome.tif", plate_xml(WELLS))
    daskome.write_series(tmp_path / "a.ome.tif", target, [2])
    daskome.append(target / "B" / "2" / "0", pixels[3], "y")
    assert ome_types.from_xml((target / XML).read_text("utf-8")).images[3].pixels.size_y == 80
    assert errors(daskome.validate(target)) == []


def test_a_list_that_is_not_that_of_the_wells_is_a_problem(tmp_path: Path) -> None:
    target = tmp_path / "a.ome.zarr"
    plate_tiff(tmp_path / "a.ome.tif", plate_xml(WELLS))
    daskome.write_series(tmp_path / "a.ome.tif", target, [2])
    lists = target / "OME" / "zarr.json"
    lists.write_text(lists.read_text().replace("A/3/0", "A/3/7"))
    found = [str(problem) for problem in daskome.validate(target) if "unit" not in problem.where]
    assert found == [
        "OME series/2: 'A/3/7' is none of the images that wells list (section 'bf2raw')",
        "OME series: lack A/3/0; all images should be there, for readers that know no plates (section 'bf2raw')",
    ]


def test_fields_in_another_order_are_a_problem(tmp_path: Path) -> None:
    target = tmp_path / "a.ome.zarr"
    plate_tiff(tmp_path / "a.ome.tif", plate_xml(WELLS))
    daskome.write_series(tmp_path / "a.ome.tif", target, [2])
    lists = target / "OME" / "zarr.json"
    lists.write_text(lists.read_text().replace("A/1/0", "?").replace("B/2/1", "A/1/0").replace("?", "B/2/1"))
    assert [str(problem) for problem in errors(daskome.validate(target))] == [
        f"{XML}/Image/0: is field A/1/0 of its plate, but the list of series has 'B/2/1' there (section 'bf2raw')",
        f"{XML}/Image/4: is field B/2/1 of its plate, but the list of series has 'A/1/0' there (section 'bf2raw')",
    ]


def test_voxel_sizes_that_nobody_says_are_named(tmp_path: Path) -> None:
    edited = replaced(('PhysicalSizeX="0.5" ', ""))
    plate_tiff(tmp_path / "a.ome.tif", plate_xml(WELLS), edited)
    with pytest.warns(UserWarning, match="the voxel size along x, which it does not say"):
        daskome.write_series(tmp_path / "a.ome.tif", tmp_path / "a.ome.zarr", [2])


def test_a_file_that_is_given_twice_is_a_collection_of_what_is_known(tmp_path: Path) -> None:
    source, target = tmp_path / "a.ome.tif", tmp_path / "a.ome.zarr"
    plate_tiff(source, plate_xml([(0, 0, 1), (0, 1, 1)]))
    daskome.write_series([source, source], target, [2])
    xml = (target / XML).read_text("utf-8")
    ome_types.validate_xml(xml)
    assert [image.id for image in ome_types.from_xml(xml).images] == [f"Image:{i}" for i in range(4)]
    assert errors(daskome.validate(target)) == []


def test_a_file_of_one_field_is_a_plate(tmp_path: Path) -> None:
    pixels = plate_tiff(tmp_path / "a.ome.tif", plate_xml([(2, 0, 1)]))
    daskome.write_series(tmp_path / "a.ome.tif", tmp_path / "a.ome.zarr", [2])
    check_plate(tmp_path / "a.ome.zarr", pixels, ["C/1/0"])


def test_a_file_is_opened_once_for_all_its_series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []
    original = tifffile.TiffFile.__init__

    def counted(self: Any, *args: Any, **kwargs: Any) -> None:
        opened.append(args)
        original(self, *args, **kwargs)

    plate_tiff(tmp_path / "a.ome.tif", plate_xml([(0, k, 2) for k in range(9)]))
    monkeypatch.setattr(tifffile.TiffFile, "__init__", counted)
    assert len(read_series(tmp_path / "a.ome.tif")) == 18
    assert len(opened) <= 2  # once to tell how many series there are


def test_files_in_wells_keep_their_names(tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}.npy" for name in ("first", "second")]
    for path in paths:
        np.save(path, np.ones((20, 20), "uint8"))
    daskome.write_plate({"A/1": [daskome.read(path) for path in paths]}, tmp_path / "a.ome.zarr", [2], axes="yx")
    assert [ome(tmp_path / "a.ome.zarr", f"A/1/{i}")["multiscales"][0]["name"] for i in (0, 1)] == ["first", "second"]
