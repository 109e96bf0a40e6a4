"""Images in a database, with any driver of Python's DB-API."""

from __future__ import annotations

import hashlib
import pickle
import sys
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import closing, suppress
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from skcnn.datasets._shards import as_label_array
from skcnn.images import ImageSource

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

#: Keys per statement; SQLite takes 999 parameters in its oldest versions.
KEYS_PER_QUERY = 500

#: How drivers write a parameter (PEP 249), by their ``paramstyle``.
_PLACEHOLDERS = {"qmark": "?", "format": "%s", "pyformat": "%s"}


_Query: TypeAlias = Callable[[Any], dict[Any, Any]]
_Jobs: TypeAlias = "SimpleQueue[tuple[_Query, Future[dict[Any, Any]]] | None]"


class _Connection:
    """A connection and the one thread that uses it: few drivers let threads share one."""

    def __init__(self, connect: Callable[[], Any]):
        self._jobs: _Jobs = SimpleQueue()
        Thread(target=_serve, args=(connect, self._jobs), name="skcnn-query", daemon=True).start()
        # Such a queue may be put to by the garbage collector at any moment; an executor would wait for itself.
        weakref.finalize(self, self._jobs.put, None)

    def run(self, query: _Query) -> dict[Any, Any]:
        """Return what a function gives for the connection; one that was lost is made again, once."""
        result: Future[dict[Any, Any]] = Future()
        self._jobs.put((query, result))
        return result.result()


def _serve(connect: Callable[[], Any], jobs: _Jobs) -> None:
    held: list[Any] = []
    while (job := jobs.get()) is not None:
        query, result = job
        try:
            result.set_result(_attempt(connect, held, query))
        except Exception as error:
            result.set_exception(error)
        del job, query, result  # which hold what asked, and with it the source
    _close(held)


def _attempt(connect: Callable[[], Any], held: list[Any], query: _Query) -> dict[Any, Any]:
    is_fresh = not held
    if is_fresh:
        held.append(connect())
    try:
        return query(held[0])
    except Exception:
        _close(held)
        if is_fresh:
            raise
    return _attempt(connect, held, query)


def _close(held: list[Any]) -> None:
    while held:
        with suppress(Exception):
            held.pop().close()


class QueryImages(ImageSource):
    """Images in a database, as X: one key and one encoded image per row, with any driver of Python's DB-API.

    Parameters
    ----------
    connect : callable
        Returns a connection; called once per process that reads, and again if the connection is lost. It must be
        possible to pickle it for worker processes: use a function of a module, or
        ``functools.partial(sqlite3.connect, "shop.db")``.
    keys : array-like of shape (n_samples,)
        The keys of the rows, integers or text. They select the images and their order.
    sql : str
        A query for two columns, the key and the image, with ``{keys}`` in place of the list of keys:
        ``"SELECT id, image FROM products WHERE id IN ({keys})"``. Keys are given to the driver as parameters, up to 500
        at a time.
    labels : str or None, default=None
        A query for the key and the label, for :meth:`labels`.
    versions : array-like of shape (n_samples,) or None, default=None
        For each key a value that changes with its image, such as the time of its last change. With it, caches recognise
        an image that they have seen; without it, every image is read to identify it.

    Raises
    ------
    ValueError
        If a query has no ``{keys}``, or the number of versions is not that of keys.

    See Also
    --------
    skcnn.images.ImageSource : What all sources can do; subclass it for a database without SQL.

    References
    ----------
    M.-A. Lemburg, "PEP 249: Python Database API Specification v2.0", https://peps.python.org/pep-0249.

    Examples
    --------
    >>> import functools, sqlite3, tempfile
    >>> from contextlib import closing
    >>> from skcnn.datasets import QueryImages
    >>> connect = functools.partial(sqlite3.connect, tempfile.mkdtemp() + "/shop.db")
    >>> with closing(connect()) as db, db:
    ...     _ = db.execute("CREATE TABLE products (id INTEGER PRIMARY KEY, label TEXT, image BLOB)")
    ...     _ = db.executemany("INSERT INTO products VALUES (?, ?, ?)", [(3, "cat", b"..."), (7, "dog", b"...")])
    >>> source = QueryImages(
    ...     connect,
    ...     keys=[7, 3],
    ...     sql="SELECT id, image FROM products WHERE id IN ({keys})",
    ...     labels="SELECT id, label FROM products WHERE id IN ({keys})",
    ... )
    >>> source, source.labels().tolist()
    (<QueryImages of 2 images>, ['dog', 'cat'])
    """

    def __init__(
        self,
        connect: Callable[[], Any],
        keys: ArrayLike,
        sql: str,
        *,
        labels: str | None = None,
        versions: ArrayLike | None = None,
    ):
        for name, query in (("sql", sql), ("labels", labels)):
            if query is not None and (not isinstance(query, str) or "{keys}" not in query):
                raise ValueError(f"{name}={query!r}; expected a query with {{keys}}: ... WHERE id IN ({{keys}})")
        self.connect, self.sql, self.labels_sql = connect, sql, labels
        self.keys = np.asarray(keys).tolist()
        self.versions = None if versions is None else [str(version) for version in np.asarray(versions).tolist()]
        if self.versions is not None and len(self.versions) != len(self.keys):
            raise ValueError(f"{len(self.versions)} versions for {len(self.keys)} keys; expected one per key.")
        self._origin = hashlib.blake2b(repr(sql).encode() + _identity(connect), digest_size=16).hexdigest()

    def __len__(self) -> int:
        return len(self.keys)

    def open(self) -> object:
        """Return the connection of this process."""
        return _Connection(self.connect)

    def read_many(self, rows: Sequence[int] | np.ndarray) -> list[bytes | Exception]:
        """Return the encoded images of rows, or why there is none: see :class:`skcnn.images.ImageSource`."""
        found = self._found(self.sql, rows)
        images: list[bytes | Exception] = []
        for row in rows:
            key = self.keys[int(row)]
            content = found.get(key)
            if key not in found:
                images.append(LookupError("the query gives no row for this key"))
            elif isinstance(content, (bytes, bytearray, memoryview)):
                images.append(bytes(content))
            else:
                given = "NULL" if content is None else f"a {type(content).__name__}"
                images.append(TypeError(f"the query gives {given}; expected an encoded image"))
        return images

    def read_labels(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return the labels of rows, as the query gives them.

        Raises
        ------
        TypeError
            If there is no query for labels.
        LookupError
            If the query gives no row for some keys.
        """
        if self.labels_sql is None:
            raise TypeError(
                "labels=None; expected a query, such as 'SELECT id, label FROM products WHERE id IN ({keys})'."
            )
        found = self._found(self.labels_sql, rows)
        keys = [self.keys[int(row)] for row in rows]
        if missing := [key for key in keys if key not in found]:
            raise LookupError(
                f"labels gives no row for {len(missing):,} of {len(keys):,} keys, such as {missing[0]!r}."
            )
        return as_label_array([found[key] for key in keys])

    def stamp(self, row: int) -> str | None:
        """Return the query, key and version of a row; None without versions."""
        return None if self.versions is None else f"query {self._origin} {self.keys[row]!r} {self.versions[row]}"

    def path(self, row: int) -> str:
        """Return the key of a row."""
        return f"key {self.keys[row]!r}"

    def _found(self, sql: str, rows: Sequence[int] | np.ndarray) -> dict[Any, Any]:
        """Return the second column of a query by the first."""
        keys = list(dict.fromkeys(self.keys[int(row)] for row in rows))

        def query(connection: Any) -> dict[Any, Any]:
            found: dict[Any, Any] = {}
            with closing(connection.cursor()) as cursor:
                for start in range(0, len(keys), KEYS_PER_QUERY):
                    some = keys[start : start + KEYS_PER_QUERY]
                    cursor.execute(sql.replace("{keys}", _placeholders(connection, len(some))), some)
                    found.update((row[0], row[1]) for row in cursor.fetchall())
            # Nothing stays open that others would wait for.
            connection.rollback()
            return found

        connection: _Connection = self.opened
        return connection.run(query)


def _placeholders(connection: Any, n: int) -> str:
    """Return so many parameters as the driver of a connection writes them."""
    parts = type(connection).__module__.split(".")
    modules = [sys.modules.get(".".join(parts[:n])) for n in range(len(parts), 0, -1)]
    style = next((str(found) for module in modules if (found := getattr(module, "paramstyle", None))), "qmark")
    if style in ("numeric", "named"):
        return ", ".join(f":{number}" for number in range(1, n + 1))
    return ", ".join([_PLACEHOLDERS[style]] * n)


def _identity(connect: Callable[[], Any]) -> bytes:
    """Return by what two processes know the same database."""
    try:
        return pickle.dumps(connect)
    except Exception:
        return repr(connect).encode()
