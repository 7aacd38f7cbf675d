"""A store around another that keeps the objects that are read, as they are stored, until they are taken."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import WrapperStore

from daskome.stores.kinds import waits_for_no_loop


class KeepingStore(WrapperStore[Any]):
    """A store whose objects are asked for as a whole, once: parts of them come from what is kept.

    Attributes
    ----------
    kept : dict of str to Buffer
        By their keys; None for what is not stored.
    """

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.kept: dict[str, Buffer | None] = {}

    def __str__(self) -> str:
        return str(self._store)

    @property
    def waits_for_no_loop(self) -> bool:
        """Whether requests never wait for an event loop."""
        return waits_for_no_loop(self._store)

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Return an object or a part of it."""
        if key not in self.kept:
            self.kept[key] = await self._store.get(key, prototype)
        return _part(self.kept[key], byte_range)

    def get_sync(
        self, key: str, *, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Return an object or a part of it, without an event loop."""
        if key not in self.kept:
            self.kept[key] = self._store.get_sync(key, prototype=prototype)
        return _part(self.kept[key], byte_range)

    async def get_ranges(
        self, key: str, byte_ranges: Sequence[ByteRequest | None], *, prototype: BufferPrototype, **settings: Any
    ) -> AsyncIterator[Sequence[tuple[int, Buffer | None]]]:
        """Yield parts of an object, all at once."""
        yield [(k, await self.get(key, prototype, one)) for k, one in enumerate(byte_ranges)]


def _part(whole: Buffer | None, byte_range: ByteRequest | None) -> Buffer | None:
    """Return a part of what is kept.

    >>> from zarr.core.buffer import default_buffer_prototype
    >>> from zarr.abc.store import SuffixByteRequest
    >>> whole = default_buffer_prototype().buffer.from_bytes(b"abcdef")
    >>> [_part(whole, part).to_bytes() for part in (None, RangeByteRequest(1, 3), SuffixByteRequest(2))]
    [b'abcdef', b'bc', b'ef']
    """
    if whole is None or byte_range is None:
        return whole
    if isinstance(byte_range, RangeByteRequest):
        return whole[byte_range.start : byte_range.end]
    if isinstance(byte_range, OffsetByteRequest):
        return whole[byte_range.offset :]
    return whole[max(len(whole) - byte_range.suffix, 0) :]
