"""A fitted GAN in one file, from which no code is run; and as a pickle."""

import copy
import pickle

import keras
import numpy as np
import pytest
from sklearn.base import clone

import skcnn
from skcnn._keras import building
from skcnn.generative import ImageGAN
from skcnn.persistence import ModelFileError
from tests.generative.tiny_gan import TINY_GAN


@pytest.fixture(scope="session")
def plain_gan(gan):
    """The same without features of the tests' own, whose code no file may hold."""
    plain = copy.copy(gan)
    return plain.set_params(features=None)


def test_a_trip(plain_gan, bars, tmp_path):
    skcnn.save(plain_gan, tmp_path / "a.skcnn")
    again = skcnn.load(tmp_path / "a.skcnn")
    np.testing.assert_array_equal(again.sample(4, random_state=0), plain_gan.sample(4, random_state=0))
    np.testing.assert_array_equal(again.history_, plain_gan.history_)
    assert again.get_params() == plain_gan.get_params()
    before = again.sample(3, random_state=0)
    again.partial_fit(*bars)  # the state of optimizers is not in the file
    assert again.n_iter_ == plain_gan.n_iter_ + 1
    assert (before != again.sample(3, random_state=0)).any()


def test_copies(gan):
    for again in (pickle.loads(pickle.dumps(gan)), copy.deepcopy(gan)):
        np.testing.assert_array_equal(again.sample(4, random_state=0), gan.sample(4, random_state=0))


def test_networks_and_optimizers_of_the_user_travel(bars, tmp_path):
    with building():
        layers = [keras.Input((3,)), keras.layers.Dense(36, "tanh"), keras.layers.Reshape((6, 6, 1))]
        generator = keras.Sequential(layers)
    optimizer = keras.optimizers.SGD(momentum=0.5)
    fitted = ImageGAN(generator=generator, optimizer=optimizer, **TINY_GAN).fit(bars[0]).set_params(features=None)
    skcnn.save(fitted, tmp_path / "a.skcnn")
    again = skcnn.load(tmp_path / "a.skcnn")
    np.testing.assert_array_equal(again.sample(4, random_state=0), fitted.sample(4, random_state=0))
    assert again.optimizer.momentum == 0.5
    assert again.generator.output_shape == (None, 6, 6, 1)


def test_one_that_is_not_fitted(plain_gan, tmp_path):
    skcnn.save(clone(plain_gan), tmp_path / "a.skcnn")
    assert skcnn.load(tmp_path / "a.skcnn").get_params() == plain_gan.get_params()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("filters", (5,)),
        ("filters", (2**40,)),
        ("filters", ()),
        ("n_components", 2),
        ("n_channels", 3),
        ("n_channels", 7),
        ("n_classes", 3),
        ("n_kernels", -1),
        ("image_size", (16, 16)),
        ("image_size", (10**6, 10**6)),
    ],
)
def test_sizes_that_do_not_fit_the_weights_are_refused(plain_gan, tmp_path, name, value):
    forged = copy.copy(plain_gan)
    forged._form = {**forged._form, name: value}
    skcnn.save(forged, tmp_path / "a.skcnn")
    with pytest.raises(ModelFileError, match="damaged or forged"):
        skcnn.load(tmp_path / "a.skcnn")
