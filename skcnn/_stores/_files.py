"""Files behind URLs: read, looked at, found and written."""

from __future__ import annotations

import io
import os
import random
from typing import Any, NamedTuple

from skcnn._stores._file_systems import PATIENCE, TIMEOUT, Options, call, file_system, protocols_of, url_of
from skcnn._stores._tries import CutError, tried

#: Stores that show an object once all of it was transferred. In others a file is written beside, and renamed.
_OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oci", "oss", "memory"})
#: Bytes that S3 takes in one request, and less.
_ONE_PUT = 4 * 2**30

#: What says of a file that it has changed, by any of the file systems.
_VERSIONS = ("ETag", "etag", "e_tag", "md5Hash", "Content-MD5")
_TIMES = ("LastModified", "Last-Modified", "last_modified", "updated", "mtime", "modified", "created")


class RemoteFile(NamedTuple):
    """What a store says of a file: URL, bytes, and what changes with its content ("" where nothing does)."""

    url: str
    size: int
    version: str


def fetch(
    url: str,
    options: Options | None = None,
    *,
    timeout: float = TIMEOUT,
    start: int | None = None,
    stop: int | None = None,
) -> bytes:
    """Return the content of a file, or the bytes from ``start`` to ``stop`` of it.

    Parameters
    ----------
    url : str
        Any URL of fsspec.
    options : mapping or None, default=None
        Arguments of its file system, such as credentials.
    timeout : float, default=30.0
        Seconds that the store may be silent.
    start, stop : int or None, default=None
        A range of bytes that lies within the file; None is all of it.

    Returns
    -------
    bytes

    Raises
    ------
    ImportError
        If fsspec, or what it needs for such a URL, is not installed; the message says how to install it.
    OSError
        If it cannot be read; the message is the reason alone.
    """

    def read() -> bytes:
        files, path = file_system(url, options, timeout)
        content = bytes(call(files, "cat_file", path, start=start, end=stop, limit=PATIENCE * timeout))
        if start is not None and stop is not None and len(content) != stop - start:
            if len(content) > stop - start:
                raise OSError("the server sends the whole file where a part is asked for")
            raise CutError(f"{len(content):,} of {stop - start:,} bytes came")
        return content

    return tried(url, read, timeout)


def look_at(url: str, options: Options | None = None) -> RemoteFile:
    """Return what a store says of a file now.

    Raises
    ------
    ImportError, OSError
        See :func:`fetch`.
    """

    def ask() -> RemoteFile:
        files, path = file_system(url, options, TIMEOUT)
        files.invalidate_cache()
        info = call(files, "info", path)
        if info.get("type") == "directory":
            raise IsADirectoryError("it is a folder")
        if info.get("size") is None:
            raise OSError("the server does not tell how large it is")
        version = next((str(info[key]) for key in (*_VERSIONS, *_TIMES) if info.get(key)), "")
        return RemoteFile(url, int(info["size"]), version)

    return tried(url, ask, TIMEOUT)


def find(pattern: str, options: Options | None = None) -> list[str]:
    """Return the URLs of the files that match a pattern; without wildcards the URL itself, if there is such a file.

    Raises
    ------
    ImportError, OSError
        See :func:`fetch`.
    """
    protocol = protocols_of(pattern)[-1]
    wildcards = "*" if protocol.startswith("http") else "*?["  # a ? begins the query of a web address
    if not any(wildcard in pattern for wildcard in wildcards):
        try:
            return [look_at(pattern, options).url]
        except FileNotFoundError:
            return []

    def ask() -> list[str]:
        files, path = file_system(pattern, options, TIMEOUT)
        files.invalidate_cache()
        found = call(files, "glob", path, detail=True)
        return [url_of(pattern, name) for name, info in found.items() if info.get("type") != "directory"]

    return tried(pattern, ask, TIMEOUT)


def names_in(url: str, options: Options | None = None) -> set[str]:
    """Return the names of what is in a folder; none where there is no such folder.

    Raises
    ------
    ImportError, OSError
        See :func:`fetch`.
    """

    def ask() -> set[str]:
        files, path = file_system(url, options, TIMEOUT)
        files.invalidate_cache()
        try:
            found = call(files, "ls", path, detail=False)
        except FileNotFoundError:
            return set()
        return {name.rstrip("/").rpartition("/")[2] for name in found}

    return tried(url, ask, TIMEOUT)


def make_folder(url: str, options: Options | None = None) -> None:
    """Make a folder, where a store has folders. Buckets are not made.

    Raises
    ------
    ImportError, OSError
        See :func:`fetch`.
    """
    if protocols_of(url)[0] in _OBJECT_STORES - {"memory"}:
        return

    def make() -> None:
        files, path = file_system(url, options, TIMEOUT)
        call(files, "makedirs", path, exist_ok=True)

    tried(url, make, TIMEOUT)


def store(url: str, content: bytes, options: Options | None = None) -> None:
    """Write a file so that it is there whole or not at all, also where another process writes the same one.

    Raises
    ------
    ImportError, OSError
        See :func:`fetch`.
    """

    def write() -> None:
        files, path = file_system(url, options, TIMEOUT)
        protocol = protocols_of(url)[0]
        limit = PATIENCE * TIMEOUT + len(content) / 1e6
        if protocol in ("s3", "s3a") and len(content) < _ONE_PUT:
            # In one request, of which nothing is left where it fails; s3fs has its own pieces for larger ones, and
            # removes them, unless it is cancelled: those have no limit.
            call(files, "pipe_file", path, content, chunksize=max(len(content), 1), limit=limit)
        elif protocol in _OBJECT_STORES:
            call(files, "pipe_file", path, content, limit=None if protocol in ("s3", "s3a") else limit)
        else:
            folder, _, name = path.rpartition("/")
            unfinished = f"{folder}/.{name[:40]}.{random.getrandbits(32):08x}.part"
            try:
                call(files, "pipe_file", unfinished, content, limit=limit)
                call(files, "mv", unfinished, path)
            except BaseException:
                if files.exists(unfinished):
                    files.rm_file(unfinished)
                raise

    tried(url, write, TIMEOUT)


def open_url(
    url: str, options: Options | None = None, *, size: int | None = None, buffer_size: int = 2**20
) -> io.BufferedReader:
    """Open a file for reading at any position, in pieces of ``buffer_size`` bytes, each of which is fetched.

    Parameters
    ----------
    url, options
        See :func:`fetch`.
    size : int or None, default=None
        Bytes of the file, if they are known.
    buffer_size : int, default=2**20
        At least so many bytes are fetched at once.

    Returns
    -------
    BufferedReader

    Raises
    ------
    ImportError, OSError
        See :func:`fetch`.
    """
    size = look_at(url, options).size if size is None else size
    return io.BufferedReader(_Ranges(url, options, size), buffer_size)


class _Ranges(io.RawIOBase):
    """A file behind a URL, read by ranges of bytes."""

    def __init__(self, url: str, options: Options | None, size: int):
        self._url, self._options, self._size, self._at = url, options, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        stop = min(self._at + len(buffer), self._size)
        if stop <= self._at:
            return 0
        content = fetch(self._url, self._options, start=self._at, stop=stop)
        buffer[: len(content)] = content
        self._at = stop
        return len(content)
