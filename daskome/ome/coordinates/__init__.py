"""Coordinate systems besides that of the levels (0.6), and what transformations between them do to points."""
