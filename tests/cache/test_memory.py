import os

import numpy as np
import pytest

from skcnn.cache import MemoryCache, content_digest
from skcnn.images import as_images


def test_records_and_counts():
    cache = MemoryCache()
    assert cache.get("network", b"1") is None
    cache.put("network", b"1", np.arange(3, dtype="float32"))
    assert np.array_equal(cache.get("network", b"1"), [0, 1, 2])
    assert cache.get("other network", b"1") is None
    cache.count(passes=5)
    info = cache.info()
    assert (info.passes, info.hits, info.n_records, info.n_bytes) == (5, 1, 1, 12)
    cache.clear()
    assert cache.info()[:4] == (0, 0, 0, 0)


def test_the_least_recently_used_leaves_first():
    cache = MemoryCache(max_bytes=3 * 40)
    for name in (b"a", b"b", b"c"):
        cache.put("n", name, np.zeros(10, "float32"))
    cache.get("n", b"a")
    cache.put("n", b"d", np.zeros(10, "float32"))
    assert [name for name in (b"a", b"b", b"c", b"d") if cache.get("n", name) is not None] == [b"a", b"c", b"d"]
    assert cache.info().n_bytes == 120
    cache.put("n", b"a", np.zeros(20, "float32"))  # a record that is replaced counts once
    assert cache.info().n_bytes <= 120
    cache.put("n", b"e", np.zeros(1000, "float32"))  # larger than all: not kept
    assert cache.info().n_bytes == 0


def test_content_is_values_shape_and_dtype():
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    same = [pixels, pixels.copy(), np.asfortranarray(pixels)]
    other = [pixels.reshape(4, 2, 3), pixels.astype("int64"), pixels + 1, pixels.tobytes(), b""]
    assert len({content_digest(content) for content in same}) == 1
    assert len({content_digest(content) for content in [pixels, *other]}) == 6


def test_a_changed_file_is_seen_and_a_renamed_one_is_the_same(tmp_path):
    cache = MemoryCache()
    path = tmp_path / "a.png"
    path.write_bytes(b"one")
    first = cache.digest(as_images([path]), 0)
    assert first == content_digest(b"one")
    path.rename(tmp_path / "b.png")
    assert cache.digest(as_images([tmp_path / "b.png"]), 0) == first
    path.write_bytes(b"two")  # the same size
    os.utime(path, ns=(0, 1))
    assert cache.digest(as_images([path]), 0) == content_digest(b"two")


def test_an_unchanged_file_is_not_read_again(tmp_path, monkeypatch):
    cache = MemoryCache()
    path = tmp_path / "a.png"
    path.write_bytes(b"one")
    images = as_images([path])
    first = cache.digest(images, 0)
    monkeypatch.setattr(type(images), "read", lambda *_: pytest.fail("read again"))
    assert cache.digest(images, 0) == first


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        MemoryCache().digest(as_images([tmp_path / "none.png"]), 0)
