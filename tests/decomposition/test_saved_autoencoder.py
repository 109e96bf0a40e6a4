"""A fitted autoencoder in one file, from which no code is run; and as a pickle."""

import copy
import pickle
import zipfile

import keras
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import skcnn
from skcnn.feature_extraction import BottleneckFeatures
from skcnn.persistence import ModelFileError


def test_a_trip(fitted, grey, tmp_path):
    skcnn.save(fitted, tmp_path / "a.skcnn")
    again = skcnn.load(tmp_path / "a.skcnn")
    np.testing.assert_array_equal(again.transform(grey), fitted.transform(grey))
    np.testing.assert_array_equal(again.sample(2, random_state=0), fitted.sample(2, random_state=0))
    np.testing.assert_array_equal(again.history_, fitted.history_)
    assert again.score(grey) == fitted.score(grey)
    assert again.get_params() == fitted.get_params()
    with (
        zipfile.ZipFile(tmp_path / "a.skcnn") as archive,
        zipfile.ZipFile(archive.open("estimator.skops")) as inner,
    ):
        assert all(name.endswith((".npy", ".json")) for name in inner.namelist())


def test_copies(fitted, grey):
    for again in (pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted)):
        np.testing.assert_array_equal(again.transform(grey), fitted.transform(grey))
    assert len(pickle.dumps(fitted)) < 20_000


def test_an_optimizer_object_travels(vae, grey, tmp_path):
    optimizer = keras.optimizers.SGD(momentum=0.5)
    pipe = make_pipeline(clone(vae).set_params(optimizer=optimizer, epochs=1), LogisticRegression())
    skcnn.save(pipe.fit(grey, np.arange(24) % 2), tmp_path / "a.skcnn")
    again = skcnn.load(tmp_path / "a.skcnn")
    np.testing.assert_array_equal(again.predict_proba(grey), pipe.predict_proba(grey))
    assert again[0].optimizer.momentum == 0.5


def test_an_encoder_travels_as_a_backbone(vae, grey, tmp_path):
    skcnn.save(BottleneckFeatures(vae.encoder_, pooling=None, engine="keras", cache=None), tmp_path / "a.skcnn")
    again = skcnn.load(tmp_path / "a.skcnn")
    np.testing.assert_allclose(again.transform(grey), vae.transform(grey), atol=1e-5)


def test_one_that_is_not_fitted(vae, tmp_path):
    skcnn.save(clone(vae), tmp_path / "a.skcnn")
    assert skcnn.load(tmp_path / "a.skcnn").get_params() == vae.get_params()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("_filters", (5,)),
        ("_filters", (2**40,)),
        ("_filters", ()),
        ("_n_components", 3),
        ("n_channels_", 3),
        ("n_channels_", 7),
        ("image_size_", (16, 16)),
        ("image_size_", (10**6, 10**6)),
        ("image_size", 10**6),
        ("_weights", {"encoder": []}),
    ],
)
def test_sizes_that_do_not_fit_the_weights_are_refused(vae, tmp_path, name, value):
    forged = copy.copy(vae)
    setattr(forged, name, value)
    skcnn.save(forged, tmp_path / "a.skcnn")
    with pytest.raises(ModelFileError, match="damaged or forged"):
        skcnn.load(tmp_path / "a.skcnn")
