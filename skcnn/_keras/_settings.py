"""Keras's settings of the process, and its source of seeds, held fixed while networks are built and run."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from skcnn._keras._starting import import_keras, start_keras

_building = threading.RLock()

#: Settings of the process that decide what a layer, a loss, a metric or an optimizer computes, with Keras's defaults.
_SETTINGS = {"floatx": "float32", "image_data_format": "channels_last", "epsilon": 1e-7}


class _Defaults:
    """Keras's settings of the process at their defaults, for as long as any thread is in the block.

    The first one in sets them, and the last one out puts back what was set before: threads want the same values.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_inside = 0
        self._before: dict[str, Any] = {}

    def __enter__(self) -> None:
        start_keras()
        config = import_keras().config
        with self._lock:
            if not self._n_inside:
                self._before = {name: getattr(config, name)() for name in _SETTINGS}
                self._set(_SETTINGS)
            self._n_inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._n_inside -= 1
            if not self._n_inside:
                self._set(self._before)

    @staticmethod
    def _set(values: dict[str, Any]) -> None:
        for name, value in values.items():
            getattr(import_keras().config, f"set_{name}")(value)


_defaults = _Defaults()


@contextmanager
def pinned() -> Iterator[None]:
    """Have Keras build and run what is in the block in float32 with channels last, whatever the user has set it to.

    What a layer, a loss, a metric or an optimizer computes is decided by settings of the process (``floatx``, the
    format of images, the fuzz factor) and of the thread (the dtype policy), some of them only when it is first run. So
    all graphs are built and run in such blocks. Blocks may be nested, in any number of threads.
    """
    config = import_keras().config
    policy = config.dtype_policy()
    with _defaults:
        config.set_dtype_policy("float32")
        try:
            yield
        finally:
            config.set_dtype_policy(policy)


@contextmanager
def building(seed: int = 0) -> Iterator[None]:
    """Make the random state of layers made inside the block a function of ``seed`` alone, in every thread.

    Keras draws the seeds of initializers, dropout and augmentation from Python's global generator. So there is one
    lock for all that make layers, lest a thread draw from the seed of another one; and the state of the generator is
    put back afterwards. Keras's settings are :func:`pinned`. Blocks may be nested.
    """
    with _building, pinned():
        state = random.getstate()
        random.seed(seed)
        try:
            yield
        finally:
            random.setstate(state)
