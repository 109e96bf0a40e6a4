"""Who is computing what: a process is alive for as long as the operating system keeps its file lock.

The system gives a lock back when its process ends, however it ends, so that neither clocks nor process numbers (which
mean nothing across containers) come into it. Everything here is called inside a write transaction of the database,
which keeps the processes apart.
"""

from __future__ import annotations

import contextlib
import uuid
from pathlib import Path

from filelock import FileLock, Timeout


class Owner:
    """A holder of leases: its ``name`` stands beside each of them, and it is alive until :meth:`end`.

    Parameters
    ----------
    folder : Path
        Of the lock files; must exist.
    """

    def __init__(self, folder: Path):
        self.name = uuid.uuid4().hex
        self._path = folder / f"{self.name}.lock"
        # Any thread may end it. A forked child has no part in it: filelock closes the child's copy of the descriptor.
        self._lock = FileLock(self._path, thread_local=False)
        self._lock.acquire(timeout=0)

    def end(self) -> None:
        """Give the lock back: all leases of this owner are free from now on."""
        self._lock.release()
        with contextlib.suppress(OSError):
            self._path.unlink()


def bury_if_dead(folder: Path, name: str) -> bool:
    """Tell whether an owner is dead; if so its lock file is removed."""
    path = folder / f"{name}.lock"
    if not path.exists():
        return True
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    lock.release()
    with contextlib.suppress(OSError):
        path.unlink()
    return True


def bury_the_dead(folder: Path) -> None:
    """Remove the lock files of owners that ended without a word."""
    for path in folder.glob("*.lock"):
        bury_if_dead(folder, path.stem)
