"""What keeps the database of a cache directory within its bounds, and sound."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from skcnn.cache._store import Store, checksum, is_sound


class VerifyResult(NamedTuple):
    """What :meth:`FeatureCache.verify` returns.

    ``n_records`` is how many valid ones there are, ``n_bad`` how many were not and were removed (records, and entries
    of the index of files); ``damage`` is None, or what is wrong with the database itself: then remove the directory.
    """

    n_records: int
    n_bad: int
    damage: str | None


def evict(connection: sqlite3.Connection, max_bytes: int) -> None:
    """Delete the least recently used records until no more than ``max_bytes`` are left."""
    while (n_bytes := int(connection.execute("SELECT n_bytes FROM totals").fetchone()[0])) > max_bytes:
        oldest = connection.execute("SELECT id, n_bytes FROM records ORDER BY used LIMIT 256").fetchall()
        if not oldest:
            count(connection)  # damage: there is nothing, yet it is said to be too much
            return
        leaving = []
        for number, size in oldest:
            if n_bytes <= max_bytes:
                break
            leaving.append((number,))
            n_bytes -= size
        connection.executemany("DELETE FROM records WHERE id = ?", leaving)


def count(connection: sqlite3.Connection) -> None:
    """Count records and bytes again."""
    connection.execute(
        "UPDATE totals SET (n_records, n_bytes) = (SELECT count(*), coalesce(sum(n_bytes), 0) FROM records)"
    )


def give_space_back(store: Store, most: int | None = None) -> None:
    """Make the file smaller by its free pages, ``most`` at a time, where these are more than a quarter of it."""
    with store.lock:
        (free,) = store.connection.execute("PRAGMA freelist_count").fetchone()
        (pages,) = store.connection.execute("PRAGMA page_count").fetchone()
        if most is None or free > max(most, pages // 4):
            # A script, since it is stepped to its end; a statement without columns is not.
            store.connection.executescript(f"PRAGMA incremental_vacuum({most or free})")
        if most is None:
            store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def clear(store: Store) -> None:
    """Delete everything but the leases: what others are computing they will put."""
    with store.writing() as connection:
        store.used.clear()
        # Contents first, all at once: the trigger would look for each.
        for table in ("contents", "records", "files", "networks"):
            connection.execute(f"DELETE FROM {table}")
        connection.execute("UPDATE totals SET passes = 0, hits = 0, n_records = 0, n_bytes = 0")
    give_space_back(store)


def verify(store: Store) -> VerifyResult:
    """Check the database and all that carries a checksum; remove what fails."""
    with store.lock:
        try:
            problems = [row[0] for row in store.connection.execute("PRAGMA integrity_check(5)")]
        except sqlite3.DatabaseError as error:
            return VerifyResult(0, 0, str(error))
    if problems != ["ok"]:
        return VerifyResult(0, 0, "; ".join(" ".join(problem.split()) for problem in problems))
    bad = 0
    last = -1
    while True:
        with store.reading() as connection:
            rows = connection.execute(
                "SELECT records.id, name, digest, content, n_bytes, records.checksum FROM records "
                "LEFT JOIN contents USING (id) LEFT JOIN networks ON networks.id = network "
                "WHERE records.id > ? ORDER BY records.id LIMIT 64",
                (last,),
            ).fetchall()
        if not rows:
            break
        last = rows[-1][0]
        failed = [
            (number,)
            for number, name, digest, content, n_bytes, check in rows
            if name is None or not is_sound(name, digest, content, check) or len(content) != n_bytes
        ]
        if failed:
            bad += len(failed)
            with store.writing() as connection:
                connection.executemany("DELETE FROM records WHERE id = ?", failed)
    with store.writing() as connection:
        wrong_files = [
            (path,)
            for path, size, mtime_ns, digest, check in connection.execute("SELECT * FROM files")
            if check != checksum(path, f"{size} {mtime_ns}", digest)
        ]
        connection.executemany("DELETE FROM files WHERE path = ?", wrong_files)
        wrong_shapes = [
            (number,)
            for number, name, shapes, check in connection.execute("SELECT id, name, shapes, checksum FROM networks")
            if shapes is not None and check != checksum(name, shapes)
        ]
        connection.executemany("UPDATE networks SET shapes = NULL WHERE id = ?", wrong_shapes)
        connection.execute("DELETE FROM contents WHERE id NOT IN (SELECT id FROM records)")
        count(connection)
        (n_records,) = connection.execute("SELECT n_records FROM totals").fetchone()
    return VerifyResult(n_records, bad + len(wrong_files) + len(wrong_shapes), None)
