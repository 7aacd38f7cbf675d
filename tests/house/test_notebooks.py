"""Every notebook runs from top to bottom and says what is stored in it; what is stored fits any machine."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests import notebooks
from tests.notebooks import NOTEBOOKS

BYTES = 300_000
"""Of a notebook with its outputs, at most."""
QUICK = "01-a-volume"
"""The notebook that the default suite runs."""
NEEDS = {"05-from-ome-zarr-py": "ome_zarr"}
"""What a notebook is about, and is not there on every Python."""
OF_A_MACHINE = r"/tmp\b|/root|/home|/Users|site-packages|127\.0\.0\.1:\d|[Pp]ython3\.\d"


def cases() -> list[object]:
    return [pytest.param(p, id=p.stem, marks=[] if p.stem == QUICK else pytest.mark.extended) for p in NOTEBOOKS]


@pytest.mark.parametrize("path", cases())
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_notebook_runs_and_says_what_is_stored(path: Path) -> None:
    if not find_spec(NEEDS.get(path.stem, "daskome")):
        pytest.skip(f"this needs {NEEDS[path.stem]}")
    fresh = notebooks.run(path)
    assert [output.name for output in notebooks.outputs(fresh) if output.get("name") == "stderr"] == []
    assert notebooks.said(fresh) == notebooks.said(notebooks.read(path)), "python -m tests.notebooks stores it anew"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_is_stored_fits_any_machine(path: Path) -> None:
    outputs = notebooks.outputs(notebooks.read(path))
    assert {output.output_type for output in outputs} <= {"stream", "display_data", "execute_result"}
    assert all(output.get("name") != "stderr" for output in outputs)
    assert (
        re.findall(OF_A_MACHINE, "\n".join(str(output.get("text", "")) + str(words(output)) for output in outputs))
        == []
    )
    assert path.stat().st_size < BYTES


def words(output: object) -> dict[str, str]:
    """Return what an output says in any form that is text."""
    data = getattr(output, "data", {})
    return {kind: text for kind, text in data.items() if kind.startswith("text/")}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_was_run_as_a_whole(path: Path) -> None:
    notebook = notebooks.read(path)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert notebooks.said(notebook)
    assert notebook.cells[0].source.startswith("# ")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_files_that_a_notebook_links_are_there(path: Path) -> None:
    prose = "\n".join(cell.source for cell in notebooks.read(path).cells if cell.cell_type == "markdown")
    links = re.findall(r"\]\(([^)#\s]+)", prose)
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_the_stories_that_people_expect_are_told() -> None:
    assert [path.stem[:2] for path in NOTEBOOKS] == ["01", "02", "03", "04", "05", "06"]
