"""The geometry of images: axes, regions, chunks, levels and pyramids, in whole numbers.

A *region* is a start and a stop per axis. *Chunks* are sizes per axis; *objects* are what a store holds (chunks, or
shards where there are shards); a *block* is one or more whole objects written at a time. *Factors* say how many voxels
of level 0 one voxel of a level spans. `Limits` are the sizes at which blocks, units and copies stop growing.
"""
