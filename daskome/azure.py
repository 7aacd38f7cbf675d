"""Azure: objects whose last bytes are wanted, as the index of a shard, are asked for their size first.

Azure's requests name bytes from the start of an object only. Imported only where an Azure address is opened.
"""

from zarr.abc.store import ByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import FsspecStore


class AzureStore(FsspecStore):
    """A store of objects that can't be read from their end."""

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Return an object, or a part of it; None where there is none."""
        if isinstance(byte_range, SuffixByteRequest):
            try:
                size = (await self.fs._info("/".join(filter(None, (self.path, key)))))["size"]
            except self.allowed_exceptions:
                return None
            byte_range = RangeByteRequest(max(size - byte_range.suffix, 0), size)
        return await super().get(key, prototype, byte_range)
