"""Numbers and tables as people read them: text for terminals, HTML for notebooks."""

from collections.abc import Sequence
from html import escape

UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]


def nbytes(n: float) -> str:
    """Return a number of bytes with its unit.

    >>> nbytes(1536), nbytes(7)
    ('1.5 KiB', '7 B')
    """
    unit = 0
    while n >= 1024 and unit < len(UNITS) - 1:
        n, unit = n / 1024, unit + 1
    return f"{n:.{int(unit > 0 and n < 100)}f} {UNITS[unit]}"


def count(n: int, noun: str) -> str:
    """Return a number of things.

    >>> count(1, "unit"), count(2000, "unit")
    ('1 unit', '2,000 units')
    """
    return f"{n:,} {noun}{'s' * (n != 1)}"


def duration(seconds: float) -> str:
    """Return a time in the largest unit that says it.

    >>> duration(8), duration(150), duration(7200), duration(300_000)
    ('8 s', '2.5 min', '2.0 h', '3.5 days')
    """
    for size, unit in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size or (unit != "days" and seconds >= size):
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def numbers(values: Sequence[float]) -> str:
    """Return one number per axis.

    >>> numbers((1, 0.5))
    '1, 0.5'
    """
    return ", ".join(f"{value:.10g}" if isinstance(value, float) else str(value) for value in values)


def text(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in columns.

    >>> print(text("brain", ["level", "shape"], [["s0", "8, 8"]]))
    brain
      level  shape
      s0     8, 8
    """
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in (head, *rows)]
    return "\n".join([title, *(f"  {line}" for line in lines)])


def html(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table as HTML."""
    cells = ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows]
    heads = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    return f"<table><caption>{escape(title)}</caption><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
