"""Files of Imaris and BigDataViewer as their programs lay them out, written by h5py."""

import h5py
import numpy as np
import pytest

from daskome.readers import read
from tests.readers.test_readers import check

IMAGE = np.random.default_rng(4).integers(0, 2**16, (3, 2, 5, 14, 18), dtype="uint16")


def text(value):
    return np.array(list(str(value)), "S1")


def imaris(path, image=IMAGE, levels=2):
    """Save an image as Imaris does: a dataset per resolution, time and channel, padded to whole chunks."""
    with h5py.File(path, "w") as file:
        info = file.create_group("DataSetInfo/Image")
        for i, (low, n) in enumerate(zip((10, -4, 0), image.shape[:1:-1], strict=True)):
            info.attrs[f"ExtMin{i}"], info.attrs[f"ExtMax{i}"] = text(low), text(low + n / 2)
        info.attrs["Unit"] = text("um")
        times = file.create_group("DataSetInfo/TimeInfo")
        for t in range(image.shape[0]):
            times.attrs[f"TimePoint{t + 1}"] = text(f"2024-05-01 10:00:{t * 5:02}.000")
        for c in range(image.shape[1]):
            channel = file.create_group(f"DataSetInfo/Channel {c}")
            channel.attrs["Name"], channel.attrs["Color"] = text(("DAPI", "GFP")[c]), text("0 1 0")
        for level, t, c in np.ndindex(levels, *image.shape[:2]):
            volume = image[(t, c, *(slice(None, None, 2**level),) * 3)]
            data = file.create_group(f"DataSet/ResolutionLevel {level}/TimePoint {t}/Channel {c}")
            for axis, n in zip("ZYX", volume.shape, strict=True):
                data.attrs[f"ImageSize{axis}"] = text(n)
            padded = np.pad(volume, [(0, -n % 8) for n in volume.shape])
            data.create_dataset("Data", data=padded, chunks=(8, 8, 8), compression="gzip")
    return path


def bdv(path, image=IMAGE, xml=True, attributes=("<channel>{}</channel><angle>0</angle>",), dtype="int16"):
    with h5py.File(path, "w") as file:
        for t, s in np.ndindex(*image.shape[:2]):
            for level in (0, 1):
                name = f"t{t:05}/s{s:02}/{level}/cells"
                file.create_dataset(
                    name, data=image[(t, s, *(slice(None, None, 2**level),) * 3)].view(dtype), chunks=(3, 7, 8)
                )
    if xml:
        setups = "".join(
            f"<ViewSetup><id>{s}</id><name>{('red', 'green')[s]}</name><size>18 14 5</size><voxelSize><unit>um</unit><size>0.5 0.5 2"
            f"</size></voxelSize><attributes>{attributes[0].format(s)}</attributes></ViewSetup>"
            for s in range(image.shape[1])
        )  # fmt: skip
        path.with_suffix(".xml").write_text(
            f"<SpimData><SequenceDescription><ViewSetups>{setups}</ViewSetups></SequenceDescription></SpimData>"
        )
    return path


@pytest.mark.filterwarnings("ignore:.*smaller resolutions")
@pytest.mark.parametrize(("times", "channels"), [(3, 2), (1, 2), (3, 1), (1, 1)])
def test_imaris(tmp_path, times, channels):
    image = IMAGE[:times, :channels]
    source = read(imaris(tmp_path / "a.ims", image))
    expected = image.reshape([n for n in image.shape[:2] if n > 1] + list(image.shape[2:]))
    assert {axis: size for axis, size in source.scale.items() if axis != "t"} == dict.fromkeys("zyx", 0.5)
    assert source.scale.get("t") == (5 if times > 1 else None)
    assert [channel["label"] for channel in source.omero["channels"]] == ["DAPI", "GFP"][:channels]
    check(source, expected)


def test_a_dataset_of_imaris_that_is_missing_is_named(tmp_path):
    path = imaris(tmp_path / "a.ims")
    with h5py.File(path, "a") as file:
        del file["DataSet/ResolutionLevel 0/TimePoint 1/Channel 1"]
    with pytest.raises(ValueError, match=r"a.ims has no dataset for time 1, channel 1: 1 of 6 are missing"):
        read(path)


def test_an_empty_file_of_imaris(tmp_path):
    with h5py.File(tmp_path / "a.ims", "w") as file:
        file.create_group("DataSet/ResolutionLevel 0")
    with pytest.raises(ValueError, match="has none of its images"):
        read(tmp_path / "a.ims")


@pytest.mark.filterwarnings("ignore:.*registration of its views")
@pytest.mark.parametrize("dtype", ["int16", "uint16"])
def test_bigdataviewer(tmp_path, dtype):
    source = read(bdv(tmp_path / "a.h5", dtype=dtype))
    assert (dict(source.scale), source.units["z"]) == ({"z": 2, "y": 0.5, "x": 0.5}, "micrometer")
    assert [channel["label"] for channel in source.omero["channels"]] == ["red", "green"]
    check(source, IMAGE)


@pytest.mark.filterwarnings("ignore:.*(registration of its views|other setups)")
def test_one_setup_of_bigdataviewer(tmp_path):
    path = bdv(tmp_path / "a.h5", attributes=["<channel>0</channel><angle>{}</angle>"])
    with pytest.raises(ValueError, match=r"a.h5 has 2 setups; give one, as in .*a.h5::s00, of .*s00 red; s01 green"):
        read(path)
    check(read(f"{path}::s01"), IMAGE[:, 1])


@pytest.mark.extended
def test_bigdataviewer_without_xml(tmp_path):
    check(read(bdv(tmp_path / "a.h5", IMAGE[:, :1], xml=False)), IMAGE[:, 0])
    with pytest.raises(ValueError, match="has 2 setups"):
        read(bdv(tmp_path / "b.h5", xml=False))
    path = bdv(tmp_path / "c.h5")
    path.with_suffix(".xml").write_text("<SpimData>")
    with pytest.raises(ValueError, match=r"c.xml cannot be read as XML"):
        read(path)
