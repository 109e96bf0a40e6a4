"""Images in a database: by keys, in their order, through one connection per process."""

import contextlib
import functools
import gc
import io
import os
import pickle
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from skcnn.cache import MemoryCache
from skcnn.datasets import QueryImages
from skcnn.images import as_images, check_images

SQL = "SELECT id, image FROM products WHERE id IN ({keys})"
LABELS = "SELECT id, label FROM products WHERE id IN ({keys})"


def png(value):
    file = io.BytesIO()
    Image.new("RGB", (5, 4), (value, 0, 0)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def connect(tmp_path):
    """A database of twenty images, whose keys are 100 and on."""
    connect = functools.partial(sqlite3.connect, str(tmp_path / "shop.db"))
    with contextlib.closing(connect()) as db, db:
        db.execute("CREATE TABLE products (id INTEGER PRIMARY KEY, label TEXT, image BLOB, changed TEXT)")
        rows = [(100 + row, "ab"[row % 2], png(row), "yesterday") for row in range(20)]
        db.executemany("INSERT INTO products VALUES (?, ?, ?, ?)", rows)
    return connect


def test_images_and_labels_in_the_order_of_keys(connect):
    source = QueryImages(connect, [105, 100, 119, 100], SQL, labels=LABELS)
    assert source.shape == (4,)
    assert list(source) == [png(5), png(0), png(19), png(0)]
    assert source.labels().tolist() == ["b", "a", "b", "a"]
    part = pickle.loads(pickle.dumps(source[[2, 0]]))
    assert list(part) == [png(19), png(5)]
    assert part.labels().tolist() == ["b", "b"]


def test_rows_are_read_in_few_statements(connect, monkeypatch):
    monkeypatch.setattr("skcnn.datasets._query.KEYS_PER_QUERY", 8)
    statements = []

    def traced():
        db = connect()
        db.set_trace_callback(statements.append)
        return db

    source = QueryImages(traced, range(100, 120), SQL)
    assert source.read_many(range(20)) == [png(row) for row in range(20)]
    assert [text.count(",") for text in statements if "SELECT" in text] == [8, 8, 4]


def test_one_connection_serves_many_threads_and_is_closed(connect):
    opened, threads = [], set()

    class Counted(sqlite3.Connection):
        def close(self):
            opened.remove(self)
            super().close()

    def counted():
        threads.add(threading.get_ident())
        opened.append(db := connect(factory=Counted))
        return db

    source = QueryImages(counted, range(100, 120), SQL)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(source.read, range(20))) == [png(row) for row in range(20)]
    assert len(opened) == len(threads) == 1
    (worker,) = [thread for thread in threading.enumerate() if thread.ident in threads]
    del source
    worker.join(10)
    assert opened == []


def test_sources_may_be_collected_while_others_read(connect):
    sources = [QueryImages(connect, [100 + number], SQL) for number in range(30)]
    for number, source in enumerate(sources[:20]):
        assert source[0] == png(number)
        source.itself = source  # only the collector ends it
    del sources, source
    other = QueryImages(connect, [101], SQL)
    threshold = gc.get_threshold()
    gc.set_threshold(1)
    try:
        assert [other[0] for _ in range(20)] == [png(1)] * 20
    finally:
        gc.set_threshold(*threshold)


def test_a_lost_connection_is_made_again_once(connect):
    made = []

    def counted():
        made.append(db := connect(check_same_thread=False))
        return db

    source = QueryImages(counted, range(100, 120), SQL)
    assert source[0] == png(0)
    made[0].close()
    assert source[1] == png(1)
    assert len(made) == 2


def test_a_database_that_is_down_is_the_reason_of_every_row(tmp_path):
    source = QueryImages(functools.partial(sqlite3.connect, str(tmp_path / "no" / "such.db")), [1, 2], SQL)
    assert check_images(source)["reason"].tolist() == ["unable to open database file"] * 2
    with pytest.raises(sqlite3.OperationalError):
        source[0]


def test_bad_rows_are_named_by_key(connect):
    with contextlib.closing(connect()) as db, db:
        db.execute("UPDATE products SET image = NULL WHERE id = 103")
        db.execute("UPDATE products SET image = 'text' WHERE id = 104")
    source = QueryImages(connect, [102, 103, 104, 999], SQL, labels=LABELS)
    bad = check_images(source)
    assert bad["path"].tolist() == ["key 103", "key 104", "key 999"]
    assert bad["reason"].tolist() == [
        "the query gives NULL; expected an encoded image",
        "the query gives a str; expected an encoded image",
        "the query gives no row for this key",
    ]
    with pytest.raises(LookupError, match="gives no row for 1 of 4 keys, such as 999"):
        source.labels()


def test_versions_save_reading(connect):
    def digests(source):
        return [digest for _, digest in cache.digests(as_images(source), range(len(source)))]

    cache = MemoryCache()
    source = QueryImages(connect, [100, 101], SQL, versions=["yesterday"] * 2)
    before = digests(source)
    with contextlib.closing(connect()) as db, db:
        db.execute("UPDATE products SET image = ?", (png(77),))
    assert digests(source) == before
    assert digests(QueryImages(connect, [100, 101], SQL, versions=["today", "yesterday"]))[1] == before[1]
    assert digests(QueryImages(connect, [100, 101], SQL, versions=["today", "yesterday"]))[0] != before[0]
    assert digests(QueryImages(connect, [100, 101], SQL))[0] != before[0]
    other = QueryImages(functools.partial(sqlite3.connect, "other.db"), [100], SQL, versions=["yesterday"])
    assert other.stamp(0) != source.stamp(0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sql": "SELECT id, image FROM products"}, r"sql='SELECT .*'; expected a query with \{keys\}"),
        ({"labels": 3}, r"labels=3; expected a query with \{keys\}"),
        ({"versions": [1]}, "1 versions for 2 keys; expected one per key"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        QueryImages(**{"connect": sqlite3.connect, "keys": [1, 2], "sql": SQL, **arguments})


def test_without_a_query_there_are_no_labels(connect):
    with pytest.raises(TypeError, match="labels=None; expected a query"):
        QueryImages(connect, [100], SQL).labels()


@pytest.mark.parametrize(("style", "text"), [("qmark", "?, ?"), ("pyformat", "%s, %s"), ("numeric", ":1, :2")])
def test_parameters_as_the_driver_writes_them(style, text, monkeypatch):
    statements = []

    class Cursor:
        def execute(self, sql, keys):
            statements.append((sql, keys))

        def fetchall(self):
            return [(1, memoryview(b"one")), (2, b"two")]

        def close(self):
            pass

    class Connection:
        __module__ = "driver.connections"
        cursor = Cursor

        def rollback(self):
            pass

        def close(self):
            pass

    module = type(sys)("driver")
    module.paramstyle = style
    monkeypatch.setitem(sys.modules, "driver", module)
    assert list(QueryImages(Connection, [2, 1], SQL).read_many([0, 1])) == [b"two", b"one"]
    assert statements == [(f"SELECT id, image FROM products WHERE id IN ({text})", [2, 1])]


@pytest.fixture(scope="module")
def postgres():
    """The port of a PostgreSQL server of this test's own."""
    pytest.importorskip("psycopg")
    folders = [os.path.dirname(shutil.which("initdb") or ""), *map(str, Path("/usr/lib/postgresql").glob("*/bin"))]
    programs = next((folder for folder in folders if folder and os.path.exists(f"{folder}/postgres")), None)
    if programs is None:
        pytest.skip("PostgreSQL is not installed")
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:  # others cannot enter pytest's own folders
        yield from serve_postgres(programs, Path(folder))


def serve_postgres(programs, data):
    """Start a server, yield its port, and stop it."""
    as_user = []
    if os.geteuid() == 0:  # it refuses to run as root
        as_user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        shutil.chown(data, "nobody")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    subprocess.run(
        [*as_user, f"{programs}/initdb", "-D", data / "db", "-U", "skcnn", "-A", "trust"],
        check=True,
        capture_output=True,
    )
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={data} -c fsync=off"
    control = [*as_user, f"{programs}/pg_ctl", "-D", data / "db", "-w"]
    subprocess.run([*control, "-l", data / "log", "-o", options, "start"], check=True, stdout=subprocess.DEVNULL)
    yield port
    subprocess.run([*control, "-m", "immediate", "stop"], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.slow
def test_postgresql(postgres, tmp_path):
    import psycopg

    connect = functools.partial(psycopg.connect, host="127.0.0.1", port=postgres, user="skcnn", dbname="postgres")
    with connect() as db:
        db.execute("CREATE TABLE products (id TEXT PRIMARY KEY, label INT, image BYTEA)")
        with db.cursor() as cursor:
            rows = [(f"k{row}", row % 3, png(row % 256)) for row in range(1200)]
            cursor.executemany("INSERT INTO products VALUES (%s, %s, %s)", rows)
    order = np.random.default_rng(0).permutation(1200)
    source = QueryImages(connect, [f"k{row}" for row in order], SQL, labels=LABELS)
    assert source.read_many(range(1200)) == [png(row % 256) for row in order]
    assert source[::2].labels().tolist() == (order[::2] % 3).tolist()
    assert check_images(pickle.loads(pickle.dumps(source[:50]))).empty
    # The server ends the connection; the next read makes another.
    with connect(autocommit=True) as db:
        db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    assert source[0] == png(order[0] % 256)
    code = (
        "import pickle, sys; source = pickle.load(open(sys.argv[1], 'rb')); "
        "print(len(source), len(source[7]), source.labels()[:3].tolist())"
    )
    (tmp_path / "source.pickle").write_bytes(pickle.dumps(source[5:]))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(tmp_path / "source.pickle")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == f"1195 {len(png(order[12] % 256))} {(order[5:8] % 3).tolist()}"
