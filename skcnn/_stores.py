"""Files behind URLs, by fsspec: with timeouts, one layer of retries, and threads that wait for many of them at once.

What a store does wrong is told apart here: what may pass (no answer in time, a connection that breaks, a body that is
cut, an error of the server) is tried again, and the rest (no such file, no permission) is not. The file systems' own
retries are off where they can be, so that three tries are three.
"""

from __future__ import annotations

import io
import os
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any, NamedTuple, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

Options = Mapping[str, Any]

#: How often something is tried that may pass.
TRIES = 3
#: Seconds that a store may be silent: while connecting, and between two pieces of a body.
TIMEOUT = 30.0
#: A try takes at most so many times that, however slowly a body trickles.
PATIENCE = 10
#: Seconds; the mean pause before the second try is half of it, and doubles.
BACKOFF = 0.5
#: Requests that wait for a store at once. They take no processor meanwhile.
N_THREADS = 32

#: Stores that show an object once all of it was transferred. In others a file is written beside, and renamed.
_OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oci", "oss", "memory"})
#: Bytes that S3 takes in one request, and less.
_ONE_PUT = 4 * 2**30

#: What says of a file that it has changed, by any of the file systems.
_VERSIONS = ("ETag", "etag", "md5Hash", "Content-MD5", "LastModified", "Last-Modified", "last_modified", "updated")
_TIMES = ("mtime", "modified", "created")

#: What the libraries below raise where a connection breaks or stays silent, besides the errors of Python.
_PASSING = frozenset({"ClientPayloadError", "ClientConnectionError", "HTTPClientError", "IncompleteReadError"})


class RemoteFile(NamedTuple):
    """What a store says of a file: URL, bytes, and what changes with its content ("" where nothing does)."""

    url: str
    size: int
    version: str


class CutError(OSError):
    """Fewer bytes came than were asked for."""


def is_url(path: str) -> bool:
    """Tell whether a path is a URL."""
    return "://" in path


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
        files, path = _file_system(url, options, timeout)
        content = bytes(_call(files, "cat_file", path, start=start, end=stop, limit=PATIENCE * timeout))
        if start is not None and stop is not None and len(content) != stop - start:
            if len(content) > stop - start:
                raise OSError("the server sends the whole file where a part is asked for")
            raise CutError(f"{len(content):,} of {stop - start:,} bytes came")
        return content

    return _tried(url, read, timeout)


def look_at(url: str, options: Options | None = None) -> RemoteFile:
    """Return what a store says of a file now.

    Raises
    ------
    ImportError, OSError
        See :func:`fetch`.
    """

    def ask() -> RemoteFile:
        files, path = _file_system(url, options, TIMEOUT)
        files.invalidate_cache()
        info = _call(files, "info", path)
        if info.get("type") == "directory":
            raise IsADirectoryError("it is a folder")
        if info.get("size") is None:
            raise OSError("the server does not tell how large it is")
        version = next((str(info[key]) for key in (*_VERSIONS, *_TIMES) if info.get(key)), "")
        return RemoteFile(url, int(info["size"]), version)

    return _tried(url, ask, TIMEOUT)


def find(pattern: str, options: Options | None = None) -> list[str]:
    """Return the URLs of the files that match a pattern; without wildcards the URL itself, if there is such a file.

    Raises
    ------
    ImportError, OSError
        See :func:`fetch`.
    """
    protocol = _protocols(pattern)[-1]
    wildcards = "*" if protocol.startswith("http") else "*?["  # a ? begins the query of a web address
    if not any(wildcard in pattern for wildcard in wildcards):
        try:
            return [look_at(pattern, options).url]
        except FileNotFoundError:
            return []

    def ask() -> list[str]:
        files, path = _file_system(pattern, options, TIMEOUT)
        files.invalidate_cache()
        found = _call(files, "glob", path, detail=True)
        return [_url_of(pattern, name) for name, info in found.items() if info.get("type") != "directory"]

    return _tried(pattern, ask, TIMEOUT)


def names_in(url: str, options: Options | None = None) -> set[str]:
    """Return the names of what is in a folder; none where there is no such folder.

    Raises
    ------
    ImportError, OSError
        See :func:`fetch`.
    """

    def ask() -> set[str]:
        files, path = _file_system(url, options, TIMEOUT)
        files.invalidate_cache()
        try:
            found = _call(files, "ls", path, detail=False)
        except FileNotFoundError:
            return set()
        return {name.rstrip("/").rpartition("/")[2] for name in found}

    return _tried(url, ask, TIMEOUT)


def make_folder(url: str, options: Options | None = None) -> None:
    """Make a folder, where a store has folders. Buckets are not made.

    Raises
    ------
    ImportError, OSError
        See :func:`fetch`.
    """

    if _protocols(url)[0] in _OBJECT_STORES - {"memory"}:
        return

    def make() -> None:
        files, path = _file_system(url, options, TIMEOUT)
        _call(files, "makedirs", path, exist_ok=True)

    _tried(url, make, TIMEOUT)


def store(url: str, content: bytes, options: Options | None = None) -> None:
    """Write a file so that it is there whole or not at all, also where another process writes the same one.

    Raises
    ------
    ImportError, OSError
        See :func:`fetch`.
    """

    def write() -> None:
        files, path = _file_system(url, options, TIMEOUT)
        protocol = _protocols(url)[0]
        limit = PATIENCE * TIMEOUT + len(content) / 1e6
        if protocol in ("s3", "s3a") and len(content) < _ONE_PUT:
            # In one request, of which nothing is left where it fails; s3fs has its own pieces for larger ones, and
            # removes them, unless it is cancelled: those have no limit.
            _call(files, "pipe_file", path, content, chunksize=max(len(content), 1), limit=limit)
        elif protocol in _OBJECT_STORES:
            _call(files, "pipe_file", path, content, limit=None if protocol in ("s3", "s3a") else limit)
        else:
            folder, _, name = path.rpartition("/")
            unfinished = f"{folder}/.{name[:40]}.{random.getrandbits(32):08x}.part"
            try:
                _call(files, "pipe_file", unfinished, content, limit=limit)
                _call(files, "mv", unfinished, path)
            except BaseException:
                if files.exists(unfinished):
                    files.rm_file(unfinished)
                raise

    _tried(url, write, TIMEOUT)


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


def in_pool(
    function: Callable[[Item], Result], items: Iterable[Item], n_threads: int = N_THREADS
) -> list[Result | Exception]:
    """Return what a function gives for each item, or the exception, in order; called in threads that wait for stores.

    The threads are shared by all that ask for so many. The function must not come back here.

    Parameters
    ----------
    function : callable
        Fetches something.
    items : iterable
        What it is called with.
    n_threads : int, default=32
        How many are fetched at once.
    """

    def guarded(item: Item) -> Result | Exception:
        try:
            return function(item)
        except Exception as error:
            return error

    todo = list(items)
    if len(todo) < 2:
        return [guarded(item) for item in todo]
    futures = [_pool(n_threads).submit(guarded, item) for item in todo]
    try:
        return [future.result() for future in futures]
    finally:
        for future in futures:
            future.cancel()  # where the wait was interrupted


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


_pools: dict[tuple[int, int], ThreadPoolExecutor] = {}
_pools_lock = threading.Lock()


def _pool(n_threads: int) -> ThreadPoolExecutor:
    """Return the threads of this process; those of a parent are not there after a fork."""
    with _pools_lock:
        key = os.getpid(), n_threads
        if key not in _pools:
            _pools[key] = ThreadPoolExecutor(n_threads, thread_name_prefix="skcnn-fetch")
        return _pools[key]


if hasattr(os, "register_at_fork"):  # a lock that another thread held then would never be released
    os.register_at_fork(after_in_child=lambda: globals().update(_pools_lock=threading.Lock()))


def _tried(url: str, call: Callable[[], Result], timeout: float) -> Result:
    """Call something up to three times, as long as what is wrong may pass."""
    for n_tries in range(1, TRIES + 1):
        try:
            return call()
        except ImportError as error:
            raise ImportError(_missing_package(url, error)) from None
        except Exception as error:
            if n_tries == TRIES or not _may_pass(error):
                raise _plain(error, n_tries, timeout) from None
        # At random, so that many who failed together do not come back together.
        time.sleep(random.uniform(0, BACKOFF * 2 ** (n_tries - 1)))
    raise AssertionError("the last try returns or raises")


def _call(files: Any, method: str, *arguments: Any, limit: float | None = PATIENCE * TIMEOUT, **named: Any) -> Any:
    """Call a method of a file system, for at most so many seconds where it is asynchronous."""
    from fsspec.asyn import AsyncFileSystem, sync

    if not issubclass(type(files), AsyncFileSystem):  # a cache passes for the store that is behind it
        return getattr(files, method)(*arguments, **named)
    return sync(files.loop, getattr(files, f"_{method}"), *arguments, timeout=limit, **named)


def _file_system(url: str, options: Options | None, timeout: float) -> tuple[Any, str]:
    """Return the file system of a URL, with our timeouts and without retries of its own, and the path within it."""
    try:
        import fsspec
    except ImportError:
        raise ImportError(f"{url} is a URL: `pip install 'skcnn[remote]'` to read URLs (fsspec)") from None
    given = dict(options or {})
    protocols = _protocols(url)
    ours = {protocol: _defaults(protocol, timeout) for protocol in protocols}
    if len(protocols) == 1:
        named = _merged(ours[protocols[0]], given)
    else:  # filecache::s3://... and the like take the arguments of each by its name
        named = {**given, **{key: _merged(one, given.get(key, {})) for key, one in ours.items() if one}}
    files, path = fsspec.core.url_to_fs(url, **named)
    if protocols[-1] in ("s3", "s3a"):
        inner = files if len(protocols) == 1 else getattr(files, "fs", files)
        inner.retries = 1
    return files, path


def _protocols(url: str) -> list[str]:
    """Return the protocols of a URL, the outermost first."""
    return [part.partition("://")[0] for part in url.split("::")]


def _defaults(protocol: str, timeout: float) -> dict[str, Any]:
    """Return timeouts, and one try, as the arguments of a file system."""
    connect = min(timeout, 10.0)
    if protocol in ("s3", "s3a"):
        # Botocore's pool would let ten wait at once. Whole objects are read in one request, without asking for their
        # size before.
        config = {
            "connect_timeout": connect,
            "read_timeout": timeout,
            "retries": {"total_max_attempts": 1},
            "max_pool_connections": 64,
        }
        return {"config_kwargs": config, "max_concurrency": 1}
    if protocol in ("http", "https"):
        from aiohttp import ClientTimeout

        limits = ClientTimeout(total=None, sock_connect=connect, sock_read=timeout)
        return {"client_kwargs": {"timeout": limits}}
    return {}


def _merged(ours: dict[str, Any], given: Options) -> dict[str, Any]:
    """Return arguments in which what is given wins, also within dicts."""
    both = {key: _merged(ours[key], given[key]) for key in ours if isinstance(given.get(key), Mapping)}
    return {**ours, **given, **both}


def _url_of(pattern: str, path: str) -> str:
    """Return the URL of a path that a file system has found by a pattern."""
    if is_url(path):
        return path
    parts = pattern.split("::")
    place = next(number for number, part in enumerate(parts) if is_url(part))
    parts[place] = f"{parts[place].partition('://')[0]}://{path}"
    return "::".join(parts)


def _status_of(error: BaseException | None) -> int | None:
    """Return the HTTP status that an error is about, by any of the libraries."""
    while error is not None and not _is_of_connection(error):
        response = getattr(error, "response", None)
        if isinstance(response, Mapping):
            return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)) or None
        for name in ("status", "status_code", "code"):
            value = getattr(error, name, None)
            if isinstance(value, int) and 400 <= value < 600:
                return value
        error = error.__cause__
    return None


def _may_pass(error: Exception) -> bool:
    """Tell whether another try may succeed."""
    if (status := _status_of(error)) is not None:
        return status >= 500 or status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
    if isinstance(error, (TimeoutError, ConnectionError, CutError, EOFError)):
        return True
    return _is_of_connection(error)


def _is_of_connection(error: BaseException) -> bool:
    """Tell whether a library says that a connection broke or stayed silent."""
    return any(kind.__name__ in _PASSING for kind in type(error).__mro__)


def _plain(error: Exception, n_tries: int, timeout: float) -> Exception:
    """Return an error as an OSError whose message is the reason alone."""
    tried = f" ({n_tries} tries)" if n_tries > 1 else ""
    status = _status_of(error)
    if isinstance(error, FileNotFoundError) or status == HTTPStatus.NOT_FOUND:
        what = "bucket" if "bucket" in str(error).lower() and "does not exist" in str(error) else "file"
        return FileNotFoundError(f"the store has no such {what}")
    if isinstance(error, PermissionError) or status in (HTTPStatus.FORBIDDEN, HTTPStatus.UNAUTHORIZED):
        code = "" if status is None else f" ({status})"
        return PermissionError(f"the store refuses access{code}: credentials come from storage_options or the system")
    if status is not None:
        phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else "unknown"
        return OSError(f"the store answers {status} {phrase}{tried}")
    if type(error).__name__ == "FSTimeoutError" and type(error.__cause__) in (TimeoutError, type(None)):
        return TimeoutError(f"it did not come within {PATIENCE * timeout:g} s{tried}")
    if isinstance(error, TimeoutError) or "Timeout" in type(error).__name__:
        return TimeoutError(f"the store is silent for {timeout:g} s{tried}")
    if isinstance(error, CutError) or type(error).__name__ in ("ClientPayloadError", "IncompleteReadError"):
        return CutError(f"the body is shorter than declared{tried}")
    if isinstance(error, ConnectionError) or _may_pass(error):
        return ConnectionError(f"the connection fails: {error or type(error).__name__}{tried}")
    if isinstance(error, (OSError, ValueError)):
        return error
    return OSError(f"{type(error).__name__}: {error}")  # each file system has errors of its own


def _missing_package(url: str, error: ImportError) -> str:
    """Return what to install."""
    if "skcnn[remote]" in str(error):
        return str(error)
    from fsspec.registry import known_implementations

    for protocol in _protocols(url):
        package = known_implementations.get(protocol, {}).get("class", "").partition(".")[0]
        if package and package != "fsspec":
            return f"{protocol}:// needs {package}: `pip install {package}`"
    return f"{url.partition('://')[0]}:// needs more than is installed ({error}): `pip install 'skcnn[remote]'`"
