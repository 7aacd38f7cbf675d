"""A window of voxels becomes one voxel. NumPy only.

A *method* is a row of `METHODS`: a reduction over windows, and where its sample sits. A *window* is the voxels that
become one; a window cut by the edge covers only the voxels that exist. The *halo* is how far a method looks around.
"""
