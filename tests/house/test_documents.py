"""What the documents and the configuration name exists: files, modules, classes, tables, functions, make's targets."""

import ast
import json
import pkgutil
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md", "notebooks/workflows/README.md")
TEXTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in DOCUMENTS}
CONTRIBUTING = TEXTS["CONTRIBUTING.md"]
NOTEBOOKS = {
    path.name: "\n".join("".join(cell["source"]) for cell in json.loads(path.read_text(encoding="utf-8"))["cells"])
    for path in (ROOT / "notebooks").glob("*.ipynb")
}
MADE = {".peers/", ".venv-3.11", "demo/brain.png", "/dev/shm", "steps/"}
"""What commands make, and what is outside the repository."""
GONE = {"daskome.methods"}
"""What the changelog says that something was called before."""
CODE = {
    p: ast.parse(p.read_text(encoding="utf-8")) for f in ("daskome", "benchmarks") for p in (ROOT / f).rglob("*.py")
}


def inline(text: str) -> list[str]:
    """Return what stands between backticks, outside blocks of code."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def paths(text: str) -> set[str]:
    """Return the files and folders that a document names between backticks: by a suffix, or a slash at the end."""
    return {
        word
        for code in inline(text)
        for word in code.split()
        if re.fullmatch(r"[\w./-]+\.(py|md|toml|ipynb|png|cff)|[\w.-][\w./-]*/|\.ci/run", word)
    }


def defined() -> dict[str, list[ast.stmt]]:
    """Return the classes, functions and constants of all modules by name."""
    names: dict[str, list[ast.stmt]] = {}
    for tree in CODE.values():
        for node in tree.body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            for name in [getattr(node, "name", None), *(getattr(target, "id", None) for target in targets)]:
                names.setdefault(str(name), []).append(node)
    return names


DEFINED = defined()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_files_that_a_document_names_are_there(document: str) -> None:
    around = (ROOT, ROOT / "daskome", (ROOT / document).parent)
    missing = [path for path in paths(TEXTS[document]) - MADE if not any((place / path).exists() for place in around)]
    assert not missing
    assert document != "CONTRIBUTING.md" or len(paths(TEXTS[document])) > 15


def test_the_tree_of_the_packages_is_whole() -> None:
    tree = CONTRIBUTING.split("```text\ndaskome/\n")[1].split("```")[0]
    packages = re.findall(r"(?:^|  )(?=\w)(\w+)/", re.sub(r"(?m)^  (?=\w)", "", tree), flags=re.MULTILINE)
    there = {path.parent.name for path in (ROOT / "daskome").glob("*/__init__.py")}
    assert there <= set(packages)
    below = re.findall(r"\b(batch|readers|rules)/", tree)
    assert all(list((ROOT / "daskome").rglob(f"{name}/__init__.py")) for name in {*packages, *below})
    assert all((ROOT / "daskome" / file).exists() for file in re.findall(r"\w+\.py", tree))


@pytest.mark.parametrize("text", [*TEXTS.values(), *NOTEBOOKS.values()], ids=[*TEXTS, *NOTEBOOKS])
def test_dotted_names_can_be_imported(text: str) -> None:
    for name in set(re.findall(r"(?<![\w/.-])daskome(?:\.[A-Za-z_]\w*)+", text)) - GONE:
        pkgutil.resolve_name(name)


def test_names_of_code_are_defined() -> None:
    words = {word for code in inline(CONTRIBUTING) for word in re.findall(r"\b[A-Z]\w+\b(?!\.)", code)}
    words -= {"PYTHON", "VENV", "BENCH"}
    assert {"READERS", "ImageOptions", "Row"} <= words
    assert not [word for word in words if word not in DEFINED]


def test_nouns_are_frozen_dataclasses() -> None:
    paragraph = CONTRIBUTING.split("\nThe nouns are ")[1].split("\n\n")[0]
    nouns = set(re.findall(r"\b[A-Z]\w+", re.sub(r"\([^)]*\)", "", paragraph))) - {"What", "Dask", "A"}
    assert len(nouns) > 20
    for noun in nouns:
        decorators = [ast.unparse(d) for node in DEFINED[noun] for d in getattr(node, "decorator_list", [])]
        assert any("frozen=True" in decorator for decorator in decorators), noun


def test_tables_are_where_the_table_of_additions_says() -> None:
    """A name beside a file between the same two bars is defined in one of the files of its row."""
    rows = CONTRIBUTING.split("## How to add")[1].split("\n## ")[0].splitlines()
    for row in (row for row in rows if row.startswith("| a")):
        files = [p for path in paths(row) for p in (ROOT / path, ROOT / "daskome" / path) if p.is_file()]
        code = "\n".join(path.read_text(encoding="utf-8") for path in files)
        for name in {name for cell in inline(row) for name in re.findall(r"\b[A-Z]\w+\b(?!\.)", cell)}:
            assert re.search(rf"\b{name}\b", code), f"{name} is in none of the files of: {row}"


def test_make_has_the_targets() -> None:
    targets = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8")))
    for document, text in TEXTS.items():
        assert set(re.findall(r"`make ([a-z-]+)", text)) <= targets, document


def test_configuration_names_files_that_are_there() -> None:
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    assert all(list(ROOT.glob(pattern)) for pattern in tools["ruff"]["lint"]["per-file-ignores"])
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name) or ""
        for tree in CODE.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    roots = {name.split(".")[0] for name in imported}
    assert all(module.removesuffix(".*") in roots for row in tools["mypy"]["overrides"] for module in row["module"])
