"""Calls in the words of every release of ome_zarr.writer mean what they meant."""

import inspect
import re
import warnings
from copy import deepcopy
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import daskome
from daskome.calls import translation
from daskome.calls.signatures import FORMER_ORDERS, calls_of
from daskome.calls.translation import accepts_ome_zarr_calls, plane_factors
from daskome.format import FormatV04
from daskome.scale import Methods, Scaler

IMAGE = np.zeros((4, 64, 48), "u1")
PLANE = np.zeros((64, 48), "u1")
SIX = np.zeros((2, 3, 10, 64, 48), "u1")
LEVELS = [PLANE, PLANE[::2, ::2]]
V4 = FormatV04()
GROUP = object()
SCALER = Scaler(max_layer=2)
TO_4 = [{"y": 2, "x": 2}, {"y": 4, "x": 4}]
AXES = [{"name": "y", "type": "space"}, {"name": "x", "type": "space"}]
PLACED = [[{"type": "scale", "scale": [0.5, 0.5]}], [{"type": "scale", "scale": [1.0, 1.0]}]]
MOVED = {"type": "translation", "translation": [1, 2]}
UNITS = {"y": "micrometer", "x": "micrometer"}
BY_SCALER = {"scale_factors": TO_4, "method": "nearest"}
PIXEL = {"scale": (0.5, 0.5)}
COLORS = [{"label-value": 1, "rgba": [255, 0, 0, 255]}]

LEADING = {
    "write_image": {"image": PLANE, "group": GROUP},
    "write_labels": {"labels": PLANE, "group": GROUP},
    "write_multiscale": {"pyramid": LEVELS, "group": GROUP},
    "write_multiscale_labels": {"pyramid": LEVELS, "group": GROUP},
}


def to_daskome_arguments(function: str, args: Any, kwargs: Any) -> dict[str, Any]:
    got = translation.to_daskome_arguments(getattr(daskome, function), args, kwargs)
    return {name: value for name, value in got.items() if name != "level_paths"}


# function, what follows the image and the group, keywords; what daskome's own function is given beside these two
POSITIONAL: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    # daskome
    ("write_image", (), {}),
    ("write_image", ("auto",), {"scale_factors": "auto"}),
    ("write_image", ([2, 4], "cells", "median"), {"scale_factors": [2, 4], "name": "cells", "method": "median"}),
    ("write_image", (None,), {"scale_factors": None}),
    ("write_image", ((2, 4), None, np.max), {"scale_factors": (2, 4), "name": None, "method": np.max}),
    ("write_multiscale", ("cells",), {"name": "cells"}),
    ("write_labels", ("n", TO_4, "mode"), {"name": "n", "scale_factors": TO_4, "method": "mode"}),
    # 0.21
    (
        "write_image",
        ((2, 4), "cells", Methods.ZOOM, None, V4, "yx", None, {"chunks": (8, 8)}, True, {"y": 0.5}, UNITS),
        {"scale_factors": (2, 4), "name": "cells", "method": "zoom", "fmt": V4, "axes": "yx", "compute": True,
         "storage_options": {"chunks": (8, 8)}, "scale": {"y": 0.5}, "axes_units": UNITS},
    ),
    ("write_image", (TO_4, "cells", None, SCALER), {"name": "cells", **BY_SCALER}),
    (
        "write_multiscale",
        (V4, AXES, PLACED, [{"chunks": (8, 8)}, {}], "cells", False, None, UNITS),
        {"fmt": V4, "axes": AXES, "storage_options": [{"chunks": (8, 8)}, {}], "name": "cells", "compute": False,
         "axes_units": UNITS, **PIXEL},
    ),
    ("write_multiscale", (None, "yx"), {"axes": "yx"}),
    ("write_labels", ("n", None, [2], Methods.NEAREST, V4), {"name": "n", "scale_factors": [2], "method": "nearest", "fmt": V4}),
    (
        "write_labels",
        ("n", None, [2], None, None, "yx", None, None, {"colors": COLORS}),
        {"name": "n", "scale_factors": [2], "axes": "yx", "storage_options": None, "label_metadata": {"colors": COLORS}},
    ),
    (
        "write_multiscale_labels",
        ("n", V4, "yx", None, None, {"colors": COLORS}, {"y": 2.0}),
        {"name": "n", "fmt": V4, "axes": "yx", "storage_options": None, "label_metadata": {"colors": COLORS}, "scale": {"y": 2.0}},
    ),
    # 0.4 to 0.11
    ("write_image", (SCALER,), BY_SCALER),
    ("write_image", (SCALER, (8, 8)), {**BY_SCALER, "storage_options": {"chunks": (8, 8)}}),
    (
        "write_image",
        (Scaler(max_layer=1), 8, V4, ["y", "x"], PLACED, {"fill_value": 0}, False),
        {"scale_factors": TO_4[:1], "method": "nearest", "fmt": V4, "axes": ["y", "x"], "compute": False,
         "storage_options": {"chunks": 8, "fill_value": 0}, **PIXEL},
    ),
    (
        "write_image",
        (None, None, V4, "yx", PLACED[:1], None, False),
        {"scale_factors": None, "fmt": V4, "axes": "yx", "storage_options": None, "compute": False, **PIXEL},
    ),
    ("write_multiscale", ((8, 8), V4), {"fmt": V4, "storage_options": {"chunks": (8, 8)}}),
    ("write_multiscale", ([(8, 8), (4, 4)],), {"storage_options": [{"chunks": (8, 8)}, {"chunks": (4, 4)}]}),
    ("write_multiscale", (None, None, "yx"), {"axes": "yx"}),
    ("write_multiscale", (None, V4, "yx", None, None, "cells", True), {"fmt": V4, "axes": "yx", "storage_options": None, "name": "cells", "compute": True}),
    ("write_labels", ("n", SCALER, (8, 8), V4), {"name": "n", **BY_SCALER, "storage_options": {"chunks": (8, 8)}, "fmt": V4}),
    ("write_labels", ("n", SCALER, (8, 8)), {"name": "n", **BY_SCALER, "storage_options": {"chunks": (8, 8)}}),
    ("write_labels", ("n", None, None, V4, "yx"), {"name": "n", "scale_factors": None, "fmt": V4, "axes": "yx"}),
    ("write_multiscale_labels", ("n", 8, V4), {"name": "n", "storage_options": {"chunks": 8}, "fmt": V4}),
    # 0.3
    ("write_image", (8, "yx", SCALER, V4), {**BY_SCALER, "axes": "yx", "storage_options": {"chunks": 8}, "fmt": V4}),
    ("write_image", ((8, 8), "yx"), {"axes": "yx", "storage_options": {"chunks": (8, 8)}}),
    ("write_image", (None, "yx"), {"axes": "yx"}),
    ("write_image", ((1, 8), "yx"), {"axes": "yx", "storage_options": {"chunks": (1, 8)}}),
]  # fmt: skip


@pytest.mark.parametrize(("function", "rest", "want"), POSITIONAL)
def test_positional_arguments(function: str, rest: tuple[Any, ...], want: dict[str, Any]) -> None:
    leading = LEADING[function]
    assert to_daskome_arguments(function, (*leading.values(), *rest), {}) == {**leading, **want}


ALL: list[tuple[str, tuple[Any, ...], dict[str, Any], dict[str, Any]]] = [
    # Every parameter of every release, by keyword.
    ("write_image", (PLANE, GROUP), {"chunks": (8, 8), "byte_order": "yx", "scaler": SCALER},
     {"storage_options": {"chunks": (8, 8)}, "axes": "yx", **BY_SCALER}),
    ("write_image", (), {"image": PLANE, "group": GROUP, "scaler": None, "fmt": V4}, {"scale_factors": None, "fmt": V4}),
    ("write_image", (PLANE, GROUP), {"byte_order": "tczyx"}, {}),
    ("write_image", (PLANE, GROUP), {"byte_order": "xy", "axes": "yx"}, {"axes": "yx"}),
    ("write_image", (PLANE, GROUP), {"method": Methods.LOCAL_MEAN, "scale_factors": [2]}, {"method": "local_mean", "scale_factors": [2]}),
    ("write_image", (PLANE, GROUP), {"method": None, "compute": None, "fmt": None}, {}),
    ("write_image", (PLANE, GROUP), {"chunks": None}, {}),
    ("write_image", (PLANE, GROUP), {"chunks": [8, 8]}, {"storage_options": {"chunks": (8, 8)}}),
    ("write_image", (PLANE, GROUP), {"chunks": 8, "storage_options": [{"order": "C"}, {"chunks": (4, 4)}]},
     {"storage_options": [{"chunks": 8, "order": "C"}, {"chunks": (4, 4)}]}),
    ("write_image", (PLANE, GROUP), {"chunks": [(8, 8), (4, 4)], "storage_options": {"order": "C"}},
     {"storage_options": [{"chunks": (8, 8), "order": "C"}, {"chunks": (4, 4), "order": "C"}]}),
    ("write_image", (PLANE, GROUP), {"storage_options": {"overwrite": True, "chunks": (8, 8)}},
     {"storage_options": {"chunks": (8, 8)}, "overwrite": True}),
    ("write_image", (PLANE, GROUP), {"coordinate_transformations": PLACED}, {"scale_factors": [{"y": 2, "x": 2}], **PIXEL}),
    ("write_image", (PLANE, GROUP), {"coordinate_transformations": PLACED, "scale_factors": [2]}, {"scale_factors": [2], **PIXEL}),
    ("write_image", (PLANE, GROUP), {"coordinate_transformations": PLACED, "scale": {"y": 3}},
     {"scale_factors": [{"y": 2, "x": 2}], "scale": {"y": 3}}),
    ("write_image", (PLANE, GROUP),
     {"coordinate_transformations": [[*PLACED[0], {"type": "translation", "translation": [1, 2]}]], "scaler": None},
     {"scale_factors": None, "translation": (1.0, 2.0), **PIXEL}),
    ("write_image", (PLANE, GROUP), {"metadata": {"omero": {"id": 1}}}, {"omero": {"id": 1}}),
    ("write_image", (PLANE, GROUP), {"metadata": {"omero": {"id": 1}, "how": 2}}, {"omero": {"id": 1}, "metadata": {"how": 2}}),
    ("write_image", (PLANE, GROUP), {"type": "gaussian", "metadata": {"how": 2}}, {"type": "gaussian", "metadata": {"how": 2}}),
    ("write_image", (PLANE, GROUP), {"omero": SimpleNamespace(model_dump=lambda **_: {"id": 2})}, {"omero": {"id": 2}}),
    ("write_multiscale", (LEVELS, GROUP), {"chunks": (8, 8), "method": Methods.NEAREST},
     {"storage_options": {"chunks": (8, 8)}, "method": "nearest"}),
    ("write_labels", (PLANE, GROUP), {"name": "n", "colors": COLORS, "scaler": SCALER}, {"name": "n", "colors": COLORS, **BY_SCALER}),
    ("write_labels", (PLANE, GROUP), {"image-label": {"colors": COLORS}, "label_metadata": {"source": {}}},
     {"label_metadata": {"colors": COLORS, "source": {}}}),
]  # fmt: skip


@pytest.mark.parametrize(("function", "args", "kwargs", "want"), ALL)
def test_keywords(function: str, args: tuple[Any, ...], kwargs: dict[str, Any], want: dict[str, Any]) -> None:
    assert to_daskome_arguments(function, args, kwargs) == {**LEADING[function], **want}


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "want"),
    [
        ("write_multiscales_metadata", (["0", "1"],), {}, {"datasets": [{"path": "0"}, {"path": "1"}]}),
        ("write_multiscales_metadata", (), {"paths": ["0"], "axes": "yx"}, {"datasets": [{"path": "0"}], "axes": "yx"}),
        ("write_multiscales_metadata", ([{"path": "0"}], V4, "yx", "cells"), {}, {"fmt": V4, "axes": "yx", "name": "cells"}),
        ("write_multiscales_metadata", ([{"path": "0"}], V4, "yx", UNITS), {}, {"fmt": V4, "axes": "yx", "axes_units": UNITS}),
        ("write_multiscales_metadata", ([{"path": "0"}], None, "yx", "um"), {}, {"axes": "yx", "axes_units": "um"}),
        ("write_label_metadata", ("n", COLORS, None, V4), {"source": {}}, {"name": "n", "colors": COLORS, "properties": None, "fmt": V4, "source": {}}),
        ("write_plate_metadata", (["A"], ["1"], ["A/1"], V4, [{"id": 0}], 3, "plate"), {},
         {"rows": ["A"], "columns": ["1"], "wells": ["A/1"], "fmt": V4, "acquisitions": [{"id": 0}], "field_count": 3, "name": "plate"}),
        ("write_well_metadata", (["0"], V4), {}, {"images": ["0"], "fmt": V4}),
    ],
)  # fmt: skip
def test_functions_of_metadata(
    function: str, args: tuple[Any, ...], kwargs: dict[str, Any], want: dict[str, Any]
) -> None:
    got = to_daskome_arguments(function, (GROUP, *args), kwargs)
    assert {key: got[key] for key in want} == want
    assert set(got) - set(want) <= {"group", "datasets"}


@pytest.mark.parametrize(
    ("args", "kwargs", "paths"),
    [
        ((), {}, None),
        (([2],), {}, None),
        (([2], "cells", None, None, V4, "yx"), {}, None),
        ((SCALER,), {}, "{}"),
        ((), {"scaler": None}, "{}"),
        ((), {"chunks": (8, 8)}, "{}"),
        ((), {"chunks": None, "byte_order": None}, None),
        ((8, "yx"), {}, "{}"),
        ((), {"byte_order": "yx"}, "{}"),
        ((SCALER,), {"level_paths": "s{}"}, "s{}"),
        ((), {"level_paths": "a/{}"}, "a/{}"),
    ],
)
def test_levels_have_numbers_alone_in_the_words_of_03_to_011(args: Any, kwargs: dict[str, Any], paths: Any) -> None:
    got = translation.to_daskome_arguments(daskome.write_image, (PLANE, GROUP, *args), kwargs)
    assert got.get("level_paths") == paths


def test_a_scaler_goes_down_the_last_two_axes_as_far_as_they_can() -> None:
    got = to_daskome_arguments(
        "write_image", (IMAGE, GROUP, Scaler(downscale=3, max_layer=9, method="gaussian")), {"axes": "zyx"}
    )
    assert got["scale_factors"] == [{"y": 3, "x": 3}, {"y": 9, "x": 9}, {"y": 27, "x": 27}]
    assert got["method"] == "gaussian"
    assert to_daskome_arguments("write_image", (IMAGE[:, :1], GROUP, Scaler()), {})["scale_factors"] is None
    with pytest.raises(ValueError, match=r"downscale 1.5 of a Scaler"):
        to_daskome_arguments("write_image", (IMAGE, GROUP, Scaler(downscale=1.5)), {})  # type: ignore[arg-type]
    with pytest.warns(UserWarning, match="scale_factors are not used"):
        to_daskome_arguments("write_image", (PLANE, GROUP), {"scaler": Scaler(), "scale_factors": [2]})


@pytest.mark.parametrize(
    ("shape", "downscale", "layers", "want"),
    [
        ((64, 64), 2, 4, [2, 4, 8, 16]),
        ((64, 5), 2, 4, [2, 4]),
        ((64, 4), 2, 4, [2, 4]),
        ((9, 1, 64), 2, 4, []),
        ((99, 99), 3, 2, [3, 9]),
        ((9, 9), 2, 0, []),
    ],
)
def test_plane_factors(shape: tuple[int, ...], downscale: int, layers: int, want: list[int]) -> None:
    assert plane_factors(shape, downscale, layers) == want


@pytest.mark.parametrize("downscale", [1, 0, 1.5])
def test_downscale_is_a_whole_number(downscale: Any) -> None:
    with pytest.raises(ValueError, match="whole number of 2 or more"):
        plane_factors((64, 64), downscale, 1)


@pytest.mark.parametrize(
    ("scaler", "method"),
    [
        (Scaler(), "nearest"),
        (Scaler(method="resize_image"), "resize"),
        (Scaler(method="resize_image", order=0), "nearest"),
        (Scaler(method="laplacian"), "laplacian"),
    ],
)
def test_the_method_of_a_scaler(scaler: Scaler, method: str) -> None:
    assert to_daskome_arguments("write_image", (PLANE, GROUP, scaler), {})["method"] == method
    assert to_daskome_arguments("write_image", (PLANE, GROUP), {"scaler": scaler, "method": "max"})["method"] == "max"


def test_scalers_and_methods_and_formats_of_ome_zarr_itself() -> None:
    scale, form = pytest.importorskip("ome_zarr.scale"), pytest.importorskip("ome_zarr.format")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        scaler = scale.Scaler(max_layer=2, method="local_mean")
    old = form.FormatV04()
    got = to_daskome_arguments("write_image", (PLANE, GROUP, scaler, None, old, "yx"), {})
    assert got == {**LEADING["write_image"], "scale_factors": TO_4, "method": "local_mean", "fmt": old, "axes": "yx"}
    assert to_daskome_arguments("write_image", (PLANE, GROUP), {"method": scale.Methods.RESIZE})["method"] == "resize"


def test_chunks_of_fewer_axes_span_the_first_ones() -> None:
    for kwargs in ({"chunks": (16, 16)}, {"storage_options": {"chunks": [16, 16]}}):
        got = to_daskome_arguments("write_image", (SIX, GROUP), kwargs)
        assert got["storage_options"] == {"chunks": (2, 3, 10, 16, 16)}


@pytest.mark.parametrize("n", [64, 65, 101, 7])
@pytest.mark.parametrize("rounded", [lambda n, f: n // f, lambda n, f: -(-n // f), lambda n, f: n / f])
def test_scales_that_are_ratios_of_rounded_shapes(n: int, rounded: Any) -> None:
    image = np.zeros((n, n), "u1")
    scales = [[n / rounded(n, f)] * 2 for f in (1, 2, 4)]
    placed = [[{"type": "scale", "scale": scale}] for scale in scales]
    got = to_daskome_arguments("write_image", (image, GROUP), {"coordinate_transformations": placed})
    if n > 7:
        assert got["scale_factors"] == TO_4
    to_daskome_arguments("write_image", (image, GROUP), {"coordinate_transformations": placed, "scale_factors": [2, 4]})
    levels = [image[::f, ::f] for f in (1, 2, 4)]
    to_daskome_arguments("write_multiscale", (levels, GROUP), {"coordinate_transformations": placed})


@pytest.mark.parametrize(
    ("function", "leading", "kwargs", "message"),
    [
        ("write_image", PLANE, {"coordinate_transformations": PLACED, "scaler": None}, "for 2 levels, the image has 1"),
        ("write_image", PLANE, {"coordinate_transformations": PLACED, "scale_factors": [4]}, "level 1 is shaped"),
        ("write_image", PLANE, {"coordinate_transformations": [PLACED[0], [{"type": "scale", "scale": [0.7, 1]}]]}, "is not a whole factor of"),
        ("write_image", PLANE, {"coordinate_transformations": [PLACED[0], [{"type": "scale", "scale": [1.05, 1]}]], "scale_factors": [2]}, r"its scale is \(2.1, 2.0\) times"),
        ("write_image", PLANE, {"coordinate_transformations": [[{"type": "identity"}]]}, r"must be a scale, then .*, not \[\] \(section"),
        ("write_image", PLANE, {"coordinate_transformations": [PLACED[0], []]}, r"not \[\] \(section 'multiscales'\)"),
        ("write_image", PLANE, {"coordinate_transformations": [[MOVED, *PLACED[0]]]}, r"not \['translation', 'scale'\] \(section"),
        ("write_image", PLANE, {"coordinate_transformations": [PLACED[0] * 2]}, r"not \['scale', 'scale'\] \(section"),
        ("write_image", PLANE, {"coordinate_transformations": [[{"type": "scale"}]]}, "scale None must have one value for each of 2"),
        ("write_image", PLANE, {"coordinate_transformations": [[{"type": "scale", "scale": [1]}]]}, r"scale \[1\] must have one value"),
        ("write_image", PLANE, {"coordinate_transformations": [[{"type": "scale", "scale": [0, 1]}]]}, r"scale \(0.0, 1.0\) must be above 0 \(section"),
        ("write_image", PLANE, {"coordinate_transformations": {"scale": [1, 1]}}, r"must be a list for each level \(section"),
        ("write_image", PLANE, {"coordinate_transformations": PLACED[0]}, r"must be a list for each level \(section"),
        ("write_multiscale", LEVELS, {"coordinate_transformations": PLACED[:1]}, "for 1 levels, the image has 2"),
        ("write_multiscale", LEVELS, {"coordinate_transformations": PLACED[:1] * 2}, "but its scale is"),
        ("write_image", PLANE, {"chunks": [(8, 8)], "storage_options": [{}, {}]}, "chunks are for 1 levels"),
    ],
)  # fmt: skip
def test_contradictions(function: str, leading: Any, kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        to_daskome_arguments(function, (leading, GROUP), kwargs)


def test_what_is_lost_is_said() -> None:
    placed = [[{"type": "scale", "scale": [1, 1]}, {"type": "affine", "affine": []}]]
    with pytest.warns(UserWarning, match="of type affine are not written"):
        to_daskome_arguments("write_image", (PLANE, GROUP), {"coordinate_transformations": placed, "scaler": None})


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "message"),
    [
        ("write_image", (PLANE, GROUP, (64, 64)), {}, "can be factors or chunks; use scale_factors=(64, 64) or chunks=(64, 64) as a keyword"),
        ("write_image", (PLANE, GROUP, (2, 2)), {}, "can be factors or chunks"),
        ("write_image", (PLANE, GROUP, object()), {}, "(…, object): no release has an order of parameters that fits"),
        ("write_image", (PLANE, GROUP, *[None] * 20), {}, "no release has an order of parameters that fits"),
        ("write_image", (PLANE, GROUP), {"group": GROUP}, "multiple values for argument 'group'"),
        ("write_image", (PLANE,), {}, "is missing 'group'"),
        ("write_image", (PLANE, GROUP), {"coordinate_transformations": [[{"type": "scale", "scale": ["1", 1]}]]}, "scale ['1', 1] must be numbers (section"),
        ("write_image", (PLANE, GROUP), {"workers": 3}, "'workers'; it is for plan_image()"),
        ("write_labels", (PLANE, GROUP, "cells"), {"acquisitions": []}, r"'acquisitions'; it is for write_plate"),
        ("write_image", (PLANE, GROUP), {"scale_factor": [2]}, "unexpected keyword argument 'scale_factor'; did you mean 'scale_factors'"),
        ("write_image", (PLANE, GROUP), {"storage_option": {}}, "did you mean 'storage_options'"),
        ("write_image", (PLANE, GROUP), {"axis": "yx"}, "did you mean 'axes'"),
        ("write_labels", (PLANE, GROUP), {"coordinate_transformation": []}, "did you mean 'coordinate_transformations'"),
        ("write_plate_metadata", (GROUP, ["A"]), {"colums": []}, "did you mean 'columns'"),
        ("write_multiscales_metadata", (GROUP, "s0"), {}, "must be a list of dicts or paths (section 'multiscales'), not 's0'"),
        ("write_multiscales_metadata", (GROUP, None), {}, "must be a list of dicts or paths (section 'multiscales'), not None"),
        ("write_well_metadata", (GROUP, ["0"]), {"zzz": 1}, "'zzz'. It takes group, images, fmt"),
    ],
)  # fmt: skip
def test_mistakes(function: str, args: tuple[Any, ...], kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=re.escape(message)):
        to_daskome_arguments(function, args, kwargs)


def test_what_the_caller_gave_is_not_changed() -> None:
    kwargs: dict[str, Any] = {
        "chunks": (8, 8), "storage_options": [{"overwrite": True}, {"chunks": (4,)}], "metadata": {"omero": {}, "a": 1},
        "coordinate_transformations": deepcopy(PLACED), "axes": deepcopy(AXES),
    }  # fmt: skip
    before = deepcopy(kwargs)
    to_daskome_arguments("write_image", (PLANE, GROUP), kwargs)
    assert kwargs == before


def test_levels_that_come_one_by_one_are_not_lost() -> None:
    got = to_daskome_arguments("write_multiscale", (iter(LEVELS), GROUP), {"storage_options": {"chunks": (8,)}})
    assert got["pyramid"] == LEVELS


def test_the_decorator_keeps_name_signature_and_explanation() -> None:
    def write_image(image: Any, group: Any, scale_factors: Any = "auto", *, axes: Any = None) -> Any:
        """Write."""
        return image, group, scale_factors, axes

    door_to = accepts_ome_zarr_calls(write_image)
    assert door_to(PLANE, GROUP, None, axes="yx") == (PLANE, GROUP, None, "yx")
    assert inspect.signature(door_to) == inspect.signature(write_image)
    assert (door_to.__name__, door_to.__doc__) == ("write_image", "Write.")


def test_calls_are_those_of_the_signature() -> None:
    def write_image(image: Any, group: Any, scale_factors: Any = "auto", *, axes: Any = None, **metadata: Any) -> None:
        return None

    calls = calls_of(write_image)
    assert (calls.positional, calls.keywords) == (("image", "group", "scale_factors"), ("axes",))
    assert (calls.required, calls.takes_metadata) == (("image", "group"), True)
    assert calls.orders == [calls.positional, *(tuple(order.split()) for order in FORMER_ORDERS["write_image"])]
    assert {"axes", "scaler", "byte_order", "metadata"} < set(calls.known)
    assert not calls_of(daskome.write_well_metadata).takes_metadata


def test_every_function_with_former_orders_is_public() -> None:
    assert set(FORMER_ORDERS) <= set(daskome.__all__)


@pytest.mark.parametrize("function", ["write_plate_metadata", "write_well_metadata", *FORMER_ORDERS])
def test_the_order_of_todays_ome_zarr(function: str) -> None:
    """A release that moves a parameter shows here first."""
    theirs = pytest.importorskip("ome_zarr.writer")
    parameters = inspect.signature(getattr(theirs, function)).parameters.values()
    names = tuple(p.name for p in parameters if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD)
    assert names in calls_of(getattr(daskome, function)).orders
