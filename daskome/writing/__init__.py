"""A call becomes a plan, and the plan becomes a write.

::

    write_image(image, group, …)     arguments by name; calls of any release of ome_zarr are translated first
        │
        ├─ ImageOptions, LabelOptions, PlateOptions   what the caller says besides the pixels
        ├─ PlanRequest → PlanOptions                  for whom a plan is made, and what it may do
        ├─ a planner, such as `planned_image`         options + sources → Plan
        └─ WriteOptions → `carry_out`                 the plan is carried out now, later, or only begun

*Options* are frozen dataclasses whose fields are parameters of the public calls; `chosen` picks them by name. A
*planner* makes a plan, and the list of sources that it reads, from the arguments of a call. Labels and plates are
plans of several images, put under paths and written as one. What changes in an image that is there is `in_place`.
"""
