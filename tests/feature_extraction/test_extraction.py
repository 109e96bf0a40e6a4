"""An image goes through a network once, whatever happens: kills, processes, threads, bad images, full disks."""

import contextlib
import dataclasses
import os
import pickle
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import keras
import numpy as np
import numpy_engine
import pytest
from joblib import parallel_config
from numpy_engine import NumpyEngine
from PIL import Image
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from toy import TOY

from skcnn.cache import ActivationCache, CacheWarning, FeatureCache, MemoryCache, memory_cache
from skcnn.engines import Output, clear_engines
from skcnn.feature_extraction import BottleneckFeatures, _bottleneck_features, _extraction
from skcnn.feature_extraction._extraction import Part, _SharedWork, extract
from skcnn.images import BadImageError, BadImageWarning, BadRow, as_images

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals and forks are POSIX's")


@pytest.fixture
def engine(monkeypatch):
    """All engines are NumPy; how many images they have run is ``engine()``."""
    monkeypatch.setattr(_extraction, "get_engine", numpy_engine.get_engine)
    monkeypatch.setattr(_bottleneck_features, "get_engine", numpy_engine.get_engine)
    numpy_engine._engines.clear()
    yield numpy_engine.n_run
    numpy_engine._engines.clear()


def write_images(folder, n):
    rng = np.random.default_rng(7)
    folder.mkdir(exist_ok=True)
    paths = []
    for index in range(n):
        paths.append(str(folder / f"{index:03}.png"))
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(paths[-1])
    return paths


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Sixty files, not changed lately: their digests are remembered."""
    paths = write_images(tmp_path_factory.mktemp("images"), 60)
    for path in paths:
        os.utime(path, (1e9, 1e9))
    return paths


def features_in(folder, **parameters):
    return BottleneckFeatures("ResNet20", image_size=16, **{"cache": folder, "batch_size": 4, **parameters})


@pytest.fixture
def expected(engine, paths):
    """What an undisturbed run without any cache gives."""
    values = features_in(None).transform(paths)
    numpy_engine._engines.clear()
    return values


def n_leases(folder):
    with contextlib.closing(sqlite3.connect(database(folder))) as connection, connection:
        return connection.execute("SELECT count(*) FROM leases").fetchone()[0]


def database(folder):
    from skcnn.cache._store import FILE_NAME

    return folder / FILE_NAME


def environment():
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


# A process that has imported everything and forks what is asked for: a run over the files, or one that is killed.
NURSERY = """
import os, pickle, sys, time
import numpy as np
import numpy_engine
from skcnn.feature_extraction import BottleneckFeatures
import sqlite3, PIL.Image, PIL.PngImagePlugin, tqdm.auto
numpy_engine.install()
for line in sys.stdin:
    paths, folder, pause, log, out = eval(line)
    if (child := os.fork()) == 0:
        numpy_engine.NumpyEngine.pause, numpy_engine.NumpyEngine.log = pause, log
        transformer = BottleneckFeatures("ResNet20", image_size=16, batch_size=4, cache=folder)
        os.write(1, b"begins %d\\n" % os.getpid())
        np.save(out, transformer.transform(paths))
        os._exit(0)
    pid, status = os.waitpid(child, 0)
    os.write(1, b"ended %d\\n" % status)
"""


class Nursery:
    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-c", NURSERY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment()
        )

    def begin(self, paths, folder, log, out, pause=0.002):
        self.process.stdin.write(f"{(paths, str(folder), pause, str(log), str(out))!r}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline().split()[1])

    def end(self):
        return int(self.process.stdout.readline().split()[1])

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture(scope="module")
def nurseries():
    started = [Nursery(), Nursery()]
    yield started
    for nursery in started:
        nursery.close()


def n_logged(log):
    return sum(map(int, log.read_text().split()))


@posix
def test_killed_at_any_moment_nothing_is_paid_for_twice(nurseries, paths, expected, tmp_path):
    log, cache, n_killed = tmp_path / "log", FeatureCache(tmp_path / "cache"), 0
    chance = random.Random(0)
    log.write_text("")
    for _ in range(60):
        pid = nurseries[0].begin(paths, cache.folder, log, tmp_path / "out.npy", pause=0.004)
        time.sleep(chance.uniform(0, 0.06))
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        if nurseries[0].end() != 0:
            n_killed += 1
        if n_killed >= 22:
            break
    assert n_killed >= 20
    nurseries[0].begin(paths, cache.folder, log, tmp_path / "out.npy")
    assert nurseries[0].end() == 0
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), expected)
    assert cache.info().passes == 60
    # Of a process that is killed two batches are lost at most: one that runs, one that is not yet put.
    assert 60 <= n_logged(log) <= 60 + n_killed * 2 * 4
    assert n_leases(cache.folder) == 0
    assert cache.verify()[1:] == (0, None)


@posix
def test_two_processes_share_a_folder(nurseries, paths, expected, tmp_path):
    log, cache = tmp_path / "log", FeatureCache(tmp_path / "cache")
    for index, nursery in enumerate(nurseries):
        nursery.begin(paths if index == 0 else paths[::-1], cache.folder, log, tmp_path / f"{index}.npy")
    assert [nursery.end() for nursery in nurseries] == [0, 0]
    np.testing.assert_array_equal(np.load(tmp_path / "0.npy"), expected)
    np.testing.assert_array_equal(np.load(tmp_path / "1.npy"), expected[::-1])
    assert cache.info().passes == n_logged(log) == 60
    assert n_leases(cache.folder) == 0


@posix
def test_the_other_process_is_killed(nurseries, paths, expected, tmp_path):
    log, cache = tmp_path / "log", FeatureCache(tmp_path / "cache")
    pids = [
        nursery.begin(paths, cache.folder, log, tmp_path / f"{index}.npy", pause=0.01)
        for index, nursery in enumerate(nurseries)
    ]
    time.sleep(0.2)
    os.kill(pids[0], signal.SIGKILL)
    assert nurseries[0].end() != 0
    assert nurseries[1].end() == 0
    np.testing.assert_array_equal(np.load(tmp_path / "1.npy"), expected)
    assert cache.info().passes == 60
    assert n_logged(log) <= 60 + 8


@posix
def test_cleared_while_it_is_filled(nurseries, paths, expected, tmp_path):
    log, cache = tmp_path / "log", FeatureCache(tmp_path / "cache")
    for index, nursery in enumerate(nurseries):
        nursery.begin(paths, cache.folder, log, tmp_path / f"{index}.npy", pause=0.005)
    for _ in range(10):
        time.sleep(0.03)
        cache.clear()
    assert [nursery.end() for nursery in nurseries] == [0, 0]
    for index in range(2):
        np.testing.assert_array_equal(np.load(tmp_path / f"{index}.npy"), expected)
    assert n_leases(cache.folder) == 0


FULL_HIT = """
import pickle, sys
import numpy as np
from skcnn.feature_extraction import BottleneckFeatures
transformer, paths, out = pickle.loads(bytes.fromhex(sys.argv[1]))
np.save(out, transformer.transform(paths))
print(sorted({"keras", "tensorflow", "torch", "jax", "openvino"} & set(sys.modules)))
"""


@pytest.mark.parametrize("pooling", ["avg", None])
def test_a_full_hit_in_another_process_needs_no_keras(engine, paths, tmp_path, pooling):
    transformer = features_in(tmp_path / "cache", pooling=pooling, engine="auto")
    expected = transformer.transform(paths)
    argument = pickle.dumps((transformer, paths, tmp_path / "out.npy")).hex()
    done = subprocess.run(
        [sys.executable, "-c", FULL_HIT, argument], stdout=subprocess.PIPE, text=True, env=environment(), check=True
    )
    assert done.stdout.split("\n")[-2] == "[]"
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), expected)


def test_an_engine_that_breaks_down_gives_its_leases_back(engine, paths, expected, tmp_path, monkeypatch):
    transformer = features_in(tmp_path)
    monkeypatch.setattr(NumpyEngine, "fail_after", 20)
    with pytest.raises(RuntimeError, match="broke down") as kept:  # its frames live on, as in a notebook
        transformer.transform(paths)
    assert n_leases(tmp_path) == 0
    assert 12 <= FeatureCache(tmp_path).info().passes <= 20
    monkeypatch.setattr(NumpyEngine, "fail_after", None)
    np.testing.assert_array_equal(transformer.transform(paths), expected)
    assert FeatureCache(tmp_path).info().passes == 60
    assert kept.value is not None


@pytest.mark.parametrize("where", ["put", "decode", "fill"])
def test_an_interrupt_gives_the_leases_back(engine, paths, expected, tmp_path, monkeypatch, where):
    transformer, n = features_in(tmp_path, verbose=1), 0
    target, name = {
        "put": (FeatureCache, "put_many"),
        "decode": (numpy_engine.NumpyEngine, "start"),
        "fill": (_bottleneck_features, "_columns"),
    }[where]
    original = getattr(target, name)

    def interrupt(*arguments):
        nonlocal n
        n += 1
        if n == 3 or where == "fill":
            raise KeyboardInterrupt
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(target, name, interrupt)
        with pytest.raises(KeyboardInterrupt) as kept:
            transformer.transform(paths)
    assert not database(tmp_path).exists() or n_leases(tmp_path) == 0
    np.testing.assert_array_equal(transformer.transform(paths), expected)
    assert kept.value is not None


@pytest.mark.parametrize("late", [False, True])
def test_bad_images_keep_no_lease(engine, paths, expected, tmp_path, late):
    (tmp_path / "broken.png").write_bytes(b"broken")
    bad = [tmp_path / "broken.png", tmp_path / "none.png"] if not late else [tmp_path / "broken.png"]
    X = [*paths[:30], *map(str, bad), *paths[30:], str(bad[0])]
    rows = [30, 31, 62] if not late else [30, 61]
    folder = tmp_path / "cache"
    with pytest.raises(BadImageError) as caught:
        features_in(folder).transform(X)
    assert list(caught.value.bad_rows["row"]) == rows
    assert n_leases(folder) == 0
    with pytest.warns(BadImageWarning) as warned:
        found = features_in(folder, on_error="nan").transform(X)
    assert list(warned[0].message.bad_rows["row"]) == rows
    assert np.isnan(found[rows]).all()
    np.testing.assert_array_equal(np.delete(found, rows, axis=0), expected)
    assert n_leases(folder) == 0
    assert engine() == FeatureCache(folder).info().passes == 60
    (tmp_path / "broken.png").write_bytes(Path(paths[0]).read_bytes())
    if late:
        np.testing.assert_array_equal(features_in(folder).transform(X)[30], expected[0])
        assert engine() == 60


def test_order_batches_copies_and_names_do_not_matter(engine, tmp_path):
    paths = write_images(tmp_path / "images", 20)
    folder = tmp_path / "cache"
    expected = features_in(None).transform(paths)
    numpy_engine._engines.clear()
    order = np.random.default_rng(0).permutation(np.r_[:20, 3, 3, 5])
    found = features_in(folder).transform([paths[row] for row in order])
    np.testing.assert_array_equal(found, expected[order])
    assert engine() == 20
    assert FeatureCache(folder).info()[:2] == (20, 3)
    for batch_size in (1, 3, 64, None):
        np.testing.assert_array_equal(features_in(folder, batch_size=batch_size).transform(paths), expected)
    moved = tmp_path / "häß 🌻 'x;--"
    os.rename(tmp_path / "images", moved)
    renamed = [str(moved / os.path.basename(path)) for path in paths]
    np.testing.assert_array_equal(features_in(folder).transform(renamed), expected)
    link = tmp_path / "link"
    link.symlink_to(moved)
    linked = [str(link / os.path.basename(path)) for path in paths]
    np.testing.assert_array_equal(features_in(folder).transform(linked), expected)
    relative = [os.path.basename(path) for path in paths]
    np.testing.assert_array_equal(features_in(folder, root=moved).transform(relative), expected)
    assert engine() == 20
    os.replace(renamed[1], renamed[0])  # another image under the same name
    np.testing.assert_array_equal(features_in(folder).transform(renamed[:1])[0], expected[1])
    Image.new("RGB", (8, 8), "red").save(renamed[2])
    assert np.abs(features_in(folder).transform(renamed[2:3])[0] - expected[2]).max() > 1
    assert engine() == 21


def test_a_damaged_record_is_computed_anew(engine, paths, expected, tmp_path):
    features_in(tmp_path).transform(paths)
    with contextlib.closing(sqlite3.connect(database(tmp_path))) as connection, connection:
        connection.execute("UPDATE contents SET content = zeroblob(length(content)) WHERE id = 7")
    np.testing.assert_array_equal(features_in(tmp_path).transform(paths), expected)
    assert engine() == 61


def one_warning(transformer, paths, expected):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        np.testing.assert_array_equal(transformer.transform(paths), expected)
        np.testing.assert_array_equal(clone(transformer).transform(paths), expected)
    assert [one.category for one in caught] == [CacheWarning], [str(one.message) for one in caught]


def test_a_directory_that_is_a_file(engine, paths, expected, tmp_path):
    (tmp_path / "file").write_text("")
    one_warning(features_in(tmp_path / "file"), paths, expected)


def test_a_database_that_is_none(engine, paths, expected, tmp_path):
    database(tmp_path).write_bytes(b"no database at all" * 1000)
    one_warning(features_in(tmp_path), paths, expected)


def test_a_disk_that_becomes_full(engine, paths, expected, tmp_path, monkeypatch):
    from skcnn.cache import _records

    put, n = _records.put, 0

    def full(*arguments):
        nonlocal n
        n += 1
        if n > 3:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        return put(*arguments)

    monkeypatch.setattr(_records, "put", full)
    one_warning(features_in(tmp_path), paths, expected)


def test_a_cache_that_holds_next_to_nothing(engine, paths, expected, tmp_path):
    cache = FeatureCache(tmp_path, max_bytes=1)
    np.testing.assert_array_equal(features_in(cache).transform(paths), expected)
    assert cache.info()[:4] == (60, 0, 0, 0)


@pytest.mark.parametrize("kind", ["memory", "directory"])
def test_threads_share_the_work(engine, paths, expected, tmp_path, kind):
    memory_cache().clear()
    cache = "memory" if kind == "memory" else tmp_path
    results = {}

    def work(index):
        with parallel_config(backend="threading"):  # holds for the thread that says it
            results[index] = features_in(cache, n_jobs=1 + index % 2).transform(paths)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    for index in range(4):
        np.testing.assert_array_equal(results[index], expected)
    assert engine() == 60
    memory_cache().clear()


def test_a_search_in_threads(engine, paths, tmp_path):
    search = GridSearchCV(
        make_pipeline(features_in(tmp_path, n_jobs=2), GaussianNB()),
        {"gaussiannb__var_smoothing": [1e-9, 1e-3]},
        cv=3,
        n_jobs=2,
        error_score="raise",
    )
    with parallel_config(backend="threading"):
        search.fit(paths, np.arange(60) % 2)
    assert engine() == FeatureCache(tmp_path).info().passes == 60


@pytest.mark.filterwarnings("default")
def test_dasks_workers_may_be_threads_of_this_process(engine, paths, expected):
    distributed = pytest.importorskip("distributed")
    memory_cache().clear()
    transformer, done = features_in("memory", n_jobs=2, batch_size=2), []
    with distributed.Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address=None):

        def work():
            with parallel_config(backend="dask"):
                done.append(transformer.transform(paths))

        # In a thread, so that a deadlock is a failure.
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(60)
    np.testing.assert_array_equal(done[0], expected)
    assert engine() == memory_cache().info().passes == 60
    memory_cache().clear()


def small_network():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu")(keras.layers.Rescaling(1 / 255)(inputs))
    return keras.Model(inputs, x)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_search_over_two_networks_pays_twice_an_image(tmp_path, n_jobs):
    clear_engines()
    X = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
    y = np.array(["light", "dark"])[(X.mean((1, 2, 3)) < 127.5).astype(int)]
    cache = FeatureCache(tmp_path)
    search = GridSearchCV(
        make_pipeline(BottleneckFeatures(engine="keras", cache=cache, batch_size=4), GaussianNB()),
        {
            "bottleneckfeatures__backbone": ["ResNet20", small_network()],
            "gaussiannb__var_smoothing": [1e-9, 1e-6, 1e-3, 1.0],
        },
        cv=5,
        n_jobs=n_jobs,
        error_score="raise",
    ).fit(X, y)
    assert len(search.cv_results_["params"]) == 8
    assert cache.info().passes == 80
    assert n_leases(tmp_path) == 0
    search.predict(X)
    assert cache.info().passes == 80


class TestSharedWork:
    """The life of claims: made, settled or looked up elsewhere, and given back at the end."""

    DIGESTS = {row: b"%d" % row for row in range(4)}

    @pytest.fixture
    def others(self, tmp_path):
        """A cache in which somebody else has claimed row 1."""
        cache = FeatureCache(tmp_path / "shared")
        assert cache.claim("net", [self.DIGESTS[1]]) == [self.DIGESTS[1]]
        return cache

    def test_rows_are_claimed_settled_and_looked_up(self, others):
        with _SharedWork(others, "net", self.DIGESTS, size=3) as work:
            assert list(work.claim([0, 1, 2, 3])) == [0, 2, 3]
            assert work.elsewhere == [1]
            work.settle(Part([0, 3], np.ones((2, 5), np.float32), [BadRow(2, None, "no image")], 2))
            assert work.look_up() == []
            assert work.elsewhere == [1]
            others.put_many("net", [self.DIGESTS[1]], [np.zeros(5)])
            (found,) = work.look_up()
            assert (found.rows, found.records.tolist(), found.n_passes) == ([1], [[0.0] * 5], 0)
            assert work.elsewhere == []
        assert others.claim("net", list(self.DIGESTS.values())) == [self.DIGESTS[2]]  # the bad one was released

    def test_what_is_not_settled_is_released(self, others):
        def work_and_fail():
            with _SharedWork(others, "net", self.DIGESTS, size=2) as work:
                rows = work.claim([0, 1, 2, 3])
                assert next(rows) == 0
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            work_and_fail()
        assert others.claim("net", list(self.DIGESTS.values())) == [self.DIGESTS[row] for row in (0, 2, 3)]

    def test_pieces_are_claimed_as_they_are_needed(self, others):
        with _SharedWork(others, "net", self.DIGESTS, size=2) as work:
            rows = work.claim([0, 1, 2, 3])
            assert next(rows) == 0
            assert others.claim("net", [self.DIGESTS[2]]) == [self.DIGESTS[2]]
            assert list(rows) == [3]
            assert work.elsewhere == [1, 2]


def toy_job(cache, *outputs):
    """Return a job for outputs of the toy network; bad images do not stop it."""
    transformer = BottleneckFeatures(TOY, weights="toy", engine="keras", batch_size=4, on_error="nan", cache=None)
    return dataclasses.replace(transformer._job(TOY, outputs), cache=cache)


#: 8 * 8 * 6 + 4 * 4 * 8 = 512 values.
MAPS = (Output("edges", None), Output("parts", None))


def run(X, job):
    """Return the records by row, the bad rows, and how many images went through the network."""
    parts = list(extract(as_images(X), job))
    records = {}
    for part in parts:  # whose rows may share a record
        records.update(zip(part.rows, np.resize(part.records, (len(part.rows), part.records.shape[1])), strict=True))
    return records, [bad.row for part in parts for bad in part.bad], sum(part.n_passes for part in parts)


@pytest.mark.parametrize("place", ["memory", "disk", "nowhere", "not reserved"])
def test_activations_are_the_same_wherever_they_are_kept(paths, tmp_path, place):
    (tmp_path / "bad.png").write_bytes(b"no image")
    X = [*paths[:9], str(tmp_path / "bad.png"), paths[3], paths[8]]
    expected, bad, n_passes = run(X, toy_job(MemoryCache(), *MAPS))
    assert (len(expected), bad, n_passes) == (11, [9], 9)
    bounds = {"memory": (10**6, 0), "disk": (0, 10**6), "nowhere": (0, 0), "not reserved": (10**6, 0)}
    cache = ActivationCache(*bounds[place], tmp_path)
    job = toy_job(cache, *MAPS)
    network = job.plan.fingerprint
    digests = [digest for _, digest in cache.digests(as_images(X), [*range(9), 10, 11])]
    with cache.using(network):
        if place != "not reserved":
            assert cache.reserve(network, digests, 512) == place
        for n_more in (9, 9 if place == "nowhere" else 0):
            records, bad, n_passes = run(X, job)
            assert (bad, n_passes) == ([9], n_more)
            assert sorted(records) == sorted(expected)
            for row, record in records.items():
                np.testing.assert_array_equal(record, expected[row])
    n_bytes = 9 * 4 * 512
    kept = {"memory": (n_bytes, 0), "disk": (0, n_bytes), "nowhere": (0, 0), "not reserved": (n_bytes, 0)}
    info = cache.info()
    assert (info.n_bytes, info.n_disk_bytes) == kept[place]
    assert (info.passes, info.hits) == ((18, 4) if place == "nowhere" else (9, 2 + 11))
    if place != "nowhere":
        np.testing.assert_array_equal(cache.read(network, digests), [expected[row] for row in [*range(9), 10, 11]])


def test_activations_of_folds_go_through_the_network_once(engine, paths, tmp_path):
    cache = ActivationCache(0, 10**6, tmp_path)
    job = toy_job(cache, Output("parts", "avg"))
    network = job.plan.fingerprint
    folds = [paths[:40], paths[20:], [*paths[:20], *paths[40:]]]
    with cache.using(network):
        for fold in folds:
            digests = [digest for _, digest in cache.digests(as_images(fold), range(40))]
            assert cache.reserve(network, digests, 8) == "disk"
            run(fold, job)
            assert cache.missing(network, digests) == []
    assert engine() == cache.info().passes == 60
    assert cache.info().n_disk_bytes == 60 * 4 * 8


def test_activations_computed_by_workers_are_kept_here(engine, paths, monkeypatch):
    monkeypatch.setattr(_extraction, "_has_workers", lambda n_jobs: True)  # threads pass for them
    cache = ActivationCache(10**6, 0)
    job = dataclasses.replace(toy_job(cache, Output("parts", "avg")), n_jobs=2)
    with parallel_config(backend="threading"):
        records, _, n_passes = run(paths, job)
    assert (len(records), n_passes, engine()) == (60, 60, 60)
    assert cache.info()[:3] == (60, 0, 60)
    digests = [digest for _, digest in cache.digests(as_images(paths), range(60))]
    np.testing.assert_array_equal(cache.read(job.plan.fingerprint, digests), [records[row] for row in range(60)])
    assert pickle.loads(pickle.dumps(job)).cache.info().n_records == 0
