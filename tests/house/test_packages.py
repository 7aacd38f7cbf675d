"""The house: packages import only from those below them, and only who has to knows Dask, zarr or a file system."""

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[2] / "daskome"
STOREYS = (
    ("__main__",),
    ("cli",),
    ("__init__",),
    ("writer",),
    ("format", "scale"),
    ("transcoding",),
    ("writing",),
    ("calls",),
    ("viewing",),
    ("reading",),
    ("keeping",),
    ("inspection",),
    ("execution",),
    ("readers",),
    ("sources", "upgrade"),
    ("stores",),
    ("planning",),
    ("ome",),
    ("model",),
    ("kernels",),
    ("_version", "_caller"),
)
"""From the top down. Who stands beside another does not import it."""
ARITHMETIC = ("planning", "ome", "model", "kernels")
DASK = ("cli", "writer", "scale", "transcoding", "writing", "inspection", "reading", "execution", "sources")
DISTRIBUTED = ("cli/main.py", "execution/cluster.py", "execution/executors.py", "execution/schedulers.py")
URLS = ("stores/location.py", "stores/s3.py", "stores/azure.py", "stores/clouds/options.py")
WORLD = {"dask", "distributed", "fsspec", "s3fs", "zarr"}
OPTIONAL = {
    "PIL",
    "bioio",
    "h5py",
    "imagecodecs",
    "nibabel",
    "obstore",
    "pydicom",
    "s3fs",
    "tensorstore",
    "tifffile",
    "xarray",
}

STOREY = {name: number for number, names in enumerate(STOREYS) for name in names}
FILES = {path.relative_to(HOUSE).as_posix(): ast.parse(path.read_text("utf-8")) for path in HOUSE.rglob("*.py")}


def room(file: str) -> str:
    """Return the package, or the module at the top, to which a file belongs."""
    return file.split("/")[0].removesuffix(".py")


def at_run_time(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a tree, but for what only type checkers read."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING"):
            yield from at_run_time(child)


def imports(file: str) -> Iterator[str]:
    """Yield what a file imports, at the top and inside functions, by full name."""
    for node in at_run_time(FILES[file]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own(file: str) -> set[str]:
    """Return the packages of daskome that a file imports."""
    parts = [name.split(".") for name in imports(file)]
    return {names[1] if names[1] in STOREY else "__init__" for names in parts if names[0] == "daskome" and names[1:]}


def foreign(file: str) -> set[str]:
    """Return the packages of others that a file imports."""
    return {name.split(".")[0] for name in imports(file)} - {"daskome"}


def test_every_package_has_a_storey() -> None:
    assert {room(file) for file in FILES} == set(STOREY)


def test_imports_only_point_down() -> None:
    up = [
        f"{file} imports {other}"
        for file in FILES
        for other in own(file) - {room(file)}
        if STOREY[other] <= STOREY[room(file)]
    ]
    assert not up


def test_arithmetic_knows_neither_dask_nor_a_store() -> None:
    assert not [file for file in FILES if room(file) in ARITHMETIC and foreign(file) & WORLD]


def test_few_know_dask() -> None:
    assert not [file for file in FILES if "dask" in foreign(file) and room(file) not in DASK]
    assert not [file for file in FILES if "distributed" in foreign(file) and file not in DISTRIBUTED]


def test_only_the_location_opens_urls() -> None:
    assert not [f for f in FILES if f not in URLS and foreign(f) & {"fsspec", "s3fs", "aiobotocore", "aiohttp"}]
    calls = {f: {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} for f, tree in FILES.items()}
    assert [file for file, names in calls.items() if "from_url" in names] == ["stores/location.py"]


def test_only_the_unit_graph_writes_pixels() -> None:
    calls = {f: {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} for f, tree in FILES.items()}
    assert [file for file, names in calls.items() if "to_zarr" in names] == ["execution/unit_graph.py"]
    assert not [file for file, names in calls.items() if "store" in names and "da.store(" in (HOUSE / file).read_text()]


def test_optional_packages_are_imported_where_they_are_needed() -> None:
    """Inside functions, or in the file of a reader, which is imported only to read with it."""
    readers = {file for file in FILES if file.startswith("readers/") and not file.endswith("__init__.py")}
    for file, tree in FILES.items():
        if file in readers:
            continue
        names = {a.name.split(".")[0] for node in tree.body if isinstance(node, ast.Import) for a in node.names}
        names |= {str(node.module).split(".")[0] for node in tree.body if isinstance(node, ast.ImportFrom)}
        assert not names & OPTIONAL, file


def test_packages_and_files_are_small() -> None:
    """A package of over 2,500 lines, or a file of over 500, is two; but for the signatures of the public calls.

    A package inside another one counts by itself.
    """
    lines = {file: (HOUSE / file).read_text().count("\n") for file in FILES}
    assert not {file: n for file, n in lines.items() if n > 500 and file != "writer.py"}
    sizes: Counter[str] = Counter()
    for file, n in lines.items():
        sizes[file.rpartition("/")[0]] += n
    assert not {name: n for name, n in sizes.items() if n > 2500}


def test_packages_say_what_they_are_for() -> None:
    assert not [file for file, tree in FILES.items() if not ast.get_docstring(tree)]


def test_files_of_a_package_do_not_import_each_other_in_circles() -> None:
    """At the top of files; what a function imports when it is called may be what calls it."""
    modules = {
        f"daskome.{file.removesuffix('.py').replace('/', '.')}".removesuffix(".__init__"): file for file in FILES
    }
    below: dict[str, set[str]] = {}
    for module, file in modules.items():
        top = [node for node in FILES[file].body if isinstance(node, ast.ImportFrom)]
        names = {name for node in top for name in (str(node.module), *(f"{node.module}.{a.name}" for a in node.names))}
        below[module] = names & modules.keys() - {module}
    while leaves := {module for module, others in below.items() if not others & below.keys()}:
        below = {module: others for module, others in below.items() if module not in leaves}
    assert not below


def test_layouts_know_no_levels() -> None:
    """How an array is stored stands below pyramids: on axes, regions, codecs and options alone."""
    assert not {
        name for name in imports("model/storage/layout.py") if "pyramid" in name or "image" in name or "factors" in name
    }


ALIKE = {"Array", "Findings", "JSON", "Numbers", "Span", "log"}
"""Names of types and of the logger that are defined in several files, with one meaning."""
VERBS = {"parts", "read", "write"}
"""Readers have a verb each, and tell the parts of a file; the codecs one for regions, and the package `writing` one for calls."""


def defined(tree: ast.Module) -> Iterator[str]:
    """Yield the public names that a file defines at its top."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (target.id for target in targets if isinstance(target, ast.Name))


def test_a_name_has_one_meaning() -> None:
    """The commands in cli/main.py are those of the public calls, and named as they are."""
    names = Counter(
        name
        for file, tree in FILES.items()
        if file not in ("cli/main.py", "__init__.py")
        for name in set(defined(tree))
        if not name.startswith("_")
    )
    assert {name for name, n in names.items() if n > 1} <= ALIKE | VERBS


def loaded_after(statement: str) -> set[str]:
    """Return which of the packages of the world a fresh Python has imported after a statement."""
    code = f"{statement}\nimport sys\nprint(*({{*{sorted(WORLD | OPTIONAL)}}} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=HOUSE.parent)
    return set(run.stdout.split())


def test_a_plan_is_made_without_dask_and_zarr() -> None:
    planned = """
from daskome.kernels.methods import METHODS
from daskome.model.axes import parse_axes
from daskome.model.image import Image
from daskome.ome.metadata import image_metadata
from daskome.ome.versions import VERSIONS
from daskome.ome.write import to_attributes
from daskome.planning.build import plan_downsampled
from daskome.planning.work import SourceChunks
image = Image((64, 64), "uint8", parse_axes("yx", 2), (1.0, 1.0), (0.0, 0.0))
plan = plan_downsampled(image, SourceChunks(((64,), (64,))), METHODS["mean"], VERSIONS["0.5"], scale_factors=[2])
type(plan).from_json(plan.to_json())
to_attributes(VERSIONS["0.5"], image_metadata(plan.pyramids[0]))
"""
    assert loaded_after(planned) == set()


@pytest.mark.parametrize(
    "statement", ["import daskome", "from daskome import __version__", "import daskome; dir(daskome)"]
)
def test_importing_daskome_alone_imports_neither_dask_nor_zarr(statement: str) -> None:
    assert loaded_after(statement) == set()


def test_the_command_waits_for_nothing_it_does_not_need() -> None:
    assert loaded_after("import daskome.cli") == set()


NOT_FOR_AN_IMAGE = """
    cli transcoding viewing reading keeping inspection readers upgrade
    writing.labels writing.plates writing.more_levels writing.in_place writing.collections writing.codec_trials
    execution.batch execution.resume execution.finished.packed
    stores.lists stores.clouds stores.archives.packing stores.archives.working stores.targets.descriptions stores.s3
    ome.xml.collection_xml ome.xml.plate_xml
""".split()
"""What nobody waits for who writes an array to a folder: Python takes a millisecond for a file, and more for some."""


@pytest.mark.parametrize("write", ["", "write_image(np.zeros((64, 64), 'uint8'), sys.argv[1], [2], axes='yx')"])
def test_an_image_is_written_without_what_is_for_others(write: str, tmp_path: Path) -> None:
    code = f"import sys, numpy as np; from daskome.writer import write_image\n{write}\nprint(*sys.modules)"
    command = [sys.executable, "-c", code, str(tmp_path / "a.zarr")]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=HOUSE.parent)
    loaded = [name.removeprefix("daskome.") for name in run.stdout.split() if name.startswith("daskome.")]
    assert "planning.plan" in loaded
    assert not [name for name in loaded if any(f"{name}.".startswith(f"{other}.") for other in NOT_FOR_AN_IMAGE)]


@pytest.mark.extended
def test_all_there_is_works_without_optional_packages() -> None:
    files = [file for file in FILES if "__main__" not in file and not file.startswith("readers/")]
    modules = (file.removesuffix(".py").replace("/", ".") for file in files)
    names = ", ".join(f"daskome.{module}".removesuffix(".__init__") for module in modules)
    assert loaded_after(f"import {names}") & OPTIONAL <= {"s3fs", "xarray"}  # fsspec and Dask may load these


@pytest.mark.extended
def test_the_check_sees_dask_and_zarr() -> None:
    assert {"dask", "zarr"} <= loaded_after("from daskome import write_image")
