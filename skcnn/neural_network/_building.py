"""Making layers: one thread at a time, and with the process's random numbers left as they were."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from skcnn._keras import seeded_initializers

_lock = threading.RLock()


@contextmanager
def building(seed: int = 0) -> Iterator[None]:
    """Have layers made inside the block draw their seeds from ``seed``: Keras numbers and seeds them process-wide."""
    with _lock, seeded_initializers(seed):
        yield
