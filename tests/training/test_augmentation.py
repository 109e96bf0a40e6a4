"""Pixels, boxes and masks that are changed at random together."""

import keras
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skcnn._training import AUGMENTATIONS, as_augmentation, augmented_together

layers = keras.layers


@pytest.fixture
def task():
    """Eight black images with a white rectangle: pixels, boxes (the second one is none), masks of its places."""
    generator = np.random.default_rng(0)
    pixels, masks = np.zeros((8, 64, 64, 3), np.uint8), np.zeros((8, 64, 64, 1), np.int32)
    boxes = np.zeros((8, 2, 4), np.float32)
    for row in range(8):
        x, y = generator.integers(5, 30, 2)
        pixels[row, y : y + 24, x : x + 20] = 255
        masks[row, y : y + 24, x : x + 20] = 7
        boxes[row, 0] = x, y, x + 20, y + 24
    return pixels, boxes, masks


def changed(task, augmentation):
    pixels, boxes, masks = task
    found = _in_training(as_augmentation(augmentation)[0], pixels, boxes, masks)
    return [np.asarray(keras.ops.convert_to_numpy(one)) for one in found]


def _in_training(steps, pixels, boxes, masks):
    """Run them as a graph in training does."""

    class Together(layers.Layer):
        def call(self, given, training=False):
            return augmented_together(given[0], steps, boxes=given[1], masks=given[2])

    return Together()([pixels, boxes, masks], training=True)


def test_mirrored_by_hand(task):
    pixels, boxes, masks = task
    steps = as_augmentation(layers.RandomFlip("horizontal", seed=0))[0]
    seen, moved, places = changed(task, layers.RandomFlip("horizontal"))
    assert steps
    mirrored = [not np.array_equal(one, other) for one, other in zip(seen, pixels, strict=True)]
    assert 0 < sum(mirrored) < 8
    for row, is_mirrored in enumerate(mirrored):
        step = -1 if is_mirrored else 1
        assert_array_equal(seen[row], pixels[row, :, ::step])
        assert_array_equal(places[row], masks[row, :, ::step])
        xmin, ymin, xmax, ymax = boxes[row, 0]
        assert_array_equal(moved[row, 0], [64 - xmax, ymin, 64 - xmin, ymax] if is_mirrored else boxes[row, 0])


@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
def test_boxes_and_masks_stay_where_the_pixels_are(task, augmentation):
    boxes = task[1]
    seen, moved, places = changed(task, augmentation)
    assert (seen.dtype, moved.dtype, places.dtype) == (np.float32, np.float32, np.int32)
    assert set(np.unique(places)) == {0, 7}
    assert np.abs(moved[:, 0] - boxes[:, 0]).max() > 2
    assert_array_equal(moved[:, 1], 0)
    for image, box, mask in zip(seen, moved[:, 0], places[..., 0] > 0, strict=True):
        white = image.mean(axis=-1) > 127
        # Each layer rounds places to whole pixels: here and there the border is one off.
        assert (white & mask).sum() > 0.88 * (white | mask).sum()
        ys, xs = np.nonzero(mask)
        found = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
        assert np.abs(box - found).max() <= 2.5  # rotated boxes are the smallest upright ones around the corners


def test_what_leaves_the_image_is_cut_off_or_gone(task):
    pixels, boxes, masks = task
    boxes = boxes.copy()
    boxes[:, 1] = 0, 0, 8, 64
    _, moved, places = changed(
        (pixels, boxes, masks), layers.RandomTranslation(0, (-0.25, -0.25), fill_mode="constant")
    )
    assert_array_equal(moved[:, 1], 0)  # 16 pixels to the left
    expected = boxes[:, 0] - [16, 0, 16, 0]
    expected[:, 0] = expected[:, 0].clip(0)
    np.testing.assert_allclose(moved[:, 0], expected, atol=1e-4)
    assert_array_equal(places[:, :, :48], masks[:, :, 16:])


def test_values_alone(task):
    _, boxes, masks = task
    seen, moved, places = changed(task, [layers.Rescaling(0.5), layers.GaussianNoise(0.1)])
    assert_array_equal(moved, boxes)
    assert_array_equal(places, masks)
    assert 100 < seen.max() < 140


def test_pixels_without_boxes(task):
    pixels = augmented_together(task[0], [], boxes=None, masks=None)
    assert_array_equal(np.asarray(pixels[0]), task[0])
    assert pixels[1:] == (None, None)


def test_a_layer_that_does_not_say_how_it_moves(task):
    with pytest.raises(TypeError, match="augmentation has the layer ZeroPadding2D, which does not say how it moves"):
        augmented_together(task[0], [layers.ZeroPadding2D()], boxes=task[1])
