"""What holds for all caches: the protocol of their base."""

import numpy as np
import pytest

from skcnn.cache import ActivationCache, CacheInfo, FeatureCache, MemoryCache
from skcnn.cache._base import BaseCache
from skcnn.images import as_images


@pytest.fixture(params=["memory", "directory", "activations"])
def cache(request, tmp_path):
    if request.param == "directory":
        return FeatureCache(tmp_path / "cache", 10_000)
    return MemoryCache(10_000) if request.param == "memory" else ActivationCache(10_000, 0)


def test_the_base_is_abstract():
    with pytest.raises(TypeError, match="abstract"):
        BaseCache()


def test_the_life_of_a_record(cache):
    images = as_images([b"one", b"two", b"one"])
    digests = [digest for _, digest in cache.digests(images, range(3))]
    assert digests == [images.digest(row) for row in range(3)]
    assert list(cache.get_many("net", digests)) == []
    assert cache.claim("net", digests) == digests[:2]
    cache.put_many("net", digests[:1], [np.arange(3.0)])
    cache.release("net", digests[1:2])
    assert cache.claim("net", digests) == digests[1:2]
    found = list(cache.get_many("net", digests[:2]))
    assert [digest for digest, _ in found] == digests[:1]
    np.testing.assert_array_equal(found[0][1], np.arange(3, dtype="float32"))
    assert not found[0][1].flags.writeable
    cache.count_hits(1)
    assert cache.info() == CacheInfo(passes=1, hits=1, n_records=1, n_bytes=12, max_bytes=10_000)
    cache.set_output_shapes("net", [[3], np.array([2, 2])])
    assert cache.output_shapes("net") == ((3,), (2, 2))
    cache.clear()
    assert cache.info() == CacheInfo(0, 0, 0, 0, 10_000)
    assert cache.output_shapes("net") is None
