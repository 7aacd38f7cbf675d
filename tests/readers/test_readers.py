"""Files that the libraries of their formats have written, read back pixel by pixel."""

import gzip
import multiprocessing
import pickle
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
import tifffile
import zarr
from zarr.storage import MemoryStore

import daskome
from daskome.readers import READERS, read, tiff
from daskome.readers.tiff import _fetch, tiff_dims
from daskome.sources.pieces import source_piece
from daskome.sources.views import Reopenable, Scaled, View

RNG = np.random.default_rng(7)
VOLUME = RNG.integers(0, 2**16, (6, 37, 41), dtype="uint16")


def pixels(source, region=None, read_chunks=None):
    region = region or tuple((0, n) for n in source.shape)
    return source_piece(source, region, read_chunks or source.shape).compute(scheduler="sync")


def check(source, expected, **written):
    """A source holds `expected`: whole, in parts, in another process' copy, and when written."""
    inner = tuple((n // 3, n - n // 4) for n in expected.shape)
    part = tuple(slice(*span) for span in inner)
    for one in (source, pickle.loads(pickle.dumps(source))):
        assert (one.shape, one.dtype) == (expected.shape, expected.dtype.newbyteorder("=").name)
        assert tuple(map(sum, one.chunks)) == expected.shape
        np.testing.assert_array_equal(pixels(one), expected)
        np.testing.assert_array_equal(pixels(one, inner, tuple(max(n // 2, 1) for n in expected.shape)), expected[part])
    store = MemoryStore()
    daskome.write_image(source, store, **written)
    np.testing.assert_array_equal(zarr.open_group(store, mode="r")["s0"][:], expected)


def write_nifti(path, array, zooms=None, units=(None, None), scaling=None, kind=nibabel.Nifti1Image):
    sizes = [*(zooms or ()), 1, 1, 1][:3]
    image = kind(array, np.diag([*sizes, 1]))
    if zooms:
        image.header.set_zooms(zooms)
    image.header.set_xyzt_units(*units)
    if scaling:
        image.header.set_slope_inter(*scaling)
    nibabel.save(image, path)
    return path


# what is given


@pytest.mark.parametrize("name", ["a.npy", "a.tif", "a.nii", "a.h5", "a.zarr", "a.what"])
def test_missing_file(tmp_path, name):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read(tmp_path / name)


def test_missing_url():
    with pytest.raises(FileNotFoundError, match="no zarr array or group"):
        read("memory://nothing/here.zarr")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.what", r"unknown kind. Known: zarr \(.*TIFF \(.*HDF5"),
        ("a", "unknown kind"),
        ("a.npz", "numpy.save"),
        ("a.ome.zarr", "unpack it"),
    ],
)
def test_unknown_file(tmp_path, name, message):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(ValueError, match=message):
        read(tmp_path / name)


def test_folder_that_is_no_zarr(tmp_path):
    with pytest.raises(ValueError, match=r"is a folder of neither zarr nor images"):
        read(tmp_path)


def test_only_zarr_is_read_from_urls():
    with pytest.raises(ValueError, match="only zarr"):
        read("s3://bucket/a.tif")


def test_options_need_a_url(tmp_path):
    with pytest.raises(ValueError, match="local path"):
        read(tmp_path, {"anon": True})


def test_parts_where_there_are_none(tmp_path):
    np.save(tmp_path / "a.npy", VOLUME)
    with pytest.raises(ValueError, match="NumPy has no parts"):
        read(f"{tmp_path}/a.npy::1")


@pytest.mark.parametrize(
    ("name", "module", "extra"),
    [("a.tif", "tifffile", "tiff"), ("a.nii.gz", "nibabel", "nifti"), ("a.h5", "h5py", "hdf5")],
)
def test_missing_module(tmp_path, monkeypatch, name, module, extra):
    (tmp_path / name).write_bytes(b"")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf'needs {module}: pip install "daskome\[{extra}\]"'):
        read(tmp_path / name)


def test_readers_are_told_apart():
    suffixes = [suffix for reader in READERS for suffix in reader.suffixes]
    assert len(suffixes) == len(set(suffixes))
    for reader in READERS:
        for i, suffix in enumerate(reader.suffixes):
            ends = [other for other in suffixes if suffix.endswith(other) and other != suffix]
            assert set(ends) <= set(reader.suffixes[i + 1 :]), "the longest comes first, and they belong together"


def test_file_url_and_names(tmp_path):
    for name in ("One.NPY", "two.ome.npy", "with::colons.npy"):
        np.save(tmp_path / "a.npy", VOLUME)
        (tmp_path / "a.npy").rename(tmp_path / name)
    assert read(f"file://{tmp_path}/One.NPY").name == "One"
    assert read(tmp_path / "two.ome.npy").name == "two.ome"
    assert read(tmp_path / "with::colons.npy").name == "with::colons"


def test_relative_paths_survive_a_change_of_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tifffile.imwrite("a.tif", VOLUME, compression="zlib", photometric="minisblack")
    np.save("a.npy", VOLUME)
    found = [pickle.dumps(read("a.tif")), pickle.dumps(read("a.npy"))]
    monkeypatch.chdir("/")
    for one in found:
        np.testing.assert_array_equal(pixels(pickle.loads(one)), VOLUME)


# zarr


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_zarr_array(tmp_path, zarr_format):
    array = zarr.create_array(tmp_path / "a.zarr", data=VOLUME, chunks=(2, 16, 16), zarr_format=zarr_format)
    source = read(tmp_path / "a.zarr")
    assert source.name == "a"
    assert source.dims is None
    assert isinstance(source.array, zarr.Array)
    assert tuple(source.chunks[1]) == (16, 16, 5)
    assert array.read_only is False
    check(source, VOLUME)


@pytest.mark.parametrize(
    ("names", "dims"),
    [
        (["Z", "y", "x"], ("z", "y", "x")),
        (["time", "y", "x"], ("t", "y", "x")),
        (["channel", "y", "x"], ("c", "y", "x")),
        (["dim_0", "dim_1", "dim_2"], None),
        ([None, "y", "x"], None),
        (["c", "channel", "x"], None),
    ],
)
def test_names_of_zarr_axes(tmp_path, names, dims):
    zarr.create_array(tmp_path / "a", data=VOLUME, dimension_names=names)
    assert read(tmp_path / "a").dims == dims


def test_names_of_zarr_axes_as_xarray_writes_them(tmp_path):
    array = zarr.create_array(tmp_path / "a", data=VOLUME, zarr_format=2)
    array.attrs["_ARRAY_DIMENSIONS"] = ["t", "y", "x"]
    assert read(tmp_path / "a").dims == ("t", "y", "x")
    array.attrs["_ARRAY_DIMENSIONS"] = "tyx"
    assert read(tmp_path / "a").dims is None


@pytest.mark.parametrize("fmt", ["0.4", "0.5"])
@pytest.mark.parametrize("where", ["{}/a.ome.zarr", "memory://readers-{}/a.ome.zarr"])
def test_ome_zarr(tmp_path, fmt, where):
    where = where.format(tmp_path) if where.startswith("{") else where.format(fmt)
    daskome.write_image(
        VOLUME, where, [2], "brain", fmt=fmt, axes="tyx", scale=(3, 0.5, 0.25), translation=(0, 7, 0),
        axes_units={"t": "second", "y": "um", "x": "um"}, overwrite=True,
    )  # fmt: skip
    source = read(where)
    assert (source.name, source.dims) == ("brain", ("t", "y", "x"))
    assert (source.scale, source.translation) == ({"t": 3, "y": 0.5, "x": 0.25}, {"t": 0, "y": 7, "x": 0})
    assert source.units == {"t": "second", "y": "micrometer", "x": "micrometer"}
    check(source, VOLUME)
    level = read(f"{where}/s1")
    assert (level.name, level.dims, level.shape) == ("brain", ("t", "y", "x"), (6, 19, 21))
    assert (level.scale["y"], level.translation["y"]) == (1, 7.25)
    if "://" not in where:
        with pytest.raises(ValueError, match="overlaps the source"):
            daskome.write_image(source, where, overwrite=True)


def test_ome_zarr_that_says_little(tmp_path):
    group = zarr.create_group(tmp_path / "a.zarr", zarr_format=2)
    group.create_array("x/0", data=VOLUME)
    group.attrs["multiscales"] = [{"version": "0.3", "axes": ["z", "y", "x"], "datasets": [{"path": "x/0"}]}]
    for path in ("a.zarr", "a.zarr/x/0"):
        source = read(tmp_path / path)
        assert (source.name, source.dims) == ("a", ("z", "y", "x"))
        assert (source.scale, source.translation, source.units) == (
            dict.fromkeys("zyx", 1),
            dict.fromkeys("zyx", 0),
            {},
        )
    check(source, VOLUME)


def test_units_that_ome_zarr_does_not_know_are_left_out(tmp_path):
    group = zarr.create_group(tmp_path / "a")
    group.create_array("0", data=VOLUME)
    axes = [{"name": n, "type": "space", "unit": unit} for n, unit in zip("zyx", ("voxels", "µm", "nm"), strict=True)]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": [{"path": "0"}]}]}
    assert read(tmp_path / "a").units == {"y": "micrometer", "x": "nanometer"}


def test_group_that_is_no_image(tmp_path):
    group = zarr.create_group(tmp_path / "a.zarr")
    group.create_array("volumes/raw", data=VOLUME)
    group.create_array("mask", data=VOLUME[0])
    daskome.write_image(VOLUME, tmp_path / "a.zarr" / "image")
    with pytest.raises(
        ValueError, match=r"is not an OME-Zarr image; .*image \(an OME-Zarr image\).*mask \(37, 41\) uint16"
    ):
        read(tmp_path / "a.zarr")
    assert read(tmp_path / "a.zarr/volumes/raw").shape == VOLUME.shape
    zarr.create_group(tmp_path / "empty")
    with pytest.raises(ValueError, match="there are none"):
        read(tmp_path / "empty")


@pytest.mark.parametrize(
    ("multiscale", "error", "message"),
    [
        ({"axes": ["y", "x"], "datasets": [{"path": "0"}]}, ValueError, "metadata have axes"),
        ({"axes": ["z", "y", "x"], "datasets": [{"path": "1"}]}, FileNotFoundError, "level 1 .* missing"),
        ({"axes": ["z", "y", "x"], "datasets": []}, ValueError, "cannot be read as OME-Zarr"),
        ({"datasets": [{"path": "0"}]}, ValueError, r"cannot be read as OME-Zarr.*0 \(6, 37, 41\)"),
    ],
)
def test_metadata_that_contradict_the_arrays(tmp_path, multiscale, error, message):
    group = zarr.create_group(tmp_path / "a", attributes={"ome": {"version": "0.5", "multiscales": [multiscale]}})
    group.create_array("0", data=VOLUME)
    with pytest.raises(error, match=message):
        read(tmp_path / "a")


def test_unfinished_image(tmp_path):
    group = zarr.create_group(tmp_path / "a", attributes={"daskome": {"unfinished": True}})
    group.create_array("s0", data=VOLUME)
    for path in ("a", "a/s0"):
        with pytest.raises(ValueError, match="unfinished"):
            read(tmp_path / path)


# NumPy


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<u2", ">u2", "f4", "?"])
def test_npy(tmp_path, order, dtype):
    array = np.asarray(VOLUME.astype(dtype), order=order)
    np.save(tmp_path / "a.npy", array)
    source = read(tmp_path / "a.npy")
    assert source.name == "a"
    assert isinstance(source.array, Reopenable)
    assert isinstance(source.array.array, np.memmap)
    assert len(pickle.dumps(source)) < 2000
    check(source, array)


# TIFF

LAYOUTS = {
    "raw": {},
    "strips": {"compression": "zlib", "rowsperstrip": 8},
    "tiles": {"compression": "zlib", "tile": (16, 16), "predictor": True},
    "raw tiles": {"tile": (16, 16)},
    "big": {"bigtiff": True, "compression": "zlib"},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_tiff(tmp_path, layout, byteorder):
    tifffile.imwrite(
        tmp_path / "a.tif", VOLUME, photometric="minisblack", byteorder=byteorder, metadata={"axes": "ZYX"},
        **LAYOUTS[layout],
    )  # fmt: skip
    source = read(tmp_path / "a.tif")
    assert (source.name, source.dims, source.scale) == ("a", ("z", "y", "x"), {})
    assert (tuple(source.chunks[1]) == (16, 16, 5)) == ("tiles" in layout)
    assert isinstance(source.array.array, np.memmap) == (layout == "raw")
    assert len(pickle.dumps(source)) < 2000
    check(source, VOLUME)


def test_long_strips_are_read_one_by_one(tmp_path, monkeypatch):
    monkeypatch.setattr(tiff, "PAGE_NBYTES", 100)
    tifffile.imwrite(tmp_path / "a.tif", VOLUME, photometric="minisblack", **LAYOUTS["strips"])
    source = read(tmp_path / "a.tif")
    assert tuple(map(tuple, source.chunks)) == ((1,) * 6, (8, 8, 8, 8, 5), (41,))
    check(source, VOLUME)


@pytest.mark.parametrize(
    ("shape", "kwargs", "axes", "dims"),
    [
        ((37, 41), {}, "YX", "yx"),
        ((6, 37, 41), {}, "QYX", "zyx"),
        ((6, 37, 41), {"metadata": None}, "IYX", "zyx"),
        ((37, 41, 3), {"photometric": "rgb"}, "YXS", "cyx"),
        ((37, 41, 3), {"photometric": "rgb", "compression": "zlib"}, "YXS", "cyx"),
        ((3, 37, 41), {"photometric": "rgb", "planarconfig": "separate", "compression": "zlib"}, "SYX", "cyx"),
        ((6, 37, 41, 3), {"photometric": "rgb", "tile": (16, 16), "compression": "zlib"}, "QYXS", "czyx"),
        ((6, 37, 41, 3), {"photometric": "rgb"}, "QYXS", "czyx"),
        ((2, 6, 37, 41), {"metadata": {"axes": "CZYX"}}, "CZYX", "czyx"),
        ((6, 2, 37, 41), {"metadata": {"axes": "ZCYX"}, "ome": True, "compression": "zlib"}, "ZCYX", "czyx"),
        ((3, 2, 4, 17, 19), {"metadata": {"axes": "TZCYX"}, "imagej": True}, "TZCYX", "tczyx"),
        ((3, 2, 4, 17, 19), {"metadata": {"axes": "TZCYX"}, "ome": True}, "TZCYX", "tczyx"),
    ],
)
def test_axes_of_tiff(tmp_path, shape, kwargs, axes, dims):
    array = RNG.integers(0, 255, shape, dtype="uint8")
    path = tmp_path / ("a.ome.tif" if "ome" in kwargs else "a.TIF")
    tifffile.imwrite(path, array, **{"photometric": "minisblack", **kwargs})
    with tifffile.TiffFile(path) as file:
        assert file.series[0].axes == axes
    source = read(path)
    assert (source.name, "".join(source.dims)) == ("a", dims)
    names = tiff_dims("", axes, shape)
    check(source, array.transpose([names.index(dim) for dim in dims]))


@pytest.mark.parametrize(
    ("axes", "shape", "dims"),
    [
        ("QYX", (1, 4, 4), ("", "y", "x")),
        ("CYXS", (1, 4, 4, 3), ("", "y", "x", "c")),
        ("CYXS", (2, 4, 4, 1), ("c", "y", "x", "")),
        ("ZYX", (1, 4, 4), ("z", "y", "x")),
        ("QZYX", (2, 3, 4, 4), ("t", "z", "y", "x")),
        ("IZTYX", (2, 3, 2, 4, 4), ("c", "z", "t", "y", "x")),
        ("APYX", (1, 1, 4, 4), ("", "", "y", "x")),
        ("QQYX", (2, 3, 4, 4), None),
        ("QQYX", (1, 3, 4, 4), ("", "z", "y", "x")),
    ],
)
def test_dims_of_tiff(axes, shape, dims):
    assert tiff_dims("a.tif", axes, shape) == dims


@pytest.mark.parametrize("axes", ["AYX", "CYXS", "HZYX", "QQYXS", "QTCZYX", "YY"])
def test_axes_without_a_place(axes):
    with pytest.raises(ValueError, match=f"a.tif has axes {axes} of"):
        tiff_dims("a.tif", axes, (2,) * len(axes))


def test_axes_that_the_file_does_not_tell(tmp_path):
    array = RNG.integers(0, 255, (2, 3, 17, 19), dtype="uint8")
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="minisblack")
    source = read(tmp_path / "a.tif")
    assert source.dims is None
    with pytest.raises(ValueError, match="axes are needed"):
        daskome.plan_image(source)
    check(source, array, axes="tzyx")


OME = {"PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.5, "PhysicalSizeZ": 2, "TimeIncrement": 3}


@pytest.mark.parametrize(
    ("kwargs", "scale", "units"),
    [
        (
            {"ome": True, "metadata": {"axes": "TZYX", **OME}},
            {"t": 3, "z": 2, "y": 0.5, "x": 0.25},
            {"t": "second", "z": "micrometer", "y": "micrometer", "x": "nanometer"},
        ),
        (
            {"ome": True, "metadata": {"axes": "TZYX", "PhysicalSizeX": 2, "PhysicalSizeXUnit": "pixel"}},
            {},
            {},
        ),
        (
            {
                "imagej": True,
                "resolution": (4, 2),
                "metadata": {"axes": "TZYX", "unit": "micron", "spacing": 2.0, "finterval": 3.0},
            },
            {"t": 3, "z": 2, "y": 0.5, "x": 0.25},
            {"t": "second", "z": "micrometer", "y": "micrometer", "x": "micrometer"},
        ),
        (
            {"imagej": True, "resolution": (1, 1), "metadata": {"axes": "TZYX", "unit": "\\u00B5m", "spacing": 2.0}},
            {"z": 2, "y": 1, "x": 1},
            {"z": "micrometer", "y": "micrometer", "x": "micrometer"},
        ),
        ({"imagej": True, "resolution": (4, 4), "metadata": {"axes": "TZYX", "unit": "pixel", "spacing": 2.0}}, {}, {}),
        (
            {"metadata": {"axes": "TZYX"}, "resolution": (20000, 40000), "resolutionunit": "CENTIMETER"},
            {"y": 0.25, "x": 0.5},
            {"y": "micrometer", "x": "micrometer"},
        ),
        (
            {"metadata": {"axes": "TZYX"}, "resolution": (50800, 50800), "resolutionunit": "INCH"},
            {"y": 0.5, "x": 0.5},
            {"y": "micrometer", "x": "micrometer"},
        ),
        ({"metadata": {"axes": "TZYX"}, "resolution": (300, 300), "resolutionunit": "INCH"}, {}, {}),
        ({"metadata": {"axes": "TZYX"}, "resolution": (1200, 1200), "resolutionunit": "INCH"}, {}, {}),
        ({"imagej": True, "resolution": (300, 300), "metadata": {"axes": "TZYX", "unit": "inch"}}, {}, {}),
        ({"metadata": {"axes": "TZYX"}, "resolution": (28.346, 28.346), "resolutionunit": "CENTIMETER"}, {}, {}),
        ({"metadata": {"axes": "TZYX"}, "resolution": (1, 1), "resolutionunit": "CENTIMETER"}, {}, {}),
        ({"metadata": {"axes": "TZYX"}, "resolution": (7, 7)}, {}, {}),
        ({"metadata": {"axes": "TZYX"}, "resolution": (9999, 9999), "resolutionunit": "NONE"}, {}, {}),
    ],
)
def test_sizes_in_tiff(tmp_path, kwargs, scale, units):
    array = RNG.integers(0, 255, (2, 3, 17, 19), dtype="uint8")
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="minisblack", **kwargs)
    source = read(tmp_path / "a.tif")
    assert source.dims == ("t", "z", "y", "x")
    assert (dict(source.scale), dict(source.units)) == (scale, units)
    said = pytest.warns(UserWarning, match="voxel size along z") if scale and "z" not in scale else nullcontext()
    with said:
        check(source, array)


def test_series_of_tiff(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as file:
        file.write(VOLUME, photometric="minisblack", metadata={"axes": "ZYX", "PhysicalSizeX": 2})
        file.write(VOLUME[0, :20], photometric="minisblack", metadata={"axes": "YX", "PhysicalSizeX": 5})
    with pytest.warns(UserWarning, match=r"a.ome.tif: not written: 1 other series \(::1\)") as warned:
        check(read(tmp_path / "a.ome.tif"), VOLUME)
    assert warned[0].filename == __file__
    source = read(f"{tmp_path}/a.ome.tif::1")
    assert (source.name, source.scale) == ("a", {"x": 5})
    with pytest.warns(UserWarning, match=r"not written: 1 other series \(::0\)"):
        check(source, VOLUME[0, :20])
    with pytest.raises(
        ValueError, match=r"no series 2; give one of the series in it: 0 ZYX \(6, 37, 41\) uint16; 1 YX"
    ):
        read(f"{tmp_path}/a.ome.tif::2")
    with pytest.raises(ValueError, match="is a number"):
        read(f"{tmp_path}/a.ome.tif::first")


def test_pyramid_in_tiff(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        options = {"photometric": "minisblack", "tile": (16, 16), "compression": "zlib"}
        file.write(VOLUME[0], subifds=1, **options)
        file.write(VOLUME[0, ::2, ::2], subfiletype=1, **options)
    with pytest.warns(UserWarning, match="not written: 1 smaller resolution, made anew from the largest"):
        check(read(tmp_path / "a.tif"), VOLUME[0])


def test_tiff_that_is_none(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"no TIFF at all")
    with pytest.raises(ValueError, match=r"a\.tif cannot be read as TIFF"):
        read(tmp_path / "a.tif")


@pytest.mark.parametrize(("code", "name"), [(34712, "JPEG2000"), (65123, "65123")])
def test_tiff_that_needs_another_package(tmp_path, monkeypatch, code, name):
    tifffile.imwrite(tmp_path / "a.tif", VOLUME[0], compression="zlib")
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as file:
        file.pages[0].tags["Compression"].overwrite(code)
    monkeypatch.setattr(tifffile.TIFF, "DECOMPRESSORS", {1: None})
    with pytest.raises((ImportError, ValueError), match=name):
        read(tmp_path / "a.tif")


def test_tiff_is_not_read_when_opened(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tif", VOLUME, photometric="minisblack", **LAYOUTS["tiles"])
    fetched = []
    monkeypatch.setattr(tiff, "_fetch", lambda store, key, fetch=_fetch: fetched.append(key) or fetch(store, key))
    source = read(tmp_path / "a.tif")
    daskome.plan_image(source)
    assert not fetched
    pixels(source, ((2, 3), (0, 16), (0, 17)))
    assert len(fetched) == 2


def test_chunks_of_a_store_that_waits_are_refused():
    class Waits:
        async def get(self, key, prototype):
            import asyncio

            await asyncio.sleep(0)
            return key

    with pytest.raises(RuntimeError, match="waits"):
        _fetch(Waits(), "a")


def test_chunks_that_are_not_stored(tmp_path):
    sparse = np.zeros((64, 64), "uint8")
    sparse[:16, :16] = 7
    tiles = (tile if tile.any() else None for tile in sparse.reshape(4, 16, 4, 16).swapaxes(1, 2).reshape(16, 16, 16))
    tifffile.imwrite(tmp_path / "a.tif", tiles, shape=(64, 64), dtype="uint8", tile=(16, 16), compression="zlib")
    check(read(tmp_path / "a.tif"), sparse)


# NIfTI


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", ["uint8", "<i2", ">i2", "uint16", "float32", "float64"])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_nifti(tmp_path, suffix, dtype, kind):
    array = VOLUME.T.astype(dtype)
    header = kind.header_class(endianness=dtype[0]) if dtype[0] in "<>" else None
    image = kind(array, np.diag([0.1, 0.2, 3, 1]), header)
    image.header.set_data_dtype(array.dtype)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, tmp_path / f"a{suffix}")
    source = read(tmp_path / f"a{suffix}")
    assert (source.name, source.dims) == ("a", ("z", "y", "x"))
    assert source.scale == {"z": 3, "y": 0.2, "x": 0.1}
    assert source.units == dict.fromkeys("zyx", "millimeter")
    assert isinstance(source.array, np.ndarray) == suffix.endswith(".gz")
    check(source, array.T)


@pytest.mark.sampled(4)
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float32", "float64"])
@pytest.mark.parametrize("scaling", [(0.5, 0), (1, -1024), (2.5, 3), (np.nan, np.nan), (1, 0)])
def test_values_of_nifti_that_are_scaled(tmp_path, suffix, dtype, scaling):
    path = str(tmp_path / f"a{suffix}")
    stored = nibabel.Nifti1Image(VOLUME.T.astype(dtype), np.eye(4))
    header = stored.header.copy()
    header.set_data_dtype(dtype)
    header.set_slope_inter(*scaling)
    header["vox_offset"] = 352
    content = header.binaryblock + bytes(4) + VOLUME.T.astype(dtype).tobytes(order="F")
    Path(path).write_bytes(gzip.compress(content) if suffix.endswith(".gz") else content)
    expected = np.asarray(nibabel.load(path).dataobj).T
    source = read(path)
    assert (source.dtype == dtype) == (scaling[0] != scaling[0] or scaling == (1, 0) or expected.dtype == dtype)
    check(source, expected)


@pytest.mark.parametrize(
    ("shape", "zooms", "dims"),
    [
        ((41, 37), (1, 2), "yx"),
        ((41, 37, 6, 3), (1, 2, 3, 0.5), "tzyx"),
        ((19, 17, 5, 4, 2), (1, 2, 3, 0.5, 1), "tczyx"),
        ((19, 17, 5, 1, 3), (1, 2, 3, 0, 1), "tczyx"),
        ((19, 17, 5, 4, 2, 1, 1), (1, 2, 3, 0.5, 1, 1, 1), "tczyx"),
    ],
)
def test_axes_of_nifti(tmp_path, shape, zooms, dims):
    array = RNG.integers(0, 255, shape, dtype="uint8")
    source = read(write_nifti(tmp_path / "a.nii", array, zooms, ("micron", "msec")))
    assert "".join(source.dims) == dims
    known = {axis: size for axis, size in zip("xyzt", zooms, strict=False) if size and axis in dims}
    assert source.scale == known
    assert source.units == {axis: "millisecond" if axis == "t" else "micrometer" for axis in known}
    expected = array.reshape(shape[:5]).T
    check(source, np.swapaxes(expected, 0, 1) if len(dims) == 5 else expected)


@pytest.mark.parametrize(
    ("units", "scale", "known"),
    [
        (("unknown", "unknown"), {"t": 4, "z": 3, "y": 2, "x": 1}, {}),
        (("meter", "hz"), {"z": 3, "y": 2, "x": 1}, dict.fromkeys("zyx", "meter")),
    ],
)
def test_units_of_nifti(tmp_path, units, scale, known):
    array = np.zeros((9, 8, 7, 6), "uint8")
    source = read(write_nifti(tmp_path / "a.nii", array, (1, 2, 3, 4), units))
    assert (source.scale, source.units) == (scale, known)


def test_nifti_of_too_many_dimensions(tmp_path):
    with pytest.raises(ValueError, match="6th dimension"):
        read(write_nifti(tmp_path / "a.nii", np.zeros((3, 3, 3, 3, 1, 2), "uint8")))


def test_nifti_of_colours(tmp_path):
    colours = np.zeros((3, 3, 3), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    with pytest.raises(ValueError, match="split them into channels"):
        read(write_nifti(tmp_path / "a.nii", colours))


def test_nifti_that_is_none(tmp_path):
    (tmp_path / "a.nii").write_bytes(b"no NIfTI at all")
    with pytest.raises(ValueError, match="cannot be read as NIfTI"):
        read(tmp_path / "a.nii")
    cifti = nibabel.cifti2
    axes = cifti.ScalarAxis(["a"]), cifti.BrainModelAxis.from_mask(np.ones((2, 2, 2)), "thalamus_left", np.eye(4))
    cifti.Cifti2Image(np.zeros((1, 8), "f4"), cifti.Cifti2Header.from_axes(axes)).to_filename(
        tmp_path / "a.dscalar.nii"
    )
    with pytest.raises(ValueError, match="Cifti2Image, not an image"):
        read(tmp_path / "a.dscalar.nii")


def test_nifti_is_mapped_not_read(tmp_path):
    source = read(write_nifti(tmp_path / "a.nii", VOLUME.T))
    assert isinstance(source.array, Reopenable)
    assert isinstance(source.array.array, np.memmap)
    assert len(pickle.dumps(source)) < 2000


# HDF5


@pytest.mark.parametrize("kwargs", [{}, {"chunks": (2, 16, 16), "compression": "gzip"}])
@pytest.mark.parametrize("part", ["", "::volumes/raw", "::/volumes/raw"])
def test_hdf5(tmp_path, kwargs, part):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = file.create_dataset("volumes/raw", data=VOLUME, **kwargs)
        dataset.attrs["element_size_um"] = (3.0, 0.5, 0.25)
        file["table"] = np.arange(10)
        file["text"] = "no image"
    source = read(f"{tmp_path}/a.h5{part}")
    assert (source.name, source.dims) == ("a", None)
    assert source.scale == {"z": 3, "y": 0.5, "x": 0.25}
    assert source.units == dict.fromkeys("zyx", "micrometer")
    assert tuple(source.chunks[1]) == ((16, 16, 5) if kwargs else (1,) * 37)
    check(source, VOLUME)


def test_labels_of_hdf5_axes(tmp_path):
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file["raw"] = VOLUME
        for dim, label in zip(file["raw"].dims, "tyx", strict=True):
            dim.label = label
        file["raw"].attrs["element_size_um"] = (3.0, 0.5, 0.25)
    source = read(tmp_path / "a.hdf5")
    assert (source.dims, source.scale) == (("t", "y", "x"), {"y": 0.5, "x": 0.25})


def test_which_dataset_of_hdf5(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["one"] = VOLUME
        file["group/two"] = VOLUME[0]
    with pytest.raises(
        ValueError, match=r"has 2 datasets; .*a.h5::name.* group/two \(37, 41\) uint16; one \(6, 37, 41\)"
    ):
        read(tmp_path / "a.h5")
    for part in ("three", "group"):
        with pytest.raises(ValueError, match=rf"no dataset {part}; .*one \(6, 37, 41\)"):
            read(f"{tmp_path}/a.h5::{part}")
    check(read(f"{tmp_path}/a.h5::group/two"), VOLUME[0])
    with h5py.File(tmp_path / "many.h5", "w") as file:
        for i in range(30):
            file[f"d{i}"] = VOLUME[0]
    with pytest.raises(ValueError, match="10 more"):
        read(tmp_path / "many.h5")
    with h5py.File(tmp_path / "none.h5", "w"):
        pass
    with pytest.raises(ValueError, match="there are none"):
        read(tmp_path / "none.h5")


# elsewhere


@pytest.fixture
def files(tmp_path):
    np.save(tmp_path / "a.npy", VOLUME)
    tifffile.imwrite(tmp_path / "tiles.tif", VOLUME, photometric="minisblack", **LAYOUTS["tiles"])
    tifffile.imwrite(tmp_path / "strips.tif", VOLUME, photometric="minisblack", **LAYOUTS["strips"])
    tifffile.imwrite(tmp_path / "raw.tif", VOLUME, photometric="minisblack")
    write_nifti(tmp_path / "a.nii", VOLUME.T)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("raw", data=VOLUME, chunks=(2, 16, 16), compression="gzip")
    zarr.create_array(tmp_path / "a.zarr", data=VOLUME, chunks=(2, 16, 16))
    return [read(tmp_path / n) for n in ("a.npy", "tiles.tif", "strips.tif", "raw.tif", "a.nii", "a.h5", "a.zarr")]


def test_threads(files):
    regions = [((a, a + 2), (b, b + 9), (0, 41)) for a in range(5) for b in range(0, 28, 3)]
    for source in files:
        source = pickle.loads(pickle.dumps(source))
        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(lambda region, source=source: pixels(source, region), regions))
        for region, part in zip(regions, found, strict=True):
            np.testing.assert_array_equal(part, VOLUME[tuple(slice(*span) for span in region)])


@pytest.mark.extended
def test_processes(files):
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        for found in process.map(pixels, files):
            np.testing.assert_array_equal(found, VOLUME)


# views


def test_view():
    array = RNG.integers(0, 9, (1, 4, 5, 6, 1))
    view = View(array, (3, 1, 2))
    assert (view.shape, view.dtype) == ((6, 4, 5), array.dtype)
    np.testing.assert_array_equal(
        view[1:3, :, 2:], array[0, :, :, :, 0].transpose(2, 0, 1)[1:3, :, 2:],
    )  # fmt: skip


def test_scaled():
    scaled = Scaled(VOLUME, 0.5, 1.0)
    np.testing.assert_array_equal(scaled[1:3], VOLUME[1:3] * 0.5 + 1)
    assert scaled.dtype == scaled[1:3].dtype
