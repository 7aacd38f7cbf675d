"""What units of images that Dask computes hold: told from the graph of one before it runs, measured while it does."""
