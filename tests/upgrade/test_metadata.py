"""Laws of `daskome.upgrade.metadata`: what a group says, in every version's terms; what is lost is reported, the rest comes back."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, strategies as st

from daskome.kernels.methods import METHODS
from daskome.model.pyramid import image_pyramid
from daskome.model.storage.layout import ZARR_V3
from daskome.ome.image_label import parse_image_label
from daskome.ome.metadata import Metadata, Multiscale, image_metadata
from daskome.ome.omero import Channel, Omero, read_omero
from daskome.ome.plate import Plate, PlateWell, parse_plate, parse_well
from daskome.ome.read import read_metadata
from daskome.ome.rules.walk import check_attributes
from daskome.ome.versions import VERSIONS
from daskome.ome.write import to_attributes
from daskome.upgrade.metadata import convert_attributes, factors_between
from tests.strategies import factors, images, law, methods

NAMES = list(VERSIONS)
LEVELS = [(1, 2, 3, 64, 65), (1, 2, 3, 32, 33)]
Shapes = list[list[tuple[int, ...]]]


def stored(version: str, metadata: Metadata) -> Metadata:
    """Return metadata as they come back from a store."""
    return read_metadata(to_attributes(VERSIONS[version], metadata))


def convert(metadata: Metadata, source: str, target: str, shapes: Any = ()) -> tuple[Metadata, list[str]]:
    return convert_attributes(metadata, VERSIONS[source], VERSIONS[target], shapes)


def in_03(method: str | None = "mean", axes: str = "tczyx", paths: str = "01", **rest: Any) -> Metadata:
    """Return an image of 0.3 that others wrote: names of axes, and no sizes."""
    kind = {} if method is None else {"type": method}
    datasets = [{"path": path} for path in paths]
    return read_metadata(
        {"multiscales": [{"version": "0.3", "axes": list(axes), "datasets": datasets, **kind, **rest}]}
    )


def in_04(**rest: Any) -> dict[str, Any]:
    axes = [{"name": name, "type": "space"} for name in "yx"]
    scale = {"type": "scale", "scale": [2, 3]}
    shift = {"type": "translation", "translation": [1, 1]}
    datasets = [{"path": "0", "coordinateTransformations": [scale, shift]}]
    return {"multiscales": [{"version": "0.4", "axes": axes, "datasets": datasets, **rest}]}


def in_06(systems: Any = ("world",), links: Any = (), level: Any = None) -> Metadata:
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "yx"]
    transform = {
        **(level or {"type": "scale", "scale": [2, 3]}),
        "input": {"path": "0"},
        "output": {"name": systems[0]},
    }
    multiscale = {
        "coordinateSystems": [{"name": name, "axes": axes} for name in systems],
        "datasets": [{"path": "0", "coordinateTransformations": [transform]}],
        **({"coordinateTransformations": list(links)} if links else {}),
    }
    return read_metadata({"ome": {"version": "0.6", "multiscales": [multiscale]}})


# ---- scales from shapes


@pytest.mark.parametrize(
    ("shape", "smaller", "expected"),
    [
        ((64, 64), (32, 32), (2, 2)),
        ((65, 65), (33, 32), (2, 2)),
        ((65, 65), (32, 33), (2, 2)),
        ((1, 100, 100), (1, 25, 25), (1, 4, 4)),
        ((5, 101), (2, 26), (4, 4)),
        ((5, 101), (1, 13), (8, 8)),
        ((100, 100), (67, 67), (100 / 67, 100 / 67)),
        ((100, 90), (34, 45), (3, 2)),
        ((7, 7), (7, 7), (1, 1)),
        ((4, 0), (2, 0), (2, 1)),
    ],
)
def test_factors_between_shapes(shape: Any, smaller: Any, expected: Any) -> None:
    assert factors_between(shape, smaller) == expected


@given(st.integers(1, 2000), st.integers(1, 64), st.booleans())
def test_factors_are_whole_where_windows_fit(n: int, factor: int, drops: bool) -> None:
    smaller = n // factor if drops else -(-n // factor)
    if smaller:
        (found,) = factors_between((n,), (smaller,))
        assert found == 1 or smaller in (n // found, -(-n // found))


@pytest.mark.parametrize(
    ("method", "translation", "line"),
    [
        ("mean", (0, 0, 0, 0.5, 0.5), "translations are those of windows of 'mean'"),
        ("nearest", (0, 0, 0, 0, 0), None),
        ("lanczos", (0, 0, 0, 0, 0), "no translation: method 'lanczos' does not define where voxels lie"),
        (None, (0, 0, 0, 0, 0), "no translation: method None does not define where voxels lie"),
    ],
)
@pytest.mark.parametrize("target", ["0.4", "0.5", "0.6"])
def test_scales_of_images_that_state_none(method: Any, translation: Any, line: str | None, target: str) -> None:
    new, lines = convert(in_03(method), "0.3", target, [LEVELS])
    levels = new.multiscales[0].placed
    assert [level.scale for level in levels] == [(1, 1, 1, 1, 1), (1, 1, 1, 2, 2)]
    assert levels[1].translation == translation
    assert [axis.type for axis in new.multiscales[0].axes] == ["time", "channel", "space", "space", "space"]
    assert lines == [
        "no pixel size is stored: scales are factors between shapes, 1: y=2 x=2",
        *([line] if line else []),
    ]


@pytest.mark.parametrize(("source", "target"), [("0.3", "0.2"), ("0.3", "0.1")])
def test_among_the_oldest_nothing_is_inferred(source: str, target: str) -> None:
    new, lines = convert(in_03(), source, target, [LEVELS])
    assert lines == []
    assert new.multiscales[0].datasets == in_03().multiscales[0].datasets


# ---- transformations and coordinate systems


@pytest.mark.parametrize("target", ["0.5", "0.6"])
def test_transformations_of_all_levels_are_folded(target: str) -> None:
    shared = [{"type": "scale", "scale": [10, 10]}, {"type": "translation", "translation": [0, 5]}]
    new, lines = convert(read_metadata(in_04(coordinateTransformations=shared)), "0.4", target, [[(8, 8)]])
    assert new.multiscales[0].placed[0].scale == (20, 30)
    assert new.multiscales[0].placed[0].translation == (10, 15)
    assert "coordinateTransformations" not in new.multiscales[0].rest
    assert lines == ["coordinateTransformations of the multiscale are folded into its levels"]


@pytest.mark.parametrize("target", ["0.3", "0.4", "0.5"])
def test_coordinate_systems_that_are_lost_are_told(target: str) -> None:
    link = {"type": "scale", "scale": [2, 2], "input": {"name": "world"}, "output": {"name": "atlas"}}
    new, lines = convert(in_06(("world", "atlas"), [link]), "0.6", target, [[(8, 8)]])
    assert [line.partition(",")[0] for line in lines[:3]] == [
        f"lost: {target} has no coordinate systems besides that of the levels",
        f"lost: {target} has no transformations between coordinate systems",
        f"lost: {target} has no name for the coordinate system 'world'",
    ]
    assert new.multiscales[0].placed[0].scale == (2, 3)
    assert new.multiscales[0].system.axes[0].unit == "micrometer"


@pytest.mark.parametrize("target", ["0.3", "0.4", "0.5"])
def test_the_identity_is_a_scale_of_ones(target: str) -> None:
    new, _ = convert(in_06(("physical",), level={"type": "identity"}), "0.6", target, [[(8, 8)]])
    assert new.multiscales[0].datasets[0].scale == (1, 1)


@pytest.mark.parametrize("target", ["0.1", "0.2", "0.3"])
def test_what_old_versions_only_keep_is_told_and_comes_back(target: str) -> None:
    five = read_metadata(in_04())
    axes = [{"name": n, "type": t} for n, t in zip("tczyx", ["time", "channel", *["space"] * 3], strict=True)]
    axes[4]["unit"] = "micrometer"
    transform = {"type": "scale", "scale": [1, 1, 2, 0.5, 0.5]}
    datasets = [{"path": "0", "coordinateTransformations": [transform]}]
    five = read_metadata({"multiscales": [{"version": "0.4", "axes": axes, "datasets": datasets}]})
    old, lines = convert(five, "0.4", target, [LEVELS[:1]])
    assert lines == [
        f"scale (z=2, y=0.5, x=0.5): readers of {target} will not know it; kept in 'metadata'",
        f"unit (x=micrometer): readers of {target} will not know it; kept in 'metadata'",
    ]
    again, lines = convert(stored(target, old), target, "0.4", [LEVELS[:1]])
    assert (again, lines) == (five, [])


# ---- what can't be


@pytest.mark.parametrize(
    ("axes", "target", "message"),
    [
        ("zyx", "0.2", r"axes \['z', 'y', 'x'\]: OME-Zarr 0\.2 has images of t, c, z, y, x only.*section 'axes'"),
        ("czyx", "0.1", r"write it with fmt='0\.1', or convert to 0\.3"),
        ("uyx", "0.3", r"axes \['u', 'y', 'x'\] must be t, c, z, y, x only.*section 'axes'"),
    ],
)
def test_axes_that_old_versions_have_not(axes: str, target: str, message: str) -> None:
    types = {"t": "time", "c": "channel", "u": "angle"}
    listed = [{"name": name, "type": types.get(name, "space")} for name in axes]
    transform = [{"type": "scale", "scale": [1] * len(axes)}]
    datasets = [{"path": "0", "coordinateTransformations": transform}]
    found = read_metadata({"multiscales": [{"version": "0.4", "axes": listed, "datasets": datasets}]})
    with pytest.raises(ValueError, match=message):
        convert(found, "0.4", target, [[(8,) * len(axes)]])


def test_arrays_that_have_not_the_axes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"level 0 has 2 dimensions, but the axes are \['z', 'y', 'x'\]"):
        convert(in_03(axes="zyx"), "0.3", "0.5", [[(8, 8), (4, 4)]])


@pytest.mark.parametrize("target", ["0.4", "0.5", "0.6"])
def test_wells_of_acquisitions_are_refused(target: str) -> None:
    plate = Metadata(plate=Plate(("A",), ("1",), (PlateWell("2020-10-10/A/1"),), "p"))
    with pytest.raises(ValueError, match=r"wells \['2020-10-10/A/1'\].*row/column only.*section 'plate'.*move them"):
        convert(stored("0.3", plate), "0.3", target)
    assert convert(stored("0.3", plate), "0.3", "0.1")[0].plate == plate.plate


def test_all_that_would_be_invalid_is_told() -> None:
    plate = parse_plate(["A-1", "B"], ["1"], ["B/2"], name="p")
    with pytest.raises(ValueError, match=r"plate/wells/0/path: '2' is not a column(.|\n)*plate/rows/0/name"):
        convert(Metadata(plate=plate), "0.3", "0.5")


# ---- the rest of a group


def test_indices_of_wells_come_and_go() -> None:
    plate = Metadata(plate=parse_plate("AB", "12", ["B/2"], [{"id": 0}], 1, "p"))
    new, _ = convert(stored("0.3", plate), "0.3", "0.4")
    wells = to_attributes(VERSIONS["0.4"], new)["plate"]["wells"]
    assert wells == [{"path": "B/2", "rowIndex": 1, "columnIndex": 1}]
    assert to_attributes(VERSIONS["0.1"], convert(new, "0.4", "0.1")[0])["plate"]["wells"] == [{"path": "B/2"}]


def test_an_empty_list_of_acquisitions_is_left_out() -> None:
    found = replace(parse_plate("A", "1", ["A/1"]), acquisitions=())
    assert (
        "acquisitions" not in to_attributes(VERSIONS["0.2"], convert(Metadata(plate=found), "0.4", "0.2")[0])["plate"]
    )


@pytest.mark.parametrize(
    ("channel", "window"),
    [
        ({"label": "a"}, (0, 1, 0, 1)),
        ({"color": "00FF00", "window": {"start": 3, "end": 7}}, (3, 7, 3, 7)),
        ({"window": {"min": 0, "max": 9}}, (0, 9, 0, 9)),
    ],
)
def test_channels_are_completed_where_that_is_asked_for(channel: Any, window: Any) -> None:
    metadata = replace(read_metadata(in_04()), omero=read_omero({"channels": [channel]}))
    new, lines = convert(metadata, "0.5", "0.4")
    assert new.omero is not None
    assert new.omero.channels is not None
    assert new.omero.channels[0].window == window
    assert new.omero.channels[0].color == channel.get("color", "FFFFFF")
    assert lines == ["channels 0: color and window are completed, white and 0 to 1 where nothing is stated"]
    newer = convert(metadata, "0.5", "0.6")[0].omero
    assert newer is not None
    assert newer.channels is not None
    assert (newer.channels[0].color, newer.channels[0].window) == (
        channel.get("color"),
        window if "window" in channel else None,
    )


@pytest.mark.parametrize("target", NAMES)
@pytest.mark.parametrize("source", NAMES)
def test_versions_stand_where_the_target_has_them(source: str, target: str) -> None:
    """Also where the source has not stated them all."""
    well = Metadata(well=parse_well(["0"]))
    stray = replace(well, well=replace(well.well, rest={"version": "0.3"}))  # type: ignore[type-var]
    expected = to_attributes(VERSIONS[target], well)
    assert to_attributes(VERSIONS[target], convert(stored(source, well), source, target)[0]) == expected
    assert to_attributes(VERSIONS[target], convert(replace(stray, stated=()), source, target)[0]) == expected


def test_groups_that_say_nothing_stay_so() -> None:
    assert convert(Metadata(), "0.4", "0.5") == (Metadata(), [])


# ---- there and back


def wholes(names: Any = None) -> st.SearchStrategy[tuple[Metadata, Shapes]]:
    """All that the group of an image or label image can say."""
    omero = st.sampled_from([None, Omero((Channel("a", "00FF00", (0, 9, 1, 5)),), {"id": 1})])
    label = st.sampled_from([None, parse_image_label({1: (1, 2, 3, 255)}, {1: {"a": 2}})])

    def build(pyramid: Any, omero: Any, label: Any) -> tuple[Metadata, Shapes]:
        found = image_metadata(pyramid, omero, label, rest={"lab": {"person": 7}})
        return found, [[level.shape for level in pyramid.levels]]

    return images(names, "micrometer").flatmap(
        lambda image: st.builds(
            build,
            st.builds(
                lambda method, wanted: image_pyramid(image, METHODS[method], wanted, None, ZARR_V3),
                methods,
                factors(image),
            ),
            omero,
            label,
        )
    )


def through(metadata: Metadata, shapes: Shapes, versions: list[str]) -> tuple[Metadata, list[str]]:
    """Return metadata after conversions, each stored and read, and all that was lost, beside what is only kept."""
    found, told = stored(versions[0], metadata), []
    for source, target in pairwise(versions):
        new, lines = convert(found, source, target, shapes)
        check_attributes(to_attributes(VERSIONS[target], new), target)
        found = stored(target, new)
        told += [line for line in lines if not line.endswith("kept in 'metadata'")]
    return found, told


@pytest.mark.extended
@law(max_examples=60)
@given(wholes(st.just("tczyx")), st.lists(st.sampled_from(NAMES), min_size=1, max_size=6))
def test_five_axes_come_back_from_any_versions(whole: Any, versions: list[str]) -> None:
    metadata, shapes = whole
    found, told = through(metadata, shapes, ["0.6", *versions, "0.6"])
    assert (found, told) == (stored("0.6", metadata), [])


@pytest.mark.extended
@law(max_examples=60)
@given(wholes(), st.lists(st.sampled_from(["0.3", "0.4", "0.5", "0.6"]), min_size=1, max_size=6))
def test_any_axes_come_back_from_versions_that_have_them(whole: Any, versions: list[str]) -> None:
    metadata, shapes = whole
    found, told = through(metadata, shapes, ["0.4", *versions, "0.4"])
    assert (found, told) == (stored("0.4", metadata), [])


def test_a_name_of_a_system_is_lost_and_that_is_told() -> None:
    found, told = through(in_06(), [[(8, 8)]], ["0.6", "0.5", "0.6"])
    assert told == ["lost: 0.5 has no name for the coordinate system 'world'"]
    assert isinstance(found.multiscales[0], Multiscale)
    assert found.multiscales[0].placed == in_06().multiscales[0].placed
