"""Served models: loaded at the start, and loaded again when their file is replaced."""

from __future__ import annotations

import logging
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from skcnn.persistence import ModelFileError, load, load_program, read_manifest
from skcnn.serving._batching import Admission, Batcher, ClosedError
from skcnn.serving._errors import busy
from skcnn.serving._explaining import Explainer
from skcnn.serving._limits import Limits
from skcnn.serving._predictors import EstimatorPredictor, Predictor, ProgramPredictor

_log = logging.getLogger("skcnn.serving")

#: What may be wrong with a file that is loaded again; the model in use stays.
_TROUBLE = (ModelFileError, OSError, ImportError, TypeError, ValueError, RuntimeError)


class Running:
    """A model in use: what was loaded from its file, and the thread that runs it.

    Attributes
    ----------
    predictor : Predictor
    batcher : Batcher
    explainer : Explainer
    version : str
        The beginning of the digest of the file's members.
    loaded_at : float
        Seconds since 1970.
    """

    def __init__(self, name: str, path: Path, limits: Limits, observe: Callable[[int, float], None]):
        self.predictor = _predictor_of(path)
        self.version = _version_of(path)
        self.batcher = Batcher(self.predictor.run, limits, name, observe)
        self.explainer = Explainer(path, name)
        self.loaded_at = time.time()

    def close(self) -> None:
        """Let its threads end once they have answered."""
        self.batcher.close()
        self.explainer.close()


class ServedModel:
    """A file that is served under a name.

    Parameters
    ----------
    name : str
        The name that clients use.
    path : path-like
        Of a file that :func:`skcnn.save` wrote.
    limits : Limits
    observe : callable or None, default=None
        Called with the name, and the number of images and seconds of each batch.

    Attributes
    ----------
    running : Running
        The model in use; each request looks it up once.
    error : str or None
        Why the current file is not in use.
    n_reloads : int
        How often it was loaded again.
    """

    def __init__(
        self,
        name: str,
        path: str | os.PathLike[str],
        limits: Limits,
        observe: Callable[[str, int, float], None] | None = None,
    ):
        self.name, self.path = name, Path(path)
        self._limits, self._observe = limits, observe
        self._loader = ThreadPoolExecutor(1, thread_name_prefix=f"skcnn-load-{name}")
        self._lock = threading.Lock()
        self._reload: Future[None] | None = None
        self.error: str | None = None
        self.n_reloads = 0
        self._stamp = self._stamp_now()
        self.running = self._loaded()

    def refresh(self) -> Future[None] | None:
        """Load the file in another thread if it was replaced; return the future of the load, or None if it was not.

        The model in use answers until the new one is loaded, and stays in use if loading fails.
        """
        stamp = self._stamp_now()
        if stamp is None or stamp == self._stamp:
            return self._reload
        with self._lock:
            if stamp != self._stamp:
                self._stamp = stamp
                self._reload = self._loader.submit(self._replace)
        return self._reload

    def admit(self, n_images: int) -> tuple[Running, Admission]:
        """Admit images to the model in use: see :meth:`Batcher.admit`."""
        while True:
            running = self.running
            try:
                return running, running.batcher.admit(n_images)
            except ClosedError:
                if running is self.running:
                    raise busy("The server stops") from None

    def close(self) -> None:
        """Let all threads end once they have answered."""
        self._loader.shutdown(wait=True, cancel_futures=True)
        self.running.close()
        self.running.batcher.join(timeout=10)

    def _replace(self) -> None:
        try:
            new = self._loaded()
        except _TROUBLE as error:
            self.error = str(error)
            _log.error("%s was replaced and cannot be loaded; the model before stays in use: %s", self.path, error)
            return
        old, self.running, self.error = self.running, new, None
        self.n_reloads += 1
        old.close()
        _log.info("%s was replaced, and loaded", self.path)

    def _loaded(self) -> Running:
        def observe(n_images: int, seconds: float) -> None:
            if self._observe is not None:
                self._observe(self.name, n_images, seconds)

        return Running(self.name, self.path, self._limits, observe)

    def _stamp_now(self) -> tuple[int, ...] | None:
        """Return what changes when the file is replaced; None while there is none."""
        try:
            status = os.stat(self.path)
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size


def named_models(models: Mapping[str, Any] | Iterable[Any]) -> dict[str, Path]:
    """Return paths by name: the given ones, or the names of files without their suffix.

    Raises
    ------
    ValueError
        If there is no model, two models have the same name, or a name has a slash or is empty.
    """
    if isinstance(models, (str, os.PathLike)):
        models = [models]
    named = list(models.items()) if isinstance(models, Mapping) else [(Path(path).stem, path) for path in models]
    found: dict[str, Path] = {}
    for name, path in named:
        if name in found:
            raise ValueError(f"Two models are called {name!r}: {found[name]} and {path}; give them other names.")
        if not name or "/" in name or not name.isprintable():
            raise ValueError(f"A model is called {name!r}; expected a name without slashes.")
        found[name] = Path(path)
    if not found:
        raise ValueError("Got no model; expected at least one file that skcnn.save wrote.")
    return found


def _predictor_of(path: Path) -> Predictor:
    """Load the program of a file, or make it; or else load the estimator, and say why."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what makes the program
            program = load_program(path, make=True)
        assert program is not None
        return ProgramPredictor(program)
    except ModelFileError as error:
        reason = f"its program is not used: {error}"
    except (ImportError, TypeError, ValueError) as error:
        reason = str(error)
    return EstimatorPredictor(load(path, program=False), f"served by the estimator, not by a program: {reason}")


def _version_of(path: Path) -> str:
    import hashlib
    import json

    digests = json.dumps(read_manifest(path)["sha256"], sort_keys=True)
    return hashlib.sha256(digests.encode()).hexdigest()[:12]
