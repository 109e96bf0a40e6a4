"""Parts in an object store: whole or absent, made once, resumed; what the store refuses is named."""

import fsspec
import numpy as np
import pytest
from colour_features import MeanColour
from PIL import Image

from skcnn.datasets import load_digit_images
from skcnn.distributed import extract_parts, load_features
from skcnn.images import BadImageError, RemoteImages


@pytest.fixture(scope="module")
def digits():
    X, y = load_digit_images(return_X_y=True)
    return X[:50], y[:50]


@pytest.fixture
def files(s3):
    """The bucket, empty."""
    files = fsspec.filesystem("s3", **s3.options)
    files.invalidate_cache()
    if paths := files.find("bucket"):
        files.rm(paths)
    s3.n_requests.clear()
    return files


@pytest.fixture
def urls(files, digits):
    """Twenty images in the bucket."""
    paths = [f"s3://bucket/images/{row:02}.png" for row in range(20)]
    for path, pixels in zip(paths, digits[0], strict=False):
        with files.open(path, "wb") as file:
            Image.fromarray(pixels).save(file, "PNG")
    return paths


OUT = "s3://bucket/out/features"


def parts(s3):
    """How often each part was put."""
    return {key[-24:]: n for (method, key), n in s3.n_requests.items() if method == "PUT" and key.endswith("parquet")}


def test_written_read_and_resumed(digits, s3, files):
    X, y = digits
    features = extract_parts(X, MeanColour(), OUT, y=y, rows_per_part=20, storage_options=s3.options)
    expected = MeanColour().transform(X).astype("float32")
    np.testing.assert_array_equal(features.to_numpy(), expected)
    assert list(parts(s3).values()) == [1, 1, 1]
    again = load_features(OUT, storage_options=s3.options)
    assert (again.shape, again.labels().tolist()) == ((50, 3), y.tolist())
    assert [len(one) for one, _ in again.batches()] == [20, 20, 10]
    # Resumed: what is missing is made, and the rest left alone.
    (middle,) = [name for name in files.ls("bucket/out/features", detail=False) if "00001-of" in name]
    files.rm_file(middle)
    with pytest.raises(ValueError, match="1 of 3 parts are missing"):
        load_features(OUT, storage_options=s3.options)
    s3.n_requests.clear()
    features = extract_parts(X, MeanColour(), OUT, y=y, rows_per_part=20, storage_options=s3.options)
    np.testing.assert_array_equal(features.to_numpy(), expected)
    assert parts(s3) == {"part-00001-of-00003.parquet"[-24:]: 1}
    with pytest.raises(ValueError, match="has parts of other"):
        extract_parts(X, MeanColour(2.0), OUT, y=y, rows_per_part=20, storage_options=s3.options)


def test_images_and_parts_in_a_store(digits, s3, urls):
    X = RemoteImages(urls, storage_options=s3.options)
    features = extract_parts(X, MeanColour(), OUT, rows_per_part=8, storage_options=s3.options)
    np.testing.assert_array_equal(features.to_numpy(), MeanColour().transform(digits[0][:20]).astype("float32"))
    assert features.paths().tolist() == urls


def test_bad_rows_are_named_and_their_part_is_left_out(s3, urls, files):
    files.rm_file(urls[9])
    X = RemoteImages(urls, storage_options=s3.options)
    with pytest.raises(BadImageError, match=rf"row 9: {urls[9]}: the store has no such file"):
        extract_parts(X, MeanColour(), OUT, rows_per_part=8, storage_options=s3.options)
    assert sorted(parts(s3)) == [f"part-0000{number}-of-00003.parquet"[-24:] for number in (0, 2)]


def test_faults_that_pass(digits, s3, files):
    for number in range(3):
        s3.faults["PUT", f"bucket/out/features/part-0000{number}-of-00003.parquet"].extend([503, 500][: number + 1])
    features = extract_parts(digits[0], MeanColour(), OUT, rows_per_part=20, storage_options=s3.options)
    np.testing.assert_array_equal(features.to_numpy(), MeanColour().transform(digits[0]).astype("float32"))
    assert sorted(parts(s3).values()) == [2, 3, 3]


def test_what_stays_wrong_is_named_and_leaves_nothing_half(digits, s3, files):
    X = digits[0]
    name = "part-00001-of-00003.parquet"
    s3.faults["PUT", f"bucket/out/features/{name}"].extend([503] * 3)
    with pytest.raises(OSError, match=rf"{OUT}/{name}: the store answers 503 .*\(3 tries\)"):
        extract_parts(X, MeanColour(), OUT, rows_per_part=20, storage_options=s3.options)
    files.invalidate_cache()
    there = {path.rpartition("/")[2] for path in files.find("bucket/out", withdirs=False)}
    assert there == {"manifest.json", "part-00000-of-00003.parquet"}
    features = extract_parts(X, MeanColour(), OUT, rows_per_part=20, storage_options=s3.options)
    np.testing.assert_array_equal(features.to_numpy(), MeanColour().transform(X).astype("float32"))


def test_what_a_store_refuses(digits, s3, files):
    s3.faults["PUT", "bucket/out/features/manifest.json"].append(403)
    with pytest.raises(PermissionError, match=f"{OUT}/manifest.json: the store refuses access"):
        extract_parts(digits[0], MeanColour(), OUT, storage_options=s3.options)
    with pytest.raises(FileNotFoundError, match=r"s3://nowhere/f/manifest.json: the store has no such bucket"):
        extract_parts(digits[0], MeanColour(), "s3://nowhere/f", storage_options=s3.options)
    with pytest.raises(FileNotFoundError, match="expected a folder that extract_parts has written to"):
        load_features("s3://bucket/nothing", storage_options=s3.options)


def test_options_belong_to_urls(digits, tmp_path):
    with pytest.raises(ValueError, match=r"storage_options are given for .*; expected a URL"):
        extract_parts(digits[0], MeanColour(), tmp_path, storage_options={"key": "x"})


def test_where_there_are_no_objects_a_part_is_renamed(digits, tmp_path, monkeypatch):
    from fsspec.implementations.local import LocalFileSystem

    url, moved, move = f"file://{tmp_path}/features", [], LocalFileSystem.mv
    monkeypatch.setattr(LocalFileSystem, "mv", lambda self, *paths, **_: moved.append(paths) or move(self, *paths))
    features = extract_parts(digits[0], MeanColour(), url, rows_per_part=20)
    np.testing.assert_array_equal(features.to_numpy(), MeanColour().transform(digits[0]).astype("float32"))
    assert len(moved) == 4
    assert all(first.endswith(".part") and "/features/." in first for first, _ in moved)
    assert len(list((tmp_path / "features").iterdir())) == 4

    def full(self, path, content, **_):
        with open(path, "wb") as file:
            file.write(content[:10])
        raise OSError("no space left")

    monkeypatch.setattr(LocalFileSystem, "pipe_file", full)
    (tmp_path / "features" / "part-00000-of-00003.parquet").unlink()
    with pytest.raises(OSError, match="no space left"):
        extract_parts(digits[0], MeanColour(), url, rows_per_part=20)
    assert len(list((tmp_path / "features").iterdir())) == 3
