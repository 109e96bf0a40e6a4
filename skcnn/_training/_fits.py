"""Fits that are remembered: a search whose candidates share what is trained trains it once per fold."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from skcnn._training._checkpoints import Checkpoint, CheckpointError
from skcnn._training._graphs import Weights
from skcnn._training._runs import Progress
from skcnn.cache import FeatureCache, MemoryCache

#: Most bytes of weights that a directory keeps: some 50 fits of MobileNetV2 with all of its layers.
MAX_DIRECTORY_BYTES = 2**30


class FitMemory:
    """Weights of finished runs of this process; the least recently used leave when ``max_bytes`` is reached.

    Parameters
    ----------
    max_bytes : int, default=512 MiB
        Maximum size of the weights in bytes: about 40 fits of MobileNetV2 with all of its layers, thousands of a head.
    """

    def __init__(self, max_bytes: int = 2**29):
        self.max_bytes = max_bytes
        self._lock = threading.Lock()
        self._runs: OrderedDict[str, Progress] = OrderedDict()

    def get(self, run_id: str) -> Progress | None:
        """Return the end of a run, or None where it is not known. The arrays are shared, and not to be changed."""
        with self._lock:
            found = self._runs.get(run_id)
            if found is not None:
                self._runs.move_to_end(run_id)
            return None if found is None else _copy(found)

    def put(self, run_id: str, progress: Progress) -> None:
        """Keep the end of a run, if there is room."""
        with self._lock:
            self._runs[run_id] = _copy(progress)
            while self._runs and sum(n_bytes(run.weights) for run in self._runs.values()) > self.max_bytes:
                self._runs.popitem(last=False)

    def clear(self) -> None:
        """Forget all runs."""
        with self._lock:
            self._runs.clear()


_memory = FitMemory()


def fit_memory() -> FitMemory:
    """Return the memory of this process."""
    return _memory


class RememberedFit:
    """One run, where it is remembered: in the process, and in the directory of the cache where there is one.

    Parameters
    ----------
    cache : MemoryCache or FeatureCache
        Where features are kept as well.
    run_id : str
        From :func:`run_identity`.
    """

    def __init__(self, cache: MemoryCache | FeatureCache, run_id: str):
        self.run_id = run_id
        self.file: Checkpoint | None = None
        if isinstance(cache, FeatureCache):
            # Another version may train otherwise.
            versions = "/".join([run_id, version("skcnn"), version("keras"), version("numpy")])
            self.file = Checkpoint(cache.folder / "fits", hashlib.sha256(versions.encode()).hexdigest())

    def load(self) -> Progress | None:
        """Return the end of the run, or None where it is not known."""
        found = _memory.get(self.run_id)
        if found is None and self.file is not None and _memory.max_bytes:
            with suppress(CheckpointError):  # a damaged file is written again
                found = self.file.load()
        return found

    def save(self, progress: Progress) -> None:
        """Keep the end of the run."""
        _memory.put(self.run_id, progress)
        if self.file is not None and _memory.max_bytes:
            with suppress(OSError):  # no room: it is a help, and no promise
                self.file.save(progress)
                _prune(self.file.path.parent)


def n_bytes(weights: Weights) -> int:
    """Return the size of weights."""
    return sum(array.nbytes for group in weights.values() for array in group)


def _copy(progress: Progress) -> Progress:
    return replace(progress, weights=dict(progress.weights), history=[dict(row) for row in progress.history])


def _prune(folder: Path) -> None:
    """Remove the oldest files of a directory beyond its maximum size."""
    total = 0
    for path in sorted(folder.glob("*.npz"), key=lambda path: path.stat().st_mtime_ns, reverse=True):
        total += path.stat().st_size
        if total > MAX_DIRECTORY_BYTES:
            path.unlink(missing_ok=True)
