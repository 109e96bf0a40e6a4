"""Zip archives of unknown origin: what they declare is checked before anything is read, and reading is bounded."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

#: What zipfile raises for damage: RuntimeError where a flag says "encrypted", NotImplementedError for a compression.
DAMAGE = (zipfile.BadZipFile, zlib.error, KeyError, ValueError, OSError, EOFError, RuntimeError)

#: All members together may hold so many times the bytes of the archive, and so many bytes more.
MAX_RATIO = 20
SLACK = 64 * 2**20

_PIECE = 2**20


@contextmanager
def open_archive(
    file: Path | IO[bytes], *, max_members: int, max_ratio: int = MAX_RATIO, slack: int = SLACK
) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive whose members, by what they declare, have a bounded size.

    zipfile reads no more of a member than it declares, so that the bound holds whatever the archive holds.

    Parameters
    ----------
    file : Path or binary file
        The archive.
    max_members : int
        How many members it may have.
    max_ratio, slack : int
        The members may hold ``max_ratio`` times the bytes of the archive, and ``slack`` more, together. 1 and 0 are for
        archives that compress nothing.

    Yields
    ------
    zipfile.ZipFile

    Raises
    ------
    ValueError
        If it declares more, or two members of one name.
    OSError
        If it cannot be read. What else a damaged one raises is in :data:`DAMAGE`.
    """
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if len(members) > max_members:
            raise ValueError(f"it has {len(members):,} members; expected at most {max_members:,}")
        if len({member.filename for member in members}) < len(members):
            raise ValueError("two of its members have the same name")
        stream = archive.fp
        assert stream is not None  # it is open
        n_bytes = stream.seek(0, 2)
        if sum(member.compress_size for member in members) > n_bytes:
            raise ValueError("its members overlap")
        declared, accepted = sum(member.file_size for member in members), max_ratio * n_bytes + slack
        if declared > accepted:
            raise ValueError(
                f"its members declare {declared:,} bytes; expected at most {accepted:,} in an archive of {n_bytes:,}"
            )
        yield archive


def read_member(archive: zipfile.ZipFile, name: str, max_bytes: int | None = None) -> bytes:
    """Return the content of a member, read in pieces.

    Parameters
    ----------
    archive : zipfile.ZipFile
        As :func:`open_archive` gives it.
    name : str
        The member's name.
    max_bytes : int or None, default=None
        How many bytes it may have. None leaves it at what the archive as a whole may.

    Returns
    -------
    bytes

    Raises
    ------
    KeyError
        If there is none.
    ValueError
        If it declares more bytes.
    zipfile.BadZipFile
        If it is damaged. :data:`DAMAGE` has what else is raised then.
    """
    declared = archive.getinfo(name).file_size
    if max_bytes is not None and declared > max_bytes:
        raise ValueError(f"{name} declares {declared:,} bytes; expected at most {max_bytes:,}")
    # In one go, zipfile would unpack whatever is there, and then throw away what is more than declared.
    with archive.open(name) as member:
        return b"".join(iter(lambda: member.read(_PIECE), b""))
