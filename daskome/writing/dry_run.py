"""The plan of a write, without the write.

Dask and zarr are imported where they are needed: planning a `Volume` for other workers needs neither.
"""

from typing import TYPE_CHECKING

from daskome.planning.plan import Plan
from daskome.writing.images import planned_image
from daskome.writing.options import Arguments
from daskome.writing.target import plan_call

if TYPE_CHECKING:
    from zarr.storage import StorePath


def dry_run(arguments: Arguments) -> Plan:
    """Return the plan of `daskome.plan_image`; with a target, check that it can be written there."""
    store_path = _located(arguments)
    if arguments.get("temporary") is not None and store_path is not None:
        from daskome.stores.archives.working import check_temporary

        check_temporary(store_path, arguments["temporary"])
    plan, sources = plan_call(planned_image, arguments, store_path)
    if store_path is not None:
        from daskome.execution.write import Write

        Write(plan, sources, store_path, arguments["overwrite"]).checked()
    return plan


def _located(arguments: Arguments) -> "StorePath | None":
    if arguments["group"] is None:
        return None
    from daskome.stores.location import locate

    return locate(arguments["group"], arguments["fs_options"], replaces=arguments["overwrite"] is True)
