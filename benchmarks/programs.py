"""How each program is told to write a pyramid, as its documentation says; each function runs in its own environment.

All get a stored zarr array, read it chunk by chunk, and write levels of factor 2 (in y and x, and z if there is one) in
the chunks of the source, Blosc zstd-3 with bit shuffle where it is taken, with two threads. Without a method, everyone
uses their own: method, codec and chunks.

Source and target may be in a bucket (``s3://…``), for those that `benchmarks.cloud` compares: who may use it, and where
it is, are in the environment, as for Amazon's own tools. These take the number of threads and the edge of shards, too.
"""

import os
from typing import Any

THREADS = 2
IN_FLIGHT = 64
"""The requests that TensorStore may have open; without this, 32."""


def steps(axes: str, levels: int) -> list[dict[str, int]]:
    """Return the factors of each level to level 0, by axis."""
    return [{axis: 2**k if axis in "zyx" else 1 for axis in axes} for k in range(1, levels)]


def blosc() -> dict[str, Any]:
    """Return the codec as zarr v3 says it."""
    return {"name": "blosc", "configuration": {"cname": "zstd", "clevel": 3, "shuffle": "bitshuffle"}}


def daskome(
    source: str, target: str, axes: str, levels: int, method: str | None, threads: int = THREADS, shard: int = 0
) -> None:
    """Write with daskome."""
    import dask

    from daskome.readers import read
    from daskome.writer import write_image

    array = read(source).array
    options = {"chunks": array.chunks, "shards": shard or None, "compressors": blosc()} if method else None
    with dask.config.set(num_workers=threads):
        write_image(array, target, steps(axes, levels), axes=axes, method=method, storage_options=options)


def daskome_verbatim(source: str, target: str, axes: str, levels: int, method: str | None) -> None:
    """Write with daskome, level 0 as it is stored: its chunks are taken over, the others encoded as everyone's."""
    import dask
    import zarr

    from daskome.writer import write_image

    array = zarr.open_array(source, mode="r")
    further = {"chunks": array.chunks, "compressors": blosc()} if method else {}
    with dask.config.set(num_workers=THREADS):
        write_image(
            array,
            target,
            steps(axes, levels),
            axes=axes,
            method=method,
            storage_options=[{}, *[further] * (levels - 1)],
            verbatim=True,
        )


def dask_alone(
    source: str, target: str, axes: str, levels: int, method: str | None, threads: int = THREADS, shard: int = 0
) -> None:
    """Write level 0 with plain Dask, and nothing else."""
    import dask
    import dask.array as da

    image = da.from_zarr(source)
    stored = {"chunks": image.chunksize, "shards": (shard,) * image.ndim if shard else None, "compressors": blosc()}
    with dask.config.set(num_workers=threads):
        da.to_zarr(image.rechunk(shard) if shard else image, target, **stored)


def ome_zarr(
    source: str, target: str, axes: str, levels: int, method: str | None, threads: int = THREADS, shard: int = 0
) -> None:
    """Write with ome-zarr-py."""
    import dask
    import dask.array as da
    import zarr
    from ome_zarr.scale import Methods
    from ome_zarr.writer import write_image

    array = da.from_zarr(source)
    chosen = {"mean": Methods.LOCAL_MEAN, "nearest": Methods.NEAREST}
    shards = {"shards": (shard,) * array.ndim} if shard else {}
    options = {"chunks": array.chunksize, "compressors": blosc(), **shards}
    array = array.rechunk(shard) if shard else array
    told = {"method": chosen[method], "storage_options": options} if method else {}
    with dask.config.set(num_workers=threads):
        group = zarr.open_group(target, mode="w")
        write_image(array, group, steps(axes, levels), axes=axes, **told)


def ngff_zarr(source: str, target: str, axes: str, levels: int, method: str | None) -> None:
    """Write with ngff-zarr."""
    import dask
    import dask.array as da
    from ngff_zarr import Methods, to_multiscales, to_ngff_image, to_ngff_zarr

    array = da.from_zarr(source)
    chosen = {"mean": Methods.DASK_BIN_SHRINK, "nearest": Methods.DASK_IMAGE_NEAREST}
    factors = [{axis: n for axis, n in step.items() if axis in "zyx"} for step in steps(axes, levels)]
    with dask.config.set(num_workers=THREADS):
        image = to_ngff_image(array, dims=list(axes))
        told = {"method": chosen[method], "chunks": dict(zip(axes, array.chunksize, strict=True))} if method else {}
        multiscales = to_multiscales(image, factors, **told)
        to_ngff_zarr(target, multiscales, version="0.5", **({"compressors": [blosc()]} if method else {}))


def ome_zarr_pyramid(source: str, target: str, axes: str, levels: int, method: str | None) -> None:
    """Write with ome_zarr_pyramid."""
    import zarr
    from ome_zarr_pyramid import IO, Pyramid

    array = zarr.open_array(source, mode="r")
    factor = [2 if axis in "zyx" else 1 for axis in axes]
    told = {"downscale_method": {"mean": "mean", "nearest": "simple"}[method]} if method else {}
    pyramid = Pyramid().from_arrays([array], axis_order=axes)
    pyramid = pyramid.downscale(n_layers=levels, scale_factor=factor, **told)
    IO().write_pyramid(pyramid, target, overwrite=True, max_threads=THREADS)


def multiview_stitcher(source: str, target: str, axes: str, levels: int, method: str | None) -> None:
    """Write with multiview-stitcher, which decides on the levels itself."""
    import dask
    import dask.array as da
    from multiview_stitcher import ngff_utils, spatial_image_utils

    factors = {axis: 2 for axis in axes if axis in "zyx"}
    with dask.config.set(num_workers=THREADS):
        image = spatial_image_utils.get_sim_from_array(da.from_zarr(source), dims=list(axes))
        ngff_utils.write_sim_to_ome_zarr(
            image, target, downscale_factors_per_spatial_dim=factors, ngff_version="0.5", show_progressbar=False
        )


def tensorstore(
    source: str, target: str, axes: str, levels: int, method: str | None, threads: int = THREADS, shard: int = 0
) -> None:
    """Write with TensorStore, region by region, each level from the one below; no metadata."""
    from itertools import product

    import tensorstore as ts

    limits = {"data_copy_concurrency": threads, "file_io_concurrency": threads, "s3_request_concurrency": IN_FLIGHT}
    context = ts.Context({name: {"limit": limit} for name, limit in limits.items()})

    def at(path: str) -> dict[str, Any]:
        return {"driver": "zarr3", "kvstore": _kvstore(path)}

    below = ts.open(at(source), context=context).result()
    factor, chunks = [2 if axis in "zyx" else 1 for axis in axes], below.chunk_layout.write_chunk.shape
    chosen = {"mean": "mean", "nearest": "stride", None: "mean"}[method]
    stored = (shard,) * len(chunks) if shard else chunks
    for k in range(levels):
        view = below if k == 0 else ts.downsample(below, factor, chosen)
        grid = {"name": "regular", "configuration": {"chunk_shape": stored}}
        codecs = [{"name": "bytes", "configuration": {"endian": "little"}}, blosc()]
        if shard:
            codecs = [{"name": "sharding_indexed", "configuration": {"chunk_shape": chunks, "codecs": codecs}}]
        metadata = {"shape": view.shape, "data_type": view.dtype.name, "chunk_grid": grid, "codecs": codecs}
        level = ts.open(at(f"{target}/s{k}/") | {"metadata": metadata}, create=True, context=context).result()
        edges = [n if shard else 4 * n for n in stored]
        corners = product(*(range(0, n, edge) for n, edge in zip(view.shape, edges, strict=True)))
        for corner in corners:
            region = tuple(slice(a, min(a + n, end)) for a, n, end in zip(corner, edges, view.shape, strict=True))
            level[region].write(view[region]).result()
        below = level


def _kvstore(path: str) -> dict[str, Any]:
    """Return where a path or URL is, as TensorStore says it."""
    if not path.startswith("s3://"):
        return {"driver": "file", "path": path}
    bucket, _, inside = path.removeprefix("s3://").partition("/")
    place = {"driver": "s3", "bucket": bucket, "path": inside, "aws_credentials": {"type": "environment"}}
    return place | {"endpoint": os.environ["AWS_ENDPOINT_URL"], "aws_region": os.environ["AWS_REGION"]}
