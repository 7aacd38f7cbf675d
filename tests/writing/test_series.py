"""All images of a file as one collection: valid to others, as the file says, and nothing of it lost."""

import sys
import warnings
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import h5py
import numpy as np
import ome_types
import pytest
import tifffile
import zarr
from click.testing import CliRunner
from hypothesis import given, strategies as st
from zarr.storage import MemoryStore

import daskome
from daskome.cli.main import main
from daskome.inspection.describe import describe
from daskome.model.axes import parse_axes
from daskome.model.image import Image
from daskome.model.problem import errors
from daskome.ome.omero import Channel, Omero
from daskome.ome.xml.collection_xml import PIXEL_TYPES, DescribedImage, collection_xml, metadata_only
from tests.strategies import law
from tests.written import contents, lights_out

RNG = np.random.default_rng(4)
SERIES = [
    RNG.integers(0, 999, (2, 3, 32, 40), dtype="uint16"),
    RNG.integers(0, 99, (20, 21), dtype="uint8"),
    RNG.integers(0, 99, (20, 24, 3), dtype="uint8"),
]
WANTED = [SERIES[0], SERIES[1], np.moveaxis(SERIES[2], 2, 0)]
XML = "OME/METADATA.ome.xml"


def ome_tiff(path: Path) -> Path:
    sizes = {f"PhysicalSize{axis}": 0.5 for axis in "ZYX"} | {f"PhysicalSize{axis}Unit": "µm" for axis in "ZYX"}
    said = {
        "axes": "CZYX",
        "Channel": {"Name": ["DAPI", "GFP"]},
        "Name": "kidney",
        "Description": "of a mouse",
        **sizes,
    }
    with tifffile.TiffWriter(path, ome=True) as file:
        file.write(SERIES[0], photometric="minisblack", metadata=said)
        file.write(SERIES[1], photometric="minisblack", metadata={"axes": "YX", "Name": "label"})
        file.write(SERIES[2], photometric="rgb", metadata={"axes": "YXS", "Name": "macro"})
    return path


def check_collection(target: Any, wanted: list[np.ndarray[Any, Any]]) -> None:
    """The images are there, listed, and valid, and so is what is said of them."""
    root = zarr.open_group(target, mode="r")
    said = root.attrs.asdict()
    assert said.get("ome", said)["bioformats2raw.layout"] == 3
    listed = root["OME"].attrs.asdict()
    assert listed.get("ome", listed)["series"] == [str(i) for i in range(len(wanted))]
    for i, pixels in enumerate(wanted):
        np.testing.assert_array_equal(root[f"{i}/s0"][...], pixels)
    assert errors(daskome.validate(target)) == []
    assert daskome.verify(target, pixels=True) == []


@pytest.mark.parametrize("fmt", ["0.4", "0.5", "0.6"])
def test_a_collection_of_ome_tiff_says_all_that_the_file_says(tmp_path: Path, fmt: str) -> None:
    source, target = ome_tiff(tmp_path / "a.ome.tif"), tmp_path / "a.ome.zarr"
    daskome.write_series(source, target, [2], fmt=fmt)  # without a warning: nothing is left behind
    check_collection(target, WANTED)
    xml = (target / XML).read_text("utf-8")
    ome_types.validate_xml(xml)
    before, after = ome_types.from_tiff(source), ome_types.from_xml(xml)
    assert [image.name for image in after.images] == ["kidney", "label", "macro"]
    for old, new in zip(before.images, after.images, strict=True):
        assert new.pixels.metadata_only is not None
        changed = {"pixels": {"tiff_data_blocks", "metadata_only", "dimension_order", "big_endian", "interleaved"}}
        assert old.model_dump(exclude=changed) == new.model_dump(exclude=changed)
    assert [multiscale["name"] for multiscale in (_multiscale(target, i) for i in "012")] == [
        "kidney",
        "label",
        "macro",
    ]
    assert f"OME-Zarr {fmt} bioformats2raw layout: 3 images" in describe(target)


def _multiscale(target: Path, path: str) -> Any:
    said = zarr.open_group(target / path, mode="r").attrs.asdict()
    return said.get("ome", said)["multiscales"][0]


def test_there_and_back_nothing_is_lost(tmp_path: Path) -> None:
    target = tmp_path / "a.ome.zarr"
    daskome.write_series(ome_tiff(tmp_path / "a.ome.tif"), target, [2])
    before = contents(target)
    assert not [line for line in daskome.convert_metadata(target, "0.6") if "lost" in line]
    check_collection(target, WANTED)
    daskome.convert_metadata(target, "0.5")
    after = contents(target)
    assert before.keys() == after.keys()
    assert before[XML] == after[XML]
    daskome.transcode(target, tmp_path / "b.ome.zarr", storage_options={"chunks": 16})
    check_collection(tmp_path / "b.ome.zarr", WANTED)
    assert (tmp_path / "b.ome.zarr" / XML).read_bytes() == before[XML]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="ome-zarr-models needs Python 3.12")
@pytest.mark.parametrize("fmt", ["0.5", "0.6"])
def test_others_find_collections_valid(tmp_path: Path, fmt: str) -> None:
    from importlib import import_module

    import yaozarrs

    daskome.write_series([SERIES[0][0], SERIES[1]], tmp_path / "a", [2], axes_units="um", fmt=fmt)
    module = import_module(f"ome_zarr_models.v{fmt.replace('.', '')}.bioformats2raw")
    assert module.BioFormats2Raw.from_zarr(zarr.open_group(tmp_path / "a", mode="r")) is not None
    if fmt == "0.5":
        yaozarrs.validate_zarr_store(str(tmp_path / "a"))


DTYPES = st.sampled_from(list(PIXEL_TYPES))
TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FFF, exclude_categories=["Cs", "Cc"]), max_size=9)


@law(40)
@given(data=st.data(), axes=st.sampled_from(["yx", "zyx", "cyx", "tczyx"]))
def test_what_is_made_is_valid_ome_xml(data: st.DataObject, axes: str) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 99), min_size=len(axes), max_size=len(axes))))
    unit = data.draw(st.sampled_from(["micrometer", "nanometer", "angstrom", None, "parsec"]))
    scale = tuple(data.draw(st.lists(st.floats(1e-3, 99), min_size=len(axes), max_size=len(axes))))
    parsed = parse_axes(axes, len(axes), unit)
    image = Image(shape, data.draw(DTYPES), parsed, scale, (0.0,) * len(axes), data.draw(TEXT))
    colors = data.draw(st.lists(st.sampled_from(["FFFFFF", "000000", "7F00FF", None]), max_size=3))
    omero = Omero(tuple(Channel(data.draw(TEXT), color) for color in colors))
    xml = collection_xml([DescribedImage(image, omero), DescribedImage(image, None)])
    ome_types.validate_xml(xml)
    first, second = ome_types.from_xml(xml).images
    sizes = {axis: getattr(first.pixels, f"size_{axis}") for axis in "tczyx"}
    assert sizes == {**dict.fromkeys("tczyx", 1), **dict(zip(axes, shape, strict=True))}
    assert first.name == second.name == image.name
    if unit in ("micrometer", "nanometer", "angstrom"):
        assert first.pixels.physical_size_x == scale[-1]
    for channel, color in zip(first.pixels.channels, colors, strict=False):
        assert color is None or channel.color.as_rgb_tuple() == tuple(bytes.fromhex(color))
    again = metadata_only(xml, [1], [DescribedImage(image, None)])
    ome_types.validate_xml(again)
    assert [one.id for one in ome_types.from_xml(again).images] == ["Image:1"]


def test_what_a_file_says_is_kept_with_its_own_namespaces() -> None:
    """Images without a series go, with what refers to them; elements of others stay what they are."""
    ome = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
    own = '<a:mine xmlns:a="urn:a"><b xmlns="">1</b></a:mine>'
    pixels = '<Pixels ID="Pixels:{0}" Type="uint8" SizeX="9" SizeY="9" SizeZ="1" SizeC="1" SizeT="1" DimensionOrder="XYCZT" BigEndian="true"><Channel ID="Channel:{0}:0"/><TiffData/><Plane TheZ="0" TheC="0" TheT="0"/></Pixels>'
    images = "".join(f'<Image ID="Image:{i}">{pixels.format(i)}</Image>' for i in range(3))
    notes = f'<StructuredAnnotations><XMLAnnotation ID="Annotation:0"><Value>{own}</Value></XMLAnnotation></StructuredAnnotations>'
    folder = '<Folder ID="Folder:0"><ImageRef ID="Image:0"/><ImageRef ID="Image:1"/></Folder>'
    xml = f'<OME xmlns="{ome}">{folder}{images}{notes}</OME>'
    image = Image((4, 5), "uint16", parse_axes("yx", 2), (1.0, 1.0), (0.0, 0.0))
    found = metadata_only(xml, [2, 0], [DescribedImage(image, None)] * 2)
    ome_types.validate_xml(found)
    root = ElementTree.fromstring(found)
    assert [one.get("ID") for one in root.iter(f"{{{ome}}}Image")] == ["Image:2", "Image:0"]
    assert [one.get("ID") for one in root.iter(f"{{{ome}}}ImageRef")] == ["Image:0"]
    assert [one.text for one in root.iter("b")] == ["1"]
    assert len(list(root.iter("{urn:a}mine"))) == 1
    first = root.find(f"{{{ome}}}Image/{{{ome}}}Pixels")
    assert first is not None
    assert [child.tag.partition("}")[2] for child in first] == ["Channel", "MetadataOnly", "Plane"]
    assert (first.get("SizeX"), first.get("Type"), first.get("BigEndian")) == ("5", "uint16", None)


def test_datasets_of_hdf5_and_images_of_a_list(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["raw/a"], file["b"] = SERIES[1], SERIES[0][0]
    store = MemoryStore()
    daskome.write_series([tmp_path / "a.h5", SERIES[0][1]], store, [2])
    check_collection(store, [SERIES[0][0], SERIES[1], SERIES[0][1]])
    xml = ome_types.from_xml(store._store_dict[XML].to_bytes().decode())
    assert [image.name for image in xml.images] == ["a b", "a raw/a", "2"]


def test_dtypes_that_ome_xml_lacks_are_said() -> None:
    store = MemoryStore()
    with pytest.warns(UserWarning, match=r"OME/METADATA\.ome\.xml: not written: OME-XML has no pixels of int64"):
        daskome.write_series([np.zeros((8, 8), "int64")], store)
    assert errors(daskome.validate(store)) == []
    assert XML not in store._store_dict


def test_versions_without_collections_refuse_them(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"OME-Zarr 0.3 has no collections of images; use 0.4 or newer"):
        daskome.write_series([np.zeros((8, 8), "uint8")], tmp_path / "a.zarr", axes="yx", fmt="0.3")
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_not_harmed(tmp_path: Path) -> None:
    source, target = ome_tiff(tmp_path / "a.ome.tif"), tmp_path / "a.ome.zarr"
    daskome.write_image(SERIES[1], target, [2])
    before = contents(target)
    with pytest.raises(FileExistsError, match="holds multiscales; a collection is written to a new path"):
        daskome.write_series(source, target, overwrite=True)
    with pytest.raises(ValueError, match="needs an image"):
        daskome.write_series([], tmp_path / "b.ome.zarr")
    with pytest.raises(ValueError, match="complex64 cannot be stored"):
        daskome.write_series([SERIES[1], SERIES[1].astype("complex64")], tmp_path / "b.ome.zarr")
    assert contents(target) == before
    assert not (tmp_path / "b.ome.zarr").exists()


def test_what_was_interrupted_goes_on(tmp_path: Path) -> None:
    source, target, whole = ome_tiff(tmp_path / "a.ome.tif"), tmp_path / "a.ome.zarr", tmp_path / "whole.ome.zarr"
    daskome.write_series(source, whole, [2])
    with lights_out(1), pytest.raises(daskome.WriteError):
        daskome.write_series(source, target, [2], retries=0)
    assert "bioformats2raw.layout" not in str(zarr.open_group(target, mode="r").attrs.asdict().get("ome"))
    daskome.write_series(source, target, [2], resume=True)
    assert contents(target) == contents(whole)
    daskome.write_series(source, target, [2], resume=True)
    assert contents(target) == contents(whole)


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ome_tiff(tmp_path / "a.ome.tif")

    def run(*words: str) -> tuple[int, str]:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            result = CliRunner().invoke(main, words)
        return result.exit_code, result.output

    assert run("write", "a.ome.tif", "a.ome.zarr", "--all-series", "--scale-factors", "2", "-q")[0] == 0
    check_collection(tmp_path / "a.ome.zarr", WANTED)
    code, plan = run("plan", "a.ome.tif", "--all-series", "--workers", "3")
    assert (code, "3 workers of 1 thread" in plan) == (0, True)
    for words in (["--labels", "a"], ["--channels", "a"], ["--stack", "c"], ["--only-image"]):
        code, said = run("write", "a.ome.tif", "b.ome.zarr", "--all-series", *words)
        assert (code, f"--all-series takes no {words[0]}" in said) == (2, True)
    assert not (tmp_path / "b.ome.zarr").exists()


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        ("<OME><Image/></OME>", "describes 1 image, but there are 2"),
        ("<OME><Image/><Image/><Image/></OME>", "describes 3 images, but there are 2"),
        ("<OME><Image/>", "cannot be read as XML"),
        ("<a/>", "is 'a', not OME-XML"),
    ],
)
def test_ome_xml_that_says_something_else_is_a_problem(tmp_path: Path, xml: str, message: str) -> None:
    daskome.write_series(SERIES[1:], tmp_path / "a.ome.zarr", None)
    (tmp_path / "a.ome.zarr" / XML).write_text(xml)
    (problem,) = errors(daskome.validate(tmp_path / "a.ome.zarr"))
    assert problem.where == XML
    assert message in problem.message
