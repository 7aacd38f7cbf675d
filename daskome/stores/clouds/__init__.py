"""Buckets by obstore, which takes a fraction of the processor time of s3fs and adlfs, where it is installed.

A *bucket* says where objects lie and how they are requested, in obstore's words, made from the *options* of s3fs and
adlfs. A `CloudStore` is zarr's store of it. Imported only where a URL leads to a bucket.
"""
