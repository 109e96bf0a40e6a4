"""The digests of images, and an index of files that need not be read again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from skcnn.images import BadRow, HeldImages, Images, ImageSource, map_ahead

#: Rows that are looked up together. Below the 999 parameters that a statement may have in any SQLite.
BLOCK = 512

#: A file that changed this lately may change again within one tick of the file system's clock (2 s on FAT), unseen.
SETTLED_NS = 2 * 10**9

#: Rows of a source, or URLs, that are read together, and held meanwhile: their size is not known before.
READ_TOGETHER = 64


class FileKey(NamedTuple):
    """A file as it was when it was looked at: absolute path, bytes, and time of change in ns.

    The stamp of a source's row stands as a path with nothing else: it says all that these do.
    """

    path: str
    size: int
    mtime_ns: int


def iter_digests(
    images: Images,
    rows: Iterable[int],
    known: Callable[[Sequence[FileKey]], dict[FileKey, bytes]],
    remember: Callable[[Sequence[tuple[FileKey, bytes]]], None],
) -> Iterator[tuple[int, bytes | BadRow]]:
    """Yield rows with their content digests, in order.

    Files and stamps in the index (``known``, ``remember``) are not read.
    """
    rows = list(rows)
    is_held = isinstance(images, HeldImages)
    size = READ_TOGETHER if images.reads_together and not is_held else BLOCK
    for start in range(0, len(rows), size):
        block = rows[start : start + size]
        now = time.time_ns()
        keys = {row: key for row in block if (key := _key(images, row)) is not None}
        found = known(list(keys.values())) if keys else {}
        unread = [row for row in block if keys.get(row) not in found]
        content = HeldImages(images) if images.reads_together and not is_held else images
        if isinstance(content, HeldImages):
            content.fetch(unread)
        read = map_ahead(content.digest, unread, BLOCK)
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


def _key(images: Images, row: int) -> FileKey | None:
    """Return by what the index knows a row: a file, or the stamp of a source's row."""
    if isinstance(images.items, ImageSource):
        stamp = images.items.stamp(row)
        return None if stamp is None else FileKey(f"stamp {stamp}", 0, 0)  # no file: those have absolute paths
    return _file_key(images.path(row))


def _file_key(path: str | None) -> FileKey | None:
    if not path or "://" in path:
        return None
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None  # reading it gives the better message
    return FileKey(os.path.abspath(path), status.st_size, status.st_mtime_ns)
