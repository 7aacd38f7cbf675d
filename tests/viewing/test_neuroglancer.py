"""What `daskome view` links to is what Neuroglancer shows: golden pictures, from the real client in a real browser.

They need chromium and the package neuroglancer, and no network. To draw them anew: DASKOME_GOLDEN=1 pytest -m slow …
"""

import json
import os
import shutil
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

import daskome
from daskome.viewing.view import Viewing
from tests.servers.process import daemon
from tests.servers.s3 import S3

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="needs a browser: apt-get install chromium"),
    pytest.mark.filterwarnings("ignore"),
]
GOLDEN = Path(__file__).with_name("golden")
SIZE = 480, 360
FLAGS = (
    "--headless --no-sandbox --use-angle=swiftshader --use-gl=angle --enable-unsafe-swiftshader --ignore-gpu-blocklist"
    " --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync"
).split()
"""Software WebGL, also as root; nothing is asked of the network."""
Z, Y, X = np.mgrid[:32, :96, :128]
VOLUME = np.stack(
    [X * 500, ((((Z - 16) * 2) ** 2 + (Y - 48) ** 2 + (X - 64) ** 2) < 30**2) * 50_000, (Y // 16 % 2) * 30_000]
).astype("uint16")
"""A ramp, a ball, stripes."""
LABELS = (((Y - 24) ** 2 + (X - 24) ** 2 < 15**2) * 1 + ((Y - 72) ** 2 + (X - 104) ** 2 < 15**2) * 2).astype("uint32")
CHANNELS = [
    {"label": name, "color": color, "window": (0, 65535, 0, 60_000)}
    for name, color in (("ramp", "FF0000"), ("ball", "00FF00"), ("stripes", "0000FF"))
]
COLORS = {1: (255, 255, 0, 255), 2: (0, 255, 255, 255)}
VERSIONS: dict[str, dict[str, Any]] = {
    "0.4": {"chunks": (1, 16, 32, 32)},
    "0.5": {"chunks": (1, 16, 32, 32), "shards": (1, 32, 64, 64)},
    "0.6": {"chunks": (1, 16, 32, 32)},
}


def written(place: Any, version: str, **options: Any) -> None:
    daskome.write_image(
        VOLUME,
        place,
        [2, 4],
        axes="czyx",
        scale={"z": 2, "y": 0.5, "x": 0.5},
        axes_units="micrometer",
        channels=CHANNELS,
        labels={"cells": {"labels": LABELS, "colors": COLORS}},
        fmt=version,
        storage_options=VERSIONS[version],
        **options,
    )


def photographed(viewing: Viewing, folder: Path) -> Any:
    """Return what the client shows of a link, once it has all chunks."""
    neuroglancer = pytest.importorskip("neuroglancer")
    neuroglancer.set_server_bind_address("127.0.0.1")
    viewer = neuroglancer.Viewer()
    viewer.set_state(json.loads(unquote(viewing.link.partition("#!")[2])))
    size = f"--window-size={SIZE[0]},{SIZE[1]}"
    with daemon(["chromium", *FLAGS, size, f"--user-data-dir={folder}/browser", str(viewer)], folder / "chromium.log"):
        png = viewer.screenshot(size=list(SIZE)).screenshot.image
    return np.asarray(Image.open(BytesIO(png)).convert("RGB"))


def assert_golden(picture: Any, name: str) -> None:
    """Compare a picture with the kept one: another build of the browser may draw edges and text otherwise."""
    path = GOLDEN / f"{name}.png"
    if os.environ.get("DASKOME_GOLDEN"):
        Image.fromarray(picture).quantize(64).save(path, optimize=True)
    kept = np.asarray(Image.open(path).convert("RGB")).astype(int)
    assert picture.shape == kept.shape
    assert (np.abs(picture - kept).max(-1) > 24).mean() < 0.01


def assert_volume_is_shown(picture: Any) -> None:
    """The upper left panel is the plane in the middle: light adds up, labels lie over it, at their places."""
    height, width = SIZE[1] // 2, SIZE[0] // 2
    scale = 128 / 400 * 1.0  # Voxels per pixel: the image is 400 pixels wide.

    def at(y: float, x: float) -> tuple[int, ...]:
        return tuple(map(int, picture[round(height / 2 + (y - 48) / scale), round(width / 2 + (x - 64) / scale)]))

    def light(y: int, x: int) -> Any:
        return VOLUME[:, 16, y, x] / 60_000 * 255

    for y, x in ((40, 64), (56, 60), (40, 90), (56, 90), (24, 64)):
        assert at(y + 0.5, x + 0.5) == pytest.approx(light(y, x), abs=12), (y, x)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_looks_as_it_should(version: str, tmp_path: Path) -> None:
    written(tmp_path / "a", version)
    with daskome.view(tmp_path / "a") as viewing:
        picture = photographed(viewing, tmp_path)
    assert_volume_is_shown(picture)
    assert_golden(picture, f"volume-{version}")


def test_a_bucket_that_only_we_may_read_is_shown(tmp_path: Path, s3: S3) -> None:
    url = f"s3://{s3.bucket()}/a"
    written(url, "0.5", fs_options=s3.options)
    with daskome.view(url, s3.options) as viewing:
        picture = photographed(viewing, tmp_path)
    assert_golden(picture, "volume-0.5")


def test_an_image_in_two_dimensions_without_units(tmp_path: Path) -> None:
    daskome.write_image(VOLUME[1, 16], tmp_path / "a", [2], axes="yx")
    with daskome.view(tmp_path / "a") as viewing:
        picture = photographed(viewing, tmp_path)
    assert tuple(picture[SIZE[1] // 2, SIZE[0] // 2]) == (255, 255, 255)
    assert_golden(picture, "plane")
