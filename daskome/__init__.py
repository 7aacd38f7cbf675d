"""daskome: image volumes of any size to OME-Zarr pyramids, out of core, natively on Dask."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from daskome._version import __version__

if TYPE_CHECKING:
    from daskome.metadata import Channel
    from daskome.methods import METHODS
    from daskome.plan import Plan
    from daskome.readers import read
    from daskome.run import WriteError
    from daskome.verification import Problem, verify
    from daskome.writer import plan_image, write_image, write_multiscale

_HOMES = {
    "METHODS": "methods",
    "Channel": "metadata",
    "Plan": "plan",
    "Problem": "verification",
    "WriteError": "run",
    "plan_image": "writer",
    "read": "readers",
    "verify": "verification",
    "write_image": "writer",
    "write_multiscale": "writer",
}

__all__ = [
    "METHODS",
    "Channel",
    "Plan",
    "Problem",
    "WriteError",
    "__version__",
    "plan_image",
    "read",
    "verify",
    "write_image",
    "write_multiscale",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: Dask and zarr take half a second, which ``--help`` need not wait."""
    if name not in _HOMES:
        raise AttributeError(f"module 'daskome' has no attribute {name!r}")
    return getattr(import_module(f"daskome.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
