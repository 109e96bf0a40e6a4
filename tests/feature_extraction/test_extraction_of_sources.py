"""Rows of a source are read once: digest and pixels come of the same bytes, and stamps save the next read."""

from io import BytesIO

import numpy as np
import numpy_engine
import pytest
from joblib import parallel_config
from PIL import Image
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline

from skcnn.cache import memory_cache
from skcnn.feature_extraction import BottleneckFeatures, _bottleneck_features, _extraction, _source_blocks
from skcnn.images import BadImageError, BadImageWarning, ImageSource, as_images


@pytest.fixture(autouse=True)
def engine(monkeypatch):
    """All engines are NumPy; how many images they have run is ``engine()``."""
    monkeypatch.setattr(_extraction, "get_engine", numpy_engine.get_engine)
    monkeypatch.setattr(_bottleneck_features, "get_engine", numpy_engine.get_engine)
    numpy_engine._engines.clear()
    memory_cache().clear()
    yield numpy_engine.n_run
    numpy_engine._engines.clear()


class Noise(ImageSource):
    """Images that are all different; every read is counted."""

    def __init__(self, n, broken=(), same=False):
        self.n, self.broken, self.same = n, frozenset(broken), same
        self.n_read = 0

    def __len__(self):
        return self.n

    def content(self, row):
        file = BytesIO()
        rng = np.random.default_rng(0 if self.same else row)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(file, "PNG")
        return file.getvalue()

    def read_many(self, rows):
        self.n_read += len(rows)
        return [ValueError("lost") if row in self.broken else self.content(int(row)) for row in rows]

    def stamp(self, row):
        return f"noise {self.same} {row}"

    def read_labels(self, rows):
        return np.asarray(rows) % 3


def network(**parameters):
    return BottleneckFeatures("ResNet20", image_size=16, batch_size=16, **parameters)


@pytest.mark.parametrize("cache", [None, "memory", "directory"])
def test_features_are_those_of_the_same_bytes(cache, engine, tmp_path):
    source = Noise(150)
    given = tmp_path / "cache" if cache == "directory" else cache
    features = network(cache=given).transform(source)
    assert source.n_read == engine() == 150
    np.testing.assert_array_equal(features, network(cache=None).transform([source.content(row) for row in range(150)]))
    again = network(cache=given).transform(source[::-1])
    np.testing.assert_array_equal(again, features[::-1])
    assert source.n_read == (300 if cache is None else 150)


def test_a_grid_search_reads_each_image_once(engine):
    source = Noise(300)
    pipe = make_pipeline(network(), GaussianNB())
    search = GridSearchCV(pipe, {"gaussiannb__var_smoothing": [1e-9, 1e-3]}, cv=3)
    search.fit(source, source.labels())
    assert source.n_read == engine() == 300
    cross_val_predict(pipe, source, source.labels(), cv=3)
    assert source.n_read == engine() == 300


def test_another_network_reads_them_once_more(engine):
    source = Noise(80)
    network().transform(source)
    network(resize="pad").transform(source)
    assert source.n_read == engine() == 160


def test_the_same_image_runs_once(engine):
    source = Noise(200, same=True)
    features = network().transform(source)
    assert engine() == 1
    assert (features == features[0]).all()
    assert memory_cache().info()[:2] == (1, 199)


def test_bad_rows_are_all_named_by_their_place_in_x(engine):
    source = Noise(200, broken=[3, 70, 199])
    with pytest.raises(BadImageError) as caught:
        network().transform(source)
    assert caught.value.bad_rows["row"].tolist() == [3, 70, 199]
    assert engine() == 0  # nothing is run after the first
    with pytest.warns(BadImageWarning, match="3 of 200"):
        features = network(on_error="nan").transform(source)
    assert np.flatnonzero(np.isnan(features).any(axis=1)).tolist() == [3, 70, 199]
    assert engine() == 197


def test_blocks_are_bounded_in_bytes(monkeypatch):
    n_bytes = len(Noise(1).content(0))
    monkeypatch.setattr(_source_blocks, "MAX_BYTES", 10 * n_bytes)
    sizes = [len(block.images) for block in _source_blocks.blocks_of(as_images(Noise(100)), None)]
    assert sizes[0] == 64
    assert max(sizes[2:]) <= 11
    assert sum(sizes) == 100


def test_workers_read_for_themselves(monkeypatch, tmp_path):
    source = Noise(300)
    expected = network(cache=None).transform(source)
    monkeypatch.setattr(_extraction, "_has_workers", lambda n_jobs: n_jobs == 2)  # threads pass for them
    with parallel_config("threading"):
        given = network(cache=tmp_path / "cache", n_jobs=2).transform(source)
    np.testing.assert_array_equal(given, expected)
