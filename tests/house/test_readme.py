"""The documents tell the truth: README's Python runs, its commands exist, its outputs and figures are real."""

import contextlib
import io
import re
import shlex
import tomllib
from pathlib import Path

import dask
import pytest
import yaml
from click.testing import CliRunner

import daskome
from daskome.cli.main import main

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BENCHMARKS = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md", "notebooks/workflows/README.md")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def commands() -> list[list[str]]:
    lines = [line for block in blocks("sh") for line in block.replace("\\\n", " ").splitlines()]
    found = [shlex.split(line, comments=True) for line in lines if line.startswith("daskome ")]
    return [command[: command.index("|")] if "|" in command else command for command in found]


def test_the_python_in_it_runs_and_prints_what_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    printed = io.StringIO()
    names: dict[str, object] = {}
    with contextlib.redirect_stdout(printed), dask.config.set(num_workers=2):
        for block in blocks("python"):
            exec(compile(block, "README.md", "exec"), names)
    shown = blocks("text")[0]
    assert shown.count("\n") > 10
    assert shown in printed.getvalue()


def test_a_volume_that_is_not_there_is_planned_as_it_shows() -> None:
    (command,) = [command for command in commands() if "--shape" in command]
    printed = CliRunner().invoke(main, command[1:]).output
    shown = blocks("text")[1]
    assert "PUT requests" in shown
    assert shown in printed


def test_its_commands_have_the_options_it_shows() -> None:
    assert len(commands()) > 5
    for command in commands():
        shown = CliRunner().invoke(main, [command[1], "--help"]).output
        assert command[1] in main.commands
        for option in (word.split("=")[0] for word in command if word.startswith("--")):
            assert option in shown, f"{command[1]} has no {option}"


def test_the_table_of_tasks_names_what_there_is() -> None:
    rows = README.split("\n## What it can do\n")[1].split("\n## ")[0].splitlines()[3:]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows if row.startswith("|")]
    calls = {name for _, python, *_ in cells for name in re.findall(r"`(\w+)`", python)}
    options = {flag for _, _, shell, _ in cells for flag in re.findall(r"--[a-z-]+", shell)}
    words = {word for _, _, shell, _ in cells for word in re.findall(r"`(?:daskome )?([a-z]+)", shell)}
    known = {option for command in main.commands.values() for part in command.params for option in part.opts}
    assert calls - {"Client"} <= set(daskome.__all__)
    assert options <= known
    assert words == set(main.commands)


def test_it_is_short_enough_to_be_read() -> None:
    assert README.count("\n") <= 250


MEASURED = {
    "README": README.split("\n## Measured\n")[1].split("\n## ")[0],
    "benchmarks": BENCHMARKS.split("\n## ", 1)[1],
}


@pytest.mark.parametrize("text", MEASURED.values(), ids=MEASURED)
def test_every_figure_measured_is_in_a_report_of_the_benchmarks(text: str) -> None:
    claimed = {line for line in text.splitlines() if re.match(r"\| |20\d\d-", line)}
    reports = (ROOT / "benchmarks" / "results").glob("*.md")
    kept = {line for path in reports for line in path.read_text(encoding="utf-8").splitlines()}
    assert len(claimed) > 5
    assert claimed - kept == set()


def test_every_table_of_figures_names_its_command_and_its_machine() -> None:
    for text in MEASURED.values():
        for section in re.split(r"\n##+ ", text):
            tables = section.count("\n| --- |")
            assert section.count("`python -m benchmarks.") >= tables, section
            assert section.count("\n20") == tables, section


@pytest.mark.parametrize("report", sorted((ROOT / "benchmarks" / "results").glob("*.md")), ids=lambda path: path.stem)
def test_every_report_is_shown(report: Path) -> None:
    rows = [line for line in report.read_text(encoding="utf-8").splitlines() if re.match(r"\| [^-]", line)]
    assert len(set(rows) & set(BENCHMARKS.splitlines())) > 2


def test_memory_in_the_introduction_is_as_measured() -> None:
    rows = (ROOT / "benchmarks" / "results" / "memory.md").read_text(encoding="utf-8").splitlines()
    for peak, size in re.findall(r"(\d+) MiB for (\d) GiB", README):
        assert any(row.startswith(f"| {size} GiB, chunks 128³ | {peak} |") for row in rows)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    path = ROOT / document
    text = path.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not link.startswith("https://")]
    for link in links:
        name, _, anchor = link.partition("#")
        target = path.parent / name if name else path
        assert target.exists(), link
        if anchor:
            heads = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), flags=re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", head).lower().replace(" ", "-") for head in heads}, link


def test_version_and_licence_are_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == daskome.__version__
    assert citation["license"] == project["license"] == "BSD-3-Clause"
    assert citation["repository-code"] == project["urls"]["Repository"]
    assert daskome.__version__ in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
