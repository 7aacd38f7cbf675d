"""A region of a stored image, and all that is made of it, written again in place."""

from dask.delayed import Delayed

from daskome.execution.write import Write
from daskome.model.regions import widened
from daskome.planning.groups.passes import Changing, plan_change
from daskome.planning.plan import Plan
from daskome.stores.location import locate
from daskome.stores.remembered import looked_at
from daskome.writing.carry_out import carry_out
from daskome.writing.in_place.changes import changeable, chunks_around, given_source
from daskome.writing.in_place.selection import parse_selection
from daskome.writing.options import Arguments, check_bool, chosen
from daskome.writing.target import PlanRequest, plan_options


def write_update(arguments: Arguments) -> Plan | Delayed:
    """Plan `daskome.update`, and carry the plan out."""
    check_bool("dry_run", arguments["dry_run"])
    store_path = looked_at(locate(arguments["group"], arguments["fs_options"]))
    found = changeable(store_path, arguments)
    base = found.pyramid.levels[0]
    region, single = parse_selection(arguments["region"], found.names, base.shape)
    lengths = [stop - start for start, stop in region]
    data = arguments["data"]
    source = None if data is None else given_source(data, found, lengths, single, "data")
    given = None if source is None else region
    changed = found.with_left(region, arguments["resume"])
    objects = widened(region, base.layout.objects, base.shape)
    chunks = None if source is None else chunks_around(source, region, objects)
    changing = Changing(changed, given, found.shapes, found.exact)
    options = plan_options(store_path, chosen(PlanRequest, arguments))
    plan, sources = plan_change(found.pyramid, changing, found.version, options, chunks), [source] if source else []
    if arguments["dry_run"]:
        Write(plan, sources, store_path, arguments["overwrite"]).checked()
        return plan
    return carry_out(plan, sources, store_path, arguments)
