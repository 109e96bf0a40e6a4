"""Keras, imported when it is first needed, without the notices of its backend; and who may run a network."""

from __future__ import annotations

import importlib
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from skcnn._timing import timed

_started_in: list[int] = []
#: TensorFlow, where it was imported here without its notices and has not looked for devices yet.
_not_started: list[str] = []
_starting = threading.RLock()
#: What TensorFlow writes about what it found: instructions of the processor, libraries and devices; not fatal errors.
_NOTICE = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog|To enable the following instructions: "
    rb"|[IWE]\d{4} [\d:.]+ +\d+ \S+:\d+\]|\d{4}-\d\d-\d\d [\d:.]+: [IWE] "
)


def import_keras() -> Any:
    """Import Keras late, with the backend that ``KERAS_BACKEND`` (or Keras's own configuration) names.

    TensorFlow's notices on which instructions and devices it found are not shown, unless the user asks for them
    (``TF_CPP_MIN_LOG_LEVEL`` is 0 or 1) or has imported TensorFlow already.

    Returns
    -------
    module
        The ``keras`` package.

    Raises
    ------
    ImportError
        If Keras or its backend is not installed; the message says what to install.
    RuntimeError
        In a process that was forked from one in which Keras was at work: its threads are gone, and it would hang.
    """
    check_not_forked()
    try:
        keras = _import_quietly()
    except ModuleNotFoundError as error:
        backend = os.environ.get("KERAS_BACKEND", "tensorflow")
        raise ImportError(
            f"Keras could not be imported with the {backend!r} backend: {error}. Install that backend "
            "(`pip install tensorflow`, `jax` or `torch`), or set the environment variable KERAS_BACKEND to one that "
            "is installed before Python starts."
        ) from error
    note_start()
    return keras


def start_keras() -> None:
    """Import Keras and start its backend, as :func:`import_keras` does and the first computation."""
    import_keras()
    _start_quietly()


def _import_quietly() -> Any:
    if sys.modules.keys() & {"keras", "tensorflow"}:
        return importlib.import_module("keras")
    with _starting, timed("start"), _without_notices() as is_quiet:
        keras = importlib.import_module("keras")
        if is_quiet and "tensorflow" in sys.modules:
            _not_started.append("tensorflow")
    return keras


def _start_quietly() -> None:
    """Let TensorFlow look for devices, as it does at the first computation, without its notices."""
    if not _not_started:
        return
    with _starting:
        if _not_started:
            _not_started.clear()
            with timed("start"), _without_notices():
                importlib.import_module("keras").ops.zeros(1)


@contextmanager
def _without_notices() -> Iterator[bool]:
    """Hold back TensorFlow's notices in the block; show all that was written in it if it raises.

    TensorFlow writes to the process's standard error, some of it before any logging level counts, so that is where it
    is caught. What others write there is shown at the end of the block. Yields whether notices are held back.
    """
    terminal = None
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL") not in ("0", "1"):
        with suppress(OSError):  # it may be closed
            terminal = os.dup(2)
    if terminal is None:
        yield False
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    _flush_stderr()
    with tempfile.TemporaryFile() as written:
        os.dup2(written.fileno(), 2)
        hidden = None
        try:
            yield True
            hidden = _NOTICE
        finally:
            _flush_stderr()
            os.dup2(terminal, 2)
            written.seek(0)
            for line in written:
                if hidden is None or not hidden.match(line):
                    os.write(terminal, line)
            os.close(terminal)


def _flush_stderr() -> None:
    with suppress(AttributeError, ValueError, OSError):  # there may be none, or a closed one
        sys.stderr.flush()


def note_start() -> None:
    """Note that networks run in this process, by Keras or by another engine."""
    _started_in[:] = [os.getpid()]


def check_not_forked() -> None:
    """Refuse to run a network in a process that was forked from one in which networks ran.

    Raises
    ------
    RuntimeError
        In such a process: the threads of Keras or OpenVINO are gone, and it would hang.
    """
    if _started_in and _started_in[0] != os.getpid():
        raise RuntimeError(
            "This process was forked from one in which a network ran, and would hang. joblib's backend "
            "'multiprocessing' does that, and multiprocessing on Linux; joblib's default, 'loky', and "
            "multiprocessing.get_context('spawn') do not."
        )


def has_gpu() -> bool:
    """Tell whether Keras's backend sees a GPU."""
    start_keras()
    backend = import_keras().backend.backend()
    if backend == "torch":
        return bool(importlib.import_module("torch").cuda.is_available())
    if backend == "jax":
        return importlib.import_module("jax").default_backend() == "gpu"
    if backend == "tensorflow":
        return bool(importlib.import_module("tensorflow").config.list_physical_devices("GPU"))
    return False
