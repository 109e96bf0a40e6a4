"""Displays of codes and of reconstructions."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError

from skcnn.decomposition import LatentSpaceDisplay, ReconstructionDisplay
from skcnn.images import BadImageError


def test_the_grid_has_the_images_of_its_codes(fitted):
    display = LatentSpaceDisplay.from_estimator(fitted, components=(1, 0), n_steps=4, span=1.5, name="$x")
    frame = display.frame()
    assert list(frame.columns) == ["component 1", "component 0"]
    codes = frame[["component 0", "component 1"]].to_numpy()
    np.testing.assert_array_equal(display.images.reshape(16, 8, 8), fitted.inverse_transform(codes))
    assert frame["component 1"].iloc[:4].is_monotonic_increasing
    assert frame["component 0"].iloc[:4].nunique() == 1
    drawn = display.plot().ax_
    assert drawn.get_xlabel() == "component 1"
    (image,) = drawn.images
    # The greatest value of the second component is at the top.
    np.testing.assert_array_equal(image.get_array()[:8, :8], display.images[3, 0])
    left, right, bottom, top = image.get_extent()
    assert left < display.values[0][0] < display.values[0][-1] < right
    assert bottom < display.values[1][0] < display.values[1][-1] < top
    assert display.figure_.number in plt.get_fignums()


def test_the_grid_spans_the_codes(vae, autoencoder, grey):
    np.testing.assert_allclose(LatentSpaceDisplay.from_estimator(vae, n_steps=3).values, [[-2, 0, 2]] * 2)
    codes = autoencoder.transform(grey)
    expected = codes.mean(axis=0)[:, None] + codes.std(axis=0)[:, None] * [-2, 0, 2]
    np.testing.assert_allclose(LatentSpaceDisplay.from_estimator(autoencoder, n_steps=3).values, expected, rtol=1e-3)
    assert LatentSpaceDisplay.from_estimator(vae, n_steps=1).plot().images.shape == (1, 1, 8, 8)


def test_reconstructions(fitted, grey, tmp_path):
    display = ReconstructionDisplay.from_estimator(fitted, grey[:5])
    np.testing.assert_array_equal(display.frame()["error"], fitted.reconstruction_error(grey[:5]))
    np.testing.assert_array_equal(display.images[..., 0], grey[:5])
    np.testing.assert_array_equal(display.reconstructions[..., 2], fitted.inverse_transform(fitted.transform(grey[:5])))
    drawn = display.plot().ax_
    assert len(drawn.images) == 10
    assert f"{display.frame()['error'][4]:.4f}" in {text.get_text() for text in drawn.texts}
    display.figure_.savefig(tmp_path / "a.png")


def test_errors(vae, grey):
    for kind in (
        LatentSpaceDisplay.from_estimator,
        lambda estimator: ReconstructionDisplay.from_estimator(estimator, grey),
    ):
        with pytest.raises(TypeError, match="estimator is a PCA; expected a fitted ConvAutoencoder"):
            kind(PCA())
        with pytest.raises(NotFittedError):
            kind(clone(vae))
    for parameters in (
        {"components": (0, 2)},
        {"components": (1, 1)},
        {"components": (0, 1, 1)},
        {"components": (0, "1")},
        {"n_steps": 0},
        {"span": -1.0},
    ):
        with pytest.raises(ValueError, match=f"{next(iter(parameters))}="):
            LatentSpaceDisplay.from_estimator(vae, **parameters)
    with pytest.raises(BadImageError):
        ReconstructionDisplay.from_estimator(vae, [b"no image"])
