"""OME-Zarr as data: the nouns of its metadata, one row per version, and the rules of the specification.

*Attributes* are the JSON of a group as it is stored. `read` turns them into the nouns of `metadata`, `write` turns
those back, in the form of a *version*: a row of `versions.VERSIONS`, whose flags hold all that differs. A *rule*
(`rules`) states what a key must hold, or how keys relate; a *problem* is one finding, with its address. Neither Dask,
zarr nor a file system is imported here.
"""
