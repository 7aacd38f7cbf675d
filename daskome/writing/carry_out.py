"""From the arguments of a call to a write: plan it, then carry the plan out now, later, or only begin it."""

from collections.abc import Callable, Sequence

from dask.delayed import Delayed
from zarr.storage import StorePath

from daskome.execution.progress import drawn
from daskome.execution.write import Write
from daskome.model.source import Source
from daskome.ome.versions import Version
from daskome.planning.plan import Plan
from daskome.planning.work import PlanOptions
from daskome.sources.views import check_has_pixels
from daskome.stores.groups import reload_attributes
from daskome.stores.location import locate
from daskome.stores.remembered import looked_at
from daskome.writing.description import Planned
from daskome.writing.options import Arguments, WriteOptions, chosen
from daskome.writing.target import plan_call

Planner = Callable[[Arguments, StorePath, Version, PlanOptions], Planned]
"""Makes a plan from the arguments of a call by name, the target, the version and the options of the planner."""


def write(planner: Planner, arguments: Arguments, whole: bool = True) -> Plan | Delayed:
    """Plan a call (`plan_call`), and carry the plan out; one that writes the whole of a target may replace its file."""
    replaces = whole and arguments["overwrite"] is True
    store_path = looked_at(locate(arguments["group"], arguments["fs_options"], replaces=replaces))
    plan, sources = plan_call(planner, arguments, store_path)
    return carry_out(plan, sources, store_path, arguments)


def carry_out(
    plan: Plan, sources: Sequence[Source], store_path: StorePath, arguments: Arguments, finished: bool = False
) -> Plan | Delayed:
    """Carry a plan out as the arguments of the call say (`WriteOptions`), unless all of it was done before."""
    for source in sources:
        check_has_pixels(source)
    options = chosen(WriteOptions, arguments)
    if options.temporary is not None:
        from daskome.stores.archives.working import check_temporary

        check_temporary(store_path, options.temporary)
    task = Write(plan, sources, store_path, options.overwrite, options.retries, options.take_over, finished=finished)
    if options.resume and options.overwrite:
        raise ValueError("resume=True goes on with what was begun, overwrite=True begins anew: give one of them")
    if options.resume and not finished:
        from daskome.execution.resume import resumed

        task = resumed(task)
    task = task.checked()
    if options.temporary is not None:
        from daskome.stores.archives.working import begin_elsewhere

        begin_elsewhere(store_path, options.temporary)
    if not options.compute:
        return task.later()
    try:
        return task.init() if options.compute == "init" else task.now(drawn(options.progress))
    finally:
        reload_attributes(arguments["group"])
