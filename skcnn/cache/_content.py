"""The digests of images, and an index of files that need not be read again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from skcnn.images import BadRow, Images, map_ahead

#: Rows that are looked up together. Below the 999 parameters that a statement may have in any SQLite.
BLOCK = 512

#: A file that changed this lately may change again within one tick of the file system's clock (2 s on FAT), unseen.
SETTLED_NS = 2 * 10**9


class FileKey(NamedTuple):
    """A file as it was when it was looked at: absolute path, bytes, and time of change in ns."""

    path: str
    size: int
    mtime_ns: int


def iter_digests(
    images: Images,
    rows: Iterable[int],
    known: Callable[[Sequence[FileKey]], dict[FileKey, bytes]],
    remember: Callable[[Sequence[tuple[FileKey, bytes]]], None],
) -> Iterator[tuple[int, bytes | BadRow]]:
    """Yield rows with their content digests, in order; files in the index (``known``, ``remember``) are not read."""
    rows = list(rows)
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        now = time.time_ns()
        keys = {row: key for row in block if (key := _file_key(images.path(row))) is not None}
        found = known(list(keys.values())) if keys else {}
        unread = [row for row in block if keys.get(row) not in found]
        read = map_ahead(images.digest, unread, BLOCK)
        learnt: list[tuple[FileKey, bytes]] = []
        try:
            for row in block:
                key = keys.get(row)
                if key in found:
                    yield row, found[key]
                    continue
                _, digest = next(read)
                if isinstance(digest, BadRow):
                    yield row, digest._replace(path=images.path(row))
                    continue
                if key is not None and key.mtime_ns + SETTLED_NS < now:
                    learnt.append((key, digest))
                yield row, digest
        finally:
            if learnt:
                remember(learnt)


def _file_key(path: str | None) -> FileKey | None:
    if not path or "://" in path:
        return None
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None  # reading it gives the better message
    return FileKey(os.path.abspath(path), status.st_size, status.st_mtime_ns)
