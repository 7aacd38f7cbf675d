"""Who writes units, and when.

A *unit task* is a unit with all it needs; running it writes its blocks and notes it in the journal. An *executor*
runs unit tasks: the threads of this process, or the workers of the active Dask cluster. A *run* is one start of a plan
whose arrays exist. An *attempt* is a unit task, and what became of it so far. A *write* is a plan with its sources and
target: it is carried out now, later (`compute=False`), or as parts of a job array.
"""
