"""Laws of `daskome.model.text`: what people read is what is meant, in columns that line up."""

import re
from html import unescape

import pytest
from dask.utils import parse_bytes
from hypothesis import given, strategies as st

from daskome.model.text import (
    NBYTES_UNITS,
    format_duration,
    format_html_table,
    format_nbytes,
    format_numbers,
    format_table,
    parse_nbytes,
    pluralize,
)
from tests.strategies import law

cells = st.text("abc <>&\"'0–", max_size=6).map(str.strip)
rows = st.integers(1, 4).flatmap(lambda n: st.lists(st.lists(cells, min_size=n, max_size=n), min_size=1, max_size=4))


@law(max_examples=150)
@given(n=st.integers(0, 2**65))
def test_bytes_are_named_to_three_digits(n: int) -> None:
    number, unit = format_nbytes(n).split()
    meant = float(number) * 1024 ** NBYTES_UNITS.index(unit)
    assert meant == pytest.approx(n, rel=0.051)
    assert float(number) < 1025 or unit == "EiB"
    assert float(number) >= 1 or unit == "B"


@pytest.mark.parametrize(
    ("n", "expected"),
    [
        (0, "0 B"), (1, "1 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"), (100 * 1024, "100 KiB"),
        (2**20, "1.0 MiB"), (5 * 2**30, "5.0 GiB"), (2**40, "1.0 TiB"), (2**50, "1.0 PiB"), (2**60, "1.0 EiB"),
        (2**75, "32768 EiB"), (1536.0, "1.5 KiB"),
    ],
)  # fmt: skip
def test_bytes(n: float, expected: str) -> None:
    assert format_nbytes(n) == expected


@pytest.mark.parametrize(("n", "expected"), [(0, "0 units"), (1, "1 unit"), (2, "2 units"), (12345, "12,345 units")])
def test_counts(n: int, expected: str) -> None:
    assert pluralize(n, "unit") == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [((), ""), ((1, 2), "1, 2"), ((1.0, 0.1 + 0.2), "1, 0.3"), ((1e-12,), "1e-12"), ((0.1625,), "0.1625")],
)
def test_numbers(values: tuple[float, ...], expected: str) -> None:
    assert format_numbers(values) == expected


@law(max_examples=100)
@given(rows=rows)
def test_columns_line_up(rows: list[list[str]]) -> None:
    title, *lines = format_table("title", *_split(rows)).split("\n")
    assert title == "title"
    assert len(lines) == len(rows)
    starts = [2]
    for column in list(zip(*rows, strict=True))[:-1]:
        starts.append(starts[-1] + max(map(len, column)) + 2)
    for line, row in zip(lines, rows, strict=True):
        for start, cell in zip(starts, row, strict=True):
            assert line[start : start + len(cell)] == cell
        assert line.startswith("  ")
        assert line[2:] == line[2:].rstrip()


@law(max_examples=50)
@given(rows=rows)
def test_html_is_escaped(rows: list[list[str]]) -> None:
    shown = format_html_table("<title>", *_split(rows))
    assert set(re.findall(r"<(\w+)>", shown)) <= {"table", "caption", "thead", "tbody", "tr", "th", "td"}
    for tag, cells in (("th", rows[0]), ("td", [cell for row in rows[1:] for cell in row])):
        found = re.findall(f"<{tag}>(.*?)</{tag}>", shown)
        assert not [cell for cell in found if "<" in cell or ">" in cell]
        assert list(map(unescape, found)) == cells
    assert "<caption>&lt;title&gt;</caption>" in shown


def _split(rows: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    return rows[0], rows[1:]


def test_rows_of_other_lengths_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="zip"):
        format_table("title", ["a", "b"], [["1"]])


@pytest.mark.parametrize("said", ["2GB", "2 gb", "1.5 GiB", "100MB", "4k", "7", "1e6", "2e3 kB", "3TiB", "1PB", 512])
def test_bytes_are_read_as_dask_reads_them(said: int | str) -> None:
    assert parse_nbytes(said) == parse_bytes(said)


@pytest.mark.parametrize("said", ["", "fast", "-1", "0", "5 apples", "GB", "1..2GB/s", None])
def test_what_is_no_number_of_bytes_is_refused(said: str) -> None:
    with pytest.raises(ValueError, match="not a number of bytes; give one such as '8GB'"):
        parse_nbytes(said)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "under 1 s"), (1, "1 s"), (119, "119 s"), (120, "2 min"), (7200, "2.0 h"), (172800, "2.0 days"), (1e9, "11,574.1 days")],
)  # fmt: skip
def test_times(seconds: float, said: str) -> None:
    assert format_duration(seconds) == said
