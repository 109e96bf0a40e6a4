"""Enrolled identities: the vectors of their images, in memory, and as a database on disk."""

from __future__ import annotations

import json
import os
import sqlite3
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from skcnn._files import check_regular

_APPLICATION_ID = 0x736B6964  # "skid"
_FORMAT = 1
_TIMEOUT = 60  # seconds to wait for another process's write, which takes milliseconds


class Gallery:
    """Vectors by identity.

    Parameters
    ----------
    vectors : ndarray of shape (n_templates, n_components), float32, or None, default=None
        One per enrolled image.
    names : sequence of identities, default=()
        Whose these are, one per vector.
    """

    def __init__(self, vectors: np.ndarray | None = None, names: Sequence[Any] = ()):
        self.vectors = vectors
        self._names = list(dict.fromkeys(names))
        places = {name: code for code, name in enumerate(self._names)}
        self.codes = np.array([places[name] for name in names], dtype=np.intp)
        self._squared: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def names(self) -> np.ndarray:
        """The identities, in the order in which they came: (n_identities,)."""
        return as_array(self._names)

    def name(self, code: int) -> Any:
        """Return the identity of a code."""
        return self._names[code]

    @property
    def squared(self) -> np.ndarray:
        """The squared length of each vector, (n_templates,), which is computed once."""
        assert self.vectors is not None
        if self._squared is None:
            self._squared = np.einsum("ij,ij->i", self.vectors, self.vectors)
        return self._squared

    def add(self, vectors: np.ndarray, names: Sequence[Any]) -> None:
        """Add vectors (n, n_components), float32, of identities."""
        self._squared = None
        plain = [_plain(name) for name in names]
        places = {name: code for code, name in enumerate(self._names)}
        for name in plain:
            if name not in places:
                places[name] = len(self._names)
                self._names.append(name)
        codes = np.array([places[name] for name in plain], dtype=np.intp)
        self.codes = np.concatenate([self.codes, codes])
        self.vectors = vectors if self.vectors is None else np.concatenate([self.vectors, vectors])

    def remove(self, name: Any) -> bool:
        """Remove all vectors of an identity; return whether there were any."""
        if name not in self._names:
            return False
        self._squared = None
        code = self._names.index(name)
        kept = self.codes != code
        del self._names[code]
        self.codes = self.codes[kept] - (self.codes[kept] > code)
        self.vectors = None if self.vectors is None or not kept.any() else self.vectors[kept]
        return True

    def of(self, name: Any) -> np.ndarray:
        """Return the vectors of an identity, (n, n_components); none if it is not enrolled."""
        if self.vectors is None or name not in self._names:
            return np.empty((0, 0), np.float32)
        return self.vectors[self.codes == self._names.index(name)]

    def means(self) -> np.ndarray:
        """Return the mean vector of each identity, (n_identities, n_components), float32."""
        assert self.vectors is not None
        sums = np.zeros((len(self._names), self.vectors.shape[1]))
        np.add.at(sums, self.codes, self.vectors)
        return (sums / np.bincount(self.codes)[:, None]).astype(np.float32)

    def refresh(self) -> None:
        """See what others have changed: nothing, in memory."""

    def least(self, distances: np.ndarray) -> np.ndarray:
        """Return the least of the distances to the vectors of each identity: (n, n_templates) to (n, n_identities)."""
        if len(self._names) == len(self.codes):  # one each, in order
            return distances
        order = np.argsort(self.codes, kind="stable")
        starts = np.searchsorted(self.codes[order], np.arange(len(self._names)))
        return np.asarray(np.minimum.reduceat(distances[:, order], starts, axis=1))

    def __skcnn_pack__(self, members: dict[str, bytes]) -> dict[str, Any]:
        """Return what a saved file has otherwise: nothing that can be computed."""
        return {"_squared": None}

    def __skcnn_unpack__(self, members: dict[str, bytes]) -> dict[str, Any]:
        """See that what a file holds fits together; nothing is stored otherwise."""
        codes, vectors, names = self.codes, self.vectors, self._names
        n_vectors = 0 if vectors is None else len(vectors)
        fits = (
            codes.dtype.kind == "i"
            and codes.shape == (n_vectors,)
            and (vectors is None or (vectors.dtype == np.float32 and vectors.ndim == 2))
            and np.array_equal(np.unique(codes), np.arange(len(names)))
            and len(set(names)) == len(names)
        )
        if not fits:
            raise ValueError("the enrolled identities, their vectors and their codes do not fit together")
        return {}


class Store:
    """A database of enrolled identities: SQLite, so that a change is there whole or not at all.

    Several processes may use it at once: each sees what others changed, by :meth:`version`.

    Parameters
    ----------
    path : path-like
        The file; made where there is none.
    space : str
        Digest of the space that the vectors are in. A database of another space is refused.
    begin : bool, default=False
        Whether a database is begun: made where there is none, and refused where somebody is enrolled in it.

    Raises
    ------
    FileNotFoundError
        If there is no such file, and none is begun.
    ValueError
        If the file is something else, or of another space, or holds somebody where one is begun.
    OSError
        If it cannot be opened.
    """

    def __init__(self, path: str | os.PathLike[str], space: str, *, begin: bool = False):
        self.path = os.fspath(path)
        check_regular(self.path, "a database of identities")
        if not begin and not os.path.exists(self.path):
            raise FileNotFoundError(
                f"store={self.path!r}: there is no such file; expected the database written by fit."
            )
        try:
            self._database = sqlite3.connect(self.path, timeout=_TIMEOUT, isolation_level=None, check_same_thread=False)
            # Nobody closes a store whose estimator is gone. At the end of the process the system does.
            weakref.finalize(self, self._database.close).atexit = False
            known = self._database.execute("PRAGMA application_id").fetchone()[0]
            is_new = not self._database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if is_new:
                self._make(space)
                known = _APPLICATION_ID
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise OSError(f"store={self.path!r} cannot be opened: {error}") from None
            raise ValueError(f"store={self.path!r} is not a database of identities: {error}") from None
        if known != _APPLICATION_ID:
            raise ValueError(f"store={self.path!r} is a database of another program; expected one of identities.")
        found, file_format = self._database.execute("SELECT space, format FROM about").fetchone()
        if file_format > _FORMAT:
            raise ValueError(f"store={self.path!r} has format {file_format}; this version reads {_FORMAT}.")
        if begin:
            n_templates = self._database.execute("SELECT count(*) FROM templates").fetchone()[0]
            if n_templates:
                self.close()
                raise ValueError(
                    f"store={self.path!r} holds {n_templates:,} vectors, and fit begins with none; expected a new "
                    "file. partial_fit adds to those that are there."
                )
            self._database.execute("UPDATE about SET space = ?", (space,))
        elif found != space:
            self.close()
            raise ValueError(
                f"store={self.path!r} holds vectors of another embedding, centre or whitening; expected those of this "
                "estimator. Use the estimator that they were enrolled with, or another file."
            )

    def _make(self, space: str) -> None:
        with self._change() as database:
            database.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            database.execute("CREATE TABLE about (space TEXT, format INTEGER)")
            database.execute("CREATE TABLE templates (id INTEGER PRIMARY KEY, identity TEXT, vector BLOB)")
            database.execute("CREATE INDEX by_identity ON templates (identity)")
            database.execute("INSERT INTO about VALUES (?, ?)", (space, _FORMAT))

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield self._database
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def version(self) -> int:
        """Return a number that changes when another connection has changed the database."""
        return int(self._database.execute("PRAGMA data_version").fetchone()[0])

    def add(self, vectors: np.ndarray, names: Sequence[Any]) -> None:
        """Add vectors (n, n_components), float32, of identities: all or none of them."""
        rows = zip((_text(name) for name in names), (vector.tobytes() for vector in vectors), strict=True)
        with self._change() as database:
            database.executemany("INSERT INTO templates (identity, vector) VALUES (?, ?)", rows)

    def remove(self, name: Any) -> None:
        """Remove all vectors of an identity; what they were is overwritten in the file."""
        self._database.execute("PRAGMA secure_delete = ON")
        with self._change() as database:
            database.execute("DELETE FROM templates WHERE identity = ?", (_text(name),))

    def read(self) -> tuple[np.ndarray | None, list[Any]]:
        """Return all vectors, (n_templates, n_components) float32, and whose they are."""
        rows = self._database.execute("SELECT identity, vector FROM templates ORDER BY id").fetchall()
        if not rows:
            return None, []
        n_bytes = {len(vector) for _, vector in rows}
        if len(n_bytes) != 1 or n_bytes.pop() % 4:
            raise ValueError(f"store={self.path!r} is damaged: its vectors have different lengths.")
        vectors = np.frombuffer(b"".join(vector for _, vector in rows), np.float32).reshape(len(rows), -1)
        return vectors, [json.loads(identity) for identity, _ in rows]

    def close(self) -> None:
        """Close the file."""
        self._database.close()


class StoredGallery(Gallery):
    """Enrolled identities that are in a database; memory holds a copy, which follows what other processes change.

    Parameters
    ----------
    store : Store
        The database.
    """

    def __init__(self, store: Store):
        self.store = store
        self._seen: int | None = None
        self.refresh()

    def refresh(self) -> None:
        """Read the database again if another process has changed it."""
        version = self.store.version()
        if version != self._seen:
            super().__init__(*self.store.read())
            self._seen = version

    def add(self, vectors: np.ndarray, names: Sequence[Any]) -> None:
        """Add vectors of identities: see :meth:`Gallery.add`."""
        self.refresh()
        self.store.add(vectors, names)
        super().add(vectors, names)

    def remove(self, name: Any) -> bool:
        """Remove all vectors of an identity: see :meth:`Gallery.remove`."""
        self.refresh()
        self.store.remove(name)
        return super().remove(name)


def _plain(name: Any) -> Any:
    return name.item() if isinstance(name, np.generic) else name


def _text(name: Any) -> str:
    plain = _plain(name)
    if not isinstance(plain, (str, int, float)):
        raise TypeError(f"y has the identity {name!r}, a {type(name).__name__}; expected str or int with a store.")
    return json.dumps(plain)


def as_array(names: list[Any]) -> np.ndarray:
    """Return identities as an array: of str or numbers where all are, else of objects."""
    found = np.asarray(names) if names else np.empty(0, dtype=object)
    if found.dtype.kind in "iufb" or all(isinstance(name, str) for name in names):
        return found
    mixed = np.empty(len(names), dtype=object)
    mixed[:] = names
    return mixed
