"""The public names are the contract: these, no others, each explained."""

import ast
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path
from types import FunctionType

import pytest

import daskome

NAMES = [
    "METHODS",
    "Channel",
    "Plan",
    "Problem",
    "Volume",
    "WriteError",
    "__version__",
    "add_levels",
    "append",
    "batch_script",
    "convert_metadata",
    "finish",
    "label_values",
    "manifest",
    "open",
    "pack",
    "plan_image",
    "preview",
    "read",
    "remove",
    "run_part",
    "status",
    "transcode",
    "try_codecs",
    "unpack",
    "update",
    "validate",
    "verify",
    "view",
    "write_image",
    "write_label_metadata",
    "write_labels",
    "write_multiscale",
    "write_multiscale_labels",
    "write_multiscales_metadata",
    "write_plate",
    "write_plate_metadata",
    "write_series",
    "write_well_metadata",
]
CLASSES = ["Channel", "Plan", "Problem", "Volume", "WriteError"]
FUNCTIONS = [name for name in NAMES if name not in [*CLASSES, "METHODS", "__version__"]]


def sections(thing: object) -> dict[str, str]:
    """Return the sections of a docstring in NumPy's style by their heads; what comes first under ""."""
    parts = re.split(r"^(\w[\w ]*)\n-{3,}$", inspect.getdoc(thing) or "", flags=re.MULTILINE)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def test_the_public_names() -> None:
    assert daskome.__all__ == sorted(NAMES)
    assert dir(daskome) == sorted(NAMES)


def test_every_name_is_there() -> None:
    for name in NAMES:
        assert getattr(daskome, name) is getattr(daskome, name)
        assert name in FUNCTIONS + CLASSES + ["METHODS", "__version__"]


def test_type_checkers_see_every_name() -> None:
    """They don't run `__getattr__`: a name that is not imported for them is Any, and so is all that it returns."""
    tree = ast.parse(Path(daskome.__file__).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    seen = {alias.asname: (node.module, alias.name) for node in imports for alias in node.names}
    assert seen == {name: (f"daskome.{home}", name) for name, home in daskome._HOMES.items()}


def test_no_module_has_a_public_name() -> None:
    """Python binds an imported module in its package, where it would take the place of the function."""
    assert not set(NAMES) & {module.name for module in pkgutil.iter_modules(daskome.__path__)}


@pytest.mark.sampled(2)
@pytest.mark.parametrize("before", ["daskome.{name}", "import daskome.inspection.verify, daskome.readers"])
def test_a_name_means_the_same_whatever_was_imported_before(before: str) -> None:
    """A module with the name of a public function must not take the function's place in the package."""
    code = "import daskome, types\n" + "".join(
        f"{before.format(name=name)}\nassert not isinstance(daskome.{name}, types.ModuleType), '{name}'\n"
        for name in NAMES
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_star_import_brings_them_all() -> None:
    found: dict[str, object] = {}
    exec("from daskome import *", found)
    assert set(NAMES) <= set(found)


@pytest.mark.parametrize("name", ["write_imag", "OMEZarrWriter", "_missing"])
def test_other_names_are_not(name: str) -> None:
    with pytest.raises(AttributeError, match=f"module 'daskome' has no attribute '{name}'"):
        getattr(daskome, name)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_explained(name: str) -> None:
    function = getattr(daskome, name)
    found = sections(function)
    assert isinstance(function, FunctionType)
    assert re.match(r"[A-Z][^\n]+\.$", found[""].splitlines()[0])
    returned = {"Returns"} if inspect.signature(function).return_annotation not in (None, "None") else set()
    assert {"Parameters", "Raises", "Examples"} | returned <= set(found)
    assert ">>> " in found["Examples"]
    assert f"{name}(" in found["Examples"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_parameter_is_described_and_no_other(name: str) -> None:
    function = getattr(daskome, name)
    lines = re.findall(r"^([*\w][^:\n]*?)(?: :.*)?$", sections(function)["Parameters"], flags=re.MULTILINE)
    described = [part.lstrip("*") for line in lines for part in line.split(", ")]
    assert sorted(described) == sorted(inspect.signature(function).parameters)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_parameters_and_results_have_types(name: str) -> None:
    signature = inspect.signature(getattr(daskome, name))
    assert signature.return_annotation is not inspect.Signature.empty
    assert all(p.annotation is not inspect.Parameter.empty for p in signature.parameters.values())
    assert all(p.kind is not p.VAR_KEYWORD or name == "metadata" for name, p in signature.parameters.items())


@pytest.mark.parametrize("name", CLASSES)
def test_classes_are_explained(name: str) -> None:
    assert len(sections(getattr(daskome, name))[""].splitlines()[0]) > 20


def test_the_version() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", daskome.__version__)


def test_planning_takes_what_writing_takes() -> None:
    write, plan = (inspect.signature(getattr(daskome, name)).parameters for name in ("write_image", "plan_image"))
    only_writing = {"resume", "take_over", "retries", "progress", "compute"}
    only_planning = {"workers", "threads"}
    shared = [name for name in plan if name not in only_planning]
    assert [name for name in write if name not in only_writing] == shared
    assert all(write[name].default == plan[name].default for name in shared if name != "group")
