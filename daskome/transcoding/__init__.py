"""A whole hierarchy written anew: with other chunks, shards, codecs, in another version, or as one file; all of it.

A *transcode* is one plan of all images below a group. Each level of each image is copied as it is, unless factors are
given; metadata are those of the source in the terms of the target (`daskome.upgrade`). What cannot go along is named.
"""
