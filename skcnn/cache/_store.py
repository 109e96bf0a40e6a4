"""The database of a cache directory: its form, how it is opened, and one connection a process.

SQLite, write-ahead logged: a transaction is there whole or not at all, however a process ends, and readers do not wait
for a writer. It does not guard the bytes on the disk, so that whatever would do harm if it changed carries a checksum.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sqlite3
import sys
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from skcnn._files import check_regular
from skcnn.cache._leases import Owner, bury_the_dead

FILE_NAME = "features.sqlite"
FORMAT = 1
APPLICATION_ID = 0x736B636E  # "skcn": whose file it is
#: What SQLite says where it cannot write, also as a part of SQLITE_IOERR.
_WRITING = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_IOERR_WRITE,
    sqlite3.SQLITE_IOERR_FSYNC,
    sqlite3.SQLITE_IOERR_DIR_FSYNC,
    sqlite3.SQLITE_IOERR_TRUNCATE,
    sqlite3.SQLITE_IOERR_SHMOPEN,
    sqlite3.SQLITE_IOERR_SHMSIZE,
    sqlite3.SQLITE_IOERR_SHMMAP,
}

TIMEOUT = 60  # seconds that a process waits for another one's write, which takes milliseconds

SCHEMA = (
    # Numbers are never used twice, so that what is left of a cleared network cannot become another's.
    """CREATE TABLE networks (
        id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE NOT NULL, shapes TEXT, checksum INTEGER)""",
    # Apart from the contents: marking a use must not rewrite a record.
    """CREATE TABLE records (
        id INTEGER PRIMARY KEY AUTOINCREMENT, network INTEGER NOT NULL, digest BLOB NOT NULL, n_bytes INTEGER NOT NULL,
        checksum INTEGER NOT NULL, used INTEGER NOT NULL, UNIQUE (network, digest))""",
    "CREATE INDEX records_used ON records (used)",
    "CREATE TABLE contents (id INTEGER PRIMARY KEY, content BLOB NOT NULL)",
    """CREATE TABLE files (
        path BLOB PRIMARY KEY, size INTEGER, mtime_ns INTEGER, digest BLOB, checksum INTEGER) WITHOUT ROWID""",
    "CREATE TABLE leases (network TEXT, digest BLOB, owner TEXT, PRIMARY KEY (network, digest)) WITHOUT ROWID",
    # One row. The clock ticks at every use of a record: it orders them, whichever process used them.
    "CREATE TABLE totals (passes INTEGER, hits INTEGER, n_records INTEGER, n_bytes INTEGER, clock INTEGER)",
    "INSERT INTO totals VALUES (0, 0, 0, 0, 0)",
    """CREATE TRIGGER record_comes AFTER INSERT ON records BEGIN
        UPDATE totals SET n_records = n_records + 1, n_bytes = n_bytes + new.n_bytes; END""",
    """CREATE TRIGGER record_leaves AFTER DELETE ON records BEGIN
        UPDATE totals SET n_records = n_records - 1, n_bytes = n_bytes - old.n_bytes;
        DELETE FROM contents WHERE id = old.id; END""",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {FORMAT}",
)


class FormatError(ValueError):
    """The directory holds a database that this version does not read."""


def checksum(*parts: str | bytes | memoryview) -> int:
    """Return the CRC-32 of parts: five times as quick as a cryptographic digest, and damage is no adversary."""
    value = 0
    for part in parts:
        value = zlib.crc32(part.encode() if isinstance(part, str) else part, value)
    return value


def is_sound(network: str, digest: bytes, content: object, check: int) -> bool:
    """Tell whether a content is what was put for this network and digest."""
    return isinstance(content, bytes) and len(content) % 4 == 0 and checksum(network, digest, content) == check


class Store:
    """The open database of a directory.

    Parameters
    ----------
    folder : Path
        Made if it is not there.

    Raises
    ------
    OSError, sqlite3.Error, FormatError
        If there can be no such database, or it is not one.

    Attributes
    ----------
    why_read_only : Exception or None
        What keeps it from being written; what it holds is still served.
    is_writable : bool
        Whether it was opened for writing; then ``why_read_only`` may pass, as where a disk is full.
    used : dict
        Ids of records that were served, in order, and are not yet marked as used.
    unreadable : set
        ``(network, digest)`` of records that failed their checksum and could not be removed.
    """

    def __init__(self, folder: Path):
        self.folder, self.file = folder, folder / FILE_NAME
        self.lock = threading.RLock()
        self.why_read_only: Exception | None = None
        self.used: dict[int, None] = {}
        self.unreadable: set[tuple[str, bytes]] = set()
        self._owner: Owner | None = None
        check_regular(self.file, "a database of SQLite")
        self.is_writable = True
        try:
            self.connection = self._open()
        except (OSError, sqlite3.OperationalError) as error:
            if not is_about_writing(error) or not self.file.exists():
                raise
            self.connection = self._open_read_only()
            self.why_read_only = error
            self.is_writable = False
        with _closed_on_error(self.connection):
            self._inode = os.stat(self.file).st_ino

    def _open(self) -> sqlite3.Connection:
        self.folder.mkdir(parents=True, exist_ok=True)
        connection = self._connect(str(self.file))
        with _closed_on_error(connection):
            if not _is_cache(connection):
                # Two processes that turn write-ahead logging on at once would get in each other's way.
                with FileLock(self.folder / "setup.lock", timeout=TIMEOUT):
                    if not _is_cache(connection):
                        self._set_up(connection)
            connection.execute("PRAGMA synchronous = NORMAL")  # a lost power supply costs the last batches, no more
            connection.execute(f"PRAGMA journal_size_limit = {2**26}")
            connection.execute("BEGIN IMMEDIATE")  # can it be written?
            connection.execute("ROLLBACK")
        return connection

    def _open_read_only(self) -> sqlite3.Connection:
        for how in ("mode=ro", "immutable=1"):  # the second where not even the files beside it can be made
            connection = self._connect(f"{self.file.absolute().as_uri()}?{how}", uri=True)
            try:
                with _closed_on_error(connection):
                    if not _is_cache(connection):
                        raise FormatError("the database is empty and cannot be written")
                    return connection
            except sqlite3.OperationalError:
                if how == "immutable=1":
                    raise
        raise AssertionError("unreachable")

    @staticmethod
    def _connect(name: str, uri: bool = False) -> sqlite3.Connection:
        connection = sqlite3.connect(name, timeout=TIMEOUT, isolation_level=None, check_same_thread=False, uri=uri)
        with _closed_on_error(connection):
            # Not memory-mapped: reading would be a sixth quicker, but a file that is cut off would end the process.
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA cell_size_check = ON")  # damage is found rather than followed
        return connection

    @staticmethod
    def _set_up(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN IMMEDIATE")
        for statement in SCHEMA:
            connection.execute(statement)
        connection.execute("COMMIT")

    def is_current(self) -> bool:
        """Tell whether the file is still the one that was opened: a folder can be removed while it is in use."""
        try:
            return os.stat(self.file).st_ino == self._inode
        except OSError:
            return False

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Hold the connection to itself, with one view of the database for all statements."""
        yield from self._transaction("BEGIN")

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Hold the connection and the database's write lock; what is done comes to be at the end, or not at all."""
        yield from self._transaction("BEGIN IMMEDIATE")

    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        with self.lock:
            self.connection.execute(begin)
            try:
                yield self.connection
                self.connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self.connection.execute("ROLLBACK")
                raise

    @property
    def owners(self) -> Path:
        """Folder of the files that the owners of leases keep locked."""
        return self.folder / "owners"

    def owner(self) -> Owner:
        """Return this process as an owner of leases; call it in a write transaction."""
        if self._owner is None:
            self.owners.mkdir(exist_ok=True)
            bury_the_dead(self.owners)
            self._owner = Owner(self.owners)
        return self._owner

    def give_up(self, error: Exception | None = None) -> None:
        """Write no more: from now on others may have this process's leases."""
        with self.lock:
            self.why_read_only = error or self.why_read_only
            if self._owner is not None:
                self._owner.end()
                self._owner = None

    def close(self) -> None:
        """Close the database, after which only its one file is left, and give the leases back."""
        with self.lock:
            self.give_up()
            self.connection.close()


def is_about_writing(error: BaseException) -> bool:
    """Tell whether an error says that nothing can be written; reading may still go well."""
    code = getattr(error, "sqlite_errorcode", None)
    # The system's own errors come from the lock files of owners.
    return isinstance(error, OSError) or (code is not None and (code & 0xFF in _WRITING or code in _WRITING))


def _is_cache(connection: sqlite3.Connection) -> bool:
    """Tell whether a database is a cache (True) or empty (False); anything else is an error."""
    # In one view: another process may be setting it up.
    connection.execute("BEGIN")
    try:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (n_tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    finally:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
    if (application, version, n_tables) == (0, 0, 0):
        return False
    if application != APPLICATION_ID:
        raise FormatError(f"{FILE_NAME} there is a database of something else")
    if version != FORMAT:
        raise FormatError(f"it was written in format {version} by another version of skcnn; this one reads {FORMAT}")
    return True


@contextlib.contextmanager
def _closed_on_error(connection: sqlite3.Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.close()
        raise


_registry_lock = threading.Lock()
_stores: dict[str, Store] = {}
_kept: list[Store] = []  # not used any more, nor closed before the end: another thread may be in the midst of it


def open_store(key: str) -> Store:
    """Return the process's connection to the database of a directory (its real path)."""
    with _registry_lock:
        store = _stores.get(key)
        if store is not None and not store.is_current():
            _kept.append(_stores.pop(key))
            store = None
        if store is None:
            store = _stores[key] = Store(Path(key))
        return store


def reopen_for_writing(key: str) -> None:
    """Open a directory again that could only be read, if it can be written by now."""
    if open_store(key).is_writable:
        return
    another = Store(Path(key))
    if not another.is_writable:
        another.close()
        return
    with _registry_lock:
        _kept.append(_stores.pop(key))
        _stores[key] = another


def drop_store(key: str) -> None:
    """Close the connection to a directory; another one is opened when it is asked for."""
    with _registry_lock:
        store = _stores.pop(key, None)
    if store is not None:
        with contextlib.suppress(sqlite3.Error, OSError):
            store.close()


def _after_fork() -> None:
    # SQLite's connections do not survive a fork; the child opens its own.
    global _registry_lock
    _registry_lock = threading.Lock()
    _kept.extend(_stores.values())
    _stores.clear()


def _at_exit() -> None:
    for store in _stores.values():
        with contextlib.suppress(sqlite3.Error, OSError):
            store.close()
    _stores.clear()
    # Closing these as usual would remove files beside the database, which others use by now.
    if sys.version_info >= (3, 12):
        while _kept:
            connection = _kept.pop().connection
            with contextlib.suppress(sqlite3.Error):
                connection.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, True)
                connection.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
