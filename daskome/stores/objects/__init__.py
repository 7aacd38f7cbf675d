"""Stored objects, the chunks and shards of arrays: encoded, on their way to a store, taken over from another array."""
