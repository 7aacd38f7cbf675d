"""Convert a stored hierarchy to another version of OME-Zarr: documents are rewritten, pixels stay as they are.

A *tree* is all documents of a hierarchy, read once; a *group* is one of its groups in the terms of the target version;
*work* is the documents to write and to delete, in stages that keep the hierarchy readable if the conversion is killed.
"""
