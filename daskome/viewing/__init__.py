"""Look at what is stored: pictures of it, and viewers that are shown it.

A *plane* is what a picture shows of a level: its middle along z, the first time. `preview` draws levels and plates into
a file; `view` serves a store to Neuroglancer, or opens it in napari. A *link* is a URL that holds all that Neuroglancer
shows, and a *description* the metadata of an image in the words of a version that it reads.
"""
