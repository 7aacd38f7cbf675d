"""The names of ``ome_zarr.format``: a class per version of OME-Zarr, as `daskome.ome.versions.VERSIONS` has it.

Every function of daskome takes ``"0.5"`` where it takes ``FormatV05()``.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from daskome.calls.translation import check_placing
from daskome.ome.versions import VERSIONS, find_version
from daskome.stores.location import locate

Transformations = list[list[dict[str, Any]]]
__all__ = [
    "CurrentFormat", "Format", "FormatV01", "FormatV02", "FormatV03", "FormatV04", "FormatV05", "FormatV06",
    "FormatV09dev1",
    "detect_format", "format_from_version", "format_implementations",
]  # fmt: skip


class Format:
    """A version of OME-Zarr. Two are equal if their versions are.

    Attributes
    ----------
    version : str
        As it stands in the metadata.

    Examples
    --------
    >>> FormatV05().zarr_format, FormatV04().chunk_key_encoding
    (3, {'name': 'v2', 'separator': '/'})
    """

    version: ClassVar[str]

    @property
    def zarr_format(self) -> int:
        """2 or 3."""
        return VERSIONS[self.version].arrays.zarr_format

    @property
    def chunk_key_encoding(self) -> dict[str, str]:
        """How chunks are named, as an argument of ``zarr.create_array``."""
        arrays = VERSIONS[self.version].arrays
        return {"name": arrays.keys, "separator": arrays.separator}

    def matches(self, metadata: Mapping[str, Any]) -> bool:
        """Return whether attributes say that they are of this version."""
        return _stated(metadata) == self.version

    def init_store(self, path: str, mode: str = "r") -> Any:
        """Return a zarr store for a path or URL, read-only with ``mode="r"``."""
        return locate(path, read_only=mode == "r").store

    def init_channels(self) -> None:
        """Do nothing, as in ``ome_zarr``."""

    def generate_well_dict(self, well: str, rows: list[str], columns: list[str]) -> dict[str, Any]:
        """Return the entry of a plate's ``wells`` for a path such as "A/1".

        Raises
        ------
        ValueError
            If the path is not one of the rows, a slash and one of the columns.
        """
        if not VERSIONS[self.version].indexed:
            return {"path": str(well)}
        row, column = _row_and_column(str(well), rows, columns)
        return {"path": str(well), "rowIndex": row, "columnIndex": column}

    def validate_well_dict(self, well: Mapping[str, Any], rows: list[str], columns: list[str]) -> None:
        """Raise if an entry of a plate's ``wells`` is invalid.

        Raises
        ------
        TypeError
            If a key is missing or its value has the wrong type.
        ValueError
            If the path does not fit the rows and columns, or the indices do not fit the path.
        """
        keys = {"path": str, "rowIndex": int, "columnIndex": int} if VERSIONS[self.version].indexed else {"path": str}
        for key, kind in keys.items():
            if not isinstance(well.get(key), kind):
                raise TypeError(f"well {dict(well)} needs {key!r}, a {kind.__name__} (section 'plate')")
        if VERSIONS[self.version].indexed and dict(well) | self.generate_well_dict(well["path"], rows, columns) != dict(
            well
        ):
            wanted = self.generate_well_dict(well["path"], rows, columns)
            raise ValueError(f"well {dict(well)}: its indices must be those of its path, {wanted} (section 'plate')")

    def generate_coordinate_transformations(self, shapes: Sequence[Sequence[int]]) -> Transformations | None:
        """Return a scale and a translation per level from the levels' shapes; None for versions without them."""
        if VERSIONS[self.version].transforms is None:
            return None
        scales = [[full / n for full, n in zip(shapes[0], shape, strict=True)] for shape in shapes]
        return [
            [{"type": "scale", "scale": s}, {"type": "translation", "translation": [(v - 1) / 2 for v in s]}]
            for s in scales
        ]

    def validate_coordinate_transformations(
        self, ndim: int, nlevels: int, coordinate_transformations: Transformations | None = None
    ) -> None:
        """Raise a ValueError unless there is a scale per level, and at most a translation after it.

        Raises
        ------
        ValueError
            If a transformation is missing or of the wrong type; TypeError if values are not numbers.
        """
        if VERSIONS[self.version].transforms is None:
            return
        n = None if coordinate_transformations is None else len(coordinate_transformations)
        if coordinate_transformations is None or n != nlevels:
            raise ValueError(f"{n} coordinate transformations for {nlevels} levels (section 'multiscales')")
        for level in coordinate_transformations:
            check_placing(level, ndim)

    def __repr__(self) -> str:
        return type(self).__name__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Format) and self.version == other.version

    def __hash__(self) -> int:
        return hash(self.version)


class FormatV01(Format):
    """0.1, of 2020: all chunks of an array side by side."""

    version = "0.1"


class FormatV02(FormatV01):
    """0.2, of April 2021: chunks in nested folders."""

    version = "0.2"


class FormatV03(FormatV02):
    """0.3, of August 2021: names of axes."""

    version = "0.3"


class FormatV04(FormatV03):
    """0.4, of February 2022: types and units of axes, coordinate transformations."""

    version = "0.4"


class FormatV05(FormatV04):
    """0.5, of November 2024: zarr v3."""

    version = "0.5"


class FormatV06(FormatV05):
    """0.6: coordinate systems."""

    version = "0.6"


class FormatV09dev1(FormatV06):
    """0.9.dev1, on the way to the next: axes of any number, type and order, and their orientation."""

    version = "0.9.dev1"


CurrentFormat = FormatV05
"""The version that is written by default."""
FORMATS = (FormatV09dev1, FormatV06, FormatV05, FormatV04, FormatV03, FormatV02, FormatV01)


def format_from_version(version: Any) -> Format:
    """Return the `Format` of a version, such as "0.4" or 0.4.

    Examples
    --------
    >>> format_from_version(0.4)
    FormatV04
    """
    name = find_version(version).name
    return next(fmt for fmt in format_implementations() if fmt.version == name)


def format_implementations() -> Iterator[Format]:
    """Yield a `Format` of each version, from the newest."""
    for kind in FORMATS:
        yield kind()


def detect_format(metadata: Mapping[str, Any], default: Format) -> Format:
    """Return the `Format` that attributes say they have, or the default.

    Examples
    --------
    >>> detect_format({"ome": {"version": "0.5"}}, default=FormatV04())
    FormatV05
    """
    return next((fmt for fmt in format_implementations() if fmt.matches(metadata)), default)


def _stated(metadata: Mapping[str, Any]) -> str | None:
    """Return the version that attributes state: once, or in each of their parts."""
    ome = metadata.get("ome", metadata)
    parts = [
        ome,
        *(ome.get("multiscales") or ())[:1],
        *(ome.get(key) or {} for key in ("plate", "well", "image-label")),
    ]
    return next((part["version"] for part in parts if isinstance(part.get("version"), str)), None)


def _row_and_column(well: str, rows: list[str], columns: list[str]) -> tuple[int, int]:
    row, slash, column = well.partition("/")
    if not slash or row not in rows or column not in columns:
        raise ValueError(
            f"well {well!r} must be one of rows {rows}, a slash, one of columns {columns} (section 'plate')"
        )
    return rows.index(row), columns.index(column)
