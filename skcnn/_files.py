"""Files that appear whole or not at all, and what killed processes leave of them."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

#: Seconds since a temporary was last written, from which on it counts as left behind where the system has no locks.
ABANDONED_AFTER = 24 * 3600

#: Whether the system gives a file's lock back when a process ends.
_HAS_LOCKS = sys.platform != "win32"

#: What a file system says that cannot reserve space, though it may have some.
_CANNOT_RESERVE = (errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS, errno.ENODEV)

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


@contextmanager
def replacing(path: str | os.PathLike[str], *, durable: bool = True) -> Iterator[Path]:
    """Write a file so that there is, at any moment, the old one or the whole new one under its name.

    The block writes to the path that it is given. That file is moved to ``path`` at the end of the block, or removed
    where the block raises. What a killed process left of its attempt to write ``path`` is removed first.

    Parameters
    ----------
    path : path-like
        Where the file goes, in a folder that exists. A link is replaced, not written through.
    durable : bool, default=True
        Whether the bytes are on the disk before the file gets its name, so that a loss of power leaves no empty file.
        That takes time, and what is cheap to make again need not be.

    Yields
    ------
    Path
        An empty file in the same folder: only within one file system is a move atomic. It has the mode that ``umask``
        gives to new files, and so has ``path`` in the end, whatever the mode of the file that it replaces.

    Raises
    ------
    OSError
        If the folder is not there or cannot be written to, or ``path`` is a folder, a pipe, a socket or a device.
    """
    path = Path(path)
    with contextlib.suppress(FileNotFoundError):
        if (kind := _kind(os.lstat(path))) not in (None, "a folder"):  # a move would put a file in its place
            raise OSError(f"{os.fspath(path)!r} is {kind}; expected the path of a file")
    # Shortened: the whole name has to fit into a file name.
    head = f".{path.name[:40]}."
    remove_abandoned(path.parent, head, ".part")
    with _temporary(path.parent, head, ".part") as unfinished:
        yield unfinished
        if durable:
            with open(unfinished, "rb+") as file:
                os.fsync(file.fileno())
        os.replace(unfinished, path)


@contextmanager
def temporary_folder(parent: str | os.PathLike[str], head: str) -> Iterator[Path]:
    """Give an empty folder for the time of a ``with`` block; only its owner may look into it.

    Folders with the same parent and beginning that killed processes left behind are removed first.

    Parameters
    ----------
    parent : path-like
        Where the folder is made.
    head : str
        What its name begins with.

    Yields
    ------
    Path

    Raises
    ------
    OSError
        If it cannot be made.
    """
    remove_abandoned(parent, head, "")
    with _temporary(Path(parent), head, "", is_folder=True) as folder:
        yield folder


def remove_abandoned(parent: str | os.PathLike[str], head: str, tail: str) -> None:
    """Remove temporaries of ours whose process is gone: those that nobody has locked.

    The system gives a lock back when its process ends, however it ends; what lives is never removed. Where a file
    system or a platform has no such locks, a temporary counts as left behind a day after it was last written.

    Parameters
    ----------
    parent : path-like
        Where they lie.
    head, tail : str
        What their names begin and end with; eight hexadecimal digits are between.
    """
    name = re.compile(re.escape(head) + "[0-9a-f]{8}" + re.escape(tail))
    with contextlib.suppress(OSError), os.scandir(parent) as entries:
        for entry in entries:
            if name.fullmatch(entry.name):
                with contextlib.suppress(OSError):
                    _remove_if_abandoned(entry)


def write_reserved(unfinished: str | os.PathLike[str], head: bytes, n_bytes: int, path: str | os.PathLike[str]) -> None:
    """Make a file that begins with ``head`` and has its place on the disk for as many bytes as will follow.

    Writing these, also by way of memory, cannot fail for want of room.

    Parameters
    ----------
    unfinished : path-like
        The file.
    head : bytes
        What it begins with.
    n_bytes : int
        How many follow; they are zero.
    path : path-like
        What the file is called in the error.

    Raises
    ------
    OSError
        If there is no room; the message says how much is needed and how much is free.
    """
    with open(unfinished, "wb", buffering=0) as file:
        advice = ": make room, or give a path on another disk"
        _reserve(file, head, n_bytes, f"{os.fspath(path)!r}", Path(unfinished).parent, advice)


@contextmanager
def nameless_file(folder: str | os.PathLike[str], n_bytes: int) -> Iterator[IO[bytes]]:
    """Open a file of zeros that has its place on the disk, and no name by which another could find or change it.

    The system removes it when the last that holds it open is gone, a memory map included, however the process ends.

    Parameters
    ----------
    folder : path-like
        On whose disk it lies; made where it is missing.
    n_bytes : int
        Its size.

    Yields
    ------
    file
        Open for reading and writing until the block ends.

    Raises
    ------
    OSError
        If the folder cannot be written to, or there is no room; the message says how much is needed and how much is
        free.
    """
    os.makedirs(folder, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        _reserve(file, b"", n_bytes, f"a temporary file in {os.fspath(folder)!r}", folder, "")
        yield file


def _reserve(
    file: IO[bytes], head: bytes, n_bytes: int, name: str, folder: str | os.PathLike[str], advice: str
) -> None:
    """Write the beginning of an empty file, and take the place of what follows."""
    try:
        _write_all(file, head)
        try:
            os.posix_fallocate(file.fileno(), len(head), n_bytes)
        except (AttributeError, OSError) as error:  # where there is none: zeros take their place as well
            if isinstance(error, OSError) and error.errno not in _CANNOT_RESERVE:
                raise
            zeros = bytes(2**22)
            for start in range(0, n_bytes, len(zeros)):
                _write_all(file, zeros[: n_bytes - start])
            os.fsync(file.fileno())  # some file systems find out only then that they are full
    except OSError as error:
        # What it has taken is given back before what is free is counted.
        with contextlib.suppress(OSError):
            file.truncate(0)
        free = shutil.disk_usage(folder).free
        raise OSError(
            error.errno,
            f"{name} needs {len(head) + n_bytes:,} bytes, and {free:,} are free on its disk "
            f"({error.strerror or error}){advice}",
        ) from None


def _write_all(file: IO[bytes], content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[file.write(left) :]


def check_regular(path: str | os.PathLike[str], expected: str) -> None:
    """Refuse a pipe, a socket or a device, which might be read for ever; what is not there is left to who opens it.

    Parameters
    ----------
    path : path-like
        What is about to be read.
    expected : str
        What it should be, for the error.

    Raises
    ------
    OSError
        If it is there and neither a file nor a folder.
    """
    try:
        kind = _kind(os.stat(path))
    except (OSError, ValueError):
        return
    if kind not in (None, "a folder"):
        raise OSError(f"{os.fspath(path)!r} is {kind}; expected {expected}")


def _kind(status: os.stat_result) -> str | None:
    """Return what is not a regular file as a phrase; None for a file or a link."""
    return next((kind for is_kind, kind in _KINDS if is_kind(status.st_mode)), None)


@contextmanager
def _temporary(parent: Path, head: str, tail: str, *, is_folder: bool = False) -> Iterator[Path]:
    """Make a file or a folder, locked until the block ends, and then removed."""
    while True:
        # Not tempfile's, which nobody but the owner can read.
        path = parent / f"{head}{secrets.token_hex(4)}{tail}"
        if is_folder:
            path.mkdir(0o700)
            descriptor = _opened(path)
        else:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
        if descriptor is not None and _is_locked(descriptor) is not False and os.path.lexists(path):
            break
        # Another process saw it before it was locked, and removes it.
        _close(descriptor)
        _remove(path)
    if not _HAS_LOCKS:  # an open file cannot be moved everywhere
        _close(descriptor)
        descriptor = None
    try:
        yield path
    finally:
        _remove(path)
        _close(descriptor)


def _opened(path: str | os.PathLike[str]) -> int | None:
    """Open a temporary to lock it; None where it is gone."""
    # Writable, as file systems of the network want it; not a link that somebody else has put there.
    mode = os.O_RDONLY if os.path.isdir(path) else os.O_RDWR
    try:
        return os.open(path, mode | getattr(os, "O_NOFOLLOW", 0))
    except FileNotFoundError:
        return None


def _is_locked(descriptor: int) -> bool | None:
    """Lock an open temporary for as long as it is open: True, False where another has it, None without locks."""
    if not _HAS_LOCKS:
        return None
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _close(descriptor: int | None) -> None:
    if descriptor is not None:
        os.close(descriptor)


def _remove_if_abandoned(entry: os.DirEntry[str]) -> None:
    status = entry.stat(follow_symlinks=False)
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        return
    if hasattr(os, "geteuid") and status.st_uid != os.geteuid():
        return  # another user's, in a folder that many share
    descriptor = _opened(entry.path) if _HAS_LOCKS else None
    try:
        is_mine = None if descriptor is None else _is_locked(descriptor)
        if is_mine or (is_mine is None and status.st_mtime + ABANDONED_AFTER < time.time()):
            _remove(Path(entry.path))
    finally:
        _close(descriptor)


def _remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
