"""N5 and precomputed volumes that TensorStore has written."""

import json

import numpy as np
import pytest
import tensorstore

import daskome
from daskome.readers import read
from tests.readers.test_readers import check

VOLUME = np.random.default_rng(9).integers(0, 2**16, (20, 33, 41), dtype="uint16")


def n5(folder, array=VOLUME, **attributes):
    spec = {
        "driver": "n5",
        "kvstore": {"driver": "file", "path": f"{folder}/"},
        "metadata": {"dimensions": array.T.shape, "blockSize": [16] * array.ndim, "dataType": array.dtype.name, "compression": {"type": "gzip"}},
    }  # fmt: skip
    tensorstore.open(spec, create=True).result()[...] = array.T
    path = folder / "attributes.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **attributes}))
    return folder


def precomputed(folder, array=VOLUME, **spec):
    four = array.T[..., None] if array.ndim == 3 else array.T
    opened = tensorstore.open(
        {
            "driver": "neuroglancer_precomputed",
            "kvstore": {"driver": "file", "path": f"{folder}/"},
            "multiscale_metadata": {"type": "image", "data_type": array.dtype.name, "num_channels": four.shape[3]},
            "scale_metadata": {"size": four.shape[:3], "resolution": [4, 4, 40], "chunk_size": [16, 16, 8], "encoding": "raw", **spec},
        },
        create=True,
    ).result()  # fmt: skip
    opened[...] = four
    return folder


def test_n5(tmp_path):
    source = read(n5(tmp_path / "a.n5", resolution=[0.5, 0.5, 2.0], units=["um", "um", "um"]))
    assert (dict(source.scale), source.units["z"], source.name) == ({"z": 2, "y": 0.5, "x": 0.5}, "micrometer", "a")
    assert [next(iter(sizes)) for sizes in source.chunks] == [16, 16, 16]
    check(source, VOLUME)


def test_a_group_of_n5_is_its_largest_scale(tmp_path):
    n5(tmp_path / "a.n5" / "em" / "s0")
    (tmp_path / "a.n5" / "attributes.json").write_text('{"n5": "2.5.0"}')
    said = {"pixelResolution": {"dimensions": [4, 4, 40], "unit": "nm"}, "scales": [[1, 1, 1]]}
    (tmp_path / "a.n5" / "em" / "attributes.json").write_text(json.dumps(said))
    source = read(f"{tmp_path}/a.n5::em")
    assert (dict(source.scale), source.units["x"]) == ({"z": 40, "y": 4, "x": 4}, "nanometer")
    check(source, VOLUME)
    with pytest.raises(ValueError, match=r"a.n5 is no dataset of N5; give one.*em/s0 \[41, 33, 20\] uint16"):
        read(tmp_path / "a.n5")
    with pytest.raises(ValueError, match="has no dataset what"):
        read(f"{tmp_path}/a.n5::what")


def test_a_folder_that_says_by_its_name_alone_that_it_is_n5(tmp_path):
    n5(tmp_path / "a.n5/s0")
    check(read(f"{tmp_path}/a.n5::s0"), VOLUME)


def test_axes_of_n5(tmp_path):
    array = np.stack([VOLUME, VOLUME + 1])
    source = read(n5(tmp_path / "a.n5", array, axes=["x", "y", "z", "t"]))
    assert source.dims == ("t", "z", "y", "x")
    check(source, array)


@pytest.mark.parametrize(
    "spec", [{}, {"encoding": "compressed_segmentation", "compressed_segmentation_block_size": [8, 8, 8]}]
)
def test_precomputed(tmp_path, spec):
    array = VOLUME.astype("uint32") if spec else VOLUME
    source = read(precomputed(tmp_path / "a", array, voxel_offset=[10, 0, 3], **spec))
    assert (dict(source.scale), source.units["z"]) == ({"z": 40, "y": 4, "x": 4}, "nanometer")
    assert dict(source.translation) == {"z": 120, "x": 40}
    check(source, array)


def test_channels_and_scales_of_precomputed(tmp_path):
    array = np.stack([VOLUME, VOLUME + 1])
    precomputed(tmp_path / "a.precomputed", array)
    precomputed(tmp_path / "a.precomputed", array[:, ::2, ::2, ::2], resolution=[8, 8, 80])
    source = read(tmp_path / "a.precomputed")
    assert source.dims == ("c", "z", "y", "x")
    with pytest.warns(UserWarning, match="1 other scales"):
        check(source, array)
    assert read(f"{tmp_path}/a.precomputed::1").shape == array[:, ::2, ::2, ::2].shape
    with pytest.raises(ValueError, match=r"has no scale 2; give one of .*1 8_8_80"):
        read(f"{tmp_path}/a.precomputed::2")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("info", "{}", "is no precomputed volume"),
        ("info", "<html>", "info is no JSON"),
        ("info", '{"scales": [{"resolution": [1, 1, 1]}]}', "cannot be read by TensorStore"),
        ("attributes.json", '{"dimensions": [4], "dataType": "x"}', "cannot be read by TensorStore"),
        ("attributes.json", "[]", "is no object"),
    ],
)
def test_folders_that_are_no_volume(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        read(tmp_path)


def test_a_run_that_was_begun_reads_it_again(tmp_path):
    daskome.write_image(read(n5(tmp_path / "a.n5")), tmp_path / "out.zarr", compute="init")
    daskome.run_part(tmp_path / "out.zarr")
    daskome.finish(tmp_path / "out.zarr")
    assert not daskome.verify(tmp_path / "out.zarr", source=VOLUME)
