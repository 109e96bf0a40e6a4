"""Batches of images that come from many requests, run by one thread per model."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from skcnn.serving._errors import RequestError, busy
from skcnn.serving._limits import Limits

_LONGEST_RETRY = 30

_log = logging.getLogger("skcnn.serving")


class ClosedError(Exception):
    """A batcher accepts no more images, because its model was replaced or the server stops."""


class Batcher:
    """A queue of bounded length, and the one thread that runs a model on what is in it.

    A batch starts as soon as the thread is free. It waits for further images only while some are being decoded, for at
    most ``max_wait`` seconds.

    Parameters
    ----------
    run : callable
        Takes a list of prepared images, and returns a result for each, in order.
    limits : Limits
        Its ``max_batch``, ``max_wait`` and ``max_queue`` are used.
    name : str
        Name of the thread.
    observe : callable or None, default=None
        Called with the number of images and the seconds of each batch.
    """

    def __init__(
        self,
        run: Callable[[list[Any]], Sequence[Any]],
        limits: Limits,
        name: str,
        observe: Callable[[int, float], None] | None = None,
    ):
        self._run, self._limits, self._observe = run, limits, observe
        self._changed = threading.Condition()
        self._queue: deque[tuple[Any, _Request, int]] = deque()
        self._n_admitted = 0  # and not answered
        self._n_coming = 0  # of these, still being decoded
        self._seconds_per_image = 0.0
        self._is_closing = False
        self._thread = threading.Thread(target=self._work, name=f"skcnn-serve-{name}", daemon=True)
        self._thread.start()

    @property
    def n_admitted(self) -> int:
        """Images that were accepted and are not answered yet."""
        return self._n_admitted

    def check_room(self, n_images: int = 1) -> None:
        """Raise the error of a busy server if so many images would not be admitted."""
        if self._n_admitted + n_images > self._limits.max_queue:
            seconds = math.ceil(self._n_admitted * self._seconds_per_image)
            raise busy(
                f"{self._n_admitted} images wait, and at most {self._limits.max_queue} may",
                min(max(1, seconds), _LONGEST_RETRY),
            )

    def admit(self, n_images: int) -> Admission:
        """Admit images, until the end of a ``with`` block in which they are decoded, submitted and answered.

        Raises
        ------
        RequestError
            503 if too many images wait.
        ClosedError
            If the batcher accepts no more images.
        """
        with self._changed:
            if self._is_closing:
                raise ClosedError
            self.check_room(n_images)
            self._n_admitted += n_images
            self._n_coming += n_images
        return Admission(self, n_images)

    def release(self, n_images: int, n_coming: int) -> None:
        """Forget admitted images, given how many of them were not submitted."""
        with self._changed:
            self._n_admitted -= n_images
            self._n_coming -= n_coming
            self._changed.notify_all()

    def put(self, images: list[Any], n_coming: int) -> Future[list[Any]]:
        """Put images into the queue, what is left of so many that were on their way; see :meth:`Admission.submit`."""
        request = _Request(len(images))
        with self._changed:
            self._n_coming -= n_coming
            self._queue.extend((image, request, number) for number, image in enumerate(images))
            self._changed.notify_all()
        if not images:
            request.future.set_result([])
        return request.future

    def close(self) -> None:
        """Let the thread end when all admitted images are answered."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()

    def join(self, timeout: float | None = None) -> None:
        """Wait for the end of the thread."""
        self._thread.join(timeout)

    def _work(self) -> None:
        while batch := self._next_batch():
            begin = time.perf_counter()
            try:
                results = self._run([image for image, _, _ in batch])
            except Exception as error:
                # Said to the clients without its words, which may hold what is none of their business.
                _log.exception("a batch of %d images failed", len(batch))
                failure = RequestError(500, f"The model failed ({type(error).__name__}); see the server's log.")
                results = [failure] * len(batch)
            seconds = time.perf_counter() - begin
            self._seconds_per_image = seconds / len(batch)
            if self._observe is not None:
                self._observe(len(batch), seconds)
            for (_, request, number), result in zip(batch, results, strict=True):
                request.give(number, result)

    def _next_batch(self) -> list[tuple[Any, _Request, int]]:
        """Return what to run next; nothing once the thread is to end."""
        most = self._limits.max_batch
        with self._changed:
            self._changed.wait_for(lambda: self._queue or (self._is_closing and not self._n_admitted))
            if self._queue:
                self._changed.wait_for(
                    lambda: len(self._queue) >= most or not self._n_coming, timeout=self._limits.max_wait
                )
            return [self._queue.popleft() for _ in range(min(most, len(self._queue)))]


class Admission:
    """Images that a :class:`Batcher` has admitted."""

    def __init__(self, batcher: Batcher, n_images: int):
        self._batcher, self._n_images, self._n_coming = batcher, n_images, n_images

    def __enter__(self) -> Admission:
        return self

    def __exit__(self, *_: object) -> None:
        self._batcher.release(self._n_images, self._n_coming)

    def submit(self, images: list[Any]) -> Future[list[Any]]:
        """Put those that were decoded into the queue, once; return the future of their results, in order."""
        n_coming, self._n_coming = self._n_coming, 0
        return self._batcher.put(images, n_coming)


class _Request:
    """The images of one request, which may be in several batches."""

    def __init__(self, n_images: int):
        self.future: Future[list[Any]] = Future()
        self._results: list[Any] = [None] * n_images
        self._n_left = n_images

    def give(self, number: int, result: Any) -> None:
        self._results[number] = result
        self._n_left -= 1
        if self._n_left == 0 and self.future.set_running_or_notify_cancel():
            self.future.set_result(self._results)
