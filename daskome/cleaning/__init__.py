"""Removal of what OME-Zarr or daskome has made: listed first, then marked as unfinished, then deleted.

A *removal* is plain data: what goes, and which list loses an entry. Whatever is marked is no image any more; a kill
leaves the mark until all else is gone, and the same call goes on.
"""
