"""Threads that wait for stores."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Requests that wait for a store at once. They take no processor meanwhile.
N_THREADS = 32


def in_pool(
    function: Callable[[Item], Result], items: Iterable[Item], n_threads: int = N_THREADS
) -> list[Result | Exception]:
    """Return what a function gives for each item, or the exception, in order; called in threads that wait for stores.

    The threads are shared by all that ask for so many. The function must not come back here.

    Parameters
    ----------
    function : callable
        Fetches something.
    items : iterable
        What it is called with.
    n_threads : int, default=32
        How many are fetched at once.
    """

    def guarded(item: Item) -> Result | Exception:
        try:
            return function(item)
        except Exception as error:
            return error

    todo = list(items)
    if len(todo) < 2:
        return [guarded(item) for item in todo]
    futures = [_pool(n_threads).submit(guarded, item) for item in todo]
    try:
        return [future.result() for future in futures]
    finally:
        for future in futures:
            future.cancel()  # where the wait was interrupted


_pools: dict[tuple[int, int], ThreadPoolExecutor] = {}
_pools_lock = threading.Lock()


def _pool(n_threads: int) -> ThreadPoolExecutor:
    """Return the threads of this process; those of a parent are not there after a fork."""
    with _pools_lock:
        key = os.getpid(), n_threads
        if key not in _pools:
            _pools[key] = ThreadPoolExecutor(n_threads, thread_name_prefix="skcnn-fetch")
        return _pools[key]


if hasattr(os, "register_at_fork"):  # a lock that another thread held then would never be released
    os.register_at_fork(after_in_child=lambda: globals().update(_pools_lock=threading.Lock()))
