"""Images and boxes that are changed at random."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skcnn.detection._changes import changes_of
from skcnn.detection._examples import area


@pytest.fixture
def batch():
    """Eight images (32, 48, 3) with a rectangle of a grey level of its own, its box and class."""
    pixels, scene = np.zeros((8, 32, 48, 3), np.uint8), []
    generator = np.random.default_rng(0)
    for number, image in enumerate(pixels):
        left, top = generator.integers(0, 20, 2)
        image[top : top + 12, left : left + 16] = 100 + 10 * number
        scene.append((np.array([[left, top, left + 16, top + 12]], float), np.array([number])))
    return pixels, scene


def test_mosaics_hold_what_their_boxes_say(batch):
    pixels, scene = batch
    made, scenes = changes_of(None, 1.0)(pixels, scene, np.random.default_rng(1))
    assert made.shape == pixels.shape
    n_boxes = 0
    for image, (xyxy, codes) in zip(made, scenes, strict=True):
        for (left, top, right, bottom), code in zip(xyxy.astype(int), codes, strict=True):
            assert (image[top:bottom, left:right] == 100 + 10 * code).all()
            n_boxes += 1
        assert (area(xyxy) >= 0.3 * 16 * 12 - 1e-6).all()
    assert 8 < n_boxes < 32
    assert_array_equal(batch[0], pixels)  # those that were given stay


def test_a_fraction_of_images(batch):
    pixels, scene = batch
    made, _ = changes_of(None, 0.5)(pixels, scene, np.random.default_rng(0))
    same = [np.array_equal(*pair) for pair in zip(made, pixels, strict=True)]
    assert 0 < sum(same) < 8


def test_layers_move_boxes(batch):
    pixels, scene = batch
    change = changes_of("light", 0.0)
    made, scenes = change(pixels, scene, np.random.default_rng(0))
    for image, (xyxy, _), (_, codes) in zip(made, scenes, scene, strict=True):
        assert len(xyxy) == 1
        left, top, right, bottom = xyxy[0]
        inner = image[round(top) + 2 : round(bottom) - 2, round(left) + 2 : round(right) - 2]
        assert_allclose(np.median(inner), 100 + 10 * codes[0], atol=3)
    again, _ = change(pixels, scene, np.random.default_rng(0))
    assert_array_equal(made, again)
    assert not np.array_equal(made, change(pixels, scene, np.random.default_rng(1))[0])


def test_images_without_boxes(batch):
    pixels, _ = batch
    empty = [(np.empty((0, 4)), np.empty(0, int))] * 8
    _, scenes = changes_of("light", 0.5)(pixels, empty, np.random.default_rng(0))
    assert all(len(xyxy) == len(codes) == 0 for xyxy, codes in scenes)
