"""The command ``daskome``: what the terminal says, in the terms of the Python API, and back."""

from daskome.cli import packing as packing
from daskome.cli.main import main

__all__ = ["main"]
