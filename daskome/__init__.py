"""daskome: image volumes of any size to OME-Zarr pyramids, out of core, natively on Dask."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from daskome._version import __version__

if TYPE_CHECKING:
    from daskome.batch import batch_script, finish, run_part, status
    from daskome.channels import Channel
    from daskome.images import Volume
    from daskome.jobs import WriteError
    from daskome.label_images import label_values
    from daskome.methods import METHODS
    from daskome.plan import Plan
    from daskome.problem import Problem
    from daskome.readers import read
    from daskome.upgrade import convert_metadata
    from daskome.validation import validate
    from daskome.verification import verify
    from daskome.writer import (
        add_levels,
        plan_image,
        write_image,
        write_label_metadata,
        write_labels,
        write_multiscale,
        write_multiscale_labels,
        write_multiscales_metadata,
        write_plate,
        write_plate_metadata,
        write_well_metadata,
    )

_HOMES = {
    "Channel": "channels",
    "METHODS": "methods",
    "Plan": "plan",
    "Problem": "problem",
    "Volume": "images",
    "WriteError": "jobs",
    "add_levels": "writer",
    "batch_script": "batch",
    "convert_metadata": "upgrade",
    "finish": "batch",
    "label_values": "label_images",
    "plan_image": "writer",
    "read": "readers",
    "run_part": "batch",
    "status": "batch",
    "try_codecs": "trials",
    "validate": "validation",
    "verify": "verification",
    "write_image": "writer",
    "write_label_metadata": "writer",
    "write_labels": "writer",
    "write_multiscale": "writer",
    "write_multiscale_labels": "writer",
    "write_multiscales_metadata": "writer",
    "write_plate": "writer",
    "write_plate_metadata": "writer",
    "write_well_metadata": "writer",
}

__all__ = [
    "METHODS",
    "Channel",
    "Plan",
    "Problem",
    "Volume",
    "WriteError",
    "__version__",
    "add_levels",
    "batch_script",
    "convert_metadata",
    "finish",
    "label_values",
    "plan_image",
    "read",
    "run_part",
    "status",
    "try_codecs",
    "validate",
    "verify",
    "write_image",
    "write_label_metadata",
    "write_labels",
    "write_multiscale",
    "write_multiscale_labels",
    "write_multiscales_metadata",
    "write_plate",
    "write_plate_metadata",
    "write_well_metadata",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: Dask and zarr take half a second, which ``--help`` need not wait."""
    if name not in _HOMES:
        raise AttributeError(f"module 'daskome' has no attribute {name!r}")
    return getattr(import_module(f"daskome.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
