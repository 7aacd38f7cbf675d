"""Keywords that would have no effect, though metadata may have any name: what was probably meant."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Final

from daskome.model.layout import FIXED_OPTIONS, OPTIONS

_MEANT: Final[Mapping[str, str]] = {
    "axes": "dims dimensions dim_names dimension_order dim_order axis_names",
    "axes_units": "unit units axis_unit axis_units axes_unit pixel_unit spatial_unit space_unit physical_unit",
    "channels": "channel_colors channel_colours channel_labels channel_color color colour contrast_limits",
    "fmt": "ome_version ome_zarr_version ngff_version zarr_version",
    "fs_options": "anon endpoint_url client_kwargs config_kwargs token account_name account_key connection_string",
    "method": "aggregation reduction interpolation downsample_method downsampling_method",
    "name": "image_name title",
    "overwrite": "exist_ok force delete_existing",
    "progress": "verbose show_progress",
    "scale": (
        "spacing spacings voxel_size voxel_sizes voxelsize pixel_size pixel_sizes pixelsize physical_size"
        " physical_sizes physical_pixel_sizes resolution resolutions sampling dx dy dz z_step"
        " time_increment time_interval frame_interval"
    ),
    "scale_factors": (
        "factors downscale downsample downsampling downsample_factor downsample_factors downsampling_factors levels"
        " n_levels num_levels max_layer max_layers n_scales pyramid_levels scale_num_levels"
    ),
    "storage_options": (
        "compression codec codecs clevel chunk_size chunk_shape chunksize shard_size shard_shape sharding block_size"
        " blocksize tile_size tile_shape"
    ),
    "translation": "origin offset translate stage_position",
}
SLIPS: Final[Mapping[str, str]] = {word: name for name, words in _MEANT.items() for word in words.split()}
"""What other programs call an argument, and what it is called here."""
OTHER_WAYS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("client", "scheduler"), "open a distributed.Client, which is used while it is active"),
    "affine": "only scale and translation are written",
    "component": "give the path to the group, as in 'a.zarr/component'",
    "mode": "give overwrite or resume",
    **dict.fromkeys(("n_workers", "num_workers"), "open a distributed.Client with so many workers"),
}
"""Arguments of others that have no counterpart here, and what to do."""


def meant(name: str, known: Iterable[str]) -> str | None:
    """Return what to do instead of giving a keyword to a call that knows `known` ones; None if it can be metadata.

    Examples
    --------
    >>> meant("voxel_size", ["scale", "storage_options"]), meant("shards", ["storage_options"])
    ("did you mean 'scale'?", "did you mean storage_options={'shards': …}?")
    >>> meant("microscope", ["scale", "storage_options"])
    """
    known = list(known)
    if name in OTHER_WAYS:
        return OTHER_WAYS[name]
    if name in FIXED_OPTIONS and "storage_options" in known:
        return FIXED_OPTIONS[name]
    near = get_close_matches(name, [*known, *SLIPS, *OPTIONS], n=5, cutoff=0.75)
    if not near:
        return None
    near.sort(key=lambda word: SLIPS.get(word, word) not in known and word not in OPTIONS)
    if near[0] in OPTIONS:
        return f"did you mean storage_options={{{near[0]!r}: …}}?" if "storage_options" in known else None
    argument = SLIPS.get(near[0], near[0])
    if argument in known:
        return f"did you mean {argument!r}?"
    return f"it takes no {argument!r}" if name in SLIPS and "storage_options" in known else None
