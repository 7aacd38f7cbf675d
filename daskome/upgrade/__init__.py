"""Convert what is stored to another version of OME-Zarr: documents are rewritten, pixels stay as they are."""
