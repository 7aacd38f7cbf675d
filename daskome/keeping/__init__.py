"""What is at a place, whether it is whole, and how it goes.

A *state* says what anything is: an image, a run and how far it is, something else, or nothing. A *removal* is plain
data: what goes, and which list loses an entry. It is listed first, then marked as unfinished, then deleted: a kill
leaves the mark until all else is gone, and the same call goes on.
"""
