"""`daskome view` serves until Ctrl-C, prints the link, and opens it only where somebody sits."""

import signal
import subprocess
import sys
import webbrowser
from pathlib import Path
from urllib.error import URLError
from urllib.parse import unquote
from urllib.request import urlopen

import numpy as np
import pytest
from click.testing import CliRunner

import daskome
from daskome.cli import console
from daskome.cli.main import main


@pytest.fixture
def image(tmp_path: Path) -> Path:
    daskome.write_image(np.arange(64, dtype="uint8").reshape(8, 8), tmp_path / "a", None, axes="yx")
    return tmp_path / "a"


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.extended)])
def test_it_serves_until_it_is_interrupted(image: Path, number: signal.Signals) -> None:
    started = [sys.executable, "-m", "daskome", "view", str(image), "--no-open"]
    with subprocess.Popen(started, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        link = process.stdout.readline()
        url = unquote(link).partition("zarr3://")[2].partition('"')[0]
        assert "Ctrl-C" in process.stderr.readline()
        assert b'"version": "0.5"' in urlopen(f"{url}zarr.json", timeout=60).read()
        process.send_signal(number)
        assert process.wait(60) == 0
        assert process.stderr.read().strip() == ""
    with pytest.raises(URLError):
        urlopen(f"{url}zarr.json", timeout=10)


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    ("options", "environment", "opens"),
    [
        ([], {}, False),
        ([], {"DISPLAY": ":0"}, True),
        ([], {"WAYLAND_DISPLAY": "w"}, True),
        ([], {"DISPLAY": ":0", "SSH_CONNECTION": "there"}, False),
        (["--open"], {"SSH_CONNECTION": "there"}, True),
        (["--no-open"], {"DISPLAY": ":0"}, False),
    ],
)
def test_the_link_is_opened_where_there_is_a_screen(
    image: Path, options: list[str], environment: dict[str, str], opens: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(console.sys, "platform", "linux")
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    monkeypatch.setattr(sys.modules[main.callback.__module__], "wait_for_interrupt", lambda begin: begin and begin())
    done = CliRunner().invoke(main, ["view", str(image), *options])
    assert done.exit_code == 0, done.output
    assert len(opened) == opens
    assert all(link in done.output for link in opened)


@pytest.mark.extended
def test_mistakes_are_refused_with_what_to_do(image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "napari", None)
    for arguments, said in (
        ([str(tmp_path / "nothing")], "there is no zarr group at"),
        ([str(image), "--napari"], 'pip install "napari[all]"'),
        ([str(image), "--address", "192.0.2.1"], "cannot listen on 192.0.2.1:0"),
        ([str(image), "--port", "70000"], "70000 is not in the range"),
    ):
        done = CliRunner().invoke(main, ["view", *arguments])
        assert done.exit_code == 2, done.output
        assert said in done.output
