"""`daskome.view`: an image in a viewer, wherever its store is."""

import webbrowser
from dataclasses import dataclass, field
from html import escape
from types import TracebackType
from typing import Self

from daskome.model.types import FileSystemOptions, GroupLike
from daskome.ome.image_label import LABELS
from daskome.reading.images import OpenGroup, OpenImage, OpenPlate
from daskome.reading.opening import open as open_place
from daskome.viewing.neuroglancer import NEUROGLANCER_DTYPES, check_neuroglancer, description, link
from daskome.viewing.planes import shown_channels
from daskome.viewing.server import LOOPBACK, Served, serve


@dataclass(frozen=True, slots=True, repr=False)
class Viewing:
    """A store that is being served, and the link that shows it; in a notebook, it shows itself as that link.

    Attributes
    ----------
    link : str
        Opens Neuroglancer with the image.
    url : str
        Of the image as it is served, for other programs; it holds a secret.
    title : str
    left : tuple of str
        What is not shown, in words.
    """

    link: str
    title: str
    served: Served = field(repr=False)
    left: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """Of the image as it is served; whoever knows it can read the image."""
        return self.served.url

    def open(self) -> bool:
        """Open the link in a browser; return whether there is one."""
        return webbrowser.open(self.link)

    def close(self) -> None:
        """Serve the store no longer."""
        self.served.close()

    def __enter__(self) -> Self:
        """Serve the store until the end of the block."""
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return "\n".join([f"{self.title}: {self.link}", *self.left])

    def _repr_html_(self) -> str:
        lines = "".join(f"<br>{escape(line)}" for line in self.left)
        return f'<p><a href="{escape(self.link)}" target="_blank">{escape(self.title)} in Neuroglancer</a>{lines}</p>'


def view(
    url: GroupLike, fs_options: FileSystemOptions | None = None, address: str = LOOPBACK, port: int = 0
) -> Viewing:
    """Serve an OME-Zarr image to a browser on this machine, and return the link that shows it in Neuroglancer.

    The store may be anywhere: it is read here, with your credentials, in threads of this process. Only who knows
    the link can read it, as it holds a random secret. Axes, units, channels, colours, ranges and labels are set.

    Parameters
    ----------
    url : str, path, zarr.Group or zarr store
        The image. Of a plate or another group of images, the first one is shown.
    fs_options : dict, optional
        For the file system of a URL, such as credentials.
    address : str
        Where to listen; by default only this machine is answered.
    port : int
        By default any that is free; choose one to reach it through a tunnel.

    Returns
    -------
    Viewing
        The store is served until `close`, the end of a ``with`` block, or that of the process.

    Raises
    ------
    FileNotFoundError
        If nothing is there.
    ValueError
        If it is no image, if it is unfinished, or has pixels that Neuroglancer cannot show.
    OSError
        If the address or port cannot be used.

    Examples
    --------
    >>> import numpy as np, zarr
    >>> import daskome
    >>> store = zarr.storage.MemoryStore()
    >>> plan = daskome.write_image(np.ones((64, 50), "uint8"), store, [2], "brain", axes="yx")
    >>> with daskome.view(store) as viewing:
    ...     print(viewing.link[:42])
    https://neuroglancer-demo.appspot.com/#!%7
    """
    image, left = shown_image(url, fs_options)
    check_neuroglancer(image)
    channels = shown_channels(image)
    found, troubles = image.labels.readable()
    labels = {f"{LABELS}/{name}": one for name, one in found.items() if _can_be_segments(one)}
    unfit = [f"labels {n}: Neuroglancer shows no {one.dtype}" for n, one in found.items() if not _can_be_segments(one)]
    documents = dict([description(image), *(description(one, path) for path, one in labels.items())])
    served = serve(image.store_path, documents, address, port)
    return Viewing(link(served.url, image, channels, labels), image.name or "image", served, (*left, *troubles, *unfit))


def shown_image(url: GroupLike, fs_options: FileSystemOptions | None = None) -> tuple[OpenImage, tuple[str, ...]]:
    """Return the image at a URL, or the first of several; and in words which one it is."""
    opened = open_place(url, fs_options=fs_options)
    if isinstance(opened, OpenImage):
        return opened, ()
    path, image = first_image(opened)
    return image, (f"this is {path}, the first image of {opened.store_path}; give the path of another to see that",)


def first_image(group: OpenPlate | OpenGroup) -> tuple[str, OpenImage]:
    """Return the first image of a group, and its path in it.

    Raises
    ------
    ValueError
        If there is none.
    """
    wells = group.wells.items() if isinstance(group, OpenPlate) else [("", group)]
    for path, well in wells:
        for name, image in well.images.items():
            return f"{path}/{name}".lstrip("/"), image
    raise ValueError(f"there is no image in {group.store_path}")


def _can_be_segments(labels: OpenImage) -> bool:
    name = str(labels.dtype.newbyteorder("="))
    return name in NEUROGLANCER_DTYPES and not name.startswith("float")
