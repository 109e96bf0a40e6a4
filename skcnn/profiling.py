"""Where the time of a job goes, and what would make it faster."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from skcnn._text import counted
from skcnn._timing import Recorder, recording

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["STAGES", "Profile", "profile"]

STAGES = {
    "start": "importing Keras; building, compiling and choosing networks",
    "wait": "waiting for images that are read and decoded in other threads",
    "network": "the frozen network, or the frozen layers of one that is trained",
    "model": "training of networks and of BaggedSGDClassifier; predictions of trained networks",
    "cache": "looking up features in a cache, and storing them",
    "workers": "waiting for worker processes, which read, decode and run the network",
    "estimate": "estimating how good a model is on new images (skcnn fit)",
    "write": "writing tables, models and reports (the command line)",
    "other": "everything else: scikit-learn's estimators, tables, your own code",
    "read": "reading files, shards and URLs",
    "decode": "decoding and resizing images",
    "batches": "assembling batches for a network that is trained; this includes reading and decoding",
}
"""Stages of a profile, and what each of them is."""

#: What would help, by what most time goes to.
_ADVICE = {
    "start": "It takes the same time for any number of images: use more images per call, or per process.",
    "read": (
        "Put images on a local disk; many small files are read faster from shards (skcnn.datasets.write_tfrecords). "
        "A cache directory (cache=, --cache) saves reading files that it already knows."
    ),
    "decode": (
        "Store images at about the size that the network takes, and as JPEG: large ones cost most. More cores "
        "help, too. A cache directory (cache=, --cache) saves decoding images that it already knows."
    ),
    "wait": "Images in memory are looked up by their content: cache=None saves that if each is used only once.",
    "network": (
        "Use a GPU; on a CPU OpenVINO (extra openvino), precision bfloat16 or a smaller network. A cache directory "
        "(cache=, --cache) saves running images that it already knows."
    ),
    "model": (
        "Train for fewer epochs, or unfreeze fewer layers: frozen layers run once per image. A GPU helps networks. "
        "A classifier on the features of a frozen network is trained in seconds."
    ),
    "cache": "Put the cache directory on a local disk.",
    "workers": "Use more processes, or one with a GPU.",
    "estimate": "Cross-validation trains once per fold: --test-size 0.2 trains once, and --cv 0 estimates nothing.",
    "write": "Write to a local disk; .parquet is faster than .csv.",
    "other": "skcnn does not measure this time: use Python's own profiler (python -m cProfile).",
}
#: A thread that reads for a network in training, and is busy for this fraction of the time, is what the network waits
#: for.
_BUSY = 0.8


class Profile:
    """Seconds and images of the stages of a job. :func:`profile` makes it.

    Parameters
    ----------
    recorder : Recorder
        Records the stages.
    """

    def __init__(self, recorder: Recorder):
        self._recorder = recorder
        self._begin = recorder.clock()
        self._end: float | None = None

    @property
    def seconds(self) -> float:
        """Seconds since the block began, or after its end, the seconds that it took."""
        return (self._recorder.clock() if self._end is None else self._end) - self._begin

    def frame(self) -> pd.DataFrame:
        """Return one row per stage that took time.

        Returns
        -------
        pandas.DataFrame
            ``stage`` is one of :data:`STAGES`. ``seconds`` is the time of the stage in the thread that runs the block,
            and ``fraction`` its fraction of the total; they add up to :attr:`seconds` and to 1. ``thread_seconds`` is
            its time in other threads, summed over these, and ``threads`` is the number of them that worked on it at the
            same time. ``images`` is the number of images that it processed; an image that is processed twice counts
            twice. ``images_per_second`` is the speed of the stage on its own: ``images`` divided by ``seconds``, or by
            ``thread_seconds / threads`` if it runs in other threads. Both are missing if a stage does not count images.

        Examples
        --------
        >>> import skcnn
        >>> from skcnn.datasets import load_digit_images
        >>> from skcnn.feature_extraction import BottleneckFeatures
        >>> X = load_digit_images().data[:64]
        >>> with skcnn.profile() as profile:
        ...     features = BottleneckFeatures("ResNet20", cache=None).fit_transform(X)
        >>> frame = profile.frame().set_index("stage")
        >>> int(frame.loc["network", "images"]), int(frame.loc["decode", "images"])
        (64, 64)
        >>> abs(frame["seconds"].sum() - profile.seconds) < 1e-6
        True
        """
        import pandas as pd

        total = self.seconds
        with self._recorder.lock:
            own, beside = dict(self._recorder.own), dict(self._recorder.beside)
            images = dict(self._recorder.images)
            threads = dict(self._recorder.threads)
        beside.pop("wait", None)  # of one helper for another one
        threads.pop("wait", None)
        own["other"] = max(0.0, total - sum(own.values()))
        rows = []
        for name in (name for name in STAGES if name in own or name in beside):
            n_threads = threads.get(name, 0)
            busy = own.get(name, 0.0) + beside.get(name, 0.0) / max(n_threads, 1)
            n_images = images.get(name, 0)
            rows.append(
                {
                    "stage": name,
                    "seconds": own.get(name, 0.0),
                    "fraction": own.get(name, 0.0) / total if total else 0.0,
                    "thread_seconds": beside.get(name, 0.0),
                    "threads": n_threads,
                    "images": n_images or None,
                    "images_per_second": n_images / busy if n_images and busy else None,
                }
            )
        frame = pd.DataFrame(rows)
        return frame.astype({"images": "Int64", "images_per_second": "float64"})

    @property
    def bottleneck(self) -> str:
        """The stage that most of the time goes to, one of :data:`STAGES`.

        If the job waits for images, it is ``"read"`` or ``"decode"``, whichever takes longer.
        """
        with self._recorder.lock:
            own, beside = dict(self._recorder.own), dict(self._recorder.beside)
        own["other"] = max(0.0, self.seconds - sum(own.values()))
        first = max(own, key=lambda name: own[name])
        is_waiting = first == "wait" or (first == "model" and beside.get("batches", 0.0) >= _BUSY * own["model"])
        if not is_waiting:
            return first
        rest = {name: beside.get(name, 0.0) for name in ("read", "decode", "network")}
        return max(rest, key=lambda name: rest[name]) if any(rest.values()) else first

    def to_text(self) -> str:
        """Return the table, the bottleneck and what would help, for a terminal."""
        import pandas as pd

        lines = [f"Where time went ({self.seconds:.1f} s):"]
        lines.append(f"{'stage':<10}{'seconds':>9}{'':>8}{'in threads':>12}{'images':>10}{'images/s':>10}")
        for row in self.frame().itertuples():
            has_own = row.seconds > 0 or not row.threads
            own = f"{row.seconds:>9.2f}{100 * row.fraction:>6.0f} %" if has_own else " " * 17
            beside = f"{row.thread_seconds:.2f} / {row.threads}" if row.threads else ""
            n_images = "" if pd.isna(row.images) else f"{row.images:,}"
            rate = "" if pd.isna(row.images_per_second) else f"{row.images_per_second:,.0f}"
            lines.append(f"{row.stage:<10}{own}{beside:>12}{n_images:>10}{rate:>10}".rstrip())
        name = self.bottleneck
        verdict = f"Most time goes to {name}: {STAGES[name]}. {_ADVICE[name]}"
        return "\n".join([*lines, *textwrap.wrap(verdict, 88)])

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        return f"<Profile of {counted(len(self._recorder.own), 'stage')}, {self.seconds:.1f} s>"


@contextmanager
def profile(*, clock: Callable[[], float] = time.perf_counter) -> Iterator[Profile]:
    """Measure where the time of a block goes: reading, decoding, waiting, the network, the model.

    It measures the current thread, and the threads that read and decode images for it. Worker processes (``n_jobs``)
    are one stage, ``"workers"``, and threads that you start yourself are not measured. Outside of such a block, nothing
    is measured.

    Parameters
    ----------
    clock : callable, default=time.perf_counter
        Returns the time in seconds.

    Yields
    ------
    Profile
        Can be read after the end of the block, or within it.

    Notes
    -----
    Threads wait for each other, so ``thread_seconds`` include the time for which a thread had no core. TensorFlow reads
    the batches of a network that is trained in a separate thread, whose time is ``"batches"``; the time for which
    training waits for it is part of ``"model"``. If that thread is busy for 80 % of the time or more, reading or
    decoding is named as the bottleneck.

    A block inside another one is measured separately: its time is part of ``"other"`` in the outer block.

    Examples
    --------
    >>> import skcnn
    >>> from skcnn.datasets import load_digit_images
    >>> from skcnn.ensemble import BaggedSGDClassifier
    >>> X, y = load_digit_images(return_X_y=True)
    >>> with skcnn.profile() as profile:
    ...     classifier = BaggedSGDClassifier(random_state=0).fit(X[:200].reshape(200, -1), y[:200])
    >>> profile.frame()["stage"].tolist()
    ['model', 'other']
    """
    recorder = Recorder(clock)
    measured = Profile(recorder)
    end = recording(recorder)
    try:
        yield measured
    finally:
        end()
        measured._end = clock()
