"""Features into a file: whole or not at all."""

import errno
import os

import numpy as np
import numpy_engine
import pytest
from numpy_engine import NumpyEngine

from skcnn.feature_extraction import BottleneckFeatures, _bottleneck_features, _extraction
from skcnn.images import BadImageError, BadImageWarning

X = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def engine(monkeypatch):
    monkeypatch.setattr(_extraction, "get_engine", numpy_engine.get_engine)
    monkeypatch.setattr(_bottleneck_features, "get_engine", numpy_engine.get_engine)
    numpy_engine._engines.clear()
    yield
    numpy_engine._engines.clear()


def transformer(**parameters):
    return BottleneckFeatures("ResNet20", image_size=16, **{"cache": None, "batch_size": 4, **parameters})


@pytest.mark.parametrize("pooling", ["avg", None])
def test_a_file_holds_what_the_array_holds(tmp_path, pooling):
    expected = transformer(pooling=pooling).transform(X)
    for out in (tmp_path / "a.npy", str(tmp_path / "ä 🌻.npy")):
        features = transformer(pooling=pooling).transform(X, out=out)
        assert isinstance(features, np.memmap)
        assert (features.shape, features.dtype) == (expected.shape, np.float32)
        np.testing.assert_array_equal(features, expected)
        np.testing.assert_array_equal(np.load(out), expected)
        with pytest.raises(ValueError, match="read-only"):
            features[0] = 0
    assert sorted(os.listdir(tmp_path)) == ["a.npy", "ä 🌻.npy"]


def test_a_file_in_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert transformer().transform(X, out="features.npy").shape == (30, 64)
    assert os.listdir(tmp_path) == ["features.npy"]


def test_a_hit_fills_a_file_too(tmp_path):
    filled = transformer(cache=tmp_path / "cache").transform(X)
    np.testing.assert_array_equal(transformer(cache=tmp_path / "cache").transform(X, out=tmp_path / "a.npy"), filled)
    assert numpy_engine.n_run() == 30


@pytest.mark.parametrize("old", [None, b"what was there before"])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_what_breaks_off_leaves_what_was_there(tmp_path, monkeypatch, old, error):
    out = tmp_path / "a.npy"
    if old is not None:
        out.write_bytes(old)
    start, seen = NumpyEngine.start, []

    def fail(self, pixels):
        seen.append(sorted(os.listdir(tmp_path)))
        if len(seen) == 3:
            raise error("no more")
        return start(self, pixels)

    monkeypatch.setattr(NumpyEngine, "start", fail)
    with pytest.raises(error):
        transformer().transform(X, out=out)
    assert any(name.endswith(".part") for name in seen[-1])
    assert ("a.npy" in seen[-1]) == (old is not None)
    assert os.listdir(tmp_path) == ([] if old is None else ["a.npy"])
    assert old is None or out.read_bytes() == old


def test_an_older_file_is_replaced_under_its_readers(tmp_path):
    first = transformer().transform(X, out=tmp_path / "a.npy")
    kept = np.array(first)
    second = transformer().transform(255 - X, out=tmp_path / "a.npy")
    np.testing.assert_array_equal(first, kept)
    assert np.abs(second - first).max() > 0


def test_bad_rows(tmp_path):
    images = [*X[:5], b"broken", *X[5:9]]
    with pytest.raises(BadImageError):
        transformer().transform(images, out=tmp_path / "a.npy")
    assert os.listdir(tmp_path) == []
    with pytest.warns(BadImageWarning, match="row 5"):
        features = transformer(on_error="nan").transform(images, out=tmp_path / "a.npy")
    assert np.isnan(features[5]).all()
    np.testing.assert_array_equal(np.delete(features, 5, axis=0), transformer().transform(X[:9]))


@pytest.mark.parametrize("name", ["a.npz", "a", "a.npy.gz", "missing/a.npy", ".npy", "", "a.npy/b.npy"])
def test_what_is_no_place_is_refused_before_any_work(tmp_path, name):
    (tmp_path / "a.npy").write_bytes(b"")
    with pytest.raises(ValueError, match=r"out=.*expected the path of a \.npy file, in a folder that exists"):
        transformer().transform(X, out=os.path.join(tmp_path, name))
    assert numpy_engine.n_run() == 0
    assert os.listdir(tmp_path) == ["a.npy"]


@pytest.mark.skipif(os.name != "posix", reason="rights are POSIX's")
def test_others_may_read_it(tmp_path):
    transformer().transform(X, out=tmp_path / "a.npy")
    (tmp_path / "any").write_text("")
    assert (tmp_path / "a.npy").stat().st_mode == (tmp_path / "any").stat().st_mode


def test_a_folder_in_its_place(tmp_path):
    (tmp_path / "a.npy").mkdir()
    with pytest.raises(ValueError, match="expected"):
        transformer().transform(X, out=tmp_path / "a.npy")
    assert os.listdir(tmp_path) == ["a.npy"]
    assert numpy_engine.n_run() == 0


def test_a_full_disk_is_an_error_before_any_work(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(OSError, match=rf"a\.npy' needs {128 + 4 * 30 * 64:,} bytes, and [\d,]+ are free") as caught:
        transformer().transform(X, out=tmp_path / "a.npy")
    assert caught.value.errno == errno.ENOSPC
    assert os.listdir(tmp_path) == []
    assert numpy_engine.n_run() == 0
