"""Displays of generated images."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError

from skcnn.generative import (
    CollapseWarning,
    GeneratedImagesDisplay,
    GenerationHistoryDisplay,
    ImageGAN,
    InterpolationDisplay,
)
from skcnn.generative._displays import on_great_circles
from tests.generative.tiny_gan import TINY_GAN


@pytest.fixture(scope="module")
def followed(bars):
    with pytest.warns(CollapseWarning):
        return ImageGAN(**TINY_GAN | {"epochs": 4, "n_evaluations": 2}).fit(bars[0])


def test_a_row_per_class(gan):
    display = GeneratedImagesDisplay.from_estimator(gan, n_columns=3, random_state=1, name="$x")
    frame = display.frame()
    assert frame["class"].tolist() == ["flat"] * 3 + ["upright"] * 3
    asked = gan.sample(6, frame["class"], random_state=1)
    np.testing.assert_array_equal(display.images.reshape(6, 6, 6), asked)
    ax = display.plot().ax_
    assert [label.get_text() for label in ax.get_yticklabels()] == ["flat", "upright"]
    drawn = ax.images[0].get_array()
    np.testing.assert_array_equal(drawn[7:13, 14:20], display.images[1, 2])
    assert display.figure_.number in plt.get_fignums()


def test_without_classes(followed):
    display = GeneratedImagesDisplay.from_estimator(followed, n_rows=2, n_columns=3)
    assert display.images.shape == (2, 3, 6, 6)
    assert display.frame()["class"].isna().all()
    assert GeneratedImagesDisplay.from_estimator(followed, n_columns=4).images.shape == (4, 4, 6, 6)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 6))
def test_codes_on_great_circles(seed, n):
    """The ends are those given, lengths change steadily, and angles between neighbours are all the same."""
    first, last = np.random.default_rng(seed).normal(size=(2, 1, n))
    fractions = np.linspace(0, 1, 7)
    codes = on_great_circles(first, last, fractions[:, None])
    np.testing.assert_allclose(codes[[0, -1]], np.vstack([first, last]), atol=1e-6)
    lengths = np.linalg.norm(codes, axis=1)
    np.testing.assert_allclose(np.diff(lengths, 2), 0, atol=1e-6)
    directions = codes / lengths[:, None]
    cosines = (directions[1:] * directions[:-1]).sum(axis=1)
    np.testing.assert_allclose(cosines, cosines[0], atol=1e-5)


def test_interpolation(gan):
    display = InterpolationDisplay.from_estimator(gan, "flat", n_rows=2, n_steps=5, random_state=3)
    first, last = np.random.RandomState(3).standard_normal((2, 2, 1, 3))
    np.testing.assert_array_equal(display.images[:, 0], gan.generate(first[:, 0], "flat"))
    np.testing.assert_array_equal(display.images[:, -1], gan.generate(last[:, 0], "flat"))
    assert display.frame()["fraction"].tolist() == [0, 0.25, 0.5, 0.75, 1] * 2
    assert [label.get_text() for label in display.plot().ax_.get_xticklabels()] == ["0", "0.25", "0.5", "0.75", "1"]
    by_row = InterpolationDisplay.from_estimator(gan, ["flat", "upright"], n_rows=2, n_steps=5, random_state=3)
    np.testing.assert_array_equal(by_row.images[0], display.images[0])
    in_turn = InterpolationDisplay.from_estimator(gan, n_rows=2, n_steps=5, random_state=3)
    np.testing.assert_array_equal(in_turn.images, by_row.images)


def test_history(followed, gan):
    assert followed.snapshots_.shape == (2, 8, 6, 6)
    display = GenerationHistoryDisplay.from_estimator(followed, name="how it went")
    (line,) = display.plot().ax_.lines
    assert line.get_xdata().tolist() == [2, 4]
    np.testing.assert_array_equal(line.get_ydata(), followed.history_["kernel_distance"].dropna())
    (inner,) = display.ax_.child_axes
    assert [text.get_text() for text in inner.texts] == ["2", "4"]
    np.testing.assert_array_equal(inner.images[0].get_array()[:6, 7:13], followed.snapshots_[1, 0])
    assert display.plot(metric="generator_loss").ax_.lines[0].get_xdata().tolist() == [1, 2, 3, 4]
    with pytest.raises(ValueError, match=r"metric='loss'; expected a column of the history: 'discriminator_loss'"):
        display.plot(metric="loss")
    never = GenerationHistoryDisplay.from_estimator(gan)
    assert never.images is None
    assert never.plot().ax_.get_ylabel() == "Discriminator loss"


def test_errors(gan):
    for kind in (GeneratedImagesDisplay, InterpolationDisplay, GenerationHistoryDisplay):
        with pytest.raises(TypeError, match="estimator is a PCA; expected a fitted ImageGAN"):
            kind.from_estimator(PCA())
        with pytest.raises(NotFittedError):
            kind.from_estimator(clone(gan))
    with pytest.raises(ValueError, match="n_columns=0; expected an int >= 1"):
        GeneratedImagesDisplay.from_estimator(gan, n_columns=0)
    with pytest.raises(ValueError, match="n_rows=3; expected at most one per class, 2"):
        GeneratedImagesDisplay.from_estimator(gan, n_rows=3)
    with pytest.raises(ValueError, match="n_steps=1; expected an int >= 2"):
        InterpolationDisplay.from_estimator(gan, n_steps=1)
