"""The README tells the truth: its Python runs, its commands exist, and it stands alone."""

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from daskome.cli import main

README = (Path(__file__).parents[1] / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_python_in_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = blocks("python")
    assert found
    names: dict[str, object] = {}
    for block in found:
        exec(compile(block, "README.md", "exec"), names)


def test_its_commands_have_the_options_it_shows() -> None:
    lines = [line for block in blocks("sh") for line in block.replace("\\\n", " ").splitlines()]
    commands = [shlex.split(line, comments=True) for line in lines if line.startswith("daskome ")]
    assert commands
    for command in commands:
        shown = CliRunner().invoke(main, [command[1], "--help"]).output
        assert command[1] in main.commands
        for option in (word.split("=")[0] for word in command if word.startswith("--")):
            assert option in shown, f"{command[1]} has no {option}"


def test_every_figure_measured_is_in_a_report_of_the_benchmarks() -> None:
    section = README.split("\n## Measured\n")[1].split("\n## ")[0]
    claimed = {line for line in section.splitlines() if line.startswith(("| ", "20"))}
    reports = (Path(__file__).parents[1] / "benchmarks" / "results").glob("*.md")
    kept = {line for path in reports for line in path.read_text(encoding="utf-8").splitlines()}
    assert len(claimed) > 20
    assert claimed - kept == set()
