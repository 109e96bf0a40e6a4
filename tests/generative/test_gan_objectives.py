"""Losses of both players, against NumPy and closed forms."""

import keras
import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import log_loss

from skcnn._keras import inner_gradient
from skcnn.generative._objectives import Objective, gradient_penalty, new_balance, of_discriminator, of_generator

GENERATOR = np.random.default_rng(0)
REAL, FAKE = GENERATOR.normal(size=(2, 7, 1)).astype("float32")


@pytest.mark.parametrize("loss", ["gan", "dcgan"])
def test_cross_entropy_is_that_of_scikit_learn(loss):
    objective = Objective(loss)
    scores = expit(np.concatenate([REAL, FAKE])[:, 0].astype(float))
    expected = 2 * log_loss([1] * 7 + [0] * 7, scores)  # the mean over both kinds, as often
    assert float(of_discriminator(objective, REAL, FAKE)) == pytest.approx(expected, rel=1e-5)
    # The generator maximises the logarithm of what the discriminator says.
    assert float(of_generator(objective, FAKE)) == pytest.approx(-np.log(scores[7:]).mean(), rel=1e-5)


def test_only_targets_of_real_images_are_smoothed():
    smooth = of_discriminator(Objective("gan", label_smoothing=0.1), REAL, FAKE)
    p, q = expit(REAL.astype(float)), expit(FAKE.astype(float))
    expected = -(0.9 * np.log(p) + 0.1 * np.log(1 - p)).mean() - np.log(1 - q).mean()
    assert float(smooth) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("loss", ["wgan", "wgan-gp"])
def test_wasserstein(loss):
    assert float(of_discriminator(Objective(loss), REAL, FAKE)) == pytest.approx(FAKE.mean() - REAL.mean(), rel=1e-5)
    assert float(of_generator(Objective(loss), FAKE)) == pytest.approx(-FAKE.mean(), rel=1e-5)


def test_began():
    objective = Objective("began", diversity_ratio=0.7)
    real, fake = np.abs(REAL), np.abs(FAKE)
    found = of_discriminator(objective, real, fake, 0.3)
    assert float(found) == pytest.approx(real.mean() - 0.3 * fake.mean(), rel=1e-5)
    assert float(of_generator(objective, fake)) == pytest.approx(fake.mean(), rel=1e-5)

    def after(*numbers):
        return new_balance(objective, *map(keras.ops.convert_to_tensor, numbers))

    balance, convergence = after(0.3, 2.0, 0.5)
    assert float(balance) == pytest.approx(0.3 + 1e-3 * (0.7 * 2.0 - 0.5))
    assert float(convergence) == pytest.approx(2.0 + abs(0.7 * 2.0 - 0.5))
    assert float(after(0.0, 0.0, 5.0)[0]) == 0  # k stays in [0, 1]
    assert float(after(1.0, 9.0, 0.0)[0]) == 1


def test_penalty_of_a_linear_critic_is_that_of_its_weights():
    """The gradient of w x is w wherever it is taken, so that the penalty is (|w| - 1)^2."""
    w = np.array([[3.0], [4.0], [0.0], [12.0]], "float32")
    real, fake = GENERATOR.normal(size=(2, 5, 2, 1, 2)).astype("float32")
    mix = GENERATOR.random((5, 1, 1, 1)).astype("float32")
    found = gradient_penalty(
        lambda x: keras.ops.matmul(keras.ops.reshape(x, (5, 4)), w),
        *map(keras.ops.convert_to_tensor, (real, fake, mix)),
    )
    assert float(found) == pytest.approx((13 - 1) ** 2, rel=1e-5)


def test_penalty_is_taken_between_real_and_generated_images():
    """Of |x|^2 / 2 the gradient is x itself: the norms are those of the mixtures."""
    real, fake = GENERATOR.normal(size=(2, 5, 2, 1, 2)).astype("float32")
    mix = GENERATOR.random((5, 1, 1, 1)).astype("float32")
    found = gradient_penalty(
        lambda x: keras.ops.sum(x * x / 2, axis=(1, 2, 3)), *map(keras.ops.convert_to_tensor, (real, fake, mix))
    )
    norms = np.sqrt(((mix * real + (1 - mix) * fake) ** 2).sum(axis=(1, 2, 3)))
    assert float(found) == pytest.approx(((norms - 1) ** 2).mean(), rel=1e-5)


def test_penalty_is_finite_where_a_critic_is_flat():
    images = keras.ops.ones((2, 2, 2, 1))
    found = gradient_penalty(
        lambda x: 0 * keras.ops.sum(x, axis=(1, 2, 3)), images, images, keras.ops.ones((2, 1, 1, 1))
    )
    assert float(found) == pytest.approx(1, rel=1e-5)


def test_inner_gradient():
    x = keras.ops.convert_to_tensor(REAL)
    np.testing.assert_allclose(np.asarray(inner_gradient(lambda t: t**3, x)), 3 * REAL**2, rtol=1e-5)
