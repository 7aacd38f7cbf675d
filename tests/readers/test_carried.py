"""What files and stores say of an image goes along, or is named."""

from itertools import product
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import assume, given, strategies as st

import daskome
from daskome.model.axes import TYPES, UNITS
from daskome.model.directions import orientations_of
from daskome.model.orientations import LETTERS
from daskome.readers import read
from daskome.readers.units import BASES, OTHERS, PREFIXES, SYMBOLS, converted, known_unit
from tests.strategies import law

CZYX = np.arange(2 * 3 * 16 * 20, dtype="uint8").reshape(2, 3, 16, 20)


def written(source, **arguments):
    """Return the attributes under ``ome`` of what a source is written as, and the first dataset's vectors by type."""
    store = zarr.storage.MemoryStore()
    daskome.write_image(source, store, None, **arguments)
    attributes = zarr.open_group(store, mode="r").attrs.asdict()
    (dataset,) = attributes["ome"]["multiscales"][0]["datasets"]
    vectors = {step["type"]: step[step["type"]] for step in dataset["coordinateTransformations"]}
    return attributes, vectors


# units


def test_every_unit_has_a_size():
    for unit in UNITS["space"] | UNITS["time"]:
        assert converted(3.0, unit, unit) == 3
    assert set(SYMBOLS.values()) <= UNITS["space"] | UNITS["time"]


@given(st.sampled_from(sorted(UNITS["space"])), st.sampled_from(sorted(UNITS["space"])), st.floats(0.1, 9))
def test_there_and_back(one, other, value):
    assert converted(converted(value, one, other), other, one) == pytest.approx(value, rel=1e-12)


def test_symbols_are_those_of_the_schema():
    """The units of OME-XML that OME-Zarr has names for."""
    lengths = "Ym Zm Em Pm Tm Gm Mm km hm m dm cm mm µm nm pm fm am zm ym Å in ft yd mi pc".split()
    times = "Ys Zs Es Ps Ts Gs Ms ks hs s ds cs ms µs ns ps fs as zs ys min h d".split()
    assert all(known_unit("x", unit) for unit in lengths)
    assert all(known_unit("t", unit) for unit in times)
    assert not any(known_unit("x", unit) for unit in ("pixel", "reference frame", "thou", "li", "ly", "pt"))
    assert len(PREFIXES) * len(BASES) + len(OTHERS) + 2 == len(UNITS["space"] | UNITS["time"])


# TIFF


def ome_tiff(path, **metadata):
    tifffile.imwrite(path, CZYX, ome=True, photometric="minisblack", metadata={"axes": "CZYX", **metadata})
    return read(path)


SIZES = {f"PhysicalSize{axis}": size for axis, size in zip("ZYX", (2, 0.5, 0.25), strict=True)}


def plane(**values):
    """Return the ``Plane`` metadata of all six planes, the first of which the values belong to."""
    return {key: [value] + [value] * 5 for key, value in values.items()}


def test_channels_of_ome_tiff(tmp_path):
    source = ome_tiff(tmp_path / "a.ome.tif", Channel={"Name": ["DAPI", "GFP"], "Color": [65535, 16711935]})
    channels = written(source)[0]["ome"]["omero"]["channels"]
    assert [(c["label"], c["color"]) for c in channels] == [("DAPI", "0000FF"), ("GFP", "00FF00")]
    assert all(set(c["window"]) == {"min", "max", "start", "end"} for c in channels)


@pytest.mark.parametrize(
    ("unit", "value", "expected"), [("µm", 7.5, 7.5), ("mm", 0.0031, 3.1), ("nm", -2500, -2.5), ("m", 1e-5, 10)]
)
def test_stage_position_of_ome_tiff(tmp_path, unit, value, expected):
    where = plane(PositionX=value, PositionXUnit=unit, PositionY=1.0, PositionYUnit="µm")
    source = ome_tiff(tmp_path / "a.ome.tif", Plane=where, **SIZES)
    _, vectors = written(source)
    assert vectors == {"scale": [1, 2, 0.5, 0.25], "translation": [0, 0, 1, pytest.approx(expected)]}


@pytest.mark.parametrize(
    ("where", "sizes"),
    [
        ({"PositionX": 7.0}, SIZES),
        ({"PositionX": 7.0, "PositionXUnit": "reference frame"}, SIZES),
        ({"PositionX": 7.0, "PositionXUnit": "pixel"}, SIZES),
        ({"PositionX": 7.0, "PositionXUnit": "µm"}, {}),
    ],
)
def test_positions_without_a_place_are_named(tmp_path, where, sizes):
    source = ome_tiff(tmp_path / "a.ome.tif", Plane=plane(**where), **sizes)
    with pytest.warns(UserWarning, match=r"a\.ome\.tif: not written: position x=7"):
        _, vectors = written(source)
    assert "translation" not in vectors


def test_stage_label_and_name_of_ome_tiff(tmp_path):
    path = tmp_path / "a.ome.tif"
    ome_tiff(path, **SIZES)
    xml = tifffile.tiffcomment(path).replace('Name="Image0"', 'Name="Kidney"')
    label = '<StageLabel Name="A" X="3" XUnit="µm" Y="4" YUnit="µm"/><Pixels'
    tifffile.tiffcomment(path, xml.replace("<Pixels", label).encode())
    source = read(path)
    assert source.name == "Kidney"
    assert source.translation == {"y": 4, "x": 3}


@pytest.mark.parametrize(("times", "scale"), [((0, 2.5, 5), {"t": 2.5}), ((0, 2.5, 4), {}), ((0, 0, 0), {})])
def test_times_of_planes_of_ome_tiff(tmp_path, times, scale):
    metadata = {"axes": "TYX", "Plane": {"DeltaT": list(times), "DeltaTUnit": ["s"] * 3}}
    tifffile.imwrite(tmp_path / "a.ome.tif", CZYX[0], ome=True, photometric="minisblack", metadata=metadata)
    assert read(tmp_path / "a.ome.tif").scale == scale


@pytest.mark.parametrize("odd", ["", "about 3", "NaN", "inf"])
def test_what_is_no_number_counts_for_nothing(tmp_path, odd):
    metadata = {
        "Plane": plane(PositionX=odd, PositionXUnit="µm"),
        "Channel": {"Color": [odd, "-1"]},
        "PhysicalSizeX": odd,
    }
    source = ome_tiff(tmp_path / "a.ome.tif", TimeIncrement=odd, **metadata)
    assert (source.scale, source.translation) == ({}, {})
    notes = {"finterval": odd, "xorigin": odd, "min": odd, "max": 3}
    tifffile.imwrite(tmp_path / "b.tif", CZYX[0], imagej=True, metadata={"axes": "ZYX", **notes})
    assert (read(tmp_path / "b.tif").scale, read(tmp_path / "b.tif").omero) == ({}, None)


def test_the_rest_of_ome_xml_is_named(tmp_path):
    channel = {"Name": ["a", "b"], "EmissionWavelength": [520, 600], "Fluor": ["GFP", "RFP"]}
    source = ome_tiff(tmp_path / "a.ome.tif", Channel=channel, Description="of a kidney")
    with pytest.warns(UserWarning, match="of its OME-XML: Channel EmissionWavelength, Channel Fluor, Description"):
        written(source)


def test_sizes_of_an_image_after_one_without_pixels(tmp_path):
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as file:
        file.write(CZYX[0], photometric="minisblack", metadata={"axes": "ZYX", "PhysicalSizeX": 2})
        file.write(CZYX[0, 0], photometric="minisblack", metadata={"axes": "YX", "PhysicalSizeX": 5})
    xml = tifffile.tiffcomment(path)
    empty = xml[xml.index("<Image ") : xml.index("</Image>") + len("</Image>")].replace("Image:0", "Image:9")
    empty = empty[: empty.index("<TiffData")] + "<MetadataOnly/>" + empty[empty.index("</Pixels>") :]
    empty = empty.replace('PhysicalSizeX="2"', 'PhysicalSizeX="99"')
    tifffile.tiffcomment(path, xml.replace("<Image ", f"{empty}<Image ", 1).encode())
    assert [read(f"{path}::{i}").scale for i in (0, 1)] == [{"x": 2}, {"x": 5}]


def test_sizes_in_the_tags_are_those_of_the_series(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for width, density in ((20, 20000), (16, 40000)):
            file.write(
                CZYX[0, 0, :, :width], photometric="minisblack", resolution=(density, density),
                resolutionunit="CENTIMETER",
            )  # fmt: skip
    assert [read(f"{tmp_path}/a.tif::{i}").scale["x"] for i in (0, 1)] == [0.5, 0.25]


def test_many_series(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for n in range(2, 50):
            file.write(np.zeros((16, n), "uint8"), photometric="minisblack")
    with pytest.warns(UserWarning, match=r"47 other series \(::1 to ::47\)"):
        written(read(tmp_path / "a.tif"))
    with pytest.warns(UserWarning, match=r"47 other series \(all but ::1\)"):
        written(read(f"{tmp_path}/a.tif::1"))


def imagej(path, **metadata):
    array = CZYX.swapaxes(0, 1)
    tifffile.imwrite(path, array, imagej=True, resolution=(4, 2), metadata={"axes": "ZCYX", **metadata})
    return read(path)


def test_channels_of_imagej(tmp_path):
    tables = [np.stack([np.arange(256) * on for on in color]).astype("uint8") for color in ((1, 0, 0), (0, 1, 1))]
    source = imagej(tmp_path / "a.tif", mode="composite", Ranges=(10.0, 50.0, 0.0, 200.0), LUTs=tables)
    channels = written(source)[0]["ome"]["omero"]["channels"]
    assert [c["color"] for c in channels] == ["FF0000", "00FFFF"]
    assert [(c["window"]["start"], c["window"]["end"]) for c in channels] == [(10, 50), (0, 200)]


def test_labels_of_channels_of_imagej(tmp_path):
    metadata = {"axes": "CYX", "Labels": ["DAPI", "GFP"]}
    tifffile.imwrite(tmp_path / "a.tif", CZYX[:, 0], imagej=True, metadata=metadata)
    assert [c["label"] for c in read(tmp_path / "a.tif").omero["channels"]] == ["DAPI", "GFP"]


def test_origin_of_imagej(tmp_path):
    source = imagej(tmp_path / "a.tif", unit="um", spacing=3.0, xorigin=4.0, yorigin=-2.0, tunit="min", finterval=5.0)
    assert source.scale == {"z": 3, "y": 0.5, "x": 0.25}
    assert source.translation == {"y": 1, "x": -1}


def test_units_of_imagej_by_axis(tmp_path):
    metadata = {"axes": "TZYX", "unit": "um", "zunit": "mm", "spacing": 3.0, "tunit": "min", "finterval": 5.0}
    tifffile.imwrite(tmp_path / "a.tif", CZYX, imagej=True, resolution=(4, 2), metadata=metadata)
    source = read(tmp_path / "a.tif")
    assert source.units == {"t": "minute", "z": "millimeter", "y": "micrometer", "x": "micrometer"}
    assert source.scale == {"t": 5, "z": 3, "y": 0.5, "x": 0.25}


def test_the_rest_of_imagej_is_named(tmp_path):
    source = imagej(tmp_path / "a.tif", Info="exposure 5", Labels=["slice"] * 6, xorigin=3)
    with pytest.warns(UserWarning, match="not written: of what ImageJ says: xorigin, Info, Labels"):
        written(source)


def test_tags_and_notes_are_named(tmp_path):
    metadata = {"axes": "CZYX", "stain": "H&E"}
    tifffile.imwrite(tmp_path / "a.tif", CZYX, photometric="minisblack", datetime=True, metadata=metadata)
    with pytest.warns(UserWarning, match="not written: of its tags: DateTime, stain"):
        written(read(tmp_path / "a.tif"))
    for notes in (None, {"axes": "YX"}):
        tifffile.imwrite(tmp_path / "b.tif", CZYX[0, 0], description="a kidney", metadata=notes)
        with pytest.warns(UserWarning, match="not written: of its tags: ImageDescription"):
            written(read(tmp_path / "b.tif"))


def test_colours_of_rgb_are_no_channels_of_the_file(tmp_path):
    rgb = np.zeros((16, 20, 3), "uint8")
    tifffile.imwrite(tmp_path / "a.ome.tif", rgb, ome=True, photometric="rgb", metadata={"Channel": {"Name": "RGB"}})
    assert "omero" not in written(read(tmp_path / "a.ome.tif"))[0]["ome"]


# NIfTI


def nifti(path, affine, code=1, **header):
    image = nibabel.Nifti1Image(CZYX[0].T, affine)
    image.set_sform(affine, code)
    image.set_qform(None, 0)
    image.header.set_xyzt_units("mm", "sec")
    for key, value in header.items():
        image.header[key] = value
    nibabel.save(image, path)
    return read(path)


def test_origin_of_nifti(tmp_path):
    affine = np.diag([2.0, 3, 4, 1])
    affine[:3, 3] = -90, -126, -72.5
    _, vectors = written(nifti(tmp_path / "a.nii", affine))
    assert vectors == {"scale": [4, 3, 2], "translation": [-72.5, -126, -90]}


@pytest.mark.parametrize(
    ("columns", "codes"), [("-x y z", "LAS"), ("y x z", "ARS"), ("-x -y z", "LPS"), ("z x -y", "SRP")]
)
def test_directions_of_nifti_are_orientations(tmp_path, columns, codes):
    """Positions count in the direction of their axis: the world of nibabel is found again."""
    units = dict(zip("xyz", np.eye(3), strict=True))
    affine = np.eye(4)
    affine[:3, :3] = np.stack([units[c[-1]] * (-1 if c[0] == "-" else 1) for c in columns.split()], 1) * 2
    affine[:3, 3] = 5, 6, 7
    source = nifti(tmp_path / "a.nii", affine)
    assert nibabel.aff2axcodes(affine) == tuple(codes)
    letters = {LETTERS[letter]: letter for letter in "RLAPSI"}
    assert [letters[source.orientations[axis]] for axis in "xyz"] == list(codes)
    voxel = np.array([1, 2, 3])
    along = {c: source.translation[a] + 2 * n for a, c, n in zip("xyz", codes, voxel, strict=True)}
    found = [along[to] if to in along else -along[back] for to, back in ("RL", "AP", "SI")]
    np.testing.assert_allclose(found, nibabel.affines.apply_affine(affine, voxel))
    stored, _ = written(source)
    axes = stored["ome"]["multiscales"][0]["axes"]
    assert [axis["orientation"]["value"] for axis in axes[::-1]] == [LETTERS[c] for c in codes]


def test_oblique_directions_of_nifti_are_named(tmp_path):
    affine = nibabel.affines.from_matvec(np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, -1]]), [5, 6, 7])
    with pytest.warns(
        UserWarning, match=r"exact directions of its axes, x \(0.8, 0.6, 0\), .* near left-to-right post"
    ):
        written(nifti(tmp_path / "a.nii", affine))


@law(max_examples=100)
@given(numbers=st.lists(st.integers(-9, 9), min_size=9, max_size=9))
def test_orientations_are_those_of_nibabel(numbers):
    columns = np.array(numbers, float).reshape(3, 3)
    assume(abs(np.linalg.det(columns)) > 1)
    assume(len(set(np.abs(np.round(_polar(columns), 6)).ravel())) == 9)  # Of equals, either may be taken.
    affine = nibabel.affines.from_matvec(columns, [0, 0, 0])
    found = orientations_of(dict(zip("xyz", columns.T, strict=True)), "RAS")
    assert list(found.values()) == [LETTERS[code] for code in nibabel.aff2axcodes(affine)]


def _polar(columns):
    u, _, v = np.linalg.svd(columns / np.linalg.norm(columns, axis=0))
    return u @ v


def test_an_orientation_of_the_caller_comes_first(tmp_path):
    source = nifti(tmp_path / "a.nii", np.diag([2.0, 2, 2, 1]))
    for said, expected in [
        (None, ["inferior-to-superior", "posterior-to-anterior", "left-to-right"]),
        ({"z": "I"}, ["superior-to-inferior", "posterior-to-anterior", "left-to-right"]),
        ("LPS", ["inferior-to-superior", "anterior-to-posterior", "right-to-left"]),
        (False, [None] * 3),
    ]:
        axes = daskome.plan_image(source, orientation=said).pyramids[0].axes
        assert [axis.orientation for axis in axes] == expected


def test_display_range_of_nifti(tmp_path):
    (channel,) = written(nifti(tmp_path / "a.nii", np.eye(4), cal_min=5, cal_max=800))[0]["ome"]["omero"]["channels"]
    assert (channel["window"]["start"], channel["window"]["end"]) == (5, 800)
    assert "omero" not in written(nifti(tmp_path / "b.nii", np.eye(4)))[0]["ome"]


def test_nifti_that_says_little_or_more(tmp_path):
    affine = np.diag([2.0, 2, 2, 1])
    affine[:3, 3] = 5, 6, 7
    assert nifti(tmp_path / "a.nii", affine, code=0).translation == {}
    source = nifti(tmp_path / "b.nii", affine, descrip=b"FSL5.0", intent_code=3, toffset=4.5)
    said = r"its description 'FSL5.0'; its time, 4.5 \(the image has no such axis\); its intent 't test'"
    with pytest.warns(UserWarning, match=f"not written: {said}"):
        written(source)


# HDF5


def test_attributes_of_hdf5_are_named(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["raw"] = CZYX[0]
        file["raw"].attrs.update({"element_size_um": (1, 1, 1), "offset": (1, 2, 3), "sample": "kidney"})
    with pytest.warns(UserWarning, match="not written: attributes offset, sample"):
        written(read(tmp_path / "a.h5"))


def imaris(path, shape=(3, 16, 20)):
    def text(value):
        return np.array(list(str(value)), "S1")

    with h5py.File(path, "w") as file:
        image = file.create_group("DataSetInfo/Image")
        for i, (low, high) in enumerate(((10, 20), (-4, 4), (0, 6))):
            image.attrs[f"ExtMin{i}"], image.attrs[f"ExtMax{i}"] = text(low), text(high)
        image.attrs["Unit"] = text("um")
        channel = file.create_group("DataSetInfo/Channel 0")
        channel.attrs["Name"], channel.attrs["Color"] = text("DAPI"), text("0 0 1")
        data = file.create_group("DataSet/ResolutionLevel 0/TimePoint 0/Channel 0")
        for axis, n in zip("ZYX", shape, strict=True):
            data.attrs[f"ImageSize{axis}"] = text(n)
        data.create_dataset("Data", data=np.pad(CZYX[0], ((0, 1), (0, 0), (0, 12))), chunks=(2, 8, 8))
    return path


def test_imaris(tmp_path):
    source = read(imaris(tmp_path / "a.ims"))
    assert (source.dims, source.shape, source.units) == (
        ("z", "y", "x"),
        (3, 16, 20),
        dict.fromkeys("zyx", "micrometer"),
    )
    attributes, vectors = written(source)
    assert vectors == {"scale": [2, 0.5, 0.5], "translation": [1, -3.75, 10.25]}
    assert [(c["label"], c["color"]) for c in attributes["ome"]["omero"]["channels"]] == [("DAPI", "0000FF")]
    store = zarr.storage.MemoryStore()
    daskome.write_image(source, store, None)
    np.testing.assert_array_equal(zarr.open_group(store, mode="r")["s0"][:], CZYX[0])


# OME-Zarr


SHOWN = [{"label": "DAPI", "color": "00FF00", "window": (0, 255, 3, 77)}, {"label": "GFP", "color": "FF00FF"}]


@pytest.mark.sampled(5)
@pytest.mark.parametrize(("old", "new"), [*product(("0.2", "0.4", "0.6"), ("0.1", "0.4", "0.5"))])
def test_an_image_written_again_in_any_version(tmp_path, old, new):
    daskome.write_image(CZYX[:, 0], tmp_path / "a.zarr", [2], "kidney", axes="cyx", channels=SHOWN, fmt=old)
    group = zarr.open_group(tmp_path / "a.zarr")
    group.attrs["acquired"] = {"by": "somebody"}
    before = group.attrs.asdict()
    daskome.write_image(read(tmp_path / "a.zarr"), tmp_path / "b.zarr", [2], fmt=new)
    after = zarr.open_group(tmp_path / "b.zarr", mode="r").attrs.asdict()
    stated = before.get("ome", before)["omero"] | {"version": None}
    assert after.get("ome", after)["omero"] | {"version": None} == stated
    assert after["acquired"] == before["acquired"]
    assert after.get("ome", after)["multiscales"][0]["name"] == "kidney"
    assert not [p for p in daskome.validate(tmp_path / "b.zarr") if not p.warning]


def test_what_others_put_under_ome(tmp_path):
    daskome.write_image(CZYX[0, 0], tmp_path / "a.zarr", None, axes="yx")
    group = zarr.open_group(tmp_path / "a.zarr")
    group.attrs["ome"] = {**group.attrs["ome"], "_creator": {"name": "tool"}}
    daskome.write_image(read(tmp_path / "a.zarr"), tmp_path / "b.zarr", None)
    assert zarr.open_group(tmp_path / "b.zarr").attrs["ome"]["_creator"] == {"name": "tool"}
    daskome.write_image(read(tmp_path / "a.zarr"), tmp_path / "c.zarr", None, fmt="0.4")
    assert zarr.open_group(tmp_path / "c.zarr").attrs["_creator"] == {"name": "tool"}


@pytest.mark.parametrize(
    ("channels", "expected"),
    [
        (None, [("DAPI", "00FF00", 3), ("GFP", "FF00FF", 3)]),
        (True, [("DAPI", "00FF00", 3), ("GFP", "FF00FF", 3)]),
        (["a", "b"], [("a", "00FF00", 3), ("b", "FF00FF", 3)]),
        ([{"name": "a"}, {"color": "FFFFFF"}], [("a", "00FF00", 3), ("GFP", "FFFFFF", 3)]),
        ([{"window": (1, 2)}, {}], [("DAPI", "00FF00", 1), ("GFP", "FF00FF", 3)]),
    ],
)
def test_a_caller_overrides_what_it_names_of_channels(tmp_path, channels, expected):
    shown = [{**channel, "window": (0, 255, 3, 77)} for channel in SHOWN]
    daskome.write_image(CZYX[:, 0], tmp_path / "a.zarr", None, axes="cyx", channels=shown)
    attributes, _ = written(read(tmp_path / "a.zarr"), channels=channels)
    found = attributes["ome"]["omero"]["channels"]
    assert [(c["label"], c["color"], c["window"]["start"]) for c in found] == expected


def test_no_channels_on_request(tmp_path):
    daskome.write_image(CZYX[:, 0], tmp_path / "a.zarr", None, axes="cyx", channels=SHOWN)
    assert "omero" not in written(read(tmp_path / "a.zarr"), channels=False)[0]["ome"]


def test_what_a_store_holds_besides_is_named(tmp_path):
    labels = {"cells": CZYX[0, 0], "nuclei": CZYX[0, 0]}
    daskome.write_image(CZYX[0, 0], tmp_path / "a.zarr", None, axes="yx", labels=labels, pinhole=7)
    group = zarr.open_group(tmp_path / "a.zarr")
    group["s0"].attrs["gain"] = 3
    with pytest.warns(
        UserWarning, match="labels cells, nuclei.*; of its multiscale: pinhole; .*of its array: gain"
    ) as w:
        written(read(tmp_path / "a.zarr"))
    assert w[0].filename == str(Path(__file__))


@pytest.mark.parametrize("omero", [{"channels": [{"color": "red"}]}, {"channels": [{}] * 3}])
def test_channels_that_cannot_be_are_named(tmp_path, omero):
    daskome.write_image(CZYX[:, 0], tmp_path / "a.zarr", None, axes="cyx")
    group = zarr.open_group(tmp_path / "a.zarr")
    group.attrs["ome"] = {**group.attrs["ome"], "omero": omero}
    with pytest.warns(UserWarning, match="not written: how its channels are shown"):
        assert "omero" not in written(read(tmp_path / "a.zarr"))[0]["ome"]


def test_labels_written_again_keep_their_colors(tmp_path):
    image, labels = CZYX[0, 0], {"labels": CZYX[0, 0], "colors": {1: [1, 2, 3, 4]}, "properties": {2: {"area": 7}}}
    daskome.write_image(image, tmp_path / "a.zarr", None, axes="yx", labels={"cells": labels})
    daskome.write_image(image, tmp_path / "b.zarr", None, axes="yx")
    daskome.write_labels(read(tmp_path / "a.zarr/labels/cells"), tmp_path / "b.zarr", "cells")
    old, new = (zarr.open_group(tmp_path / name)["labels/cells"].attrs["ome"] for name in ("a.zarr", "b.zarr"))
    assert old["image-label"] == new["image-label"]
    with pytest.warns(UserWarning, match="colors and properties of labels"):
        written(read(tmp_path / "a.zarr/labels/cells"))


def test_attributes_of_a_zarr_array(tmp_path):
    array = zarr.create_array(tmp_path / "a.zarr", data=CZYX[0, 0], attributes={"gain": 3, "labels": "x"})
    assert array.attrs["gain"] == 3
    attributes, _ = written(read(tmp_path / "a.zarr"))
    assert attributes["gain"] == 3
    assert "labels" not in attributes


def test_axes_types_are_those_of_names():
    assert set(TYPES.values()) == {"time", "channel", "space"}


@pytest.mark.extended
def test_many_images_that_lack_the_same_are_named_once(tmp_path):
    for i in range(5):
        daskome.write_image(CZYX[0, 0], tmp_path / f"{i}.zarr", None, axes="yx", labels={"cells": CZYX[0, 0]})
    with pytest.warns(UserWarning, match=r"2\.zarr and 2 more: not written: labels cells") as warned:
        daskome.write_plate({f"A/{i}": [read(tmp_path / f"{i}.zarr")] for i in range(5)}, tmp_path / "plate.zarr")
    assert len(warned) == 1


# xarray


def test_attributes_and_coordinates_of_xarray():
    xarray = pytest.importorskip("xarray")
    image = xarray.DataArray(
        CZYX[:, 0], dims=("c", "y", "x"), coords={"c": ["DAPI", "GFP"], "exposure": ("c", [5, 7]), "run": 3},
        attrs={"sample": "kidney", "gains": np.array([1, 2]), "file": object(), "labels": "x"},
    )  # fmt: skip
    with pytest.warns(UserWarning, match="not written") as warned:
        attributes, _ = written(image)
    assert [str(w.message) for w in warned] == [
        "the image: not written: coordinate 'exposure'; coordinate 'run'; attribute 'file'; attribute 'labels'"
    ]
    assert (attributes["sample"], attributes["gains"]) == ("kidney", [1, 2])
    assert [channel["label"] for channel in attributes["ome"]["omero"]["channels"]] == ["DAPI", "GFP"]


def test_what_lies_beside_an_image_is_named(tmp_path: Path) -> None:
    daskome.write_image(CZYX, tmp_path / "a", [2], axes="czyx", labels={"cells": CZYX})
    group = zarr.open_group(tmp_path / "a")
    group.create_array("mask", shape=(2,), dtype="u1")
    group.create_group("tables/regions")
    (tmp_path / "a" / "notes.txt").write_text("seen")
    with pytest.warns(UserWarning, match=r"labels cells .*; also in its group: mask, notes.txt, tables") as warned:
        daskome.write_image(daskome.read(tmp_path / "a"), tmp_path / "b")
    assert [warning.filename for warning in warned] == [__file__]


def test_other_series_are_named_of_a_series_that_is_chosen(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as file:
        for k in range(3):
            file.write(CZYX[0, : k + 2], metadata={"axes": "ZYX"}, photometric="minisblack")
    names = ["2 other series (::1 to ::2)", "2 other series (all but ::1)", "2 other series (::0 to ::1)"]
    for k, name in enumerate(names):
        assert name in daskome.read(f"{tmp_path}/a.ome.tif::{k}").left
