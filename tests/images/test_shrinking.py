import warnings

import numpy as np
import pytest
from PIL import Image

from skcnn.feature_extraction import BottleneckFeatures
from skcnn.images import as_images, warn_if_shrunk
from skcnn.neural_network import CNNClassifier


@pytest.fixture
def large(tmp_path):
    paths = [tmp_path / f"{index}.jpg" for index in range(3)]
    for path in paths:
        Image.new("RGB", (200, 150)).save(path)
    return paths


def test_it_names_network_and_sizes(large, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    images = as_images([*large, tmp_path / "bad.jpg", tmp_path / "none.jpg", "https://example.com/a.jpg"])
    message = r"ResNet20 sees images at 32 x 32 pixels, and these have 150 x 200 \(median of 3 images\)"
    with pytest.warns(UserWarning, match=message):
        warn_if_shrunk(images, (32, 32), "ResNet20")


def test_in_every_form(large):
    pixels = np.zeros((2, 150, 200, 3), np.uint8)
    for X in (pixels, list(pixels), [Image.new("RGB", (200, 150))], [large[0].read_bytes()]):
        with pytest.warns(UserWarning, match="150 x 200"):
            warn_if_shrunk(as_images(X), (32, 32), "ResNet20")


def test_no_warning_where_little_is_lost(large, tmp_path):
    small = np.zeros((2, 100, 600, 3), np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_if_shrunk(as_images(small), (32, 32), "ResNet20")
        warn_if_shrunk(as_images(large), (96, 96), "MobileNetV2")
        warn_if_shrunk(as_images([tmp_path / "none.jpg", "https://example.com/a.jpg"]), (32, 32), "ResNet20")
        BottleneckFeatures("ResNet20", image_size=32).fit(large)


def test_both_estimators_warn(large):
    with pytest.warns(UserWarning, match="ResNet20 sees images at 32 x 32"):
        BottleneckFeatures("ResNet20").fit(large)
    with pytest.warns(UserWarning, match="ResNet20 sees images at 32 x 32"):
        CNNClassifier("ResNet20", head_epochs=1, epochs=0).fit(large, ["a", "b", "a"])
