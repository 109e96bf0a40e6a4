"""What the caches of a process share: an index of files, shapes and counts."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence

from skcnn.cache._base import BaseCache, Shapes, as_shapes
from skcnn.cache._content import FileKey

#: Files whose digests are kept: some 250 MB of paths and digests.
MAX_FILES = 1_000_000


class ProcessCache(BaseCache):
    """A cache that ends with its process: whatever it knows is in this object, and guarded by ``_lock``."""

    def __init__(self) -> None:
        # Reentrant: the garbage collector may end a ``with`` block of this cache while its thread holds the lock.
        self._lock = threading.RLock()
        self._files: OrderedDict[FileKey, bytes] = OrderedDict()
        self._shapes: dict[str, Shapes] = {}
        self._passes = self._hits = 0

    def _known(self, keys: Sequence[FileKey]) -> dict[FileKey, bytes]:
        with self._lock:
            return {key: self._files[key] for key in keys if key in self._files}

    def _remember(self, learnt: Sequence[tuple[FileKey, bytes]]) -> None:
        with self._lock:
            self._files.update(learnt)
            while len(self._files) > MAX_FILES:
                self._files.popitem(last=False)

    def release(self, network: str, digests: Sequence[bytes]) -> None:
        """Release claims that no record will follow: nothing to do, since nothing is leased."""

    def count_hits(self, n: int) -> None:
        """Count ``n`` rows that were served without a pass."""
        with self._lock:
            self._hits += n

    def output_shapes(self, network: str) -> Shapes | None:
        """Return the shapes of the outputs that make up a record of ``network``, or None where they are not known."""
        with self._lock:
            return self._shapes.get(network)

    def set_output_shapes(self, network: str, shapes: Iterable[Iterable[int]]) -> None:
        """Keep the shapes of the outputs that make up a record, so that a full hit need not build the network."""
        with self._lock:
            self._shapes[network] = as_shapes(shapes)

    def _forget(self) -> None:
        """Forget files and shapes and set the counts to zero; the lock is held."""
        self._files.clear()
        self._shapes.clear()
        self._passes = self._hits = 0
