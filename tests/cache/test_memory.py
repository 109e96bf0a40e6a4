import numpy as np
import pytest

from skcnn.cache import MemoryCache, as_cache, memory_cache


def held(cache, network, digests):
    return [digest for digest, _ in cache.get_many(network, digests)]


def test_records_and_counts():
    cache = MemoryCache()
    assert held(cache, "network", [b"1"]) == []
    assert cache.claim("network", [b"2", b"1", b"2"]) == [b"2", b"1"]
    cache.put_many("network", [b"1"], [np.arange(3)])
    ((digest, record),) = cache.get_many("network", [b"1", b"2"])
    assert digest == b"1"
    assert record.dtype == "float32"
    assert np.array_equal(record, [0, 1, 2])
    with pytest.raises(ValueError, match="read-only"):
        record[0] = 1
    assert cache.claim("network", [b"2", b"1"]) == [b"2"]
    assert cache.claim("other network", [b"1"]) == [b"1"]
    cache.release("network", [b"2"])
    cache.count_hits(4)
    assert cache.info()[:4] == (1, 4, 1, 12)
    assert cache.output_shapes("network") is None
    cache.set_output_shapes("network", [[3], np.array([2, 2])])
    assert cache.output_shapes("network") == ((3,), (2, 2))
    cache.clear()
    assert cache.info()[:4] == (0, 0, 0, 0)
    assert cache.output_shapes("network") is None


def test_a_record_does_not_keep_its_batch():
    cache = MemoryCache()
    batch = np.zeros((100, 10), "float32")
    cache.put_many("n", [b"a"], batch[:1])
    ((_, record),) = cache.get_many("n", [b"a"])
    assert record.base is None
    batch[:] = 1
    assert not record.any()


def test_the_least_recently_used_leaves_first():
    cache = MemoryCache(max_bytes=3 * 40)
    for name in (b"a", b"b", b"c"):
        cache.put_many("n", [name], [np.zeros(10)])
    assert held(cache, "n", [b"a"]) == [b"a"]
    cache.put_many("n", [b"d"], [np.zeros(10)])
    assert held(cache, "n", [b"a", b"b", b"c", b"d"]) == [b"a", b"c", b"d"]
    assert cache.info().n_bytes == 120
    cache.put_many("n", [b"a"], [np.zeros(20)])  # a record that is replaced counts once
    assert cache.info().n_bytes == 120
    cache.put_many("n", [b"e"], [np.zeros(1000)])  # larger than all: not kept
    assert cache.info().n_bytes == 0


def test_as_cache(tmp_path):
    assert as_cache("memory") is memory_cache()
    assert as_cache(None) is None
    cache = as_cache(tmp_path)
    assert cache.folder == tmp_path
    assert as_cache(str(tmp_path)) == cache
    assert as_cache(cache) is cache
    for wrong, error in [
        (3, TypeError),
        (True, TypeError),
        (b"x", TypeError),
        ("", ValueError),
        ("s3://b", ValueError),
    ]:
        with pytest.raises(error, match="'memory', the path of a directory"):
            as_cache(wrong)
