"""What OME-Zarr says, as data: the nouns of its metadata, one row per version, the rules of the specification.

Attributes are read into nouns and written from nouns; the row of a version (`VERSIONS`) decides how. Neither Dask, zarr
nor a file system is imported here.
"""
