"""Images that are many datasets of one HDF5 file: those of Imaris and BigDataViewer."""
