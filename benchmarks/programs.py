"""How each program is told to write a pyramid, as its documentation says; each function runs in its own environment.

All get a stored zarr array, read it chunk by chunk, and write levels of factor 2 (in y and x, and z if there is one) in
the chunks of the source, Blosc zstd-3 with bit shuffle where it is taken, with two threads. Without a method, everyone
uses their own: method, codec and chunks.
"""

from typing import Any

THREADS = 2


def steps(axes: str, levels: int) -> list[dict[str, int]]:
    """Return the factors of each level to level 0, by axis."""
    return [{axis: 2**k if axis in "zyx" else 1 for axis in axes} for k in range(1, levels)]


def blosc() -> dict[str, Any]:
    """Return the codec as zarr v3 says it."""
    return {"name": "blosc", "configuration": {"cname": "zstd", "clevel": 3, "shuffle": "bitshuffle"}}


def daskome(source: str, target: str, axes: str, levels: int, method: str | None) -> None:
    """Write with daskome."""
    import dask
    import zarr

    from daskome.writer import write_image

    array = zarr.open_array(source, mode="r")
    options = {"chunks": array.chunks, "compressors": blosc()} if method else None
    with dask.config.set(num_workers=THREADS):
        write_image(array, target, steps(axes, levels), axes=axes, method=method, storage_options=options)


def ome_zarr(source: str, target: str, axes: str, levels: int, method: str | None) -> None:
    """Write with ome-zarr-py."""
    import dask
    import dask.array as da
    import zarr
    from ome_zarr.scale import Methods
    from ome_zarr.writer import write_image

    array = da.from_zarr(source)
    chosen = {"mean": Methods.LOCAL_MEAN, "nearest": Methods.NEAREST}
    options = {"chunks": array.chunksize, "compressors": blosc()}
    told = {"method": chosen[method], "storage_options": options} if method else {}
    with dask.config.set(num_workers=THREADS):
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


def tensorstore(source: str, target: str, axes: str, levels: int, method: str | None) -> None:
    """Write with TensorStore, region by region, each level from the one below; no metadata."""
    from itertools import product

    import tensorstore as ts

    context = ts.Context({"data_copy_concurrency": {"limit": THREADS}, "file_io_concurrency": {"limit": THREADS}})

    def at(path: str) -> dict[str, Any]:
        return {"driver": "zarr3", "kvstore": {"driver": "file", "path": path}}

    below = ts.open(at(source), context=context).result()
    factor, chunks = [2 if axis in "zyx" else 1 for axis in axes], below.chunk_layout.write_chunk.shape
    chosen = {"mean": "mean", "nearest": "stride", None: "mean"}[method]
    for k in range(levels):
        view = below if k == 0 else ts.downsample(below, factor, chosen)
        grid = {"name": "regular", "configuration": {"chunk_shape": chunks}}
        codecs = [{"name": "bytes", "configuration": {"endian": "little"}}, blosc()]
        metadata = {"shape": view.shape, "data_type": view.dtype.name, "chunk_grid": grid, "codecs": codecs}
        level = ts.open(at(f"{target}/s{k}/") | {"metadata": metadata}, create=True, context=context).result()
        corners = product(*(range(0, n, 4 * c) for n, c in zip(view.shape, chunks, strict=True)))
        for corner in corners:
            region = tuple(slice(a, min(a + 4 * c, n)) for a, c, n in zip(corner, chunks, view.shape, strict=True))
            level[region].write(view[region]).result()
        below = level
