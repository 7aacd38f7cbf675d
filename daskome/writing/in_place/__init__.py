"""Calls that change a stored image: a region is written anew, or it gets longer along an axis."""
