"""What bioio reads: files of Zeiss that their own library has written, and objects of bioio and xarray."""

import sys

import numpy as np
import pytest
import xarray

import daskome
from daskome.readers import read
from daskome.readers.inputs import Input
from daskome.sources.adapt import as_source
from tests.readers.test_readers import check, pixels

CZYX = np.random.default_rng(2).integers(0, 2**16, (2, 3, 32, 40), dtype="uint16")


@pytest.fixture
def czi(tmp_path):
    """Files of Zeiss, with names of channels and voxel sizes."""
    pytest.importorskip("bioio_czi")
    pylibczi = pytest.importorskip("pylibCZIrw.czi")

    def write(name):
        with pylibczi.create_czi(str(tmp_path / name)) as file:
            for c, z in np.ndindex(*CZYX.shape[:2]):
                file.write(data=CZYX[c, z, ..., None], plane={"C": c, "Z": z, "T": 0})
            file.write_metadata("doc", channel_names={0: "DAPI", 1: "GFP"}, scale_x=5e-7, scale_y=5e-7, scale_z=2e-6)
        return tmp_path / name

    return write


@pytest.mark.filterwarnings("ignore:.*metadata of its file", "ignore::DeprecationWarning", "ignore::FutureWarning")
def test_czi(czi):
    source = read(czi("a.czi"))
    assert (dict(source.scale), source.units["z"], source.name) == ({"z": 2, "y": 0.5, "x": 0.5}, "micrometer", "a")
    assert [channel["label"] for channel in source.omero["channels"]] == ["DAPI", "GFP"]
    image = pixels(source)
    assert "".join(source.dims).removeprefix("t") == "czyx"
    np.testing.assert_array_equal(image.reshape(CZYX.shape), CZYX)
    check(source, image)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("part", ["0", "Image:0"])
def test_a_scene_of_czi(czi, part):
    path = czi("b.czi")
    np.testing.assert_array_equal(pixels(read(f"{path}::{part}")).reshape(CZYX.shape), CZYX)
    with pytest.raises(ValueError, match=r"b.czi has no scene 7; give one, as in .*b.czi::Image:0"):
        read(f"{path}::7")


@pytest.mark.filterwarnings("ignore:.*metadata of its file", "ignore::DeprecationWarning", "ignore::FutureWarning")
def test_czi_without_sizes_of_voxels(tmp_path):
    """Its plugin says that they are 0, and so are all coordinates."""
    pytest.importorskip("bioio_czi")
    pylibczi = pytest.importorskip("pylibCZIrw.czi")
    with pylibczi.create_czi(str(tmp_path / "a.czi")) as file:
        file.write(data=CZYX[0, 0, ..., None], plane={"C": 0, "Z": 0, "T": 0})
    source = read(tmp_path / "a.czi")
    assert (dict(source.scale), dict(source.translation)) == ({}, {})
    np.testing.assert_array_equal(pixels(source).squeeze(), CZYX[0, 0])
    daskome.plan_image(source)


def test_one_of_several_scenes_is_chosen_by_name_or_number():
    pytest.importorskip("bioio")
    from daskome.readers.bioio import chosen_scene

    scenes = ["well A", "well B"]
    assert (
        chosen_scene(Input("/a.lif", part="well B"), scenes)
        == chosen_scene(Input("/a.lif", part="1"), scenes)
        == "well B"
    )
    with pytest.raises(
        ValueError, match=r"a.lif has 2 scenes; give one, as in .*::well A, of the scenes in it: well A; well B"
    ):
        chosen_scene(Input("/a.lif"), scenes)


def test_a_bioimage_is_taken_as_it_is():
    bioio = pytest.importorskip("bioio")
    image = bioio.BioImage(
        CZYX, dim_order="CZYX", channel_names=["a", "b"], physical_pixel_sizes=bioio.PhysicalPixelSizes(2, 0.5, 0.5)
    )
    source = as_source(image)
    assert (source.dims, dict(source.scale)) == (("c", "z", "y", "x"), {"z": 2, "y": 0.5, "x": 0.5})
    assert [channel["label"] for channel in source.omero["channels"]] == ["a", "b"]
    check(source, CZYX)
    store = daskome.plan_image(image)
    assert store.pyramids[0].levels[0].shape == CZYX.shape


def test_samples_of_a_bioimage_are_channels():
    bioio = pytest.importorskip("bioio")
    colours = np.ascontiguousarray(CZYX[0, 0, :9, :30].reshape(9, 10, 3))
    check(as_source(bioio.BioImage(colours, dim_order="YXS")), colours.transpose(2, 0, 1))


def test_a_tree_of_xarray_is_its_largest_resolution():
    def level(step):
        image = CZYX[:, :, ::step, ::step]
        return xarray.Dataset(
            {"image": (("c", "z", "y", "x"), image, {})}, {"y": np.arange(image.shape[2]) * step * 0.5}
        )

    tree = xarray.DataTree.from_dict({f"scale{i}": level(2**i) for i in range(3)})
    source = as_source(tree)
    assert source.scale["y"] == 0.5
    with pytest.warns(UserWarning, match="2 smaller resolutions"):
        check(source, CZYX, scale={"z": 1, "x": 1})
    tree = xarray.DataTree.from_dict({"a": level(1), "b": level(1)})
    with pytest.raises(TypeError, match="DataTree; choose one of its variables: 'a/image', 'b/image'"):
        as_source(tree)
    with pytest.raises(TypeError, match="choose one of its variables: none"):
        as_source(xarray.DataTree())


def test_what_is_not_installed_is_named(tmp_path, monkeypatch):
    (tmp_path / "a.czi").write_bytes(b"no CZI")
    monkeypatch.setitem(sys.modules, "bioio", None)
    with pytest.raises(ImportError, match=r'needs bioio: pip install "daskome\[bioio\]"'):
        read(tmp_path / "a.czi")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_plugin_that_is_not_there_is_named(tmp_path):
    pytest.importorskip("bioio")
    (tmp_path / "a.lif").write_bytes(b"no LIF")
    with pytest.raises((ImportError, ValueError), match=r"a.lif"):
        read(tmp_path / "a.lif")
