"""`plan_image`: what a write would do.

Dask and zarr are imported where they are needed: planning a `Volume` for other workers needs neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from daskome.planning.plan import Plan
from daskome.writing.images import planned_image
from daskome.writing.ome_zarr_calls import accepts_ome_zarr_calls
from daskome.writing.options import Arguments
from daskome.writing.target import plan_call
from daskome.writing.types import (
    AxesLike,
    ChannelsLike,
    FileSystemOptions,
    FormatLike,
    GroupLike,
    ImageLike,
    LabelsLike,
    MethodLike,
    Nbytes,
    PerAxis,
    ScaleFactors,
    StorageOptions,
    UnitsLike,
)

if TYPE_CHECKING:
    from zarr.storage import StorePath


@accepts_ome_zarr_calls
def plan_image(
    image: ImageLike,
    group: GroupLike | None = None,
    scale_factors: ScaleFactors = "auto",
    name: str | None = None,
    method: MethodLike | None = None,
    *,
    fmt: FormatLike | None = None,
    axes: AxesLike | None = None,
    scale: PerAxis | None = None,
    translation: PerAxis | None = None,
    axes_units: UnitsLike | None = None,
    channels: ChannelsLike | None = None,
    omero: Mapping[str, Any] | None = None,
    labels: Mapping[str, LabelsLike] | None = None,
    storage_options: StorageOptions = None,
    fs_options: FileSystemOptions | None = None,
    memory: Nbytes | None = None,
    staging: bool = False,
    workers: int | None = None,
    threads: int | None = None,
    overwrite: bool = False,
    **metadata: Any,
) -> Plan:
    """Return what `write_image` would do: the dry run. Print it, or look at it in a notebook.

    Parameters
    ----------
    image, scale_factors, name, method
        As in `write_image`.
    group : optional
        The target; with it, what is there already is checked too.
    fmt, axes, scale, translation, axes_units, channels, omero, labels, storage_options, fs_options, memory, staging
        As in `write_image`.
    workers, threads : int, optional
        Plan for this many worker processes of `threads` threads (1 if not given) and `memory` each (not bounded if not
        given), instead of those that would write now; `threads` alone changes only their threads.
    overwrite, **metadata
        As in `write_image`.

    Returns
    -------
    Plan

    Raises
    ------
    ValueError, TypeError, FileExistsError
        As `write_image` would.

    Examples
    --------
    >>> import dask.array as da
    >>> from daskome import plan_image
    >>> plan_image(da.zeros((100, 300, 300), dtype="uint8", chunks=100), memory="2GB").pyramids[0].levels[-1].shape
    (25, 75, 75)
    >>> from daskome import Volume
    >>> terabyte = Volume((10_000, 10_000, 10_000), "uint8", chunks=(1, 10_000, 10_000))
    >>> plan_image(terabyte, workers=100, threads=4, memory="16GB").workers.parallel
    400
    """
    return _planned(locals())


def _planned(arguments: Arguments) -> Plan:
    """Return the plan of a call; with a target, check that it can be written there."""
    store_path = _located(arguments["group"], arguments["fs_options"])
    plan, sources = plan_call(planned_image, arguments, store_path)
    if store_path is not None:
        from daskome.execution.write import Write

        Write(plan, sources, store_path, arguments["overwrite"]).checked()
    return plan


def _located(group: GroupLike, fs_options: FileSystemOptions | None) -> StorePath | None:
    if group is None:
        return None
    from daskome.stores.location import locate

    return locate(group, fs_options)
