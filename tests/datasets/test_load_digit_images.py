import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from skcnn.datasets import load_digit_images


def test_images_and_labels():
    digits = load_digit_images()
    assert digits.data.shape == (1797, 32, 32, 3)
    assert digits.data.dtype == np.uint8
    np.testing.assert_array_equal(digits.target, load_digits().target)
    assert digits.target_names == list(range(10))
    assert (digits.data == digits.data[..., :1]).all()
    assert "Optical" in digits.DESCR


def test_return_X_y():
    X, y = load_digit_images(return_X_y=True)
    np.testing.assert_array_equal(X, load_digit_images().data)
    np.testing.assert_array_equal(y, load_digits().target)


def test_levels_0_to_16_become_0_to_255():
    native = load_digit_images(size=8).data[..., 0]
    levels = load_digits().images
    assert native.min() == 0
    assert native.max() == 255
    assert np.abs(native - levels * 255 / 16).max() <= 0.5


def test_resized_by_pillow_bilinear():
    row = 42
    native = Image.fromarray(load_digit_images(size=8).data[row])
    expected = np.asarray(native.resize((20, 20), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(load_digit_images(size=20).data[row], expected)


@pytest.mark.parametrize("size", [0, -1, 8.0, True, "32", None])
def test_bad_size(size):
    with pytest.raises(ValueError, match="size must be an integer of at least 1"):
        load_digit_images(size=size)
