"""Images of 0.6 with several coordinate systems, drafts of it, and scenes: read, labelled, converted and validated."""

from copy import deepcopy
from itertools import permutations
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.storage import MemoryStore

import daskome
from daskome import add_levels, convert_metadata, transcode, validate, write_image, write_labels, write_plate
from daskome.inspection.describe import describe
from daskome.inspection.stored_image import read_pyramid
from daskome.inspection.verify import verify
from daskome.model.problem import errors

IMAGE = np.random.default_rng(0).integers(0, 99, (4, 32, 48)).astype("uint8")
MICROMETERS = {"axes_units": "micrometer", "scale": (2, 0.5, 0.5)}


def edit(store: MemoryStore, change: Any, path: str = "") -> None:
    """Change what stands under ``ome`` in a group."""
    group = zarr.open_group(store, path=path, mode="r+")
    ome = deepcopy(group.attrs["ome"])
    change(ome)
    group.attrs["ome"] = ome


def written(**options: Any) -> MemoryStore:
    store = MemoryStore()
    write_image(IMAGE, store, [2], axes="zyx", fmt="0.6", **MICROMETERS, **options)
    return store


def space(names: str) -> list[dict[str, str]]:
    return [{"name": name, "type": "space", "unit": "micrometer"} for name in names]


FLAT = {"name": "flat", "axes": space("yx")}
TURNED = {"name": "turned", "axes": space("xyz")}
LINKS = [
    {"type": "projectAxis", "droppedInputs": [0], "input": {"name": "physical"}, "output": {"name": "flat"}},
    {"type": "mapAxis", "mapAxis": [2, 1, 0], "input": {"name": "turned"}, "output": {"name": "physical"}},
]


@pytest.mark.sampled(3)
@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_place_of_a_system_in_the_list_means_nothing(order: tuple[int, ...]) -> None:
    """Axes, labels, added levels and conversion are those of the system that the levels end in."""
    store = written()

    def linked(ome: Any) -> None:
        image = ome["multiscales"][0]
        systems = [*image["coordinateSystems"], deepcopy(FLAT), deepcopy(TURNED)]
        image |= {"coordinateSystems": [systems[i] for i in order], "coordinateTransformations": deepcopy(LINKS)}

    edit(store, linked)
    assert errors(validate(store)) == []
    assert verify(store, pixels=True) == []
    assert "axes: z space micrometer, y space micrometer, x space micrometer" in describe(store)
    assert [axis.name for axis in read_pyramid(store).axes] == list("zyx")
    write_labels((IMAGE > 50).astype("uint8"), store, "bright")
    assert [axis.name for axis in read_pyramid(zarr.open_group(store, path="labels/bright")).axes] == list("zyx")
    add_levels(store, [4])
    assert errors(validate(store)) == []
    lines = convert_metadata(store, "0.5")
    assert any("lost: 0.5 has no coordinate systems besides that of the levels" in line for line in lines)
    assert [axis["name"] for axis in zarr.open_group(store).attrs["ome"]["multiscales"][0]["axes"]] == list("zyx")


def test_levels_that_end_nowhere_are_an_error_with_its_place() -> None:
    store = written()
    edit(store, lambda ome: ome["multiscales"][0]["coordinateSystems"].__setitem__(0, FLAT))
    edit(store, lambda ome: ome["multiscales"][0]["coordinateSystems"].append(TURNED))
    message = "datasets/0/coordinateTransformations/0/output/name: 'physical' is not a coordinate system"
    with pytest.raises(ValueError, match=message):
        convert_metadata(store, "0.5")
    assert message in str(errors(validate(store))[0])


# Drafts of a version


@pytest.mark.parametrize("draft", ["0.6rc0", "0.6.dev4", "0.6-rc.1", "0.6dev1"])
def test_a_draft_is_read_as_its_version(draft: str) -> None:
    store = MemoryStore()
    write_plate({"A/1": [IMAGE]}, store, [2], axes="zyx", fmt="0.6", **MICROMETERS)
    for path in ("", "A/1", "A/1/0"):
        edit(store, lambda ome: ome.update(version=draft), path)
    problems = validate(store)
    assert [problem.where for problem in problems if "that of the release" in problem.message] == [
        "version", "A/1 version", "A/1/0 version",
    ]  # fmt: skip
    assert errors(problems) == []
    write_labels((IMAGE > 50).astype("uint8"), zarr.open_group(store, path="A/1/0"), "bright")
    write_plate({"A/2": [IMAGE]}, store, [2], axes="zyx", **MICROMETERS)
    assert errors(validate(store)) == []
    assert convert_metadata(store, "0.6")[0] == f"A/1: OME-Zarr {draft} to 0.6"
    assert not [problem for problem in validate(store) if "version" in problem.where]


@pytest.mark.parametrize("version", ["0.60", "0.10", "6", "0.6.1"])
def test_other_versions_are_errors(version: str) -> None:
    store = written()
    edit(store, lambda ome: ome.update(version=version))
    assert "version" in [problem.where for problem in errors(validate(store))]


# Scenes


def scene(version: str = "0.6") -> MemoryStore:
    """Return two images, one of them with labels, and a world in which they lie."""
    store = MemoryStore()
    for path in ("tiles/a", "b"):
        write_image(IMAGE, zarr.create_group(store, path=path), [2], axes="zyx", fmt="0.6", **MICROMETERS)
    write_labels((IMAGE > 50).astype("uint8"), zarr.open_group(store, path="b"), "bright")
    links = [
        {"type": "identity", "input": {"path": "tiles/a", "name": "physical"}, "output": {"name": "world"}},
        {"type": "translation", "translation": [0, 0, 9], **link("b", "tiles/a")},
    ]
    described = {"coordinateSystems": [{"name": "world", "axes": space("zyx")}], "coordinateTransformations": links}
    zarr.open_group(store).attrs["ome"] = {"version": "0.6", "scene": described}
    for path in ("", "tiles/a", "b", "b/labels", "b/labels/bright"):
        edit(store, lambda ome: ome.update(version=version), path)
    return store


def link(start: str, end: str) -> dict[str, Any]:
    return {"input": {"path": start, "name": "physical"}, "output": {"path": end, "name": "physical"}}


def test_a_scene_is_validated_with_its_images() -> None:
    store = scene()
    assert errors(validate(store)) == []
    assert describe(store).startswith("OME-Zarr 0.6 scene: 2 images, 2 transformations between them")


@pytest.mark.parametrize(
    ("change", "where", "message"),
    [
        (lambda links: links[1]["output"].update(name="moon"), "1/output/name", "'moon' is not a coordinate system of"),
        (lambda links: links[1]["input"].update(path="c"), "1/input", "'c': there is no zarr group"),
        (lambda links: links[1].update(translation=[1, 2]), "1/translation", "has 2 values, but there are 3 axes"),
    ],
)
def test_a_scene_fits_its_images(change: Any, where: str, message: str) -> None:
    store = scene()
    edit(store, lambda ome: change(ome["scene"]["coordinateTransformations"]))
    found = errors(validate(store))
    assert [problem.where for problem in found] == [f"scene/coordinateTransformations/{where}"]
    assert message in found[0].message


def test_a_scene_is_converted_whole() -> None:
    store = scene("0.6rc0")
    lines = convert_metadata(store, "0.6")
    assert {line.partition(":")[0] for line in lines} == {"root", "b", "tiles/a", "b/labels", "b/labels/bright"}
    assert not [problem for problem in validate(store) if "version" in problem.where or not problem.warning]
    assert zarr.open_group(store).attrs["ome"]["scene"]["coordinateTransformations"][0]["type"] == "identity"


def test_a_scene_is_refused_where_a_version_has_none() -> None:
    store = scene()
    before = dict(store._store_dict)
    with pytest.raises(ValueError, match=r"root: scene: OME-Zarr 0.5 cannot say how images lie to each other"):
        convert_metadata(store, "0.5")
    with pytest.raises(ValueError, match=r"is part of .* which is of OME-Zarr 0.6"):
        convert_metadata(zarr.open_group(store, path="b"), "0.5")
    assert store._store_dict == before


# Null


def test_null_is_left_out_of_axes_by_a_conversion_which_says_so() -> None:
    store = MemoryStore()
    write_image(IMAGE, store, [2], axes="zyx", fmt="0.5")
    edit(store, lambda ome: [axis.update(unit=None) for axis in ome["multiscales"][0]["axes"][:2]])
    assert errors(validate(store)) == []
    said = "image: left out, as null says nothing: unit of axis 'z', unit of axis 'y'"
    assert convert_metadata(store, "0.6") == ["image: OME-Zarr 0.5 to 0.6", said]
    assert errors(validate(store)) == []
    assert "null" not in store._store_dict["zarr.json"].to_bytes().decode()


# As strict as the text


def test_translations_are_left_to_the_writer() -> None:
    """A ``type`` is free text; that samples of ours lie elsewhere is a warning, and what `verify` is for."""
    store = written(method="gaussian")

    def only_scales(ome: Any) -> None:
        for dataset in ome["multiscales"][0]["datasets"]:
            (step,) = dataset["coordinateTransformations"]
            if step["type"] == "sequence":
                step |= {"type": "scale", "scale": step.pop("transformations")[0]["scale"]}

    edit(store, only_scales)
    assert errors(validate(store)) == []


# Arrays of values


def warped(transform: dict[str, Any]) -> MemoryStore:
    """Return an image with a transformation whose values lie in an array, and arrays that may be that."""
    store = written()
    link = {**transform, "input": {"name": "physical"}, "output": {"name": "turned"}}

    def linked(ome: Any) -> None:
        image = ome["multiscales"][0]
        image |= {"coordinateSystems": [*image["coordinateSystems"], TURNED], "coordinateTransformations": [link]}

    edit(store, linked)
    group = zarr.open_group(store, mode="r+").create_group("coordinateTransformations")
    for name, shape in (("matrix", (3, 4)), ("square", (3, 3)), ("cube", (3, 3, 3))):
        group.create_array(name, data=np.zeros(shape))
    axes = [{"name": "d", "type": "displacement", "discrete": True}, *space("zyx")]
    for name, n in (("field", 3), ("short", 2)):
        image = np.zeros((n, 4, 5, 6), "float32")
        write_image(image, group.create_group(name), None, axes=axes, fmt="0.6", axes_units="micrometer")
    return store


AT = "coordinateTransformations"
WARPS = [
    ({"type": "affine", "path": f"{AT}/matrix"}, ""),
    ({"type": "rotation", "path": f"{AT}/square"}, ""),
    ({"type": "displacements", "path": f"{AT}/field"}, ""),
    ({"type": "affine", "path": f"{AT}/square"}, "has shape (3, 3); a matrix of 3×4 is needed"),
    ({"type": "affine", "path": f"{AT}/cube"}, "has shape (3, 3, 3)"),
    ({"type": "affine", "path": "moon"}, "there is no zarr array"),
    ({"type": "rotation", "path": "../elsewhere"}, "a path inside the group"),
    ({"type": "displacements", "path": f"{AT}/short"}, "is 2 long along its displacement axis; it must be 3"),
    ({"type": "coordinates", "path": f"{AT}/field"}, "one of them must be 'coordinate'"),
    ({"type": "displacements", "path": f"{AT}/matrix"}, "there is no multiscale image of displacements"),
    ({"type": "sequence", "transformations": [{"type": "affine", "path": "moon"}]}, "there is no zarr array"),
]


@pytest.mark.sampled(2)
@pytest.mark.parametrize(("transform", "message"), WARPS)
def test_arrays_that_transformations_name_are_there_and_fit(transform: dict[str, Any], message: str) -> None:
    found = errors(validate(warped(transform)))
    inner = "transformations/0/" if "transformations" in transform else ""
    where = f"multiscales/0/coordinateTransformations/0/{inner}path"
    assert [problem.where for problem in found] == ([where] if message else [])
    assert message in "".join(problem.message for problem in found)


def test_a_scene_is_written_anew_whole_and_opened() -> None:
    store, new = scene(), MemoryStore()
    transcode(store, new, storage_options={"chunks": 16})
    assert errors(validate(new)) == []
    assert zarr.open_group(new).attrs["ome"] == zarr.open_group(store).attrs["ome"]
    assert list(daskome.open(new).images) == ["tiles/a", "b"]  # type: ignore[union-attr]
    assert list(daskome.open(new).images["b"].labels) == ["bright"]  # type: ignore[union-attr]
