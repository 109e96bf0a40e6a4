"""Where time goes: stages that are timed while somebody asks, and cost nothing otherwise."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from typing import TypeVar

Item = TypeVar("Item")


class Recorder:
    """Seconds and images of stages, added up over threads.

    Parameters
    ----------
    clock : callable
        Returns the time in seconds.

    Attributes
    ----------
    own : dict of str to float
        Seconds of each stage in the thread that made the recorder. Stages that are nested pause the outer one, so that
        no second counts twice.
    beside : dict of str to float
        Seconds of each stage in other threads, added up over these.
    images : dict of str to int
        Images of each stage.
    threads : dict of str to int
        How many other threads worked at each stage at once.
    """

    def __init__(self, clock: Callable[[], float]):
        self.clock = clock
        self.owner = threading.get_ident()
        self.own: dict[str, float] = defaultdict(float)
        self.beside: dict[str, float] = defaultdict(float)
        self.images: dict[str, int] = defaultdict(int)
        self.threads: dict[str, int] = defaultdict(int)
        self._at_work: dict[str, int] = defaultdict(int)
        self.lock = threading.Lock()
        self.nested = threading.local()

    def begin(self, name: str) -> None:
        """Note that the thread that calls it is at work at a stage."""
        if threading.get_ident() != self.owner:
            with self.lock:
                self._at_work[name] += 1
                self.threads[name] = max(self.threads[name], self._at_work[name])

    def end(self, name: str, seconds: float, n_images: int) -> None:
        """Add to a stage, as the thread that calls it."""
        with self.lock:
            if threading.get_ident() == self.owner:
                self.own[name] += seconds
            else:
                self.beside[name] += seconds
                self._at_work[name] -= 1
            self.images[name] += n_images


class _Block:
    """A block of code that is timed."""

    __slots__ = ("n_images", "name", "recorder", "seconds", "since")

    def __init__(self, recorder: Recorder, name: str, n_images: int):
        self.recorder, self.name, self.n_images = recorder, name, n_images
        self.seconds = 0.0

    def __enter__(self) -> None:
        outer: list[_Block] = self.recorder.nested.__dict__.setdefault("stages", [])
        self.recorder.begin(self.name)
        self.since = self.recorder.clock()
        if outer:
            outer[-1].seconds += self.since - outer[-1].since
        outer.append(self)

    def __exit__(self, *error: object) -> None:
        outer: list[_Block] = self.recorder.nested.stages
        outer.pop()
        now = self.recorder.clock()
        self.recorder.end(self.name, self.seconds + now - self.since, self.n_images)
        if outer:
            outer[-1].since = now


_recorder: ContextVar[Recorder | None] = ContextVar("skcnn_recorder", default=None)
_UNTIMED: AbstractContextManager[None] = nullcontext()


def recording(recorder: Recorder) -> Callable[[], None]:
    """Have stages of this thread recorded; return a function that ends it."""
    token = _recorder.set(recorder)
    return lambda: _recorder.reset(token)


def timed(name: str, n_images: int = 0) -> AbstractContextManager[None]:
    """Return a context whose time is a stage's, if this thread is recorded. Nothing may be yielded inside.

    Parameters
    ----------
    name : str
        Name of the stage.
    n_images : int, default=0
        Images that it is done for.
    """
    recorder = _recorder.get()
    return _UNTIMED if recorder is None else _Block(recorder, name, n_images)


def timed_items(name: str, items: Iterable[Item]) -> Iterator[Item]:
    """Yield items; the time that it takes to get each of them is a stage's."""
    iterator = iter(items)
    while True:
        with timed(name):
            try:
                item = next(iterator)
            except StopIteration:
                return
        yield item


def count_images(name: str, n_images: int) -> None:
    """Add images to a stage that is timed elsewhere."""
    if (recorder := _recorder.get()) is not None:
        with recorder.lock:
            recorder.images[name] += n_images


def same_recorder() -> Callable[[], None]:
    """Return a function by which another thread, which calls it first, is recorded as this one is."""
    recorder = _recorder.get()

    def join() -> None:
        _recorder.set(recorder)

    return join


class timed_batch:  # noqa: N801  (read as a function)
    """A context in which a batch is put together for a network in training.

    Beside the training its time is that of ``batches``, with all that is done in it; in the same thread, the training
    waits for it.
    """

    def __init__(self, n_images: int):
        self._recorder = _recorder.get()
        self._n_images = n_images
        self._waiting: AbstractContextManager[None] = _UNTIMED

    def __enter__(self) -> None:
        if self._recorder is not None:
            if threading.get_ident() == self._recorder.owner:
                self._waiting = timed("wait")
            else:
                self._recorder.begin("batches")
            self._since = self._recorder.clock()
        self._waiting.__enter__()

    def __exit__(self, *error: object) -> None:
        self._waiting.__exit__(None, None, None)
        if self._recorder is not None and self._waiting is _UNTIMED:
            self._recorder.end("batches", self._recorder.clock() - self._since, self._n_images)
