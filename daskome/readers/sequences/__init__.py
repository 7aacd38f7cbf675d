"""Images that are many files: a folder, a glob or a list of them, in the grid that their names tell.

A *grid* has an axis for each number or word that tells the files apart, and a file in every place. The files are of one
kind of `daskome.readers`, and alike: some are opened before anything is written, each when it is read.
"""
