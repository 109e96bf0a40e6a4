"""Records and leases in the database of a cache directory: one function, one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import numpy as np

from skcnn.cache._leases import bury_if_dead
from skcnn.cache._maintenance import evict, give_space_back
from skcnn.cache._store import Store, checksum, is_sound

#: Uses of records that are remembered before they are written.
MAX_USED = 50_000

#: Free pages (4 kB) that a put gives back at most, lest it take long.
MAX_FREED = 1024


def read(store: Store, network: str, digests: Sequence[bytes]) -> list[tuple[bytes, np.ndarray]]:
    """Return the sound records that there are; the others are deleted."""
    query = "SELECT id, content, checksum FROM records LEFT JOIN contents USING (id) WHERE network = ? AND digest = ?"
    with store.lock:
        with store.reading() as connection:
            number = network_id(connection, network)
            rows = [connection.execute(query, (number, digest)).fetchone() for digest in digests]
        records, bad = [], []
        for digest, row in zip(digests, rows, strict=True):
            if row is None:
                continue
            if not is_sound(network, digest, row[1], row[2]):
                bad.append(digest)
                continue
            records.append((digest, np.frombuffer(row[1], "<f4")))
            store.used.pop(row[0], None)
            store.used[row[0]] = None
        if store.why_read_only is not None:
            store.used.clear()
            store.unreadable.update((network, digest) for digest in bad)
        elif bad or len(store.used) > MAX_USED:
            with store.writing() as connection:
                mark_used(store, connection)
                connection.executemany(
                    "DELETE FROM records WHERE network = ? AND digest = ?", [(number, digest) for digest in bad]
                )
    return records


def claim(store: Store, network: str, digests: Sequence[bytes]) -> list[bytes]:
    """Lease those contents that have no record and that no living owner has; return them."""
    with store.reading() as connection:
        number = network_id(connection, network)
        missing = [digest for digest in digests if not _has(connection, number, digest)]
    if store.why_read_only is not None:
        wanted = set(missing)
        return [digest for digest in digests if digest in wanted or (network, digest) in store.unreadable]
    if not missing:
        return []
    claimed = []
    dead: dict[str, bool] = {}
    with store.writing() as connection:
        me = store.owner().name
        number = network_id(connection, network)
        for digest in missing:
            if _has(connection, number, digest):
                continue  # another process was quicker
            query = "SELECT owner FROM leases WHERE network = ? AND digest = ?"
            lease = connection.execute(query, (network, digest)).fetchone()
            if lease is not None:
                (owner,) = lease
                if owner not in dead:
                    dead[owner] = owner != me and bury_if_dead(store.owners, owner)
                if not dead[owner]:
                    continue
                connection.execute("DELETE FROM leases WHERE owner = ?", (owner,))
            connection.execute("INSERT INTO leases VALUES (?, ?, ?)", (network, digest, me))
            claimed.append(digest)
    return claimed


def put(store: Store, network: str, rows: Sequence[tuple[bytes, bytes]], max_bytes: int) -> None:
    """Store digests and contents, count their passes, end their leases, and keep within ``max_bytes``."""
    with store.writing() as connection:
        mark_used(store, connection)
        number = network_id(connection, network, make=True)
        clock = _ticks(connection, len(rows))
        for used, (digest, content) in enumerate(rows, start=clock + 1):
            # Deleted, not replaced: only that calls the trigger.
            connection.execute("DELETE FROM records WHERE network = ? AND digest = ?", (number, digest))
            cursor = connection.execute(
                "INSERT INTO records (network, digest, n_bytes, checksum, used) VALUES (?, ?, ?, ?, ?)",
                (number, digest, len(content), checksum(network, digest, content), used),
            )
            connection.execute("INSERT OR REPLACE INTO contents VALUES (?, ?)", (cursor.lastrowid, content))
        connection.execute("UPDATE totals SET passes = passes + ?", (len(rows),))
        end_leases(store, connection, network, [digest for digest, _ in rows])
        evict(connection, max_bytes)
    give_space_back(store, most=MAX_FREED)


def end_leases(store: Store, connection: sqlite3.Connection, network: str, digests: Sequence[bytes]) -> None:
    """End leases of this process; those of others stay."""
    me = store.owner().name
    query = "DELETE FROM leases WHERE network = ? AND digest = ? AND owner = ?"
    connection.executemany(query, [(network, digest, me) for digest in digests])


def mark_used(store: Store, connection: sqlite3.Connection) -> None:
    """Mark the records that were served since the last time as used, in that order."""
    used, store.used = store.used, {}
    clock = _ticks(connection, len(used))
    connection.executemany("UPDATE records SET used = ? WHERE id = ?", enumerate(used, start=clock + 1))


def network_id(connection: sqlite3.Connection, network: str, *, make: bool = False) -> int | None:
    """Return the number of a network; None, which equals no number, where it has none."""
    if make:
        connection.execute("INSERT INTO networks (name) VALUES (?) ON CONFLICT DO NOTHING", (network,))
    row = connection.execute("SELECT id FROM networks WHERE name = ?", (network,)).fetchone()
    return None if row is None else row[0]


def _has(connection: sqlite3.Connection, number: int | None, digest: bytes) -> bool:
    query = "SELECT 1 FROM records WHERE network = ? AND digest = ?"
    return connection.execute(query, (number, digest)).fetchone() is not None


def _ticks(connection: sqlite3.Connection, n: int) -> int:
    """Let the clock tick ``n`` times; return what it showed before."""
    connection.execute("UPDATE totals SET clock = clock + ?", (n,))
    return int(connection.execute("SELECT clock FROM totals").fetchone()[0]) - n
