"""Where images lie: anything that zarr calls a store.

A *location* is a zarr `StorePath`, made from a path, URL, group or store. Arrays are *created* empty in a group that is
marked as unfinished. The *journal* lies beside them and has one small record per finished unit. *Publishing* writes the
OME attributes, last, in one write; then the journal goes.
"""
