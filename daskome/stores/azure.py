"""Azure: to read the last bytes of an object, such as the index of a shard, its size is requested first.

Azure's requests count bytes from the start of an object only. Imported only where an Azure address is opened.
"""

import weakref
from typing import Any

from zarr.abc.store import ByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype

from daskome.stores.opened.exact_paths import ExactPathStore


class AzureStore(ExactPathStore):
    """A store whose objects cannot be read from their end."""

    def __init__(self, fs: Any, *args: Any, **options: Any) -> None:
        super().__init__(fs, *args, **options)
        _let_go(fs)

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Return an object, or a part of it; None where there is none."""
        if isinstance(byte_range, SuffixByteRequest):
            try:
                size = (await self.fs._info("/".join(filter(None, (self.path, key)))))["size"]
            except self.allowed_exceptions:
                return None
            byte_range = RangeByteRequest(max(size - byte_range.suffix, 0), size)
        return await super().get(key, prototype, byte_range)


def _let_go(fs: Any) -> None:
    """Leave connections to be closed by the end of the process.

    adlfs would close them on the event loop of the file system, but an asynchronous one has none, so that every program
    would end with a traceback (adlfs issue 495).
    """
    for finalizer in list(getattr(weakref.finalize, "_registry", ())):
        alive = finalizer.peek()
        if alive and alive[0] is fs:
            finalizer.detach()
