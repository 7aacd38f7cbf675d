"""Examine what is stored, without changing it.

A *stored image* is an image as far as it can be read; a *node* of the *hierarchy* is a group that metadata list below
another, present or not. `validate` checks metadata and arrays against the specification, `verify` compares pixels,
`describe` prints a summary, and `preview` draws the levels.
"""
