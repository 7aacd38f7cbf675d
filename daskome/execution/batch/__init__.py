"""A run as plain jobs of a batch system: one process begins, an array of jobs runs parts of each stage, one finishes.

A *job* is the batch system's; a *part* is the share of a stage's units that one job runs. The jobs share nothing but
the store.
"""
