"""The version of daskome, which the metadata it writes name."""

__version__ = "0.1.0"
