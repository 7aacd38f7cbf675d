"""A call becomes a plan, and the plan becomes a write.

An *image description* is what the caller says of an image beside its pixels (`ImageOptions`). Together with a source
it gives a plan; labels and plates are several such plans put under paths and written as one. Calls in the words of
any release of ``ome_zarr`` are translated first.
"""
