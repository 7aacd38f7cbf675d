"""What coordinate systems of stored images take from arrays (0.6): that these are there, and fit."""
