"""Coordinate systems of the caller's and of files: positions in them are those of others, and mistakes cost nothing."""

import sys
import warnings
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import zarr
from hypothesis import given, strategies as st
from zarr.storage import MemoryStore

import daskome
from daskome.model.problem import errors
from tests.strategies import law

IMAGE = np.random.default_rng(0).integers(0, 99, (6, 7, 8)).astype("int16")
SIZES = st.lists(st.floats(0.2, 5), min_size=3, max_size=3)
SHIFT = st.lists(st.floats(-99, 99), min_size=3, max_size=3)
FORMS = st.sampled_from(["sform", "qform", "both"])
PIXDIM = st.none() | st.lists(st.floats(0.25, 5, width=32), min_size=3, max_size=3)
YX = [{"name": name, "type": "space", "unit": "micrometer"} for name in "yx"]
PLANE = np.zeros((16, 16), "uint8")


def multiscale(store: Any, path: str = "") -> Any:
    return zarr.open_group(store, path=path, mode="r").attrs["ome"]["multiscales"][0]


def applied(transform: dict[str, Any], point: Any) -> Any:
    """Apply a transformation of ours as it is stored, with ome-zarr-models where it is there."""
    if sys.version_info < (3, 12):
        pytest.skip("ome-zarr-models needs Python 3.12")
    from ome_zarr_models.v06.coordinate_transforms import AnyTransform
    from pydantic import TypeAdapter

    ends = {"input": {"name": "a"}, "output": {"name": "b"}}
    return TypeAdapter(AnyTransform).validate_python({**transform, **ends}).transform_point(point)


def affines() -> st.SearchStrategy[Any]:
    """Return a strategy for affines of any direction, oblique, mirrored and sheared, that can be undone."""
    angles = st.lists(st.floats(-3, 3), min_size=3, max_size=3)

    def affine(angles: list[float], sizes: list[float], shift: list[float], mirrored: bool, shear: float) -> Any:
        turned = nibabel.eulerangles.euler2mat(*angles) @ np.diag([sizes[0] * (-1 if mirrored else 1), *sizes[1:]])
        return nibabel.affines.from_matvec(turned @ np.array([[1, shear, 0], [0, 1, 0], [0, 0, 1]]), shift)

    return st.builds(affine, angles, SIZES, SHIFT, st.booleans(), st.sampled_from([0.0, 0.0, 0.5]))


def saved(
    path: Path,
    affine: Any,
    codes: tuple[int, int] = (1, 0),
    other: Any = None,
    image: Any = IMAGE,
    pixdim: Any = None,
) -> Path:
    """Save an image; its pixdim is that of its qform, the one that is given, or that of its sform."""
    nifti = nibabel.Nifti1Image(image.T, None)
    nifti.header["pixdim"][1:4] = nibabel.affines.voxel_sizes(affine) if pixdim is None else pixdim
    nifti.set_sform(affine, codes[0])
    nifti.set_qform(other, codes[1])
    nifti.header.set_xyzt_units("mm", "sec")
    nibabel.save(nifti, path)
    return path


@law(24)
@given(affine=affines(), series=st.booleans(), scale=st.sampled_from([None, {"x": 3.0}]), pixdim=PIXDIM)
def test_voxels_lie_where_nibabel_says(
    tmp_path_factory: pytest.TempPathFactory, affine: Any, series: bool, scale: Any, pixdim: Any
) -> None:
    """From the file to the stored document, whose transformations another program applies; every level follows."""
    image = np.stack([IMAGE, IMAGE]) if series else IMAGE
    path = saved(tmp_path_factory.mktemp("nifti") / "a.nii", affine, image=image, pixdim=pixdim)
    store = MemoryStore()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*not written: (position|its pixdim)", UserWarning)
        daskome.write_image(daskome.read(path), store, [2], fmt="0.6", scale=scale)
    assert errors(daskome.validate(store)) == []
    stored, affine = multiscale(store), nibabel.load(path).affine
    (link,) = stored["coordinateTransformations"]
    assert (link["input"], link["output"]) == ({"name": "physical"}, {"name": "scanner"})
    for dataset, factor in zip(stored["datasets"], (1, 2), strict=True):
        for index in ((0, 0, 0), (2, 1, 3)):
            voxel = [0.0] * series + [float(i) for i in index]
            point = applied(link, applied(dataset["coordinateTransformations"][0], voxel))
            finest = [i * factor + (factor - 1) / 2 for i in index[::-1]]
            want = nibabel.affines.apply_affine(affine, finest)[::-1]
            assert np.allclose(point[series:], want, rtol=0, atol=2e-4)
            system = daskome.open(store, level=dataset["path"]).systems["scanner"]  # type: ignore[union-attr]
            assert np.allclose(system.positions(voxel), point, rtol=0, atol=1e-9)
    axes = stored["coordinateSystems"][1]["axes"][series:]
    assert [axis["longName"] for axis in axes] == ["inferior to superior", "posterior to anterior", "left to right"]
    assert {axis["unit"] for axis in axes} == {"millimeter"}


@law(24)
@given(affine=affines(), pixdim=PIXDIM, form=FORMS, version=st.sampled_from(["0.4", "0.5"]))
def test_scale_and_translation_are_those_of_the_affine_of_nibabel(
    tmp_path_factory: pytest.TempPathFactory, affine: Any, pixdim: Any, form: str, version: str
) -> None:
    """Along its axis each voxel lies where nibabel has it, whatever the pixdim says, which is named where it differs."""
    codes = {"sform": (1, 0), "qform": (0, 1), "both": (2, 1)}[form]
    other = nibabel.affines.from_matvec(np.diag(pixdim or [1, 2, 3]), [1, 2, 3])
    path = saved(tmp_path_factory.mktemp("nifti") / "a.nii", affine, codes, other if codes[1] else None, pixdim=pixdim)
    affine = nibabel.load(path).affine
    source, store = daskome.read(path), MemoryStore()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*not written: ", UserWarning)
        daskome.write_image(source, store, None, fmt=version)
    attributes = zarr.open_group(store, mode="r").attrs
    (stored,) = attributes.get("ome", attributes)["multiscales"]
    said = {t["type"]: t[t["type"]][::-1] for t in stored["datasets"][0]["coordinateTransformations"]}
    scale, translation = said["scale"], said.get("translation", [0, 0, 0])
    ways = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    for index in ((0, 0, 0), (7, 0, 0), (0, 6, 0), (0, 0, 5)):
        along = ways.T @ nibabel.affines.apply_affine(affine, index)
        i = [k for k in range(3) if index[k]] or [0, 1, 2]
        assert np.allclose((np.array(translation) + np.array(scale) * index)[i], along[i], rtol=1e-5, atol=2e-4)
    differs = not np.allclose(scale, nibabel.load(path).header["pixdim"][1:4], rtol=1e-5, atol=0)
    assert any("its pixdim" in note for note in source.left) == (differs and form == "sform")


@pytest.mark.parametrize(
    ("codes", "other", "names"),
    [
        ((1, 0), None, ["scanner"]),
        ((4, 1), np.diag([2, 2, 2, 1]), ["mni", "scanner"]),
        ((0, 2), np.diag([2, 2, 2, 1]), ["aligned"]),
        ((3, 3), np.diag([1, 2, 3, 1]), ["talairach"]),
        ((3, 3), np.diag([2, 2, 2, 1]), ["talairach", "talairach (qform)"]),
        ((0, 0), None, []),
    ],
)
def test_systems_have_the_names_of_nifti(tmp_path: Path, codes: Any, other: Any, names: list[str]) -> None:
    source = daskome.read(saved(tmp_path / "a.nii", np.diag([1, 2, 3, 1]), codes, other))
    assert [system.name for system in source.systems] == names


def test_what_a_version_cannot_say_is_named(tmp_path: Path) -> None:
    oblique = nibabel.affines.from_matvec(nibabel.eulerangles.euler2mat(0.1, 0.2, 0.3), [1, 2, 3])
    source = daskome.read(saved(tmp_path / "a.nii", oblique))
    with pytest.warns(UserWarning, match=r"not written: the (exact directions|orientation) .*x \("):
        daskome.write_image(source, MemoryStore(), fmt="0.5")
    daskome.write_image(source, MemoryStore(), fmt="0.6")


@pytest.mark.parametrize(("size", "n_lost"), [(3, 0), (4, 1)])
def test_of_two_forms_the_one_that_scale_and_translation_do_not_say_is_named(
    tmp_path: Path, size: float, n_lost: int
) -> None:
    path = saved(tmp_path / "a.nii", np.diag([1, 2, 3, 1]), (4, 1), np.diag([1, 2, size, 1]))
    for version, n in (("0.6", 0), ("0.5", n_lost)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            daskome.write_image(daskome.read(path), MemoryStore(), fmt=version)
        assert len(caught) == n
        assert all(
            "its qform ('scanner'), which places voxels otherwise than its sform" in str(w.message) for w in caught
        )


@law(12)
@given(affine=affines())
def test_a_plane_keeps_its_place_in_space(tmp_path_factory: pytest.TempPathFactory, affine: Any) -> None:
    """By a transformation to one axis more than it has, which goes along to copies; before 0.6 that is named."""
    folder = tmp_path_factory.mktemp("nifti")
    path = saved(folder / "a.nii", affine, image=IMAGE[0])
    daskome.write_image(daskome.read(path), folder / "a.zarr", [2], fmt="0.6")
    daskome.write_image(daskome.read(folder / "a.zarr"), folder / "b.zarr", fmt="0.6")
    for one in (folder / "a.zarr", folder / "b.zarr"):
        assert errors(daskome.validate(one)) == []
        scanner = daskome.open(one).systems["scanner"]  # type: ignore[union-attr]
        assert scanner.dims == ("z", "y", "x")
        want = nibabel.affines.apply_affine(nibabel.load(path).affine, [3, 5, 0])[::-1]
        assert np.allclose(scanner.positions([5, 3]), want, rtol=0, atol=2e-4)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        daskome.write_image(daskome.read(path), MemoryStore(), fmt="0.5")
        daskome.write_image(daskome.read(folder / "a.zarr"), MemoryStore(), fmt="0.5")
    off = abs(np.cross(*affine[:3, :2].T) @ affine[:3, 3]) > 1e-3
    oblique = np.count_nonzero(np.round(affine[:3, :2] / np.linalg.norm(affine[:3, :2], axis=0), 4)) > 2
    for named in ["position z="] * bool(off) + ["the exact directions"] * bool(oblique):
        assert named in str(caught[0].message)
    assert "coordinate system 'scanner', and the transformation to it" in str(caught[-1].message)


def test_the_singular_affine_of_a_file_is_none_of_its_systems(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.nii", np.eye(4))
    header = bytearray(path.read_bytes())
    header[280:296] = bytes(16)  # srow_x
    path.write_bytes(header)
    source = daskome.read(path)
    assert source.systems == ()
    assert source.left == ("its sform, a matrix that is singular or not finite",)


def test_forms_that_differ_by_rounding_are_one() -> None:
    """A file of FSL, whose sform and qform are 0.0004 mm apart; its voxels are 2 mm."""
    path = Path(nibabel.__file__).parent / "tests/data/example_nifti2.nii.gz"
    (system,) = daskome.read(path).systems
    assert (system.name, system.note[:20]) == ("scanner", "the exact directions")


def spoilt(path: Path, **fields: Any) -> Path:
    """Overwrite bytes of a header, which nibabel would not write."""
    places = {"pixdim": 76, "quaternion": 256, "srow_x": 280, "srow_y": 296, "srow_z": 312}
    content = bytearray(path.read_bytes())
    for name, values in fields.items():
        stored = np.array(values, "<f4").tobytes()
        content[places[name] : places[name] + len(stored)] = stored
    path.write_bytes(content)
    return path


def test_sizes_that_a_header_does_not_state_are_none(tmp_path: Path) -> None:
    """Where nibabel makes 1 of 0 in a pixdim, that is no size; the sform has one in any case."""
    path = spoilt(saved(tmp_path / "a.nii", np.eye(4), (0, 0)), pixdim=[1, 0, 0, 2.5])
    assert daskome.read(path).scale == {"z": 2.5}
    path = spoilt(saved(tmp_path / "b.nii", np.diag([2, 3, 4, 1])), pixdim=[1, 0, np.nan, 4])
    source = daskome.read(path)
    assert (source.scale, source.left) == ({"z": 4, "y": 3, "x": 2}, ())


def test_of_a_form_that_places_nothing_the_other_takes_the_place(tmp_path: Path) -> None:
    qform = nibabel.affines.from_matvec(np.diag([-2, 3, 4]), [5, 6, 7])
    path = spoilt(saved(tmp_path / "a.nii", np.eye(4), (1, 1), qform), srow_x=[0, 0, 0, 9])
    source = daskome.read(path)
    assert (source.scale, source.translation) == ({"z": 4, "y": 3, "x": 2}, {"z": 7, "y": 6, "x": -5})
    assert source.orientations["x"] == "right-to-left"
    assert [system.name for system in source.systems] == ["scanner"]
    assert source.left == ("its sform, a matrix that is singular or not finite",)
    path = spoilt(saved(tmp_path / "b.nii", np.eye(4), (1, 1), qform), quaternion=[1, 1, 1])
    source = daskome.read(path)
    assert source.left == (
        "its pixdim, x=2, y=3, z=4, which is not the voxel size of its sform",
        "its qform, a matrix that is singular or not finite",
    )
    assert (source.scale, source.translation) == ({"z": 1, "y": 1, "x": 1}, {})


def test_what_the_third_axis_of_a_plane_is_does_not_matter(tmp_path: Path) -> None:
    path = spoilt(saved(tmp_path / "a.nii", np.diag([2, 3, 4, 1]), image=IMAGE[0]), srow_z=[0, 0, 0, 9])
    source = daskome.read(path)
    assert [system.note for system in source.systems] == ["position z=9 mm (the image has no such axis)"]
    assert source.left == ()


# The caller's


def test_a_matrix_of_space_leaves_the_other_axes_alone() -> None:
    store, image = MemoryStore(), np.zeros((2, 3, 4, 5), "uint8")
    matrix = np.array([[0, 0, 2, 5], [0, 3, 0, 6], [4, 0, 0, 7.0]])
    options = {"axes": "czyx", "scale": (1, 2, 0.5, 0.5), "axes_units": "um", "fmt": "0.6"}
    labels = {"cells": {"labels": image[0], "coordinate_systems": {"own": np.eye(4)}}}
    daskome.write_image(image, store, None, coordinate_systems={"stage": matrix}, labels=labels, **options)
    (link,) = multiscale(store)["coordinateTransformations"]
    assert applied(link, [1, 1, 1, 1]) == (1, 7, 9, 11)
    stage = daskome.open(store).systems["stage"]  # type: ignore[union-attr]
    assert stage.positions([1, 1, 1, 1]).tolist() == [1, 6, 7.5, 15]
    own, inherited = multiscale(store, "labels/cells")["coordinateTransformations"]
    assert (own["output"], inherited["output"]) == ({"name": "own"}, {"name": "stage"})
    assert applied(inherited, [1, 1, 1]) == (7, 9, 11)
    daskome.write_labels(image[:1], store, "later")
    assert multiscale(store, "labels/later")["coordinateTransformations"] == [link]
    daskome.write_labels(image[0], store, "flat", axes="zyx")
    assert multiscale(store, "labels/flat")["coordinateTransformations"] == [inherited]
    assert errors(daskome.validate(store)) == []


def listed(name: str = "intrinsic", **link: Any) -> dict[str, Any]:
    step = {"type": "rotation", "rotation": [[0, -1], [1, 0]], "input": {"name": name}, "output": {"name": "stage"}}
    systems = [{"name": "stage", "axes": YX}, {"name": "intrinsic", "axes": YX}]
    return {"coordinate_systems": systems, "coordinate_transformations": [{**step, **link}]}


def test_json_of_the_specification_is_taken_as_it_is() -> None:
    store, given_ = MemoryStore(), listed()
    daskome.write_image(PLANE, store, [2], axes_units="micrometer", fmt="0.6", **given_)
    stored = multiscale(store)
    assert stored["coordinateSystems"] == given_["coordinate_systems"][::-1]
    assert stored["coordinateTransformations"] == given_["coordinate_transformations"]
    assert {d["coordinateTransformations"][0]["output"]["name"] for d in stored["datasets"]} == {"intrinsic"}
    back = listed("stage", output={"name": "intrinsic"})
    daskome.write_image(PLANE, store, [2], axes_units="micrometer", overwrite=True, **back)
    found = daskome.open(store).systems  # type: ignore[union-attr]
    assert list(found) == ["intrinsic", "stage"]
    assert np.allclose(found["stage"].positions([1, 2]), [2, -1])


def test_levels_lie_where_transformations_start(tmp_path: Path) -> None:
    """What is called "physical" is the world where levels are "intrinsic"; other names say nothing."""
    for world, own in (("physical", "intrinsic"), ("stage", "pixels"), ("pixels", "stage")):
        link = {"type": "affine", "affine": [[0, 2, 5], [3, 0, 7]], "input": {"name": own}, "output": {"name": world}}
        systems = [
            {"name": name, "axes": YX} for name in ("pixels", "stage", "physical", "intrinsic") if name in (world, own)
        ]
        given_: Any = {"coordinate_systems": systems, "coordinate_transformations": [link]}
        store = MemoryStore()
        daskome.write_image(PLANE, store, axes="yx", axes_units="um", fmt="0.6", **given_)
        assert multiscale(store)["datasets"][0]["coordinateTransformations"][0]["output"] == {"name": own}
        assert daskome.open(store).systems[world].positions([1, 0]).tolist() == [5, 10]  # type: ignore[union-attr]


def test_a_system_called_physical_that_is_not_that_of_the_levels_is_kept(tmp_path: Path) -> None:
    """Levels of other programs lie in "intrinsic", as ngff-zarr's do; copies and labels of theirs follow."""
    path, copy, more = tmp_path / "a.ome.zarr", MemoryStore(), MemoryStore()
    link = {"type": "scale", "scale": [2, 3], "input": {"name": "intrinsic"}, "output": {"name": "physical"}}
    systems = [{"name": name, "axes": YX} for name in ("intrinsic", "physical")]
    options: Any = {"axes": "yx", "axes_units": "um", "fmt": "0.6"}
    daskome.write_image(PLANE, path, coordinate_systems=systems, coordinate_transformations=[link], **options)
    daskome.write_image(daskome.read(path), copy, fmt="0.6")
    daskome.write_image(daskome.read(path), more, fmt="0.6", coordinate_systems={"intrinsic": np.diag([4, 5, 1])})
    daskome.write_labels(PLANE, path, "cells")
    for store, at in ((copy, ""), (more, ""), (path, "labels/cells")):
        assert multiscale(store, at)["coordinateTransformations"][-1]["output"] == {"name": "physical"}
        found = daskome.open(zarr.open_group(store, path=at, mode="r")).systems  # type: ignore[union-attr]
        assert found["physical"].positions([1, 1]).tolist() == [2, 3]
    assert found.keys() == {"intrinsic", "physical"}
    assert daskome.open(more).systems["intrinsic"].positions([1, 1]).tolist() == [4, 5]  # type: ignore[union-attr]
    assert errors(daskome.validate(path)) == errors(daskome.validate(more)) == []


def test_listed_axes_agree_with_oriented_ones() -> None:
    """An orientation that the file or the call says need not be listed again; one that is listed must be so."""
    store = MemoryStore()
    daskome.write_image(PLANE, store, axes_units="um", orientation={"y": "A"}, fmt="0.6", **listed())
    (own, _) = multiscale(store)["coordinateSystems"]
    assert own["axes"][0]["orientation"]["value"] == "posterior-to-anterior"
    wrong = listed()
    wrong["coordinate_systems"][1] = {"name": "intrinsic", "axes": [{**YX[0], "orientation": "S"}, {**YX[1]}]}
    message = "axes y space micrometer inferior-to-superior, .* has y space micrometer, .* and orientation"
    with pytest.raises(ValueError, match=message):
        daskome.write_image(PLANE, store, axes_units="um", fmt="0.6", overwrite=True, **wrong)
    wrong["coordinate_systems"][1] = {"name": "intrinsic", "axes": YX, "note": 1}
    with pytest.raises(ValueError, match="a name and axes alone; leave 'note' out"):
        daskome.write_image(PLANE, store, axes_units="um", fmt="0.6", overwrite=True, **wrong)


def turned_volume(path: Path, n_planes: int) -> Any:
    """Return an oblique volume of so many planes, and the affine that nibabel has for it."""
    affine = nibabel.affines.from_matvec(nibabel.eulerangles.euler2mat(0.1, 0.2, 0.3) @ np.diag([1, 2, 3]), [4, 5, 6])
    path = saved(path, affine, image=IMAGE[:n_planes])
    return daskome.read(path), nibabel.load(path).affine


@pytest.mark.skipif(sys.version_info < (3, 12), reason="ome-zarr-models needs Python 3.12")
def test_others_find_a_plane_valid(tmp_path: Path) -> None:
    import ome_zarr_models
    from ngff_zarr.validate import validate

    (volume, _), plane = turned_volume(tmp_path / "a.nii", 1), saved(tmp_path / "b.nii", np.eye(4), image=IMAGE[0])
    first, second = MemoryStore(), MemoryStore()
    daskome.write_image(volume, first, None, fmt="0.6", labels={"flat": {"labels": PLANE[:7, :8], "axes": "yx"}})
    daskome.write_image(daskome.read(plane), second, None, fmt="0.6")
    for store, path in ((first, ""), (first, "labels/flat"), (second, "")):
        group = zarr.open_group(store, path=path, mode="r")
        validate(group.attrs.asdict(), version="0.6", model="image", strict=True)
        assert ome_zarr_models.open_ome_zarr(group, version="0.6") is not None
        assert "scanner" in daskome.open(group).systems  # type: ignore[union-attr]


@pytest.mark.parametrize("together", [True, False])
def test_flat_labels_of_one_plane_lie_in_it(tmp_path: Path, together: bool) -> None:
    """Without an axis z, in all three axes of the body, as their image; written with it, or later."""
    (volume, affine), store, flat = turned_volume(tmp_path / "a.nii", 1), MemoryStore(), PLANE[:7, :8]
    both: Any = {"labels": {"cells": {"labels": flat, "axes": "yx"}}} if together else {}
    daskome.write_image(volume, store, None, fmt="0.6", **both)
    if not together:
        daskome.write_labels(flat, store, "cells", axes="yx")
    assert errors(daskome.validate(store)) == []
    scanner = daskome.open(zarr.open_group(store, path="labels/cells", mode="r")).systems["scanner"]  # type: ignore[union-attr]
    want = nibabel.affines.apply_affine(affine, [3, 2, 0])[::-1]
    assert scanner.dims == ("z", "y", "x")
    assert np.allclose(scanner.positions([2, 3]), want, rtol=0, atol=2e-4)
    daskome.write_labels(flat[None], store, "one plane")
    scanner = daskome.open(zarr.open_group(store, path="labels/one plane", mode="r")).systems["scanner"]  # type: ignore[union-attr]
    assert scanner.dims == ("z", "y", "x")


def test_flat_labels_of_many_planes_name_the_systems_that_they_cannot_have(tmp_path: Path) -> None:
    (volume, _), store, flat = turned_volume(tmp_path / "a.nii", 6), MemoryStore(), PLANE[:7, :8]
    stage = {"stage": {"type": "translation", "translation": [0, 1, 2]}}
    daskome.write_image(volume, store, None, fmt="0.6", coordinate_systems=stage)
    lost = "coordinate systems 'scanner' of the image that these labels are of, which need axes"
    with pytest.warns(UserWarning, match=lost):
        daskome.write_labels(flat, store, "cells", axes="yx")
    assert list(daskome.open(zarr.open_group(store, path="labels/cells", mode="r")).systems) == ["physical", "stage"]  # type: ignore[union-attr]
    daskome.write_labels(flat, store, "placed", axes="yx", coordinate_systems={"scanner": np.eye(3)})
    with pytest.warns(UserWarning, match=lost.replace("'scanner'", "'stage', 'scanner'")):
        daskome.write_labels(flat, store, "odd", axes=["y", {"name": "w", "type": "space"}], fmt="0.6")


def test_without_orientation_no_axis_says_where_it_leads(tmp_path: Path) -> None:
    """Whatever a file, a store or the image of labels says, of any system, in words too; voxels lie where they did."""
    (volume, affine), path, copy, last = (
        turned_volume(tmp_path / "a.nii", 6),
        tmp_path / "a",
        tmp_path / "b",
        MemoryStore(),
    )
    own = {"own": {"axes": [{"name": n, "type": "space", "orientation": "S" if n == "z" else None} for n in "zyx"]}}
    daskome.write_image(volume, path, None, fmt="0.6")
    assert [word in str(multiscale(path)) for word in ("left-to-right", "left to right")] == [True, True]
    daskome.write_image(volume, copy, None, fmt="0.6", orientation=False)
    daskome.write_image(daskome.read(path), last, None, fmt="0.6", orientation=False, coordinate_systems=own)
    daskome.write_labels(IMAGE.astype("uint8"), path, "cells", orientation=False)
    for store, at in ((path, "labels/cells"), (copy, ""), (last, "")):
        stored = multiscale(store, at)
        stored["coordinateSystems"] = [one for one in stored["coordinateSystems"] if one["name"] != "own"]
        assert not [word for word in ("orientation", "-to-", " to ") if word in str(stored)], stored
        found = daskome.open(zarr.open_group(store, path=at, mode="r")).systems["scanner"]  # type: ignore[union-attr]
        want = nibabel.affines.apply_affine(affine, [3, 2, 1])[::-1]
        assert np.allclose(found.positions([1, 2, 3]), want, rtol=0, atol=2e-4)
    (z, *_) = daskome.open(last).systems["own"].axes  # type: ignore[union-attr]
    assert z.orientation == "inferior-to-superior"


LINK = {"type": "identity", "input": {"name": "physical"}, "output": {"name": "a"}}
DOUBTFUL: list[tuple[dict[str, Any], str]] = [
    ({"coordinate_systems": {"a": [[1, 1, 0], [1, 1, 0]]}}, r"coordinate_systems\['a'\] is singular"),
    ({"coordinate_systems": {"a": {"type": "affine", "affine": [[1, 1, 0], [1, 1, 0]]}}}, "affine: is singular"),
    ({"coordinate_systems": {"a": np.eye(4)}}, r"\['a'\] has 3 rows of 4 numbers; an affine matrix has 2 rows of 3"),
    ({"coordinate_systems": {"a": [[1, 0, np.nan], [0, 1, 0]]}}, "finite numbers"),
    ({"coordinate_systems": {"a": "turned"}}, "neither a matrix nor a transformation"),
    ({"coordinate_systems": {"a": {"affine": [[1, 0, 0], [0, 1, 0]]}}}, "unknown key .* 'affine'"),
    ({"coordinate_systems": {"a": {"type": "warp"}}}, "coordinateTransformations/0/type: is 'warp'"),
    ({"coordinate_systems": {"a": {"type": "scale", "scale": [1]}}}, "0/scale: has 1 values, but there are 2 axes"),
    ({"coordinate_systems": {"a": {"type": "rotation", "rotation": [[2, 0], [0, 1]]}}}, "orthonormal"),
    ({"coordinate_systems": {"physical": np.eye(3)}}, "'physical' is that of the levels"),
    ({"coordinate_systems": {1: np.eye(3)}}, "1 is not a name"),
    ({"coordinate_systems": ["a"]}, "must be lists of dicts"),
    ({"coordinate_systems": [{"name": "a"}]}, r"coordinate_systems\[0\] must have a name and a list of axes"),
    ({"coordinate_systems": [{"name": "a", "axes": YX}]}, "no coordinateTransformations connect 'a'"),
    ({"coordinate_transformations": [LINK]}, "0/output/name: 'a' is not a coordinate system"),
    ({"coordinate_systems": {"a": np.eye(3)}, "coordinate_transformations": [LINK]}, "leave coordinate_trans"),
    ({"coordinate_systems": [{"name": "a", "axes": YX}], "coordinate_transformations": [LINK, {**LINK, "name": "b"}]},
     "coordinateTransformations/1: closes a circle"),
    ({"coordinate_systems": [{"name": "a", "axes": YX}], "coordinate_transformations": [
        LINK, {**LINK, "output": {"name": "physical"}}]}, "coordinateTransformations/1: closes a circle"),
    ({**listed(), "axes_units": "nm"}, "'intrinsic' is that of the levels and has axes y space micrometer"),
    ({"coordinate_systems": {"a": np.eye(3)}, "fmt": "0.5"}, "OME-Zarr 0.5 has no coordinate systems besides"),
    ({"coordinate_systems": {"a": np.eye(3)}, "fmt": None}, "write it with fmt='0.6'"),
]  # fmt: skip


@pytest.mark.parametrize(("wrong", "message"), DOUBTFUL)
def test_a_mistake_is_an_error_before_anything_is_written(tmp_path: Path, wrong: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        daskome.write_image(PLANE, tmp_path / "a.zarr", **{"axes": "yx", "fmt": "0.6", **wrong})
    assert not (tmp_path / "a.zarr").exists()


def test_what_is_lost_on_the_way_down_is_said_and_the_rest_comes_back() -> None:
    store = MemoryStore()
    daskome.write_image(PLANE, store, [2], axes_units="um", fmt="0.6", coordinate_systems={"stage": np.eye(3)})
    before = multiscale(store)
    lines = daskome.convert_metadata(store, "0.5")
    assert [line.partition("lost: ")[2] for line in lines if "lost" in line] == [
        "0.5 has no coordinate systems besides that of the levels, as 'stage'",
        "0.5 has no transformations between coordinate systems, 1 of them",
    ]
    assert errors(daskome.validate(store)) == []
    daskome.convert_metadata(store, "0.6")
    after = multiscale(store)
    assert before.pop("coordinateTransformations")
    assert before.pop("coordinateSystems")[:1] == after.pop("coordinateSystems")
    assert before == after


@pytest.mark.skipif(sys.version_info < (3, 12), reason="ome-zarr-models needs Python 3.12")
def test_others_find_it_valid() -> None:
    import ome_zarr_models
    from ngff_zarr.validate import validate

    store = MemoryStore()
    steps = [{"type": "translation", "translation": [1, 2]}, {"type": "scale", "scale": [2, 3]}]
    by = [
        {"inputAxes": [0], "outputAxes": [1], "transformation": {"type": "scale", "scale": [2]}},
        {"inputAxes": [1], "outputAxes": [0], "transformation": {"type": "translation", "translation": [4]}},
    ]
    systems = {
        "affine": [[1, 2, 3], [4, 5, 6]],
        "turned": {"type": "rotation", "rotation": [[0, -1], [1, 0]]},
        "steps": {"axes": YX, "transformation": {"type": "sequence", "transformations": steps}},
        "by axis": {"type": "byDimension", "transformations": by},
    }
    daskome.write_image(PLANE, store, [2], axes_units="um", fmt="0.6", coordinate_systems=systems)
    validate(zarr.open_group(store).attrs.asdict(), version="0.6", model="image", strict=True)
    assert ome_zarr_models.open_ome_zarr(zarr.open_group(store, mode="r"), version="0.6") is not None
    found = daskome.open(store).systems  # type: ignore[union-attr]
    for link in multiscale(store)["coordinateTransformations"]:
        assert np.allclose(found[link["output"]["name"]].positions([3, 5]), applied(link, [3, 5]))


def test_systems_of_a_stored_image_go_with_its_pixels(tmp_path: Path) -> None:
    """With one level of it alone, too; what cannot go is named."""
    path, second, third = tmp_path / "a.ome.zarr", MemoryStore(), MemoryStore()
    image, folder = np.zeros((2, 16, 16), "uint8"), {"axes": "cyx", "fmt": "0.6", "axes_units": "um"}
    systems = {"stage": [[0, -2, 5], [3, 0, 1]], "mixed": {"type": "mapAxis", "mapAxis": [0, 2, 1]}}
    systems["odd"] = {"type": "affine", "affine": [[1, 0, 0, 0], [0, 1, 0, 0], [1, 0, 1, 0]]}
    daskome.write_image(image, path, [2], scale=(1, 0.5, 0.5), coordinate_systems=systems, **folder)
    with pytest.warns(UserWarning, match="not written: coordinate systems 'odd', and transformations to them"):
        daskome.write_image(daskome.read(path), second, [2], fmt="0.6")
    before, after = (daskome.open(store).systems for store in (path, second))  # type: ignore[union-attr]
    assert sorted(after) == ["mixed", "physical", "stage"]
    for name, system in after.items():
        assert np.allclose(system.positions([1, 3, 4]), before[name].positions([1, 3, 4]))
        assert system.axes == before[name].axes
    with pytest.warns(UserWarning, match="coordinate system 'stage', and the transformation to it"):
        daskome.write_image(daskome.read(path), third, [2], fmt="0.5")
