"""The names by which a collection of images and its OME-XML are found (section "bf2raw")."""

OME, LAYOUT = "OME", "bioformats2raw.layout"
"""The group beside the images of a collection, and the attribute that makes one of a group."""
COLLECTION_XML = "METADATA.ome.xml"
"""The name of the document in the group ``OME``."""
