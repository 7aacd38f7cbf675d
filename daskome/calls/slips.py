"""Keywords that would have no effect, though metadata may have any name: what was probably meant.

A keyword that a call does not have is refused

1. if it is a word of `OTHER_WAYS`, `SLIPS` or storage options, or one edit away from one of these or from an argument;
2. if it is an argument of another program (`ARGUMENTS_OF_OTHERS`), or all its words say how something is written
   (`HOW`), as in ``tmp_dir`` and ``batch_size``.

Everything else, and `DESCRIPTIONS`, is metadata. So is whatever stands in the dict ``metadata``.
"""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from itertools import takewhile
from typing import Final

from daskome.model.storage.layout import FIXED_OPTIONS, OPTIONS

_MEANT: Final[Mapping[str, str]] = {
    "axes": "axis dims dimensions dim_names dimension_order dim_order axis_names axis_order axes_names",
    "axes_units": "unit units axis_unit axis_units axes_unit pixel_unit spatial_unit space_unit physical_unit",
    "channels": "channel_colors channel_colours channel_labels channel_color color colour contrast_limits",
    "coordinate_systems": (
        "affine transform transforms transformation transformations coordinateSystems coordinate_system systems"
        " coordinate_spaces affine_matrix root_transform"
    ),
    "coordinate_transformations": "coordinate_transforms coordinateTransformations",
    "fmt": "format ome_version ome_zarr_version ngff_version zarr_version ome_format",
    "fs_options": (
        "anon endpoint_url client_kwargs config_kwargs token account_name account_key connection_string credentials"
        " in_options filesystem fs"
    ),
    "group": "destination dest output output_path out_path outpath output_dir store_path",
    "level_paths": "level_names dataset_paths dataset_names",
    "memory": "memory_limit max_memory mem memory_target ram",
    "method": (
        "aggregation reduction interpolation downsample_method downsampling_method resampling pyramid_method"
        " scaler_method"
    ),
    "name": "image_name title",
    "orientation": (
        "orientations axes_orientation axes_orientations axis_orientation anatomical_orientation"
        " anatomical_orientations add_anatomical_orientation axcodes"
    ),
    "overwrite": "exist_ok force delete_existing",
    "progress": "verbose show_progress progress_bar progressbar tqdm",
    "scale": (
        "spacing spacings voxel_size voxel_sizes voxelsize pixel_size pixel_sizes pixelsize physical_size"
        " physical_sizes physical_pixel_sizes resolution resolutions sampling dx dy dz z_step"
        " time_increment time_interval frame_interval interval voxel_spacing pixel_spacing dt"
    ),
    "scale_factors": (
        "factors downscale downsample downsampling downsample_factor downsample_factors downsampling_factors levels"
        " n_levels num_levels max_layer max_layers n_scales pyramid_levels scale_num_levels max_level max_levels"
        " min_size min_level_size scales"
    ),
    "storage_options": (
        "compression codec codecs clevel chunk_size chunk_shape chunksize shard_size shard_shape sharding block_size"
        " blocksize tile_size tile_shape chunks_per_shard array_kwargs zarr_kwargs zarr_array_kwargs zarr_options"
        " compression_level compression_opts"
    ),
    "temporary": "tmp_dir temp_dir tmpdir temporary_directory temporary_folder scratch_dir",
    "translation": "origin offset translate stage_position origins offsets",
}
SLIPS: Final[Mapping[str, str]] = {word: name for name, words in _MEANT.items() for word in words.split()}
"""What other programs call an argument, and what it is called here."""
_SCHEDULER = "open a distributed.Client, which writes while it is active, or set the scheduler of Dask"
_PATH = "give the path to the group, as in 'a.zarr/path'"
_WHOLE = "an image is written as a whole; slice it, or change one that is there with daskome.update or daskome.append"
_FIRST = "do that to the image first; Dask does it lazily"
_LABELS = "give labels={'name': array}, or call write_labels"
OTHER_WAYS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("client", "scheduler", "parallel", "executor", "distributed"), _SCHEDULER),
    **dict.fromkeys(("component", "path", "key", "subpath", "group_path", "zarr_path", "url", "uri", "target"), _PATH),
    **dict.fromkeys(("label_name", "labels_name", "label_names"), _LABELS),
    **dict.fromkeys(("region", "append", "append_dim", "slices", "crop"), _WHOLE),
    **dict.fromkeys(("squeeze", "transpose", "flip", "rescale", "clip", "normalize", "cast"), _FIRST),
    **dict.fromkeys(("attrs", "zattrs"), "those of arrays are storage_options={'attributes': …}; write those of the"
                    " group when the call has returned"),
    **dict.fromkeys(("endian", "endianness", "byteorder"), "convert the image first, as with image.astype('>u2')"),
    "image_label": "give label_metadata to write_labels",
    "mode": "give overwrite or resume",
    **dict.fromkeys(("n_workers", "num_workers", "max_workers"), "open a distributed.Client with so many workers"),
}  # fmt: skip
"""Arguments of others that have no counterpart here, and what to do."""
ARGUMENTS_OF_OTHERS: Final[Mapping[str, str]] = {
    "daskome": (
        "compressors data dry_run in_options jobs manifest options path pixels region scheduler start target url wells"
    ),
    "ome_zarr": "copy_metadata in_place labeled method mode order dry_run force port output_dir zarr_directory",
    "ngff-zarr": (
        "axis_order cache chunk_store chunks_per_shard consolidate_metadata metadata_only multiscales"
        " output_scale scale_strategy start_level use_tensorstore validate"
    ),
    "zarr": (
        "cache_attrs cache_metadata chunk_store codecs meta_array mode nodes object_codec path read_only synchronizer"
        " use_consolidated write_data"
    ),
    "Dask": (
        "asarray balance block_size_limit component drop_axis enforce_ndim fancy getitem inline_array load_stored lock"
        " new_axis optimize_graph region regions return_stored scheduler traverse trim_excess url"
    ),
    "xarray": "align_chunks append_dim chunkmanager_store_kwargs consolidated encoding fastpath safe_chunks attrs",
    "bioio": "level_shapes axes_types axes_names physical_pixel_size creator_info rdefs root_transform",
    "tifffile": (
        "append bigtiff bitspersample buffersize byteorder colormap compressionargs contiguous extrasamples extratags"
        " iccprofile imagej jpegtables maxworkers ome photometric planarconfig predictor resolutionunit returnoffset"
        " rowsperstrip shaped subfiletype subifds subsampling tile truncate volumetric"
    ),
    "h5py": "fillvalue maxshape track_order track_times scaleoffset chunkshape",
}
"""Arguments of programs that write images, by program, that describe no image."""
HOW: Final = frozenset(
    "append async asynchronous backend batch buffer cache caching callback callbacks chunk chunking chunks client"
    " cluster codec compress compressed compression compressor compute concurrency concurrent consolidate consolidated"
    " copy core cores cpu cpus dask debug delayed dir directory driver dryrun dtype encoder endian engine executor"
    " folder format gpu job jobs key keys lazy lock log logger logging mem memory multiprocessing ncores njobs nproc"
    " nprocs nthreads nworkers overwrite parallel parallelism path paths persist pool process processes progress queue"
    " ram rechunk region retries retry scratch serializer shard sharded sharding shards stack storage store streaming"
    " strict check pattern"
    " synchronous temp temporary thread threaded threading threads tile tiles timeout tmp tmpdir url verbose verbosity"
    " workdir worker workers write writer zarr".split()
)
"""Words that say how something is written."""
BESIDE_HOW: Final = frozenset(
    "args as at by count default do empty enable file for from global in is kwargs level limit local max maximum min"
    " minimum mode n nr num number of on only options out output params per policy prefix safe shape size sizes skip"
    " strategy suffix target to total type use with".split()
)
"""Words that say nothing by themselves."""
DESCRIPTIONS: Final = frozenset(
    "batch batch_number buffer cluster colon copy copy_number core factor filter label process source_path"
    " storage".split()
)
"""Words that describe an image, though they are near an argument or are one elsewhere."""
_OTHERS: Final = frozenset(word for words in ARGUMENTS_OF_OTHERS.values() for word in words.split())


def meant(name: str, known: Iterable[str]) -> str | None:
    """Return what to do instead of giving a keyword to a call that knows `known` ones; None if it can be metadata.

    Examples
    --------
    >>> meant("voxel_size", ["scale", "storage_options"]), meant("shards", ["storage_options"])
    ("did you mean 'scale'?", "did you mean storage_options={'shards': …}?")
    >>> meant("microscope", ["scale", "storage_options"])
    """
    known = list(known)
    if name in DESCRIPTIONS:
        return None
    if name in OTHER_WAYS:
        return OTHER_WAYS[name]
    if name in FIXED_OPTIONS and "storage_options" in known:
        return FIXED_OPTIONS[name]
    near = _near(name, [*known, *SLIPS, *OPTIONS])
    near.sort(key=lambda word: SLIPS.get(word, word) not in known and word not in OPTIONS)
    if near and near[0] in OPTIONS:
        return f"did you mean storage_options={{{near[0]!r}: …}}?" if "storage_options" in known else None
    argument = SLIPS.get(near[0], near[0]) if near else None
    if argument in known:
        return f"did you mean {argument!r}?"
    return f"it takes no {argument!r}" if name in SLIPS and "storage_options" in known else None


def says_how(name: str) -> bool:
    """Return whether a keyword says how something is written, rather than what an image is.

    >>> [says_how(name) for name in ("tmp_dir", "batchSize", "use_tensorstore", "tissue", "store_type_of_sample")]
    [True, True, True, False, False]
    """
    words = set(re.sub("([a-z])([A-Z])", r"\1_\2", name).lower().split("_"))
    return name not in DESCRIPTIONS and (name in _OTHERS or (words <= HOW | BESIDE_HOW and not words.isdisjoint(HOW)))


def _near(name: str, words: Iterable[str]) -> list[str]:
    """Return the words that a keyword may be a slip for, or the word itself."""
    words = list(words)
    if name in words or says_how(name):
        return [word for word in words if word == name]
    near = [word for word in words if _is_one_edit(_plain(name), _plain(word))]
    alike = get_close_matches(name, words, n=3, cutoff=LONG_ALIKE) if len(name) >= LONG else []
    return list(dict.fromkeys([*near, *alike]))


LONG, LONG_ALIKE = 10, 0.85
"""From how many letters on a slip may be of several letters, and how much like the word it must still be."""


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def _is_one_edit(name: str, word: str) -> bool:
    """Whether words differ by at most a letter more, less or other, or by two that changed places; the short by none.

    >>> _is_one_edit("sacle", "scale"), _is_one_edit("shard", "shards"), _is_one_edit("stain", "staging")
    (True, True, False)
    """
    begin = _n_alike(name, word)
    end = _n_alike(name[begin:][::-1], word[begin:][::-1])
    rests = name[begin : len(name) - end], word[begin : len(word) - end]
    one = max(map(len, rests)) <= 1 or (len(rests[0]) == 2 and rests[0] == rests[1][::-1])
    return name == word or (one and len(name) > 3)


def _n_alike(name: str, word: str) -> int:
    """Return how many letters at the beginning of two words are the same."""
    return sum(1 for _ in takewhile(lambda letters: letters[0] == letters[1], zip(name, word, strict=False)))
