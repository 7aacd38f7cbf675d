"""Numbers, sizes, durations and tables as people read them."""

import re
from collections.abc import Callable, Iterable, Sequence
from html import escape
from math import inf

Progress = Callable[[int, int], None]
ShowProgress = Progress | bool | None
"""What is called as something goes on; True is a bar on stderr."""
NBYTES_UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
DURATIONS = (
    (1.0, "under 1 s", 1.0),
    (120.0, "{:.0f} s", 1.0),
    (7200.0, "{:.0f} min", 60.0),
    (172800.0, "{:.1f} h", 3600.0),
    (float("inf"), "{:,.1f} days", 86400.0),
)
"""Rows of (limit, format, unit): how a time below `limit` seconds is written, in units of `unit` seconds."""


def format_nbytes(n: float) -> str:
    """Return a number of bytes with its unit.

    >>> format_nbytes(1536), format_nbytes(7)
    ('1.5 KiB', '7 B')
    """
    unit = 0
    while n >= 1024 and unit < len(NBYTES_UNITS) - 1:
        n, unit = n / 1024, unit + 1
    return f"{n:.{int(unit > 0 and n < 100)}f} {NBYTES_UNITS[unit]}"


def parse_nbytes(text: int | str, what: str = "") -> int:
    """Return a number of bytes from text, as Dask does: GB are powers of 1000, GiB powers of 1024.

    `what` says in messages what it is for.

    Raises
    ------
    ValueError
        If it is not a positive number of bytes.

    Examples
    --------
    >>> parse_nbytes("8GB"), parse_nbytes("1.5 GiB"), parse_nbytes(512)
    (8000000000, 1610612736, 512)
    """
    parts = re.fullmatch(r"(\d*\.?\d+(?:e[+-]?\d+)?)\s*(?:([kmgtpe])(i?))?b?", str(text).strip(), re.IGNORECASE)
    number, power, binary = parts.groups() if parts else ("0", None, None)
    base = 1024 if binary else 1000
    nbytes = float(number) * base ** " kmgtpe".index((power or " ").lower())
    if not 1 <= nbytes < inf:
        given = f"{what} {text!r}".lstrip()
        raise ValueError(f"{given} is not a number of bytes; give one such as '8GB', '500 MiB' or 2000000000")
    return int(nbytes)


def format_duration(seconds: float) -> str:
    """Return a time for people to read.

    >>> format_duration(0.2), format_duration(90), format_duration(7200), format_duration(1e6)
    ('under 1 s', '90 s', '2.0 h', '11.6 days')
    """
    form, unit = next(((form, unit) for limit, form, unit in DURATIONS if seconds < limit))
    return form.format(seconds / unit)


def pluralize(n: int, noun: str) -> str:
    """Return a number with its noun, in the plural where it should be.

    >>> pluralize(1, "unit"), pluralize(2000, "unit")
    ('1 unit', '2,000 units')
    """
    return f"{n:,} {noun}{'s' * (n != 1)}"


def format_ranges(numbers: Iterable[int]) -> str:
    """Return rising whole numbers as text, runs of consecutive ones as a range.

    >>> format_ranges([0, 1, 2, 7])
    '0-2,7'
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], number]
        else:
            runs.append([number])
    return ",".join("-".join(map(str, run)) for run in runs)


def format_numbers(values: Sequence[float]) -> str:
    """Return numbers, one per axis, as text.

    >>> format_numbers((1, 0.5))
    '1, 0.5'
    """
    return ", ".join(f"{value:.10g}" if isinstance(value, float) else str(value) for value in values)


def format_table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table as text, in columns.

    >>> print(format_table("brain", ["level", "shape"], [["s0", "8, 8"]]))
    brain
      level  shape
      s0     8, 8
    """
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in (head, *rows)]
    return "\n".join([title, *(f"  {line}" for line in lines)])


def format_html_table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table as HTML."""
    cells = ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows]
    heads = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    return f"<table><caption>{escape(title)}</caption><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
