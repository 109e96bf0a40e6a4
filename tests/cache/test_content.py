import os
import time

import pytest

from skcnn.cache import FeatureCache, MemoryCache
from skcnn.cache._content import BLOCK
from skcnn.images import BadRow, Images, as_images


def content_digest(content):
    return Images([content]).digest(0)


@pytest.fixture(params=["memory", "directory"])
def cache(request, tmp_path):
    return MemoryCache() if request.param == "memory" else FeatureCache(tmp_path / "cache")


def write(path, content, seconds=1_000_000_000):
    path.write_bytes(content)
    os.utime(path, (seconds, seconds))
    return path


def digests(cache, X):
    return [digest for _, digest in cache.digests(as_images(X), range(len(X)))]


def test_a_renamed_file_is_the_same_and_a_changed_one_is_seen(cache, tmp_path):
    path = write(tmp_path / "a.png", b"one")
    assert digests(cache, [path]) == [content_digest(b"one")]
    path.rename(tmp_path / "b.png")
    assert digests(cache, [tmp_path / "b.png"]) == [content_digest(b"one")]
    write(path, b"two", 1_000_000_001)  # the same path and size
    assert digests(cache, [path]) == [content_digest(b"two")]
    write(path, b"three", 1_000_000_001)  # the same path and time
    assert digests(cache, [path]) == [content_digest(b"three")]


def test_an_unchanged_file_is_not_read_again(cache, tmp_path, monkeypatch):
    paths = [write(tmp_path / f"{name}.png", name.encode()) for name in "abc"]
    first = digests(cache, paths)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Images, "read", lambda *_: pytest.fail("read again"))
    assert digests(cache, paths) == first
    assert digests(cache, ["c.png", "a.png", "c.png"]) == [first[2], first[0], first[2]]


def test_a_file_that_just_changed_is_read_again(cache, tmp_path):
    now = time.time()
    path = write(tmp_path / "a.png", b"one", now)
    assert digests(cache, [path]) == [content_digest(b"one")]
    write(path, b"two", now)  # within one tick of the clock of the file system
    assert digests(cache, [path]) == [content_digest(b"two")]


def test_rows_come_in_order_whatever_they_are(cache, tmp_path):
    n = 2 * BLOCK + 7
    paths = [write(tmp_path / f"{index}.png", b"%d" % index) for index in range(n)]
    X = [path if index % 3 else path.read_bytes() for index, path in enumerate(paths)]
    X[5], X[-1] = tmp_path / "none.png", ""
    for _ in range(2):
        rows = list(cache.digests(as_images(X), range(n - 1, -1, -1)))
        assert [row for row, _ in rows] == list(range(n - 1, -1, -1))
        found = dict(rows)
        assert all(found[row] == content_digest(b"%d" % row) for row in range(n) if row not in (5, n - 1))
        assert isinstance(found[5], BadRow)
        assert found[5][:2] == (5, str(tmp_path / "none.png"))
        assert "no such file" in found[5].reason
        assert found[n - 1] == BadRow(n - 1, "", "missing value")


def test_what_was_read_is_kept_when_the_reader_stops(tmp_path, monkeypatch):
    paths = [write(tmp_path / f"{name}.png", name.encode()) for name in "abc"]
    rows = FeatureCache(tmp_path / "cache").digests(as_images(paths), range(3))
    next(rows), next(rows)
    rows.close()
    read = []
    content_of = Images.read
    monkeypatch.setattr(Images, "read", lambda self, row: read.append(row) or content_of(self, row))
    digests(FeatureCache(tmp_path / "cache"), paths)
    assert read == [2]


def test_a_name_that_is_no_text(tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png")
    try:
        with open(path, "wb") as file:
            file.write(b"one")
    except OSError:
        pytest.skip("this file system takes only names that are text")
    os.utime(path, (1, 1))
    for _ in range(2):
        assert digests(FeatureCache(tmp_path / "cache"), [path]) == [content_digest(b"one")]


def test_urls_are_always_read(cache, monkeypatch):
    contents = iter([b"one", b"two"])
    monkeypatch.setattr("skcnn.images._paths.read_url", lambda url: next(contents))
    assert digests(cache, ["https://example.org/a"]) == [content_digest(b"one")]
    assert digests(cache, ["https://example.org/a"]) == [content_digest(b"two")]
