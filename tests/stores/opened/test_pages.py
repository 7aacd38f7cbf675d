"""Lists of what lies below a folder."""

from pathlib import Path

from daskome.stores.opened.pages import walk_files


def test_a_link_to_nothing_hides_nothing_behind_it(tmp_path: Path) -> None:
    for name in ("a", "c", "d/e"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"12")
    (tmp_path / "b").symlink_to(tmp_path / "nowhere")
    assert list(walk_files(tmp_path)) == [("a", 2), ("c", 2), ("d/e", 2)]
