"""What TIFF files say besides their pixels, in tags, notes and OME-XML, and whether they are complete."""
