"""What a caller means: calls in the words of any release of ``ome_zarr.writer``, translated into daskome's.

A *signature* is how a public function is called, and was in former releases. A *translation* turns one word of a call
into daskome's. No other package knows those words.
"""
