"""Where images lie: anything that zarr calls a store.

A *location* is a zarr `StorePath`, made from a path, URL, group or store; one that is written to is a *target*. The
*kind* of a store is a row of a table: all that differs between folders, memory, zip files and clouds. Arrays are
*created* empty, in a group that is marked as unfinished. The *journal* lies beside them, with one small record per
finished unit. *Publishing* writes the OME attributes, last, in one write; then the journal is deleted. An image that
*changes* in place is marked, too: the mark keeps its attributes, and where readers would see no change, it comes last.

`archives` are single files: a store that reads one, and how one is made.
`objects` are what is stored of arrays: encoded, on their way, or taken over from another array.
`targets` are what is there before, what of it goes, and how what is planned begins.
"""
