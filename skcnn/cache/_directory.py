"""The cache of a directory: permanent, and for any number of processes at once."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from skcnn._files import check_regular
from skcnn.cache import _maintenance, _records
from skcnn.cache._base import BaseCache, CacheInfo, CacheWarning, Shapes, as_shapes
from skcnn.cache._content import FileKey
from skcnn.cache._maintenance import VerifyResult
from skcnn.cache._memory import MemoryCache, memory_cache
from skcnn.cache._store import (
    FILE_NAME,
    FormatError,
    Store,
    checksum,
    drop_store,
    is_about_writing,
    open_store,
    reopen_for_writing,
)
from skcnn.images import BadRow, Images

#: What a disk, its rights, or damage on it may lead to. The last three: a damaged value of another type.
TROUBLE = (sqlite3.Error, OSError, FormatError, ValueError, TypeError, OverflowError)

#: Records read together, between which others may write.
CHUNK = 32

Result = TypeVar("Result")


class FeatureCache(BaseCache):
    """Records in a directory: they outlive the process, and any number of processes share them.

    An image goes through a network once, whichever process asks for it. Rows are leased to the process that computes
    them, and what it has stored stays, even if it is killed. A record is checked when it is read; a damaged one is
    computed again. Where the directory cannot be used (not writable, disk full, damaged, of another format), one
    :class:`CacheWarning` says so and features are computed without it; it is tried again with every batch where the
    disk was full, and by every later extraction where anything else was wrong.

    Parameters
    ----------
    path : path-like
        Directory, created at first use. It must be on a disk of this machine: SQLite's way of sharing between processes
        does not work over a network file system.
    max_bytes : int, default=10 GiB
        Maximum size of the records in bytes: about 750,000 images of MobileNetV2, whose record takes 14 kB (17 kB on
        the disk). Beyond it, the least recently used are evicted.

    Attributes
    ----------
    folder : Path
        The directory, absolute.

    See Also
    --------
    MemoryCache : The same within a process.

    Notes
    -----
    Nothing is opened or created until it is used; a copy and a pickle hold the path alone, and a process opens the
    database once, also after a fork.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from skcnn.cache import FeatureCache
    >>> from skcnn.images import as_images
    >>> folder = tempfile.mkdtemp()
    >>> digest = as_images([b"an image"]).digest(0)
    >>> FeatureCache(folder).put_many("a network", [digest], [np.ones(3)])
    >>> [record.tolist() for _, record in FeatureCache(folder).get_many("a network", [digest])]
    [[1.0, 1.0, 1.0]]
    >>> FeatureCache(folder).info().passes
    1
    """

    def __init__(self, path: str | os.PathLike[str], max_bytes: int = 10 * 2**30):
        if not isinstance(path, (str, os.PathLike)) or isinstance(os.fspath(path), bytes):
            raise TypeError(f"path={path!r}; expected the path of a directory, as a str or a Path")
        if not str(path) or "://" in str(path):
            raise ValueError(f"path={str(path)!r}; expected the path of a directory on a disk of this machine")
        if not isinstance(max_bytes, (int, np.integer)) or isinstance(max_bytes, bool) or max_bytes < 1:
            raise ValueError(f"max_bytes={max_bytes!r}; expected a positive int, in bytes")
        # Absolute, since a worker process may live in another folder.
        self.folder = Path(path).expanduser().absolute()
        check_regular(self.folder, "a directory")
        self.max_bytes = int(max_bytes)
        self._key = os.path.realpath(self.folder)

    def __repr__(self) -> str:
        return f"FeatureCache({str(self.folder)!r}, max_bytes={self.max_bytes})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FeatureCache):
            return NotImplemented
        return (self._key, self.max_bytes) == (other._key, other.max_bytes)

    def __hash__(self) -> int:
        return hash((self._key, self.max_bytes))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self.folder), self.max_bytes)

    def digests(self, images: Images, rows: Iterable[int]) -> Iterator[tuple[int, bytes | BadRow]]:
        """Yield rows with the digests of their content, in the order given, as :meth:`MemoryCache.digests` does.

        A directory that could not be used is tried again, since it may have been repaired.
        """
        place = (os.getpid(), self._key)
        if place in _warned:
            _degraded.pop(place, None)
            if _warned[place]:
                del _warned[place]  # what goes wrong from now on is news
            with contextlib.suppress(*TROUBLE):
                reopen_for_writing(self._key)
        yield from super().digests(images, rows)

    def _known(self, keys: Sequence[FileKey]) -> dict[FileKey, bytes]:
        def look_up(store: Store) -> dict[FileKey, bytes]:
            wanted = {os.fsencode(key.path): key for key in keys}
            query = f"SELECT * FROM files WHERE path IN ({', '.join('?' * len(wanted))})"
            with store.reading() as connection:
                rows = connection.execute(query, list(wanted)).fetchall()
            return {
                wanted[path]: digest
                for path, size, mtime_ns, digest, check in rows
                if (size, mtime_ns) == wanted[path][1:] and check == checksum(path, f"{size} {mtime_ns}", digest)
            }

        return self._attempt(look_up, {})

    def _remember(self, learnt: Sequence[tuple[FileKey, bytes]]) -> None:
        def write(store: Store) -> None:
            rows = []
            for (name, size, mtime_ns), digest in learnt:
                path = os.fsencode(name)
                rows.append((path, size, mtime_ns, digest, checksum(path, f"{size} {mtime_ns}", digest)))
            with store.writing() as connection:
                connection.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)", rows)

        self._attempt(write, None, writes=True)

    def get_many(self, network: str, digests: Sequence[bytes]) -> Iterator[tuple[bytes, np.ndarray]]:
        """Yield the records that there are; :meth:`count_hits` counts them and marks them as used.

        A record that fails its checksum is removed and counts as a miss. A few records are in memory at a time.
        """
        digests = list(digests)
        for start in range(0, len(digests), CHUNK):
            wanted = digests[start : start + CHUNK]
            nothing: list[tuple[bytes, np.ndarray]] = []
            yield from self._attempt(partial(_records.read, network=network, digests=wanted), nothing)

    def claim(self, network: str, digests: Sequence[bytes]) -> list[bytes]:
        """Return those contents that the caller is to compute: no record is there, and no living process has them.

        A lease is written for each, until :meth:`put_many` or :meth:`release`, or until the process ends. What other
        processes (or other threads of this one) are computing is not among them: look with :meth:`get_many` and claim
        again later.
        """
        unique = list(dict.fromkeys(digests))
        return self._attempt(partial(_records.claim, network=network, digests=unique), unique)

    def put_many(self, network: str, digests: Sequence[bytes], records: Iterable[np.ndarray]) -> None:
        """Keep records, count one pass each and release their leases, in one transaction.

        Beyond ``max_bytes``, the least recently used are evicted, these included. Never fails: where nothing can be
        written, nothing is kept.
        """
        contents = [np.asarray(record, "<f4").tobytes() for record in records]
        rows = list(zip(digests, contents, strict=True))
        if rows:
            self._attempt(partial(self._put, network=network, rows=rows), None, writes=True)

    def _put(self, store: Store, network: str, rows: Sequence[tuple[bytes, bytes]]) -> None:
        _records.put(store, network, rows, self.max_bytes)
        place = (os.getpid(), self._key)
        if place in _warned:
            _warned[place] = True

    def release(self, network: str, digests: Sequence[bytes]) -> None:
        """Release claims that no record will follow: for bad images, or after an exception."""

        def write(store: Store) -> None:
            with store.writing() as connection:
                _records.end_leases(store, connection, network, digests)

        if len(digests):
            self._attempt(write, None, writes=True)

    def count_hits(self, n: int) -> None:
        """Count ``n`` rows that were served without a pass, and mark what :meth:`get_many` gave as used now."""

        def write(store: Store) -> None:
            with store.writing() as connection:
                _records.mark_used(store, connection)
                connection.execute("UPDATE totals SET hits = hits + ?", (n,))

        self._attempt(write, None, writes=True)

    def output_shapes(self, network: str) -> Shapes | None:
        """Return the shapes of the outputs that make up a record of ``network``, or None where they are not known."""

        def look_up(store: Store) -> Shapes | None:
            with store.reading() as connection:
                row = connection.execute("SELECT shapes, checksum FROM networks WHERE name = ?", (network,)).fetchone()
            if row is None or row[0] is None or row[1] != checksum(network, row[0]):
                return None
            return as_shapes(json.loads(row[0]))

        return self._attempt(look_up, None)

    def set_output_shapes(self, network: str, shapes: Iterable[Iterable[int]]) -> None:
        """Keep the shapes of the outputs that make up a record, so that a full hit need not build the network."""
        text = json.dumps(as_shapes(shapes))

        def write(store: Store) -> None:
            with store.writing() as connection:
                _records.network_id(connection, network, make=True)
                connection.execute(
                    "UPDATE networks SET shapes = ?, checksum = ? WHERE name = ?",
                    (text, checksum(network, text), network),
                )

        self._attempt(write, None, writes=True)

    def info(self) -> CacheInfo:
        """Return the current counts and sizes, over all processes, as a :class:`CacheInfo`.

        All zero where there is no cache yet, which makes none, or where it cannot be used.
        """

        def look_up(store: Store) -> CacheInfo:
            with store.reading() as connection:
                row = connection.execute("SELECT passes, hits, n_records, n_bytes FROM totals").fetchone()
            passes, hits, n_records, n_bytes = map(int, row)
            return CacheInfo(passes, hits, n_records, n_bytes, self.max_bytes)

        nothing = CacheInfo(0, 0, 0, 0, self.max_bytes)
        return self._attempt(look_up, nothing) if self.exists() else nothing

    def exists(self) -> bool:
        """Return whether the directory holds a cache, valid or damaged."""
        return (self.folder / FILE_NAME).is_file()

    def clear(self) -> None:
        """Forget all records and digests, set the counts to zero and give the space back. Others may be using it.

        Raises
        ------
        OSError
            If the cache cannot be read or written; the message says why.
        """
        self._maintain(_maintenance.clear)

    def verify(self) -> VerifyResult:
        """Check every record and the database itself, and remove what is bad.

        Returns
        -------
        VerifyResult
            If the database itself is damaged, nothing is removed, and ``damage`` says what is wrong.

        Raises
        ------
        OSError
            If the cache cannot be read or written; the message says why.
        """
        return self._maintain(_maintenance.verify, VerifyResult(0, 0, None))

    def _maintain(self, operation: Callable[[Store], Any], otherwise: Any = None) -> Any:
        """Do what a person asked for: trouble is an error, and what once failed is tried again."""
        if not self.exists():
            return otherwise
        try:
            store = open_store(self._key)
            if store.why_read_only is not None:
                drop_store(self._key)
                store = open_store(self._key)
                if store.why_read_only is not None:
                    raise store.why_read_only
            result = operation(store)
        except TROUBLE as error:
            raise OSError(f"{self.folder}: {_reason(error)}") from error
        _degraded.pop((os.getpid(), self._key), None)
        return result

    def _attempt(self, operation: Callable[[Store], Result], otherwise: Result, *, writes: bool = False) -> Result:
        """Do something with the database; where it cannot be used, warn once and go on without."""
        if (os.getpid(), self._key) in _degraded:
            return otherwise
        store = None
        try:
            store = open_store(self._key)
            if writes and store.is_writable:
                # Where the disk was full there may be room again.
                otherwise = operation(store)
                store.why_read_only = None
            elif not writes or store.why_read_only is None:
                otherwise = operation(store)
            if store.why_read_only is not None:
                self._warn(store.why_read_only, reads=True)
        except TROUBLE as error:
            if store is not None and is_about_writing(error):
                store.give_up(error)
                self._warn(error, reads=True)
            else:
                _degraded[os.getpid(), self._key] = None
                drop_store(self._key)
                self._warn(error, reads=False)
        return otherwise

    def _warn(self, error: Exception, *, reads: bool) -> None:
        place = (os.getpid(), self._key)
        if place in _warned:
            return
        _warned[place] = False
        if reads:
            effect = "what it holds is used, but new features are not kept"
            advice = "make room or make it writable"
        else:
            effect = "features are computed without it"
            advice = "repair or remove it"
        message = f"The cache {self.folder} fails ({_reason(error)}): {effect}. To have them kept, {advice}, "
        warnings.warn(CacheWarning(f"{message}or give another directory, or cache='memory'."), stacklevel=4)


#: By process, since a fork starts afresh: directories that are not used until the next extraction, and those that were
#: warned of, with whether a record was kept since.
_degraded: dict[tuple[int, str], None] = {}
_warned: dict[tuple[int, str], bool] = {}


def _reason(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return text if isinstance(error, (sqlite3.Error, OSError, FormatError)) else f"it is damaged: {text}"


def as_cache(cache: str | os.PathLike[str] | FeatureCache | None) -> MemoryCache | FeatureCache | None:
    """Return the cache that a ``cache`` parameter refers to.

    Parameters
    ----------
    cache : {"memory"}, path-like, FeatureCache or None
        ``"memory"``: the cache of this process, :func:`memory_cache`. A path: a :class:`FeatureCache` there. None:
        no cache.

    Returns
    -------
    MemoryCache, FeatureCache or None

    Raises
    ------
    TypeError
        If it is none of these.
    ValueError
        If it is a path that :class:`FeatureCache` refuses: a URL, for example.
    OSError
        If it is the path of a pipe, a socket or a device.

    Examples
    --------
    >>> from skcnn.cache import as_cache
    >>> as_cache("memory").info().max_bytes
    1073741824
    >>> as_cache("/tmp/features")
    FeatureCache('/tmp/features', max_bytes=10737418240)
    """
    if cache is None or isinstance(cache, FeatureCache):
        return cache
    if isinstance(cache, str) and cache == "memory":
        return memory_cache()
    accepted = "'memory', the path of a directory on a disk of this machine, a FeatureCache, or None"
    if not isinstance(cache, (str, os.PathLike)):
        raise TypeError(f"cache={cache!r}; expected {accepted}")
    try:
        return FeatureCache(cache)
    except (TypeError, ValueError):
        raise ValueError(f"cache={cache!r}; expected {accepted}") from None
