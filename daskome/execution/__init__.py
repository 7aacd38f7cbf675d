"""Who writes units, and when.

A *write* is a plan with its sources and target: it is carried out now, later (`compute=False`), or as parts of a job
array. A *run* is a write whose arrays exist, with its journal; a *saved run* is what the journal keeps of it. A *part*
is some units of a stage. A *unit task* is a unit with all it needs; calling it writes its blocks and notes it in the
journal. An *attempt* is a unit task and what has become of it so far. An *executor* runs unit tasks: on threads or
processes of this machine, or the workers of a Dask cluster, as the *scheduler* says that Dask is set to. A *task* alone
is Dask's, a *job* is the batch system's.

::

    Write ─ init ─▶ Run ─ parts ─▶ UnitTask ─▶ Executor ─ error ─▶ Attempt.after ─▶ again, or failed for good
                     │                            └ done ─▶ a record in the journal
                     └ publish_plan, once every unit has a record
"""
