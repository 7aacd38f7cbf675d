"""OME-XML: of a collection of images, made or read, and what it says of a plate."""
