"""Who may write at a target: claims in its store, one process at a time, and stores that only their owner changes.

An *owner* is a process, or a client whose workers write for it. A *claim* is its document in the store; its number is
above those of all claims of the same *slot* that are there, and it is made exclusively where the store can do that. A
claim that is taken over is deleted. So whoever asks for its own claim, and does not find it as it was made, is the
owner no longer.

::

    .daskome/claims/run-1            the whole run: a write, a resume, finish
    .daskome/claims/part-…-1         one part of a job array; many parts are owned at a time
    .daskome/claims/upgrade-1        a conversion of the hierarchy, which excludes writers in all groups below, too
    .daskome/claims/list-…-1         who adds to the list of a plate alone; many do at a time
    .daskome/claims/run-1.seen       when its owner was last alive

What an answer says holds for `LEASE` seconds, on clocks that go on while a process is stopped. Then it is asked for
again, before the next object is written (`OwnedStore`). Who takes over waits so long before it changes anything.

Who writes makes its claim, then looks for upgrades of the groups around; who upgrades makes its claim, then looks for
claims in the groups below: so one of the two sees the other.
"""
