"""Images behind URLs: right or named, none lost, whatever the store does; and many at a time."""

import pickle
import sys
import threading
import time
from io import BytesIO

import numpy as np
import pytest
from faulty_store import faulty_store
from PIL import Image

from skcnn._stores import _tries
from skcnn.cache import FeatureCache
from skcnn.images import (
    HeldImages,
    RemoteImages,
    _held,
    as_images,
    check_images,
    fetched_once,
    image_sizes,
    read_batches,
)
from skcnn.images._held import fetched_ahead

pytest.importorskip("aiohttp", reason="the extra `remote` is not installed")


def png(number):
    file = BytesIO()
    Image.new("RGB", (8, 8), (number, 0, 0)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def server():
    with faulty_store() as store:
        yield store


@pytest.fixture
def store(server, monkeypatch):
    """A web server with 40 images, which does nothing wrong yet."""
    monkeypatch.setattr(_tries, "BACKOFF", 0)
    server.faults.clear()
    server.always.clear()
    server.n_gets.clear()
    server.most_at_once, server.meet = 0, None
    server.files.update({f"{number}.png": png(number) for number in range(40)})
    yield server
    server.let_go()


def urls_of(store, n=40):
    return [store.url(f"{number}.png") for number in range(n)]


def reds(X):
    """The red of each image, by its row; bad rows by their reason."""
    found = {}
    for batch in read_batches(as_images(X), range(len(X)), (8, 8), batch_size=8):
        found.update(zip(batch.rows, batch.pixels[:, 0, 0, 0].tolist(), strict=True))
        found.update({bad.row: (bad.path, bad.reason) for bad in batch.bad})
    return [found[row] for row in range(len(X))]


@pytest.mark.parametrize("form", [list, RemoteImages])
@pytest.mark.parametrize("fault", [500, 503, 429, "cut", "reset"])
def test_what_passes_is_tried_again(form, fault, store):
    for number in range(0, 40, 2):
        store.faults[f"{number}.png"].extend([fault] * (1 + number % 4 // 2))
    assert reds(form(urls_of(store))) == list(range(40))
    # aiohttp itself repeats a request whose connection broke before it answered, once.
    tries = [store.n_gets[f"{number}.png"] for number in range(4)]
    assert tries == [2, 1, 3, 1] if fault != "reset" else all(1 <= n <= 4 for n in tries)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (503, r"the store answers 503 Service Unavailable \(3 tries\)"),
        ("cut", r"the body is shorter than declared \(3 tries\)"),
        ("reset", r"the connection fails: .*\(3 tries\)"),
    ],
)
def test_what_stays_wrong_is_named(fault, reason, store):
    store.always["7.png"] = fault
    bad = check_images(urls_of(store))
    assert bad[["row", "path"]].to_numpy().tolist() == [[7, store.url("7.png")]]
    assert bad["reason"].str.fullmatch(reason).all(), bad["reason"][0]
    assert store.n_gets["8.png"] == 1


@pytest.mark.parametrize(("status", "reason"), [(403, "refuses access"), (404, "no such file"), (400, "400 Bad Req")])
def test_what_cannot_pass_is_tried_once(status, reason, store):
    store.always["3.png"] = status
    source = RemoteImages(urls_of(store, 5))
    contents = source.read_many(range(5))
    assert [isinstance(content, bytes) for content in contents] == [True, True, True, False, True]
    assert isinstance(contents[3], OSError)
    assert reason in str(contents[3])
    assert store.n_gets["3.png"] == 1


@pytest.mark.parametrize("fault", ["hang", "stall"])
def test_a_hang_ends_within_the_timeout(fault, store):
    timeout = 0.2
    store.always["2.png"] = fault
    start = time.monotonic()
    (content,) = RemoteImages([store.url("2.png")], timeout=timeout).read_many([0])
    # Three tries; whatever else this machine does, not the half minute that the server would hang.
    assert time.monotonic() - start < 3 * timeout + 10
    assert isinstance(content, TimeoutError)
    assert str(content) == "the store is silent for 0.2 s (3 tries)"
    assert store.n_gets["2.png"] == 3


def test_a_hang_that_passes(store):
    store.faults["2.png"].append("hang")
    assert reds(RemoteImages(urls_of(store, 6), timeout=1)) == list(range(6))


def test_whatever_goes_wrong_no_row_is_lost(store):
    rng = np.random.default_rng(0)
    kinds = [503, "cut", "reset", 500]
    gone = {5, 17, 33}
    for number in range(40):
        name = f"{number}.png"
        if number in gone:
            store.always[name] = kinds[number % 4]
        else:
            store.faults[name].extend(kinds[kind] for kind in rng.integers(0, 4, rng.integers(0, 3)))
    found = reds(urls_of(store))
    assert [value for row, value in enumerate(found) if row not in gone] == [n for n in range(40) if n not in gone]
    assert all(found[row][0] == store.url(f"{row}.png") for row in gone)


@pytest.mark.parametrize("n_threads", [1, 8, 32])
def test_so_many_are_fetched_at_once(n_threads, store):
    # The server answers once so many are waiting: fewer would wait for each other for ever.
    store.meet = threading.Barrier(n_threads)
    source = RemoteImages(urls_of(store, 32), n_threads=n_threads)
    assert source.read_many(range(32)) == [png(row) for row in range(32)]
    assert store.most_at_once == n_threads


def test_urls_in_a_list_are_fetched_together(store):
    store.meet = threading.Barrier(32)
    assert reds(urls_of(store, 32)) == list(range(32))
    assert image_sizes(urls_of(store, 32)).tolist() == [[8, 8]] * 32


def test_fewer_large_images_are_read_ahead(store, monkeypatch):
    ahead = fetched_ahead(HeldImages(as_images(urls_of(store))), range(40), 4)
    assert next(ahead) == 0  # and nothing more is asked for, while all others are read
    with store.lock:
        assert store.lock.wait_for(lambda: sum(store.n_gets.values()) == 40, 10)
    ahead.close()
    store.n_gets.clear()
    # All pieces that are begun before the sizes of any are known are read; after these one at a time.
    monkeypatch.setattr(_held, "MAX_BYTES", 5 * len(png(0)))
    images = HeldImages(as_images(urls_of(store)))
    images.fetch([0])
    ahead = fetched_ahead(images, range(40), 4)
    for number, row in enumerate(ahead):
        assert sum(store.n_gets.values()) <= number + 1 + 8
        if number:
            images.release(row)
    assert number == 39


def test_rows_of_all_kinds(store, tmp_path):
    (tmp_path / "here.png").write_bytes(png(9))
    X = [store.url("1.png"), str(tmp_path / "here.png"), png(3), Image.new("RGB", (8, 8), (4, 0, 0)), None, "gone.png"]
    found = reds([*X, np.full((8, 8, 3), 5, np.uint8)])
    assert found[:4] == [1, 9, 3, 4]
    assert found[6] == 5
    assert [found[row][1].split(" (")[0] for row in (4, 5)] == ["missing value", "no such file"]


def test_images_held_are_those_of_their_rows(store):
    for X in (urls_of(store), RemoteImages(urls_of(store), versions=np.arange(40))):
        images = HeldImages(as_images(X), range(10, 20))
        images.fetch(range(3))
        assert (len(images), images.path(2)) == (10, store.url("12.png"))
        assert [images.read(row) for row in (2, 5)] == [png(12), png(15)]
        assert images.take([4]).read(0) == png(14)
    assert images.items.stamp(3) == f"{store.url('13.png')} 13"


def test_a_source_is_cut_and_pickled(store):
    source = RemoteImages(urls_of(store), timeout=7, n_threads=3, versions=np.arange(40))
    part = source[10:20][::3]
    assert part.shape == (4,)
    assert part[1] == png(13)
    again = pickle.loads(pickle.dumps(part))
    assert len(pickle.dumps(part)) < len(pickle.dumps(source)) / 3
    assert (again.urls, again.timeout, again.n_threads) == ([store.url(f"{n}.png") for n in (10, 13, 16, 19)], 7, 3)
    assert again.stamp(1) == part.stamp(1)
    assert pickle.loads(pickle.dumps(source))[5] == png(5)


def test_versions_save_fetching(store, tmp_path):
    cache = FeatureCache(tmp_path)
    source = RemoteImages(urls_of(store, 6), versions=np.arange(6))
    first = [digest for _, digest in cache.digests(as_images(source), range(6))]
    store.n_gets.clear()
    assert [digest for _, digest in cache.digests(as_images(source), range(6))] == first
    assert not store.n_gets
    changed = RemoteImages(urls_of(store, 6), versions=[0, 1, 2, 3, 4, "new"])
    assert [digest for _, digest in cache.digests(as_images(changed), range(6))] == first
    assert store.n_gets == {"5.png": 1}


def test_fetched_once_for_several_passes(store):
    source = RemoteImages(urls_of(store, 6))
    with fetched_once(as_images(source)) as images:
        for _ in range(2):
            assert images.read_many([4, 1]) == [png(4), png(1)]
            assert images.read(2) == png(2)
        for worker in (images.take([1, 2]), pickle.loads(pickle.dumps(images.take([1, 2])))):
            assert [worker.read(row) for row in (0, 1)] == [png(1), png(2)]
        assert store.n_gets == {"1.png": 1, "2.png": 1, "4.png": 1}
        assert images.take([1, 5]).read(1) == png(5)  # by itself: not all were there


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"urls": "s3://bucket/a.png"}, TypeError, "a single str"),
        ({"urls": 3}, TypeError, "urls is a int"),
        ({"urls": ["s3://bucket/a.png", "b.png"]}, ValueError, "'b.png' in row 1; expected URLs"),
        ({"urls": ["s3://b/a"], "n_threads": 65}, ValueError, "n_threads=65; expected an int from 1 to 64"),
        ({"urls": ["s3://b/a"], "timeout": 0}, ValueError, "timeout=0; expected a positive number"),
        ({"urls": ["s3://b/a"], "versions": [1, 2]}, ValueError, "2 versions for 1 URLs"),
    ],
)
def test_wrong_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        RemoteImages(**arguments)


@pytest.mark.parametrize(
    ("url", "package"), [("s3://bucket/a.png", "s3fs"), ("gs://bucket/a.png", "gcsfs"), ("abfs://box/a.png", "adlfs")]
)
def test_the_package_of_a_protocol_is_named(url, package, monkeypatch):
    import fsspec

    def url_to_fs(*_arguments, **_options):
        raise ImportError(f"Install {package}")

    monkeypatch.setattr(fsspec.core, "url_to_fs", url_to_fs)
    protocol = url.partition(":")[0]
    assert check_images([url])["reason"].tolist() == [f"{protocol}:// needs {package}: `pip install {package}`"]


@pytest.mark.parametrize("module", ["fsspec", "aiohttp"])
def test_the_extra_is_named(module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    assert "pip install 'skcnn[remote]'" in check_images(["https://example.org/a.png"])["reason"][0]


def test_a_store_that_is_not_there(monkeypatch):
    monkeypatch.setattr(_tries, "BACKOFF", 0)
    (reason,) = check_images(["http://127.0.0.1:9/a.png"])["reason"]
    assert "the connection fails" in reason
    assert "3 tries" in reason


@pytest.mark.parametrize("library", ["s3fs", "obstore"])
def test_clients_of_s3(library, store, monkeypatch):
    """What is registered with fsspec is used, with the same time limits, tries and reasons."""
    module = pytest.importorskip("obstore.fsspec" if library == "obstore" else library)
    from fsspec.registry import _registry

    options = {"key": "a", "secret": "b", "endpoint_url": store.url("").rstrip("/")}
    monkeypatch.setitem(_registry, "s3", getattr(module, "S3FileSystem", None))  # what was there comes back
    if library == "obstore":
        module.register("s3")
        options = {"endpoint": options["endpoint_url"], "access_key_id": "a", "secret_access_key": "b"}
        options |= {"region": "us-east-1", "client_options": {"allow_http": True}}
    store.files |= {f"bucket/{row}": png(row) for row in range(8)}
    store.faults["bucket/1"].extend([503, "cut"])
    store.always |= {"bucket/2": 403, "bucket/4": 503, "bucket/5": "hang", "bucket/6": "cut", "bucket/7": "reset"}
    urls = [f"s3://bucket/{name}" for name in (*range(8), "gone")]
    contents = RemoteImages(urls, storage_options=options).read_many([0, 1, 2, 3, 4, 6, 7, 8])
    contents[5:5] = RemoteImages(urls, storage_options=options, timeout=0.2).read_many([5])
    assert [contents[row] for row in (0, 1, 3)] == [png(0), png(1), png(3)]
    assert [str(contents[row]).split(":")[0] for row in (2, 4, 5, 6, 7, 8)] == [
        "the store refuses access (403)",
        "the store answers 503 Service Unavailable (3 tries)",
        "the store is silent for 0.2 s (3 tries)",
        "the body is shorter than declared (3 tries)",
        "the connection fails",
        "the store has no such file",
    ]
    assert [store.n_gets[f"bucket/{row}"] for row in (1, 2, 4, 5, 6)] == [3, 1, 3, 3, 3]
