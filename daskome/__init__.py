"""daskome: image volumes of any size to OME-Zarr pyramids, out of core, natively on Dask."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from daskome._version import __version__ as __version__

if TYPE_CHECKING:  # What `_HOMES` imports when it is first used, for type checkers; a test compares them.
    from daskome.execution.batch.parts import finish as finish, run_part as run_part
    from daskome.execution.batch.script import batch_script as batch_script
    from daskome.inspection.manifest import manifest as manifest
    from daskome.inspection.validate import validate as validate
    from daskome.inspection.verify import verify as verify
    from daskome.keeping.remove import remove as remove
    from daskome.keeping.state import status as status
    from daskome.kernels.methods import METHODS as METHODS
    from daskome.model.problem import Problem as Problem, WriteError as WriteError
    from daskome.model.source import Volume as Volume
    from daskome.ome.omero import Channel as Channel
    from daskome.planning.plan import Plan as Plan
    from daskome.readers import read as read
    from daskome.reading.opening import open as open
    from daskome.transcoding.call import transcode as transcode
    from daskome.transcoding.packing import pack as pack, unpack as unpack
    from daskome.upgrade.convert import convert_metadata as convert_metadata
    from daskome.viewing.preview import preview as preview
    from daskome.viewing.view import view as view
    from daskome.writer import (
        add_levels as add_levels,
        append as append,
        plan_image as plan_image,
        update as update,
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
    from daskome.writing.codec_trials import try_codecs as try_codecs
    from daskome.writing.collections.series import write_series as write_series
    from daskome.writing.labels import label_values as label_values

_HOMES = {
    "Channel": "ome.omero",
    "METHODS": "kernels.methods",
    "Plan": "planning.plan",
    "Problem": "model.problem",
    "Volume": "model.source",
    "WriteError": "model.problem",
    "add_levels": "writer",
    "append": "writer",
    "batch_script": "execution.batch.script",
    "convert_metadata": "upgrade.convert",
    "finish": "execution.batch.parts",
    "label_values": "writing.labels",
    "manifest": "inspection.manifest",
    "open": "reading.opening",
    "pack": "transcoding.packing",
    "plan_image": "writer",
    "preview": "viewing.preview",
    "read": "readers",
    "remove": "keeping.remove",
    "run_part": "execution.batch.parts",
    "status": "keeping.state",
    "transcode": "transcoding.call",
    "try_codecs": "writing.codec_trials",
    "unpack": "transcoding.packing",
    "update": "writer",
    "validate": "inspection.validate",
    "verify": "inspection.verify",
    "view": "viewing.view",
    "write_image": "writer",
    "write_label_metadata": "writer",
    "write_labels": "writer",
    "write_multiscale": "writer",
    "write_multiscale_labels": "writer",
    "write_multiscales_metadata": "writer",
    "write_plate": "writer",
    "write_plate_metadata": "writer",
    "write_series": "writing.collections.series",
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
