"""Images in.

A *source* is anything with shape, dtype and slicing, and what it says of itself. A *piece* is the region of it that one
unit reads, as a small Dask array of its own.
"""
