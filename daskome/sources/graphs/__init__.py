"""Dask graphs of images: the part that a region needs, the arrays it reads, what its tasks ask of a scheduler.

Where all blocks of an array need the same results (*shared keys*), these are computed once, before the units. Blocks
that callers of Dask declared are checked inside the graph, where they are made.
"""
