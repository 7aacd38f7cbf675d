"""Look at what is stored, and change nothing.

A *stored image* is an image as far as it can be read; a *hierarchy* is the groups that metadata list below a place.
`validate` holds metadata and arrays against the specification, `verify` compares pixels, `describe` says in words
what is there, and `preview` draws it.
"""
