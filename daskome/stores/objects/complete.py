"""A store around another in which nothing may be missing: of a temporary copy, all chunks are stored."""

from typing import Any

from zarr.abc.store import ByteRequest, Store
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import WrapperStore

from daskome.model.problem import MissingObjectError
from daskome.stores.kinds import waits_for_no_loop


class CompleteStore(WrapperStore[Any]):
    """A store that raises a MissingObjectError where zarr would read fill value."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)

    @property
    def waits_for_no_loop(self) -> bool:
        """Whether requests never wait for an event loop."""
        return waits_for_no_loop(self._store)

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Return an object or a part of it."""
        return self._found(key, await self._store.get(key, prototype, byte_range))

    def get_sync(
        self, key: str, *, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Return an object or a part of it, without an event loop."""
        return self._found(key, self._store.get_sync(key, prototype=prototype, byte_range=byte_range))

    def _found(self, key: str, found: Buffer | None) -> Buffer:
        if found is None:
            raise MissingObjectError(f"{key} of a temporary copy in {self._store} is gone")
        return found
