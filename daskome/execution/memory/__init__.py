"""Memory while units run: what those hold whose image Dask computes, told before and measured; and the C allocator."""
