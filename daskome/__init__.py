"""daskome: image volumes of any size to OME-Zarr pyramids, out of core, natively on Dask."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from daskome._version import __version__ as __version__

if TYPE_CHECKING:  # What `_HOMES` imports when it is first used, for type checkers; a test compares them.
    from daskome.batch import batch_script as batch_script, finish as finish, run_part as run_part, status as status
    from daskome.channels import Channel as Channel
    from daskome.images import Volume as Volume
    from daskome.jobs import WriteError as WriteError
    from daskome.label_images import label_values as label_values
    from daskome.methods import METHODS as METHODS
    from daskome.plan import Plan as Plan
    from daskome.problem import Problem as Problem
    from daskome.readers import read as read
    from daskome.trials import try_codecs as try_codecs
    from daskome.upgrade import convert_metadata as convert_metadata
    from daskome.validation import validate as validate
    from daskome.verification import verify as verify
    from daskome.writer import (
        add_levels as add_levels,
        plan_image as plan_image,
        write_image as write_image,
        write_label_metadata as write_label_metadata,
        write_labels as write_labels,
        write_multiscale as write_multiscale,
        write_multiscale_labels as write_multiscale_labels,
        write_multiscales_metadata as write_multiscales_metadata,
        write_plate as write_plate,
        write_plate_metadata as write_plate_metadata,
        write_well_metadata as write_well_metadata,
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
"""The public names, and the modules that they are imported from."""

__all__ = sorted(["__version__", *_HOMES])


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: Dask and zarr take half a second, which ``--help`` need not wait."""
    if name not in _HOMES:
        raise AttributeError(f"module 'daskome' has no attribute {name!r}")
    return getattr(import_module(f"daskome.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
