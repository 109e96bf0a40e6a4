"""Whatever is wrong with a cache directory: results are right, and one warning says what happened."""

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from skcnn.cache import CacheWarning, FeatureCache, _store, as_cache
from skcnn.cache._store import _at_exit, open_store
from skcnn.images import Images, as_images


def content_digest(content):
    return Images([content]).digest(0)


NAMES = [b"%d" % index for index in range(12)]
DIGESTS = [content_digest(name) for name in NAMES]
RECORDS = {digest: np.arange(40, dtype="float32") + 100 * index for index, digest in enumerate(DIGESTS)}


def put(cache, digests=DIGESTS):
    cache.put_many("net", digests, [RECORDS[digest] for digest in digests])


def held(cache, digests=DIGESTS):
    return [digest for digest, _ in cache.get_many("net", digests)]


def extract(cache):
    """Do what an extraction does; return which contents it had to compute."""
    shapes = cache.output_shapes("net")
    assert shapes in (None, ((30,), (10,)))
    cache.set_output_shapes("net", [(30,), (10,)])
    digests = [digest for _, digest in cache.digests(as_images(NAMES), range(len(NAMES)))]
    assert digests == DIGESTS
    found = dict(cache.get_many("net", digests))
    for digest, record in found.items():
        assert np.array_equal(record, RECORDS[digest]), "a wrong record"
    computed = cache.claim("net", digests)
    assert set(computed) | set(found) == set(digests)
    put(cache, computed)
    cache.release("net", digests)
    cache.count_hits(len(found))
    return computed


@contextmanager
def the_warnings():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        messages = []
        yield messages
        messages += [str(warning.message) for warning in caught if warning.category is CacheWarning]
        assert len(messages) == len(caught)


def reopened(cache):
    """Give the cache as another process would find it."""
    from skcnn.cache import _directory

    _at_exit()
    _directory._degraded.clear()
    _directory._warned.clear()
    return cache


@pytest.fixture
def cache(tmp_path):
    cache = FeatureCache(tmp_path / "cache")
    put(cache)
    cache.set_output_shapes("net", [(30,), (10,)])
    return reopened(cache)


@pytest.fixture
def quick_folder():
    """A folder in memory where there is one: this test makes a thousand databases."""
    memory = "/dev/shm"
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield folder


def test_any_byte_may_change(quick_folder, monkeypatch):
    cache = FeatureCache(quick_folder)
    cache.set_output_shapes("net", [(30,), (10,)])
    for index, digest in enumerate(DIGESTS):  # some within a page of the database, some over several
        monkeypatch.setitem(RECORDS, digest, np.arange(60 * (index + 8), dtype="float32"))
    put(cache)
    reopened(cache)
    file = cache.folder / "features.sqlite"
    sound = file.read_bytes()
    served = missed = degraded = 0
    for position in range(0, len(sound), 97):
        damaged = bytearray(sound)
        damaged[position] ^= 0xFF
        file.write_bytes(damaged)
        for name in ("features.sqlite-wal", "features.sqlite-shm"):
            (cache.folder / name).unlink(missing_ok=True)
        with the_warnings() as messages:
            computed = extract(cache)
        assert len(messages) <= 1
        reopened(cache)
        served += not computed
        missed += bool(computed) and not messages
        degraded += bool(messages)
    assert served > 10
    assert missed > 10
    assert degraded > 10


def test_a_damaged_record_is_computed_again_and_verify_tells(cache):
    def damage():
        connection = open_store(cache._key).connection
        connection.execute("UPDATE contents SET content = zeroblob(160) WHERE id = 3")
        connection.execute("DELETE FROM contents WHERE id = 5")
        connection.execute("UPDATE records SET digest = ? WHERE id = 7", (content_digest(b"another"),))

    damage()
    assert extract(cache) == [DIGESTS[2], DIGESTS[4], DIGESTS[6]]
    assert extract(cache) == []
    assert cache.verify() == (12, 1, None)  # the one under another digest was never asked for
    put(cache)
    connection = open_store(cache._key).connection
    connection.execute("UPDATE contents SET content = zeroblob(160) WHERE id = (SELECT min(id) FROM contents)")
    connection.execute("UPDATE totals SET n_bytes = 10000000")
    assert cache.verify() == (11, 1, None)
    assert cache.info()[2:4] == (11, 11 * 160)


def test_a_record_of_another_network_is_not_served(cache):
    connection = open_store(cache._key).connection
    connection.execute("UPDATE networks SET name = 'another net'")
    assert list(cache.get_many("another net", DIGESTS)) == []


def test_a_damaged_index_of_files_is_read_again(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"one")
    os.utime(path, (1, 1))
    cache = FeatureCache(tmp_path / "cache")
    assert [*cache.digests(as_images([path]), [0])] == [(0, content_digest(b"one"))]
    connection = open_store(cache._key).connection
    connection.execute("UPDATE files SET digest = ?", (content_digest(b"two"),))
    assert [*cache.digests(as_images([path]), [0])] == [(0, content_digest(b"one"))]


def not_a_database(folder):
    (folder / "features.sqlite").write_bytes(b"something else" * 1000)


def cut_off(folder):
    file = folder / "features.sqlite"
    file.write_bytes(file.read_bytes()[:5000])


def another_database(folder):
    (folder / "features.sqlite").unlink()
    with sqlite3.connect(folder / "features.sqlite") as connection:
        connection.execute("CREATE TABLE mine (x)")
    connection.close()


def newer_format(folder):
    with sqlite3.connect(folder / "features.sqlite") as connection:
        connection.execute("PRAGMA user_version = 2")
    connection.close()


def a_folder(folder):
    (folder / "features.sqlite").unlink()
    (folder / "features.sqlite").mkdir()


def a_file(folder):
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    folder.write_bytes(b"a file")


@pytest.mark.parametrize("spoil", [not_a_database, cut_off, another_database, newer_format, a_folder, a_file])
def test_what_is_no_cache_is_left_alone(cache, spoil):
    for name in ("owners", "setup.lock"):
        path = cache.folder / name
        path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
    spoil(cache.folder)
    file = cache.folder if cache.folder.is_file() else cache.folder / "features.sqlite"
    before = file.read_bytes() if file.is_file() else None
    with the_warnings() as messages:
        assert extract(cache) == DIGESTS
        assert extract(FeatureCache(cache.folder)) == DIGESTS
        cache.info()
    assert len(messages) == 1
    assert str(cache.folder) in messages[0]
    assert "features are computed without it" in messages[0]
    assert "another directory" in messages[0]
    assert before is None or file.read_bytes() == before
    if before is not None and file != cache.folder:
        if spoil is cut_off:
            assert cache.exists()
        else:
            with pytest.raises(OSError, match=r"not a database|something else|format 2"):
                cache.verify()
            with pytest.raises(OSError, match=r"not a database|something else|format 2"):
                cache.clear()
            assert file.read_bytes() == before


def test_format_is_named(cache):
    newer_format(cache.folder)
    with pytest.warns(CacheWarning, match="format 2 by another version of skcnn; this one reads 1"):
        assert extract(cache) == DIGESTS


def test_a_full_disk_serves_what_it_has(cache):
    connection = open_store(cache._key).connection
    connection.execute(f"PRAGMA max_page_count = {connection.execute('PRAGMA page_count').fetchone()[0]}")
    more = [content_digest(b"more %d" % index) for index in range(50)]
    with the_warnings() as messages:
        assert cache.claim("net", [*DIGESTS, *more]) == more
        cache.put_many("net", more, np.ones((50, 1000)))
        assert cache.claim("net", [*DIGESTS, *more]) == more
        assert held(cache, [*more, *DIGESTS]) == DIGESTS
        assert extract(cache) == []
    assert len(messages) == 1
    assert "disk is full" in messages[0]
    assert "what it holds is used" in messages[0]
    assert "make room" in messages[0]
    # Once there is room a person can have it used again.
    connection.execute("PRAGMA max_page_count = 1000000")
    assert cache.verify() == (12, 0, None)
    cache.put_many("net", more, np.ones((50, 1000)))
    assert len(held(cache, more)) == 50


LIMITED = """
import resource, sys, warnings
import numpy as np
from skcnn.cache import FeatureCache
from skcnn.images import Images
def content_digest(content): return Images([content]).digest(0)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
cache = FeatureCache(sys.argv[1])
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for index in range(40):
        digests = [content_digest(b"%d %d" % (index, row)) for row in range(4)]
        if found := dict(cache.get_many("net", digests)):
            raise SystemExit("they are new")
        if cache.claim("net", digests) != digests:
            raise SystemExit("they are to be computed")
        cache.put_many("net", digests, np.full((4, 1000), index))
        for digest, record in cache.get_many("net", digests):
            if (record != index).any():
                raise SystemExit("a wrong record")
print(len(caught), caught[0].category.__name__)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sizes of files cannot be limited")
def test_a_system_that_refuses_to_write(tmp_path):
    done = subprocess.run([sys.executable, "-c", LIMITED, tmp_path], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "1 CacheWarning"), done.stderr
    assert FeatureCache(tmp_path).verify()[1:] == (0, None)


@contextmanager
def full_disk(n_bytes=0):
    """Let no file of this process grow beyond some bytes, as on a disk that is full."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_after_a_full_disk_records_are_kept_again(cache):
    more = [content_digest(b"more %d" % index) for index in range(50)]
    with the_warnings() as messages:
        with full_disk(2**17):
            for _ in range(2):
                cache.put_many("net", more, np.ones((50, 2000)))
        assert held(cache, [*more, *DIGESTS]) == DIGESTS
        cache.put_many("net", more[:5], np.ones((5, 2000)))
        assert held(cache, more) == more[:5]
        # Space and leases are as before: what is missing is claimed once.
        assert cache.claim("net", more) == more[5:]
        assert cache.claim("net", more) == []
    assert len(messages) == 1
    assert "make room" in messages[0]


def test_a_disk_that_was_full_from_the_first_is_tried_by_the_next_extraction(tmp_path):
    cache = FeatureCache(tmp_path / "cache")
    with the_warnings() as messages:
        with full_disk():
            assert extract(cache) == DIGESTS
            assert extract(cache) == DIGESTS
        assert extract(cache) == DIGESTS
        assert extract(cache) == []
    assert len(messages) == 1


def test_a_directory_that_became_writable_is_written_by_the_next_extraction(open_folder):
    cache = FeatureCache(open_folder)
    put(cache, DIGESTS[:8])
    reopened(cache)
    with the_warnings() as messages:
        with read_only(open_folder):
            assert extract(cache) == DIGESTS[8:]
        assert extract(cache) == DIGESTS[8:]
        assert extract(cache) == []
    assert len(messages) == 1


def special_files(folder):
    """Make a pipe and a socket; return these and a device that never ends."""
    os.mkfifo(folder / "pipe")
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(folder / "socket"))
    server.close()
    return [folder / "pipe", folder / "socket", Path("/dev/zero")]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_pipe_is_no_directory_and_no_database(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    for path in special_files(Path()):
        with pytest.raises(OSError, match=r"is a (pipe|socket|device); expected a directory"):
            as_cache(path)
    cache = FeatureCache(tmp_path / "cache")
    cache.folder.mkdir()
    os.mkfifo(cache.folder / "features.sqlite")
    with the_warnings() as messages:
        assert extract(cache) == DIGESTS
    assert "is a pipe; expected a database" in messages[0]


@contextmanager
def read_only(folder):
    """Take the right to write away, also from root, who becomes nobody for a while."""
    os.chmod(folder, 0o555)
    for path in folder.rglob("*"):
        os.chmod(path, 0o555 if path.is_dir() else 0o444)
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        if os.access(folder, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
            pytest.skip("rights to write cannot be taken away here")
        yield
    finally:
        if is_root:
            os.seteuid(0)
        for path in (folder, *folder.rglob("*")):
            os.chmod(path, 0o755)


@pytest.fixture
def open_folder():
    """A folder that every user may look into, which those of pytest are not."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder) / "cache"


@pytest.mark.parametrize("wal", [False, True], ids=["closed", "in use by another"])
def test_a_read_only_directory_is_used(open_folder, wal):
    cache = FeatureCache(open_folder)
    put(cache, DIGESTS[:8])
    if wal:
        other = sqlite3.connect(open_folder / "features.sqlite")
        other.execute("SELECT count(*) FROM records").fetchall()
    reopened(cache)
    with read_only(open_folder), the_warnings() as messages:
        for _ in range(2):
            assert held(cache) == DIGESTS[:8]
            assert extract(cache) == DIGESTS[8:]
        assert cache.info()[:3] == (8, 0, 8)
        with pytest.raises(OSError, match=str(open_folder)):
            cache.clear()
    if wal:
        other.close()
    assert len(messages) == 1
    assert "what it holds is used" in messages[0]
    assert "writable" in messages[0]
    reopened(cache)
    assert extract(cache) == DIGESTS[8:]


def test_a_damaged_record_that_cannot_be_removed_is_computed(open_folder):
    cache = FeatureCache(open_folder)
    put(cache)
    open_store(cache._key).connection.execute("UPDATE contents SET content = zeroblob(160) WHERE id = 3")
    reopened(cache)
    with read_only(open_folder), the_warnings():
        assert extract(cache) == [DIGESTS[2]]


def test_a_read_only_directory_without_a_cache(open_folder):
    open_folder.mkdir()
    with read_only(open_folder), the_warnings() as messages:
        assert extract(FeatureCache(open_folder)) == DIGESTS
        assert extract(FeatureCache(open_folder / "below")) == DIGESTS
    assert len(messages) == 2
    assert "computed without it" in messages[0]


def test_verify_tells_a_damaged_database(cache):
    file = cache.folder / "features.sqlite"
    content = bytearray(file.read_bytes())
    for page in range(4096 * 4, len(content), 4096):
        content[page : page + 200] = bytes(200)
    file.write_bytes(content)
    result = cache.verify()
    assert result.damage
    assert "\n" not in result.damage


@pytest.mark.skipif(sys.version_info < (3, 12), reason="SQLite cannot be told so from this Python")
def test_a_database_that_was_removed_is_closed_in_the_end_and_harms_no_other(tmp_path, monkeypatch):
    monkeypatch.setattr(_store, "_stores", {})
    monkeypatch.setattr(_store, "_kept", [])
    folder = tmp_path / "cache"
    FeatureCache(folder).put_many("net", [b"one"], [np.ones(3)])
    old = _store.open_store(os.path.realpath(folder))
    shutil.rmtree(folder)
    FeatureCache(folder).put_many("net", [b"two"], [np.ones(3)])
    new = _store._stores.popitem()[1]  # as that of another process
    assert _store._kept == [old]
    _store._at_exit()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        old.connection.execute("SELECT 1")
    assert (folder / "features.sqlite-wal").exists()
    new.close()
    assert [digest for digest, _ in FeatureCache(folder).get_many("net", [b"one", b"two"])] == [b"two"]
    _store._at_exit()
