"""An image in napari: its levels as Dask arrays, with channels, colours, ranges, places and labels."""

from typing import Any, NamedTuple

from daskome.model.axes import channel_axis
from daskome.model.types import FileSystemOptions, GroupLike
from daskome.reading.images import OpenImage
from daskome.viewing.planes import shown_channels
from daskome.viewing.view import shown_image


class NapariLayer(NamedTuple):
    """A layer as napari takes it from readers: its levels, the arguments of its call, and its kind."""

    data: list[Any]
    arguments: dict[str, Any]
    kind: str


def show_in_napari(url: GroupLike, fs_options: FileSystemOptions | None = None) -> None:
    """Open a window of napari with the image at a URL, and return when it is closed.

    Raises
    ------
    ImportError
        If napari is not installed.
    """
    try:
        import napari
    except ImportError as error:
        raise ImportError('--napari needs napari: pip install "napari[all]"') from error
    image, _ = shown_image(url, fs_options)
    add_layers(napari.Viewer(title=image.name), image)
    napari.run()


def add_layers(viewer: Any, image: OpenImage) -> None:
    """Add an image and its labels to a viewer."""
    for layer in napari_layers(image):
        add = viewer.add_labels if layer.kind == "labels" else viewer.add_image
        add(layer.data, **layer.arguments)


def napari_layers(image: OpenImage) -> list[NapariLayer]:
    """Return the layers that show an image: one for each channel, then one for each label image."""
    axis = channel_axis(image.axes)
    layers = [
        NapariLayer(
            [
                level.dask if axis is None else level.dask[(slice(None),) * axis + (channel.k,)]
                for level in image.levels
            ],
            {
                **_placing(image, axis),
                "name": channel.name,
                "colormap": f"#{channel.color}",
                "contrast_limits": list(channel.window),
                "blending": "additive",
                "visible": channel.active,
            },
            "image",
        )
        for channel in shown_channels(image)
    ]
    return [*layers, *(_labels_layer(name, labels) for name, labels in image.labels.readable()[0].items())]


def _labels_layer(name: str, labels: OpenImage) -> NapariLayer:
    return NapariLayer([level.dask for level in labels.levels], {**_placing(labels, None), "name": name}, "labels")


def _placing(image: OpenImage, without: int | None) -> dict[str, Any]:
    """Return how a layer lies, for all axes but that of the channels."""
    finest = image.levels[0]
    kept = [i for i in range(len(finest.axes)) if i != without]
    return {
        "scale": [finest.scale[i] for i in kept],
        "translate": [finest.translation[i] for i in kept],
        "units": [finest.axes[i].unit or "pixel" for i in kept],
        "axis_labels": [finest.axes[i].name for i in kept],
    }
