"""Many processes on one directory, and processes that end without a word."""

import multiprocessing
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing

import numpy as np
import pytest

from skcnn.cache import FeatureCache
from skcnn.cache._store import FormatError, Store, _is_cache, open_store
from skcnn.images import Images


def content_digest(content):
    return Images([content]).digest(0)


DIGESTS = [content_digest(b"%d" % index) for index in range(96)]
RECORDS = {digest: np.full(500, index, "float32") for index, digest in enumerate(DIGESTS)}
posix = pytest.mark.skipif(sys.platform == "win32", reason="signals and forks are POSIX's")


class Process:
    """A process that does what a line says, once it is told, and whose answer is pickled."""

    LOOP = """
import pickle, sys, threading
import numpy as np
from skcnn.cache import FeatureCache
from skcnn.images import Images
def content_digest(content): return Images([content]).digest(0)
cache = FeatureCache(sys.argv[1])
digests = [content_digest(b"%d" % index) for index in range(96)]
records = {digest: np.full(500, index, "float32") for index, digest in enumerate(digests)}
def put(wanted):
    cache.put_many("net", wanted, [records[digest] for digest in wanted])
def held():
    found = dict(cache.get_many("net", digests))
    assert all((record == records[digest]).all() for digest, record in found.items())
    return list(found)
for line in sys.stdin:
    print(pickle.dumps(eval(line)).hex(), flush=True)
"""

    def __init__(self, folder):
        self.process = subprocess.Popen(
            [sys.executable, "-c", self.LOOP, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def begin(self, line):
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def answer(self):
        return pickle.loads(bytes.fromhex(self.process.stdout.readline()))

    def do(self, line):
        self.begin(line)
        return self.answer()

    def kill(self):
        self.process.kill()
        self.end()

    def end(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def processes(tmp_path):
    started = []

    def start(n=1):
        new = [Process(tmp_path) for _ in range(n)]
        started.extend(new)
        return new

    yield start
    for process in started:
        if process.process.poll() is None:
            process.kill()


def test_claims_are_disjoint(tmp_path, processes):
    first, second = processes(2)
    for process in (first, second):
        process.do("None")
    for process in (first, second):  # the database is made at once
        process.begin("cache.claim('yet another net', digests[:1])")
    assert sorted(process.answer() for process in (first, second)) == [[], DIGESTS[:1]]
    claimed = [process.do("cache.claim('net', digests[:10])") for process in (first, second)]
    assert claimed == [DIGESTS[:10], []]
    claimed[1] = second.do("cache.claim('net', digests[10:20])")
    for process in (first, second):
        process.begin("sum((cache.claim('net', digests[start : start + 2]) for start in range(0, 96, 2)), [])")
    for index, process in enumerate((first, second)):
        claimed[index] += process.answer()
    assert sorted(claimed[0] + claimed[1]) == sorted(DIGESTS)
    cache = FeatureCache(tmp_path)
    assert cache.claim("net", DIGESTS) == []
    assert len(cache.claim("other net", DIGESTS)) == 96
    first.do(f"cache.release('net', {claimed[0][:3] + claimed[1][:3]!r})")  # its own, that is
    second.do(f"put({claimed[1][3:5]!r})")
    assert sorted(cache.claim("net", DIGESTS)) == sorted(claimed[0][:3])
    assert sorted(second.do("held()")) == sorted(claimed[1][3:5])
    second.end()  # which ends its leases
    assert sorted(cache.claim("net", DIGESTS)) == sorted(claimed[1][:3] + claimed[1][5:])
    assert len(list((tmp_path / "owners").iterdir())) == 2
    first.kill()
    assert sorted(cache.claim("net", DIGESTS)) == sorted(claimed[0][3:])
    assert len(list((tmp_path / "owners").iterdir())) == 1


def test_threads_do_not_get_the_same(tmp_path):
    cache, claimed = FeatureCache(tmp_path), []

    def work():
        for start in range(0, 96, 3):
            claimed.extend(cache.claim("net", DIGESTS[start : start + 3]))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == sorted(DIGESTS)


# A process that knows skcnn and has opened nothing; what it forks writes records for ever, and is killed.
NURSERY = """
import os, sys
import numpy as np
from skcnn.cache import FeatureCache
from skcnn.images import Images
def content_digest(content): return Images([content]).digest(0)
digests = [content_digest(b"%d" % index) for index in range(96)]
for network in sys.stdin:
    if (child := os.fork()) != 0:
        os.waitpid(child, 0)
        os.write(1, b"end\\n")
        continue
    os.write(1, b"%d\\n" % os.getpid())
    cache = FeatureCache(sys.argv[1])
    while True:
        for start in range(0, 96, 4):
            wanted = cache.claim(network.strip(), digests[start : start + 4])
            cache.put_many(network.strip(), wanted, [np.full(500, digests.index(digest)) for digest in wanted])
            os.write(1, b"%d\\n" % (start + 4))
        cache.count_hits(len(list(cache.get_many(network.strip(), digests))))
"""


@posix
def test_kill_at_any_moment(tmp_path):
    generator = np.random.default_rng(0)
    cache = FeatureCache(tmp_path)
    nursery = subprocess.Popen(
        [sys.executable, "-c", NURSERY, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    n_left_over = 0
    for kill in range(30):
        network = f"net {kill}"
        nursery.stdin.write(f"{network}\n")
        nursery.stdin.flush()
        child = int(nursery.stdout.readline())
        acknowledged = 0
        for _ in range(int(generator.integers(0, 25))):
            acknowledged = int(nursery.stdout.readline())
        time.sleep(float(generator.uniform(0, 0.004)))  # where in a transaction it is
        os.kill(child, signal.SIGKILL)
        while (line := nursery.stdout.readline()) != "end\n":
            acknowledged = max(acknowledged, int(line))
        found = dict(cache.get_many(network, DIGESTS))
        assert set(DIGESTS[:acknowledged]) <= set(found)
        assert all((found[digest] == RECORDS[digest]).all() for digest in found)
        # What it had leased is free again, at once.
        n_left_over += open_store(cache._key).connection.execute("SELECT count(*) FROM leases").fetchone()[0]
        missing = [digest for digest in DIGESTS if digest not in found]
        assert cache.claim(network, DIGESTS) == missing
        cache.release(network, missing)
    nursery.communicate()
    assert n_left_over > 0
    assert cache.verify() == (cache.info().n_records, 0, None)
    assert cache.info().passes == cache.info().n_records
    assert len(os.listdir(tmp_path / "owners")) <= 2  # this process's, and one that had no leases when it was killed


def test_clearing_what_another_uses(tmp_path, processes):
    (other,) = processes()
    assert len(other.do("cache.claim('net', digests)")) == 96
    other.do("put(digests[:50])")
    cache = FeatureCache(tmp_path)
    cache.put_many("another net", DIGESTS[:5], np.zeros((5, 3)))
    assert len(other.do("held()")) == 50
    cache.clear()
    cache.put_many("a third net", DIGESTS[:5], np.zeros((5, 3)))  # it might get the number that the first one had
    assert other.do("held()") == []
    other.do("put(digests[50:])")
    assert other.do("held()") == DIGESTS[50:]
    assert cache.info().n_records == 46 + 5
    assert cache.verify() == (46 + 5, 0, None)


@posix
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_after_a_fork(tmp_path, processes):
    cache = FeatureCache(tmp_path)
    mine = cache.claim("net", DIGESTS[:10])
    cache.put_many("net", mine[:5], [RECORDS[digest] for digest in mine[:5]])
    context = multiprocessing.get_context("fork")
    queue, leave = context.SimpleQueue(), context.Event()

    def child():
        connection = open_store(cache._key).connection
        claimed = cache.claim("net", DIGESTS[:20])
        cache.put_many("net", claimed[:3], [RECORDS[digest] for digest in claimed[:3]])
        queue.put((claimed, id(connection)))
        leave.wait()

    process = context.Process(target=child)
    process.start()
    claimed, connection = queue.get()
    assert connection != id(open_store(cache._key).connection)
    assert claimed == DIGESTS[10:20]  # the parent's leases are not the child's
    (other,) = processes()
    assert other.do("cache.claim('net', digests[:20])") == []
    assert len(other.do("held()")) == 8
    open_store(cache._key).give_up()
    assert other.do("cache.claim('net', digests[:20])") == DIGESTS[5:10]  # a child does not keep its parent's leases
    leave.set()
    process.join()
    assert process.exitcode == 0
    assert other.do("cache.claim('net', digests[:20])") == DIGESTS[13:20]
    assert len(dict(cache.get_many("net", DIGESTS))) == 8


@posix
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_that_ends_takes_nothing_away(tmp_path, processes):
    code = (
        "import os, sys\n"
        "from skcnn.cache import FeatureCache\n"
        "cache = FeatureCache(sys.argv[1])\n"
        "cache.claim('net', [b'1' * 32])\n"
        "if os.fork() == 0:\n"
        "    sys.exit()\n"
        "os.wait()\n"
        "print('waited', flush=True)\n"
        "sys.stdin.readline()\n"
        "cache.put_many('net', [b'1' * 32], [[1.0]])\n"
        "print(cache.info().n_records)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code, tmp_path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout.readline() == "waited\n"
    cache = FeatureCache(tmp_path)
    assert cache.claim("net", [b"1" * 32]) == []
    assert parent.communicate("\n")[0] == "1\n"
    assert len(dict(cache.get_many("net", [b"1" * 32]))) == 1
    assert len(os.listdir(tmp_path / "owners")) == 1  # this process's


def test_a_folder_that_is_being_set_up_is_no_stranger(tmp_path):
    for attempt in range(20):
        file = tmp_path / f"{attempt}.sqlite"
        strange, over = [], threading.Event()

        def look(file=file, strange=strange, over=over):
            with closing(sqlite3.connect(file, timeout=30, isolation_level=None)) as connection:
                try:
                    while not over.is_set() and not _is_cache(connection):
                        pass
                except FormatError as error:
                    strange.append(error)

        onlookers = [threading.Thread(target=look) for _ in range(2)]
        for onlooker in onlookers:
            onlooker.start()
        with closing(sqlite3.connect(file, timeout=30, isolation_level=None)) as connection:
            Store._set_up(connection)
            over.set()
            for onlooker in onlookers:
                onlooker.join(60)
            assert _is_cache(connection)
        assert strange == []
