"""``python -m daskome`` is the ``daskome`` command."""

from daskome.cli.main import main

main(prog_name="daskome")
