"""Images back from a store: a level as a Dask or xarray array, with true positions and the names of channels.

What is *opened* has been read as far as its metadata; pixels are read when an array is computed. *Members* are what
lies below a group by name: labels of an image, wells of a plate, images of a well. Each is opened when it is taken.
"""
