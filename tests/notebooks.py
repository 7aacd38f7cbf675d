"""Notebooks, run from top to bottom. ``python -m tests.notebooks [NAME…]`` runs them and stores their outputs."""

import os
import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
SECONDS = 300
VARYING = {
    r"under 1 s|[\d.,]+ (s|min|h|days)\b": "TIME",
    r"127\.0\.0\.1:\d+": "127.0.0.1:PORT",
}
"""What differs between two runs."""
OTHERS = ("<xarray", "dask.array<", "<IPython")
"""How texts begin that other packages make: they change with their releases."""


def read(path: Path) -> NotebookNode:
    """Return a notebook."""
    return nbformat.read(path, as_version=4)


def run(path: Path) -> NotebookNode:
    """Run a notebook in a folder of its own, and return it with its outputs."""
    notebook = read(path)
    at_hand = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    with TemporaryDirectory() as folder:
        where: dict[str, Any] = {"resources": {"metadata": {"path": folder}}, "kernel_name": "python3"}
        NotebookClient(notebook, timeout=SECONDS, record_timing=False, coalesce_streams=True, **where).execute(
            env={**os.environ, "PYTHONPATH": at_hand, "TMPDIR": folder}
        )
    return notebook


def outputs(notebook: NotebookNode) -> list[NotebookNode]:
    """Return all outputs of a notebook."""
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def text(output: NotebookNode) -> str:
    """Return what an output says in words."""
    return str(output.get("text") or output.get("data", {}).get("text/plain", ""))


def said(notebook: NotebookNode) -> list[str]:
    """Return what the outputs of a notebook say, without what differs between two runs or is not ours."""
    texts = [found for found in map(text, outputs(notebook)) if not found.startswith(OTHERS)]
    for pattern, word in VARYING.items():
        texts = [re.sub(pattern, word, found) for found in texts]
    return [" ".join(found.split()) for found in texts]


def main(names: list[str]) -> None:
    """Run notebooks, and store their outputs."""
    for path in NOTEBOOKS:
        if not names or path.stem in names:
            print(path.stem, flush=True)
            nbformat.write(run(path), path)


if __name__ == "__main__":
    main(sys.argv[1:])
