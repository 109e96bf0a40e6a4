"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | os.PathLike[str], *, durable: bool = True) -> Iterator[Path]:
    """Write a file so that there is, at any moment, the old one or the whole new one under its name.

    The block writes to the path that it is given. That file is moved to ``path`` at the end of the block, or removed
    where the block raises.

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
        If the folder is not there or cannot be written to, or ``path`` is a folder.
    """
    path = Path(path)
    # Not tempfile's, which nobody but the owner can read. Shortened: the whole name has to fit into a file name.
    unfinished = path.with_name(f".{path.name[:40]}.{secrets.token_hex(4)}.part")
    try:
        os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        yield unfinished
        if durable:
            with open(unfinished, "rb+") as file:
                os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
