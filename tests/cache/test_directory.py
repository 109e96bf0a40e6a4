import copy
import json
import os
import pickle
import tempfile
from collections import OrderedDict
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, clone

from skcnn.cache import CacheInfo, FeatureCache
from skcnn.cache._store import open_store
from skcnn.images import Images


def content_digest(content):
    return Images([content]).digest(0)


DIGESTS = [content_digest(bytes([index])) for index in range(8)]


def record(index, n_values=5):
    return np.arange(n_values, dtype="float32") + 100 * index


def held(cache, network="net", digests=DIGESTS):
    return [digest for digest, _ in cache.get_many(network, digests)]


@pytest.fixture
def cache(tmp_path):
    return FeatureCache(tmp_path / "new" / "cache")


def test_making_one_makes_nothing(cache):
    assert cache.info() == CacheInfo(0, 0, 0, 0, 10 * 2**30)
    assert cache.verify() == (0, 0, None)
    cache.clear()
    assert not cache.exists()
    assert not cache.folder.parent.exists()


def test_records_and_counts(cache):
    assert cache.claim("net", [DIGESTS[1], DIGESTS[0], DIGESTS[1]]) == [DIGESTS[1], DIGESTS[0]]
    assert cache.claim("net", DIGESTS[:3]) == [DIGESTS[2]]  # the others are leased, to this process
    assert cache.claim("other", DIGESTS[:1]) == DIGESTS[:1]
    cache.put_many("net", DIGESTS[:2], [record(0), record(1).astype("float64")])
    found = list(cache.get_many("net", [DIGESTS[1], DIGESTS[5], DIGESTS[0], DIGESTS[1]]))
    assert [digest for digest, _ in found] == [DIGESTS[1], DIGESTS[0], DIGESTS[1]]
    assert all(values.dtype == "float32" and not values.flags.writeable for _, values in found)
    assert np.array_equal([values for _, values in found], [record(1), record(0), record(1)])
    assert held(cache, "other") == []
    cache.release("net", [DIGESTS[2]])
    assert cache.claim("net", DIGESTS[:3]) == [DIGESTS[2]]
    cache.count_hits(3)
    cache.count_hits(4)
    assert cache.info() == CacheInfo(passes=2, hits=7, n_records=2, n_bytes=40, max_bytes=10 * 2**30)
    cache.put_many("net", DIGESTS[:1], [record(7, 2)])  # a record that is replaced counts once
    assert cache.info()[:4] == (3, 7, 2, 28)
    assert np.array_equal(next(cache.get_many("net", DIGESTS))[1], record(7, 2))
    cache.clear()
    assert cache.claim("net", DIGESTS[:3]) == DIGESTS[:2]  # put gave the leases back; the third was never put


def test_as_many_records_as_digests(cache):
    with pytest.raises(ValueError, match="zip"):
        cache.put_many("net", DIGESTS[:2], [record(0)])


def test_output_shapes(cache):
    assert cache.output_shapes("net") is None
    cache.set_output_shapes("net", [[3], np.array([2, 2])])
    assert cache.output_shapes("net") == ((3,), (2, 2))
    assert all(type(side) is int for shape in cache.output_shapes("net") for side in shape)
    connection = open_store(cache._key).connection
    connection.execute("UPDATE networks SET shapes = ?", (json.dumps([[4], [2, 2]]),))
    assert cache.output_shapes("net") is None  # other shapes would put features into the wrong columns
    assert cache.verify() == (0, 1, None)


def test_a_copy_is_the_same_cache(cache, tmp_path):
    class Estimator(BaseEstimator):
        def __init__(self, cache=None):
            self.cache = cache

    cache.put_many("net", DIGESTS[:1], [record(0)])
    copies = [
        copy.deepcopy(cache),
        pickle.loads(pickle.dumps(cache)),
        clone(Estimator(cache)).cache,
        eval(repr(cache)),
        FeatureCache(tmp_path / "new" / "x" / ".." / "cache"),
    ]
    (tmp_path / "link").symlink_to(tmp_path / "new")
    copies.append(FeatureCache(tmp_path / "link" / "cache"))
    for same in copies:
        assert same == cache
        assert hash(same) == hash(cache)
        assert held(same) == DIGESTS[:1]
    assert cache != FeatureCache(cache.folder, max_bytes=7)
    assert cache != FeatureCache(tmp_path)
    assert cache != "memory"


def test_another_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cache = FeatureCache("cache")
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    cache.put_many("net", DIGESTS[:1], [record(0)])
    assert (tmp_path / "cache").is_dir()
    assert cache.folder == tmp_path / "cache"
    assert not list((tmp_path / "other").iterdir())


@pytest.mark.parametrize("path", [3, None, b"x", "", "s3://bucket"])
def test_paths_that_are_none(path):
    with pytest.raises((TypeError, ValueError), match="expected the path of a directory"):
        FeatureCache(path)


@pytest.mark.parametrize("max_bytes", [0, -1, 1.5, "1", True])
def test_sizes_that_are_none(max_bytes, tmp_path):
    with pytest.raises(ValueError, match="positive int"):
        FeatureCache(tmp_path, max_bytes)


MAX_BYTES = 100
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # quick, for many databases
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(
            st.just("put"),
            st.sampled_from(["a", "b"]),
            st.lists(st.tuples(st.integers(0, 3), st.integers(3, 7)), min_size=1, max_size=3),
        ),
        st.tuples(st.just("get"), st.sampled_from(["a", "b"]), st.lists(st.integers(0, 3), min_size=1, max_size=3)),
        st.tuples(st.just("hits"), st.integers(0, 3)),
        st.tuples(st.just("clear")),
    ),
    min_size=8,
    max_size=16,
)


@settings(
    deadline=None, max_examples=40, phases=[Phase.generate], database=None, suppress_health_check=list(HealthCheck)
)
@given(OPERATIONS)
def test_it_is_a_dictionary_that_forgets_the_least_recently_used(operations):
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        cache = FeatureCache(folder, MAX_BYTES)
        model, passes, hits = OrderedDict(), 0, 0
        for step, (name, *arguments) in enumerate(operations):
            if name == "put":
                network, items = arguments
                values = [np.full(n_values, step + index / 10, "float32") for index, n_values in items]
                cache.put_many(network, [DIGESTS[index] for index, _ in items], values)
                for (index, _), value in zip(items, values, strict=True):
                    model.pop((network, DIGESTS[index]), None)
                    model[network, DIGESTS[index]] = value
                passes += len(items)
                while sum(value.nbytes for value in model.values()) > MAX_BYTES:
                    model.popitem(last=False)
            elif name == "get":
                network, wanted = arguments[0], [DIGESTS[index] for index in arguments[1]]
                found = list(cache.get_many(network, wanted))
                assert [digest for digest, _ in found] == [d for d in wanted if (network, d) in model]
                for digest, value in found:
                    assert np.array_equal(value, model[network, digest])
                    model.move_to_end((network, digest))
            elif name == "hits":
                cache.count_hits(arguments[0])
                hits += arguments[0]
            else:
                cache.clear()
                model.clear()
                passes = hits = 0
            n_bytes = sum(value.nbytes for value in model.values())
            assert cache.info() == CacheInfo(passes, hits, len(model), n_bytes, MAX_BYTES)
        assert cache.verify() == (len(model), 0, None)
        for network in "ab":
            missing = cache.claim(network, DIGESTS)
            assert missing == [digest for digest in DIGESTS if (network, digest) not in model]


def test_the_least_recently_used_leaves_first(tmp_path):
    cache = FeatureCache(tmp_path, max_bytes=60)
    cache.put_many("net", DIGESTS[:3], [record(index) for index in range(3)])
    assert held(cache, digests=DIGESTS[1::-1]) == DIGESTS[1::-1]
    cache.put_many("net", DIGESTS[3:4], [record(3)])
    assert cache.claim("net", DIGESTS[:4]) == [DIGESTS[2]]
    cache.put_many("net", DIGESTS[4:5], [record(4)])
    assert cache.claim("net", DIGESTS[:5]) == [DIGESTS[1]]
    cache.put_many("net", DIGESTS[5:6], [np.zeros(1000)])  # larger than all: not kept
    assert cache.info()[2:4] == (0, 0)


def serve(folder, wanted):
    cache = FeatureCache(folder, 60)
    found = held(cache, digests=wanted)
    cache.count_hits(len(found))
    return len(found)


def test_a_use_in_another_process_is_a_use(tmp_path):
    cache = FeatureCache(tmp_path, max_bytes=60)  # three records
    cache.put_many("net", DIGESTS[:3], [record(index) for index in range(3)])
    with get_context("spawn").Pool(1) as pool:
        assert pool.apply(serve, (tmp_path, DIGESTS[:1])) == 1
    cache.put_many("net", DIGESTS[3:4], [record(3)])
    assert held(cache) == [DIGESTS[0], DIGESTS[2], DIGESTS[3]]
    assert cache.info()[:2] == (4, 1)


def test_marking_a_use_does_not_rewrite_the_record(cache):
    cache.put_many("net", DIGESTS[:2], np.ones((2, 250_000)))
    connection = open_store(cache._key).connection
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    assert held(cache) == DIGESTS[:2]
    cache.count_hits(2)
    assert Path(f"{cache.folder}/features.sqlite-wal").stat().st_size < 100_000


def test_space_comes_back(tmp_path):
    file = tmp_path / "features.sqlite"
    cache = FeatureCache(tmp_path, max_bytes=8_000_000)
    digests = [content_digest(b"%d" % index) for index in range(20)]
    cache.put_many("net", digests, np.ones((20, 100_000)))
    full = file.stat().st_size + Path(f"{file}-wal").stat().st_size
    assert full > 7_000_000
    small = FeatureCache(tmp_path, max_bytes=100_000)
    for index in range(4):  # a put gives back so much at a time
        small.put_many("net", DIGESTS[:1], [record(index)])
    connection = open_store(cache._key).connection
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    assert file.stat().st_size < full - 5_000_000
    cache.put_many("net", digests, np.ones((20, 100_000)))
    cache.clear()
    assert file.stat().st_size < 200_000
    assert cache.info()[:4] == (0, 0, 0, 0)


def test_a_folder_that_was_removed_is_made_again(cache):
    cache.put_many("net", DIGESTS[:1], [record(0)])
    for file in cache.folder.glob("features*"):
        file.unlink()
    assert held(cache) == []
    cache.put_many("net", DIGESTS[:2], [record(0), record(1)])
    with get_context("spawn").Pool(1) as pool:
        assert pool.apply(serve, (cache.folder, DIGESTS)) == 2
