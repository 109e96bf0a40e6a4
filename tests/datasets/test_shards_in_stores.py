"""Shards behind URLs: the same images as on a disk, in few requests; damage and changes are named."""

import pickle
import threading

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from faulty_store import faulty_store

from skcnn._stores import _tries
from skcnn.datasets import ParquetImages, TarImages, TFRecordImages, load_digit_images, write_tfrecords
from skcnn.images import RemoteImages, as_images, check_images

pytest.importorskip("aiohttp", reason="the extra `remote` is not installed")


@pytest.fixture(scope="module")
def digits():
    X, y = load_digit_images(return_X_y=True)
    return X[:60], y[:60]


@pytest.fixture(scope="module")
def here(digits, tmp_path_factory):
    """Sixty images in three shards of each form, on disk: opener, and pattern."""
    import io
    import tarfile

    folder = tmp_path_factory.mktemp("shards")
    write_tfrecords(*digits, folder, 20)
    records = TFRecordImages(folder / "*.tfrecord")
    for shard in range(3):
        rows = range(20 * shard, 20 * shard + 20)
        with tarfile.open(folder / f"train-{shard}.tar", "w") as tar:
            for row in rows:
                for extension, content in (("png", records[row]), ("cls", b"%d" % digits[1][row])):
                    member = tarfile.TarInfo(f"{row:04}.{extension}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
        images = [{"bytes": records[row], "path": None} for row in rows]
        table = pa.table({"image": images, "label": digits[1][list(rows)]})
        pq.write_table(table, folder / f"train-{shard}.parquet", row_group_size=7)
    return folder


FORMS = {TFRecordImages: "*.tfrecord", TarImages: "train-*.tar", ParquetImages: "train-*.parquet"}


@pytest.fixture
def in_memory(here):
    """The same shards in fsspec's memory."""
    import fsspec

    files = fsspec.filesystem("memory")
    for path in here.iterdir():
        if path.is_file():
            files.pipe_file(f"/shards/{path.name}", path.read_bytes())
    yield files
    files.rm("/shards", recursive=True)


@pytest.fixture(scope="module")
def server():
    with faulty_store() as store:
        yield store


@pytest.fixture
def store(server, here, monkeypatch):
    """The same shards on a web server."""
    monkeypatch.setattr(_tries, "BACKOFF", 0)
    server.faults.clear()
    server.always.clear()
    server.files = {path.name: path.read_bytes() for path in here.iterdir() if path.is_file()}
    server.n_gets.clear()
    yield server
    server.let_go()


@pytest.mark.parametrize("form", FORMS)
def test_as_on_a_disk(form, here, in_memory):
    local, remote = form(str(here / FORMS[form])), form(f"memory://shards/{FORMS[form]}")
    assert [shard.path for shard in remote.shards] == [f"memory:///shards/{name.name}" for name in sorted_like(local)]
    rows = [59, 3, 3, 20, 41]
    assert remote.read_many(rows) == local.read_many(rows)
    assert list(remote) == list(local)
    assert remote.labels().tolist() == local.labels().tolist()
    part = pickle.loads(pickle.dumps(remote[10:50:7]))
    assert list(part) == list(local[10:50:7])
    assert part.labels().tolist() == local[10:50:7].labels().tolist()
    assert len({remote.stamp(row) for row in range(60)}) == 60
    assert remote.path(0).startswith("memory:///shards/")


def sorted_like(source):
    from pathlib import Path

    return [Path(shard.path) for shard in source.shards]


@pytest.mark.parametrize("form", FORMS)
def test_a_shard_that_changed_is_named(form, here, in_memory):
    source = form(f"memory://shards/{FORMS[form]}")
    name = sorted_like(source)[1].name
    stamp = source.stamp(20)
    in_memory.pipe_file(f"/shards/{name}", (here / name).read_bytes())
    bad = check_images(source)
    assert bad["row"].tolist() == list(range(20, 40))
    assert "has changed since it was opened" in bad["reason"].iloc[0]
    assert form(f"memory://shards/{FORMS[form]}").stamp(20) != stamp


def test_damage_is_named(here, in_memory):
    name = sorted(path.name for path in here.glob("*.tfrecord"))[1]
    content = bytearray((here / name).read_bytes())
    content[40] ^= 255
    in_memory.pipe_file(f"/shards/{name}", bytes(content))
    bad = check_images(TFRecordImages("memory://shards/*.tfrecord"))
    assert bad["row"].tolist() == [20]
    assert bad["path"].tolist() == [f"memory:///shards/{name}, offset 0"]
    assert "checksum" in bad["reason"][0]


@pytest.mark.parametrize("form", FORMS)
def test_by_few_requests_with_faults(form, here, store):
    names = [path.name for path in sorted_like(form(str(here / FORMS[form])))]
    expected = form(str(here / FORMS[form]))
    for name in names:
        store.faults[name].extend([503, "cut"])
    source = form([store.url(name) for name in names])
    for name in names:
        store.faults[name].extend(["reset", 500])
    assert source.read_many(range(60)) == list(expected)
    assert source.labels().tolist() == expected.labels().tolist()
    store.n_gets.clear()
    assert form([store.url(name) for name in names]).read_many(range(60)) == list(expected)
    # Per shard: the index or the footer, and the images; Parquet asks for the footer with each of its row groups.
    assert sum(store.n_gets.values()) <= (10 if form is not ParquetImages else 3 * (1 + 2 * 3))


def test_all_that_is_needed_is_asked_for_at_once(store):
    source = TFRecordImages([store.url(name) for name in sorted(store.files) if name.endswith(".tfrecord")])
    store.meet = threading.Barrier(3)
    try:
        assert all(isinstance(content, bytes) for content in source.read_many([0, 25, 45]))
    finally:
        store.meet = None


def test_a_shard_that_stays_away_is_named(store):
    names = sorted(name for name in store.files if name.endswith(".tfrecord"))
    source = TFRecordImages([store.url(name) for name in names])
    store.always[names[1]] = 503
    bad = check_images(source)
    assert bad["row"].tolist() == list(range(20, 40))
    assert bad["reason"].unique().tolist() == ["the store answers 503 Service Unavailable (3 tries)"]
    assert bad["path"].iloc[0] == f"{store.url(names[1])}, offset 0"
    with pytest.raises(OSError, match="503"):
        TFRecordImages(store.url(names[1]))


def test_patterns_that_match_nothing(in_memory, store):
    for pattern in ("memory://shards/no-*.tfrecord", "memory://nowhere/*.tfrecord", store.url("no.tfrecord")):
        with pytest.raises(FileNotFoundError, match=r"no file matches\.") as raised:
            TFRecordImages(pattern)
        assert pattern in str(raised.value)


def test_s3(here, s3, digits):
    import fsspec

    files = fsspec.filesystem("s3", **s3.options)
    for path in here.iterdir():
        if path.is_file():
            files.pipe_file(f"bucket/shards/{path.name}", path.read_bytes())
    for form, pattern in FORMS.items():
        source = form(f"s3://bucket/shards/{pattern}", storage_options=s3.options)
        assert list(pickle.loads(pickle.dumps(source))) == list(form(str(here / pattern)))
        assert source.labels().tolist() == digits[1].tolist()
        assert source.stamp(0).count('"') == 2  # an ETag


def test_a_cache_of_fsspec(here, s3, tmp_path):
    import fsspec

    name = sorted(path.name for path in here.glob("*.tfrecord"))[0]
    fsspec.filesystem("s3", **s3.options).pipe_file(f"bucket/cached/{name}", (here / name).read_bytes())
    options = {"s3": s3.options, "filecache": {"cache_storage": str(tmp_path)}}
    source = TFRecordImages("filecache::s3://bucket/cached/*.tfrecord", storage_options=options)
    s3.n_requests.clear()
    assert list(source) == list(TFRecordImages(here / name))
    assert s3.n_requests["GET", f"bucket/cached/{name}"] == 0
    image = f"filecache::s3://bucket/cached/{name}"
    assert RemoteImages([image], storage_options=options)[0] == (here / name).read_bytes()


def test_images_in_s3(digits, s3):
    import fsspec

    files = fsspec.filesystem("s3", **s3.options)
    records = [as_images([pixels]).decode(0, (32, 32)) for pixels in digits[0][:8]]
    urls = [f"s3://bucket/images/{row}.npy" for row in range(8)]
    for url, pixels in zip(urls, records, strict=True):
        files.pipe_file(url, pixels.tobytes())
    s3.faults["GET", "bucket/images/3.npy"].append(503)
    s3.faults["GET", "bucket/images/4.npy"].extend([503] * 9)
    s3.faults["GET", "bucket/images/5.npy"].append(403)
    s3.n_requests.clear()
    contents = RemoteImages([*urls, "s3://bucket/gone", "s3://gone/x"], storage_options=s3.options).read_many(range(10))
    assert [contents[row] for row in (0, 1, 2, 3, 6, 7)] == [records[row].tobytes() for row in (0, 1, 2, 3, 6, 7)]
    assert [str(contents[row]).split(":")[0] for row in (4, 5, 8, 9)] == [
        "the store answers 503 Service Unavailable (3 tries)",
        "the store refuses access (403)",
        "the store has no such file",
        "the store has no such bucket",
    ]
    # One layer of retries: neither botocore's nor s3fs's are beneath it, and nothing is asked for before.
    asked = [s3.n_requests["GET", f"bucket/images/{row}.npy"] for row in range(8)]
    assert asked == [1, 1, 1, 2, 3, 1, 1, 1]
    assert not any(method == "HEAD" for method, _ in s3.n_requests)
    np.testing.assert_array_equal(np.frombuffer(contents[3], np.uint8).reshape(records[3].shape), records[3])
