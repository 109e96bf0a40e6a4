"""One compiled network per process and configuration, shared by all callers."""

from __future__ import annotations

import os
import threading
import warnings
from pathlib import Path

from skcnn._keras import check_not_forked, note_start
from skcnn.engines._auto import AutoEngine
from skcnn.engines._engine import Engine
from skcnn.engines._keras_engine import KerasEngine
from skcnn.engines._openvino_engine import OpenVINOEngine
from skcnn.engines._plan import Plan
from skcnn.engines._saved_network import SavedNetwork

_Key = tuple[str, str, str]

_engines: dict[_Key, Engine | AutoEngine] = {}
#: Networks of saved files that cannot run here.
_unusable: set[_Key] = set()
_locks: dict[str, threading.RLock] = {}
_build_locks: dict[str, threading.RLock] = {}
_registry_lock = threading.Lock()


def network_lock(plan: Plan) -> threading.RLock:
    """Return the lock of a plan's network: extraction holds it, so that no image is run twice."""
    with _registry_lock:
        return _locks.setdefault(plan.network, threading.RLock())


def get_engine(plan: Plan, name: str, folder: Path, n_images: int) -> Engine:
    """Return the compiled network of a plan: built at the first call in this process, and shared from then on.

    Parameters
    ----------
    plan : Plan
    name : {"auto", "keras", "openvino"}
    folder : Path
        Where exported networks are kept; created when needed.
    n_images : int
        Number of images to run; ``"auto"`` decides by it whether an export pays off.
    """
    if plan.saved is not None and (saved := get_saved_engine(plan.saved, "features")) is not None:
        return saved
    check_not_forked()  # a network that was compiled before the fork is there, and would hang
    # Not the network's lock: workers that are threads of this process get their engine while their caller holds that.
    with _registry_lock:
        lock = _build_locks.setdefault(plan.network, threading.RLock())
    with lock:
        key = (plan.network, plan.precision, name)
        engine = _engines.get(key)
        if engine is None:
            engine = _engines[key] = _make(plan, name, folder)
        return engine.choose(n_images) if isinstance(engine, AutoEngine) else engine


def get_saved_engine(saved: SavedNetwork, part: str) -> Engine | None:
    """Return the compiled network of a saved file, shared as those of plans are.

    Parameters
    ----------
    saved : SavedNetwork
    part : {"features", "outputs"}
        What it is to give.

    Returns
    -------
    Engine or None
        None if it does not give this, or cannot run here.

    Warns
    -----
    UserWarning
        If it cannot run here; the message says why. Once per network.
    """
    if not saved.gives(part):
        return None
    check_not_forked()
    with _registry_lock:
        lock = _build_locks.setdefault(saved.digest, threading.RLock())
    with lock:
        key = (saved.digest, "float32", part)
        if key in _unusable:
            return None
        engine = _engines.get(key)
        if engine is None:
            note_start()
            try:
                engine = _engines[key] = saved.build(part)
            except (ImportError, ValueError) as error:
                _unusable.add(key)
                warnings.warn(
                    f"The program of a saved file is not used: {str(error).rstrip('.')}. Keras runs the network "
                    "instead, which takes longer. skcnn.load(path, program=False) avoids this warning.",
                    UserWarning,
                    stacklevel=2,
                )
                return None
        assert isinstance(engine, Engine)
        return engine


def clear_engines() -> None:
    """Forget all compiled networks of this process. Those in use elsewhere are freed after their use."""
    with _registry_lock:
        _engines.clear()
        _unusable.clear()


def _make(plan: Plan, name: str, folder: Path) -> Engine | AutoEngine:
    if name == "openvino":
        note_start()
        return OpenVINOEngine(plan, folder)
    return KerasEngine(plan) if name == "keras" else AutoEngine(plan, folder)


def _after_fork() -> None:
    # A thread that held one of these is not in the child.
    global _registry_lock
    _registry_lock = threading.Lock()
    _locks.clear()
    _build_locks.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
