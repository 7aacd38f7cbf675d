"""The command ``daskome``: what the terminal says, in the terms of the Python API, and back."""

from daskome.cli.changes import append_command, update_command
from daskome.cli.main import main

main.add_command(update_command)
main.add_command(append_command)

__all__ = ["main"]
