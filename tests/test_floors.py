"""The floors of the house: imports point down, and only who has to knows Dask, zarr or a file system."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

HOUSE = Path(__file__).parent.parent / "daskome"
FLOORS = {
    **dict.fromkeys(["_version", "axes", "caller", "locking", "methods", "nouns", "problem", "regions", "table"], 0),
    "resampling": -0.5,
    "cones": 0.7,
    "direct": 0.7,
    **dict.fromkeys(["channels", "images", "labels", "layout", "plates", "rules"], 0.5),
    **dict.fromkeys(["door", "pyramid", "sources"], 1),
    **dict.fromkeys(["arrays", "metadata"], 2),
    **dict.fromkeys(["conversion", "cost"], 2.5),
    "memory": 2.6,
    "copies": 2.4,
    "passes": 2.7,
    "staging": 2.8,
    "report": 2.9,
    "plan": 3,
    "wrappers": 3.4,
    "journal": 3.5,
    "asked": 3.3,
    **dict.fromkeys(["azure", "s3"], 3.8),
    **dict.fromkeys(["display", "storage"], 4),
    "graph": 4.2,
    "occupied": 4.5,
    "allocator": 0,
    "jobs": 4.3,
    "clusters": 4.6,
    "pools": 4.8,
    **dict.fromkeys(["readers", "run"], 5),
    # The sixth has steps too: an image found in a store, what is looked at in it, and the report.
    **dict.fromkeys(["found", "preview", "request", "task"], 6),
    **dict.fromkeys(["hierarchy", "resume"], 6.1),
    "label_images": 6.2,
    **dict.fromkeys(["added_levels", "checks", "group_metadata", "pixels", "upgrade", "whole_plates"], 6.3),
    "validation": 6.5,
    **dict.fromkeys(["information", "verification"], 6.6),
    "schedulers": 3.2,
    **dict.fromkeys(["batch", "format", "scale", "writer"], 7),
    "trials": 6.5,
    # The top floor has steps: the command calls the public names, and ``python -m`` calls the command.
    "__init__": 8,
    "cli": 8.3,
    "__main__": 8.6,
}
ARITHMETIC = sorted(
    name for name, floor in FLOORS.items() if floor <= 3.3 and name not in ("cones", "direct", "sources")
)
DASK = {
    "batch",
    "cli",
    "clusters",
    "cones",
    "graph",
    "jobs",
    "label_images",
    "pixels",
    "pools",
    "request",
    "resume",
    "run",
    "scale",
    "sources",
    "task",
    "trials",
    "verification",
    "writer",
}
DISTRIBUTED = {"cli", "clusters", "pools"}
WORLD = {"dask", "distributed", "fsspec", "s3fs", "zarr"}
OPTIONAL = {"PIL", "h5py", "nibabel", "s3fs", "tifffile", "xarray"}

MODULES = sorted({path.relative_to(HOUSE).parts[0].removesuffix(".py") for path in HOUSE.rglob("*.py")})


@cache
def trees(module: str) -> list[ast.Module]:
    """Return the syntax of a module, or of all files of a package."""
    files = sorted((HOUSE / module).rglob("*.py")) or [HOUSE / f"{module}.py"]  # __init__.py comes first
    return [ast.parse(file.read_text(encoding="utf-8")) for file in files]


class Runtime(ast.NodeTransformer):
    """Leave out what only type checkers read."""

    def visit_If(self, node: ast.If) -> ast.AST | None:
        """Drop ``if TYPE_CHECKING:``."""
        return None if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING" else node


def imports(module: str) -> Iterator[str]:
    """Yield what a module imports, at the top and inside functions, by full name."""
    for node in (node for tree in trees(module) for node in ast.walk(ast.fix_missing_locations(Runtime().visit(tree)))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own(module: str) -> set[str]:
    """Return the other modules of daskome that one of them imports."""
    found = [name.split(".") for name in imports(module)]
    houses = [parts[1] if parts[1:] and parts[1] in MODULES else "__init__" for parts in found if parts[0] == "daskome"]
    return set(houses) - ({module} if (HOUSE / module).is_dir() else set())


def foreign(module: str) -> set[str]:
    """Return the packages that a module imports."""
    return {name.split(".")[0] for name in imports(module)} - {"daskome"}


def test_every_module_has_a_floor() -> None:
    assert set(MODULES) <= set(FLOORS)


def test_imports_only_point_down() -> None:
    up = {
        f"{module} ({FLOORS[module]}) imports {other} ({FLOORS[other]})"
        for module in MODULES
        for other in own(module)
        if FLOORS[other] >= FLOORS[module]
    }
    assert not up


def test_the_layout_stands_on_axes_and_regions_alone() -> None:
    assert own("layout") <= {"axes", "regions"}


def importers(packages: set[str]) -> set[str]:
    """Return the modules that import one of the packages."""
    return {module for module in MODULES if foreign(module) & packages}


def test_arithmetic_knows_neither_dask_nor_a_store() -> None:
    assert not importers(WORLD) & set(ARITHMETIC)


def test_few_know_dask() -> None:
    assert importers({"dask"}) <= DASK
    assert importers({"distributed"}) <= DISTRIBUTED


def test_only_storage_opens_urls() -> None:
    assert importers({"fsspec", "s3fs", "aiobotocore", "aiohttp"}) <= {"s3", "storage"}
    assert {module for module in MODULES if attributes(module) & {"from_url", "FsspecStore"}} <= {"storage"}


def attributes(module: str) -> set[str]:
    """Return the names of all attributes that a module looks up."""
    return {node.attr for tree in trees(module) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def test_optional_packages_are_imported_where_they_are_needed() -> None:
    """Inside functions, or in the file of a package that is imported only to read with it."""
    early = {f"{module} imports {name}" for module in MODULES for name in imported_first(module) & OPTIONAL}
    assert not early


def imported_first(module: str) -> set[str]:
    """Return the packages that are imported with a module."""
    top = trees(module)[0].body
    names = {alias.name.split(".")[0] for node in top if isinstance(node, ast.Import) for alias in node.names}
    return names | {str(node.module).split(".")[0] for node in top if isinstance(node, ast.ImportFrom)}


def loaded_after(statement: str) -> set[str]:
    """Return which of the packages of the world a fresh Python has imported after a statement."""
    code = f"{statement}\nimport sys\nprint(*({{*{sorted(WORLD | OPTIONAL)}}} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=HOUSE.parent)
    return set(run.stdout.split())


def test_a_plan_is_made_without_dask_and_zarr() -> None:
    planned = """
from daskome.plan import Pieces, plan_image
from daskome.axes import parse_axes
from daskome.metadata import VERSIONS, attributes, image_metadata
from daskome.methods import METHODS
from daskome.pyramid import Image
image = Image((64, 64), "uint8", parse_axes("yx", 2), (1.0, 1.0), (0.0, 0.0))
plan = plan_image(image, Pieces(((64,), (64,))), METHODS["mean"], VERSIONS["0.5"], scale_factors=[2])
type(plan).from_json(plan.to_json())
attributes(VERSIONS["0.5"], image_metadata(plan.pyramids[0]))
"""
    assert loaded_after(planned) == set()


@pytest.mark.parametrize(
    "statement", ["import daskome", "from daskome import __version__", "import daskome; dir(daskome)"]
)
def test_importing_daskome_alone_imports_neither_dask_nor_zarr(statement: str) -> None:
    assert loaded_after(statement) == set()


def test_the_command_waits_for_nothing_it_does_not_need() -> None:
    assert loaded_after("import daskome.cli") == set()


def test_all_there_is_works_without_optional_packages() -> None:
    names = ", ".join(f"daskome.{module}" for module in MODULES if not module.startswith("__"))
    assert loaded_after(f"import {names}") & OPTIONAL <= {"s3fs", "xarray"}  # fsspec and Dask may load these


def test_the_check_sees_dask_and_zarr() -> None:
    assert {"dask", "zarr"} <= loaded_after("from daskome import write_image")
