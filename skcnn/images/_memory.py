"""How much memory the images being decoded may take together, whatever the number of threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

#: Bytes that a pixel takes while it is decoded: Pillow keeps RGB in 4 bytes, and a turned or converted copy stands
#: beside the original.
BYTES_PER_PIXEL = 8

#: Images that are decoded at the same time take at most this many bytes together; a larger image is decoded alone.
BUDGET = 2**30

_changed = threading.Condition()
_in_use = 0


@contextmanager
def reserved(n_pixels: int) -> Iterator[None]:
    """Wait until an image of ``n_pixels`` fits into the budget of the process, and hold its share.

    Parameters
    ----------
    n_pixels : int
        Height times width of the image as it will be decoded.
    """
    global _in_use
    # An image larger than the budget takes all of it, so it waits for the others and they wait for it.
    cost = min(n_pixels * BYTES_PER_PIXEL, BUDGET)
    with _changed:
        _changed.wait_for(lambda: _in_use + cost <= BUDGET)
        _in_use += cost
    try:
        yield
    finally:
        with _changed:
            _in_use -= cost
            _changed.notify_all()
