"""All images of a file as one: a collection (bioformats2raw.layout), or the plate that its OME-XML describes."""
