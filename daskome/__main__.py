"""``python -m daskome`` is the ``daskome`` command."""

from daskome.cli import main

main(prog_name="daskome")
