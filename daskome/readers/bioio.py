"""Files of microscopes that bioio reads with its plugins: a scene each."""

from collections.abc import Sequence
from pathlib import Path

from daskome.model.source import Source
from daskome.readers.inputs import Input, listed
from daskome.sources.adapt import as_source

PLUGINS = {".czi": "bioio-czi", ".lif": "bioio-lif", ".nd2": "bioio-nd2", ".dv": "bioio-dv", ".sldy": "bioio-sldy"}
"""The package that reads files of a suffix; others are read by bioio-bioformats, which needs Java."""


def read(input_: Input) -> Source:
    """Return the scene that the input names, by its name or number, or the only one."""
    import bioio  # Here, so that this file can be imported without it, as tests do.
    from bioio_base.exceptions import UnsupportedFileFormatError

    try:
        image = bioio.BioImage(input_.path)
        scenes = [str(scene) for scene in image.scenes]
    except (UnsupportedFileFormatError, ImportError) as error:
        plugin = PLUGINS.get(Path(input_.path).suffix.lower(), "bioio-bioformats")
        raise ImportError(
            f"{input_.path} needs a plugin of bioio, or is damaged: pip install {plugin} ({error})"
        ) from error
    image.set_scene(chosen_scene(input_, scenes))
    return as_source(image)


def parts(input_: Input) -> list[str]:
    """Return the numbers of the scenes of a file."""
    import bioio

    return [str(number) for number in range(len(bioio.BioImage(input_.path).scenes))]


def chosen_scene(input_: Input, scenes: Sequence[str]) -> str:
    """Return the scene that an input names, by its name or number, or the only one.

    Raises
    ------
    ValueError
        If there is none of that name, or there are several.
    """
    if input_.part in scenes:
        return input_.part
    if input_.part.isdecimal() and int(input_.part) < len(scenes):
        return scenes[int(input_.part)]
    if len(scenes) == 1 and not input_.part:
        return scenes[0]
    problem = f"has no scene {input_.part}" if input_.part else f"has {len(scenes)} scenes"
    raise ValueError(
        f"{input_.path} {problem}; give one, as in {input_.path}::{scenes[0]}, of {listed(scenes, 'scenes')}"
    )
