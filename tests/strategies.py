"""What can be written: images, factors, layouts, source chunks and workers, small enough to be counted by the voxel."""

from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from hypothesis import settings, strategies as st

from daskome.kernels.methods import METHODS
from daskome.model.axes import Axis, parse_axes
from daskome.model.chunks import Chunks
from daskome.model.image import DTYPES, Image
from daskome.model.limits import Limits
from daskome.model.regions import Shape, ceil_div
from daskome.ome.versions import VERSIONS
from daskome.planning.build import plan_downsampled
from daskome.planning.plan import Plan
from daskome.planning.work import PROCESS_MEM, PlanOptions, SourceChunks, Workers

SHARE = 4
"""The default suite tries so many times fewer examples of each law; `tests.conftest` sets it, before laws are read."""


def law(max_examples: int = 100, derandomize: bool = True, **more: Any) -> settings:
    """Return the settings of a test that states a law: how many examples it tries, in the default suite or all."""
    n_examples = max(max_examples // SHARE, min(max_examples, 5))
    return settings(max_examples=n_examples, derandomize=derandomize, deadline=None, **more)


AXES = ("yx", "zyx", "cyx", "tyx", "czyx", "tzyx", "tcyx", "tczyx")
LONGEST = {2: 70, 3: 31, 4: 11, 5: 7}
"""The longest axis of an image of so many dimensions."""
MOST_CHUNKS = {2: 8, 3: 5, 4: 3, 5: 2}
"""How many chunks an axis has at most."""


@dataclass(frozen=True)
class Case:
    """All that the plan for one image is made from."""

    image: Image
    source_chunks: Chunks
    method: str = "mean"
    version: str = "0.5"
    scale_factors: Any = "auto"
    storage_options: Any = None
    workers: Workers = field(default_factory=Workers)
    deletes: bool = True
    limits: Limits = field(default_factory=Limits)

    def plan(self) -> Plan:
        """Return the plan."""
        return plan_downsampled(
            self.image,
            SourceChunks(self.source_chunks),
            METHODS[self.method],
            VERSIONS[self.version],
            scale_factors=self.scale_factors,
            storage_options=self.storage_options,
            options=PlanOptions(self.workers, deletes=self.deletes, limits=self.limits),
        )


def volume(edge: int = 1024, chunk: int = 128, dtype: str = "uint16", **changes: Any) -> Case:
    """Return a cube of zyx, stored in cubes, and planned for chunks of 128."""
    image = Image((edge,) * 3, dtype, parse_axes("zyx", 3, "micrometer"), (1.0,) * 3, (0.0,) * 3, "brain")
    return replace(Case(image, (regular(edge, chunk),) * 3, storage_options={"chunks": 128}), **changes)


def regular(n: int, chunk: int) -> tuple[int, ...]:
    """Return the sizes of equal chunks, the last cut by the end."""
    return tuple(min(chunk, n - start) for start in range(0, n, chunk))


voxel_sizes = st.floats(0.01, 100)
positions = st.floats(-1e3, 1e3)
methods = st.sampled_from(list(METHODS))
dtypes = st.sampled_from(DTYPES)
versions = st.sampled_from(["0.4", "0.5"])
worker_counts = st.builds(Workers, st.integers(1, 4), st.integers(1, 4))
small_limits = st.builds(
    Limits,
    block_nbytes=st.sampled_from([1, 64, 500]),
    frame_nbytes=st.sampled_from([1, 64, 500]),
    unit_nbytes=st.sampled_from([1, 500, 4000]),
    tail_nbytes=st.sampled_from([1, 500, 4000]),
    copied_nbytes=st.sampled_from([1, 2**62]),
)
"""With them, small images are cut as large ones are."""


def per(values: Any, strategy: Any) -> Any:
    """Return a strategy for tuples of one thing per value."""
    return st.tuples(*map(strategy, values))


def images(names: st.SearchStrategy[str] | None = None, units: str | None = None) -> st.SearchStrategy[Image]:
    """Images of 2 to 5 dimensions, with edges that are odd, prime and 1."""
    names = st.sampled_from(AXES) if names is None else names
    return names.flatmap(lambda axes: _images(parse_axes(axes, len(axes), units)))


def _images(axes: tuple[Axis, ...]) -> st.SearchStrategy[Image]:
    longest = LONGEST[len(axes)]
    primes = st.sampled_from([n for n in (1, 2, 3, 5, 7, 11, 13, 31, 61) if n <= longest])
    edges = st.integers(longest // 2, longest) | primes
    return st.builds(
        Image,
        shape=per(axes, lambda _: edges),
        dtype=dtypes,
        axes=st.just(axes),
        scale=per(axes, lambda _: voxel_sizes),
        translation=per(axes, lambda _: positions),
    )


@st.composite
def factors(draw: st.DrawFn, image: Image, levels: int = 3) -> list[dict[str, int]]:
    """Draw factors by name for some levels, each smaller than the one before, and not always by halves."""
    found, before = [], {axis.name: 1 for axis in image.axes if axis.spatial}
    shape = {axis.name: n for axis, n in zip(image.axes, image.shape, strict=True)}
    for _ in range(draw(st.integers(0, levels))):
        size = {name: ceil_div(shape[name], factor) for name, factor in before.items()}
        steps = {name: draw(st.sampled_from([1, 2, 2, 3, 4])) if size[name] > 1 else 1 for name in before}
        if set(steps.values()) == {1}:
            break
        before = {name: before[name] * step for name, step in steps.items()}
        found.append(before)
    return found


def source_chunks(shape: Shape) -> st.SearchStrategy[Chunks]:
    """The pieces in which a source is stored, per axis: regular, ragged, planes, whole."""
    return per(shape, lambda n: equal_chunks(n) | equal_chunks(n) | ragged(n))


def equal_chunks(n: int) -> st.SearchStrategy[tuple[int, ...]]:
    """Equal chunks of one axis, from single voxels to the whole."""
    edges = st.sampled_from([c for c in (1, 2, 3, n) if c <= n]) | st.integers(1, n)
    return edges.map(partial(regular, n))


def ragged(n: int) -> st.SearchStrategy[tuple[int, ...]]:
    """Chunks of one axis, cut anywhere."""
    cuts = st.sets(st.integers(1, n - 1), max_size=6) if n > 1 else st.just(set())
    return cuts.map(lambda inner: tuple(b - a for a, b in zip([0, *sorted(inner)], [*sorted(inner), n], strict=True)))


@st.composite
def options(draw: st.DrawFn, shape: Shape, sharded: bool) -> dict[str, Any]:
    """Draw chunks, and shards or none, for an array of a shape: few enough to be counted."""
    most = MOST_CHUNKS[len(shape)]
    least = [ceil_div(n, most) for n in shape]
    edges = [st.integers(c, max(c, n // 2)) | st.integers(c, n + 3) for c, n in zip(least, shape, strict=True)]
    chunks = tuple(map(draw, edges))
    if not (sharded and draw(st.booleans())):
        return {"chunks": chunks}
    return {"chunks": chunks, "shards": tuple(c * draw(st.integers(1, 3)) for c in chunks)}


@st.composite
def cases(draw: st.DrawFn, method: st.SearchStrategy[str] = methods) -> Case:
    """Draw all that a plan is made from; often its memory is bounded."""
    image, version = draw(images()), draw(versions)
    wanted: Any = draw(st.just("auto") | factors(image))
    shapes = [image.shape]
    for entry in () if wanted == "auto" else wanted:
        shapes.append(tuple(ceil_div(n, entry.get(a.name, 1)) for n, a in zip(image.shape, image.axes, strict=True)))
    stored: Any = draw(options(image.shape, version == "0.5"))
    if wanted != "auto" and draw(st.booleans()):
        stored = [draw(options(shape, version == "0.5")) for shape in shapes]
    workers, limits = draw(worker_counts), draw(small_limits | small_limits | small_limits | st.just(Limits()))
    case = Case(image, draw(source_chunks(image.shape)), draw(method), version, wanted, stored, workers, limits=limits)
    return tight(case, draw(st.sampled_from([1, 0.9, 0.6, 0.3])))


def tight(case: Case, share: float) -> Case:
    """Return the case with that share of the memory that it would take, or unbounded if it can't be planned so."""
    if share == 1:
        return case
    memory = PROCESS_MEM + int(share * case.workers.threads * case.plan().thread_memory)
    bounded = replace(case, workers=replace(case.workers, memory=memory))
    with suppress(ValueError):
        bounded.plan()
        return bounded
    return case
