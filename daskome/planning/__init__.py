"""What will be on disk, and the work to get there: plain frozen data, decided before a byte is written.

::

    Plan ─┬─ groups     what is published where (path, metadata, pyramid)
          └─ stages     one after the other; all of a stage is written before the next begins
               └─ passes      a pass goes over one pyramid once: it reads an image, a stored level or a temporary copy,
                    │         and writes the levels above whose blocks nest
                    └─ units       a unit covers a region of the pass, whole stored objects that no other unit writes

`PlanOptions` say for which `Workers` a plan is made, what it may do, and its `Limits`. *Amplification* is how many
times the average voxel is read. A *temporary copy* is a level or an image in chunks that suit the pass that reads it;
it is deleted with the journal. Groups are named by their paths. A *change* is what changes in an image that is there:
each of its passes covers a part of one level, in whole stored objects. Neither Dask nor zarr is imported here.
"""
