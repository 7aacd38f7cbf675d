"""ZIP archives that hold a hierarchy: their records in bytes, a store that reads them by ranges, and how one is made.

A *member* is what a key of the hierarchy is in the archive. The *directory* of an archive lists its members; it is read
once. What is written lies in a *working store* beside the archive, and is *packed* at the end.
"""
