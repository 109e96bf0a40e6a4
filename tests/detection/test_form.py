"""Strides and anchors by the sizes of boxes, and the layers that they lead to."""

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skcnn._keras import building
from skcnn.boxes import box_arrays
from skcnn.detection._examples import Objects
from skcnn.detection._form import chosen_strides, coverage, grid_of
from skcnn.detection._grid import Grid
from skcnn.detection._heads import CLASS_SCORES, DetectorHead, LocalizerHead

SIZE = (128, 128)


def objects_of(*sizes):
    """One image per size, of boxes in its middle; each size is a class."""
    y = [[[64 - w / 2, 64 - h / 2, 64 + w / 2, 64 + h / 2, row]] for row, (w, h) in enumerate(sizes)]
    return Objects.inside(box_arrays(y), list(range(len(sizes))), SIZE)


@pytest.mark.parametrize(
    ("sizes", "strides"),
    [
        ([(20, 20), (60, 60)], (8,)),
        ([(100, 100)], (32,)),
        ([(10, 10), (90, 90)], (4, 8)),
        ([(3, 3)], (4,)),
        ([(8, 8), (128, 128)], (4, 8)),
    ],
)
def test_strides_are_by_the_typical_box_of_each_class(sizes, strides):
    assert chosen_strides("auto", (2, 4, 8, 16, 32), objects_of(*sizes)) == strides


def test_strides_that_are_given():
    assert chosen_strides((16, 8), (4, 8, 16), objects_of((9, 9))) == (8, 16)
    assert chosen_strides("auto", (1, 2), objects_of((9, 9))) == (2,)
    with pytest.raises(ValueError, match="levels=3; expected 'auto', or strides of the network's maps: 4, 8"):
        chosen_strides(3, (4, 8), objects_of((9, 9)))


def test_anchors_are_typical_sizes():
    generator = np.random.default_rng(0)
    sizes = [size * generator.uniform(0.9, 1.1, 2) for size in ([10, 20], [60, 30]) for _ in range(20)]
    grid = grid_of(2, (8,), SIZE, objects_of(*sizes), 0)
    assert_allclose(grid.priors[0], [[10, 20], [60, 30]], rtol=0.1)
    two = grid_of(2, (8, 16), SIZE, objects_of(*sizes), 0)
    assert two.n_priors == (1, 1)
    given = grid_of([[50, 50], [5, 5]], (8, 16), SIZE, objects_of(*sizes), 0)
    assert given.priors == (((5.0, 5.0),), ((50.0, 50.0),))
    none = grid_of(None, (8,), SIZE, objects_of((10, 20), (12, 22), (11, 50)), 0)
    assert none.priors == (((11.0, 22.0),),)
    assert not none.has_anchors


def test_coverage_and_the_sizes_that_are_missed():
    objects = objects_of((10, 10), (60, 60), (100, 12))
    assert coverage(grid_of(None, (8,), SIZE, objects, 0), objects, 1.5) == 1
    with pytest.warns(
        UserWarning, match=r"1 box of 3 in y \(33%\) cannot be learned.*100 to 100 wide and 12 to 12 high"
    ):
        fraction = coverage(grid_of([[10, 10], [60, 60]], (8,), SIZE, objects, 0), objects, 1.5)
    assert fraction == pytest.approx(2 / 3)


def test_boxes_that_are_cut_off():
    boxes = box_arrays([[[-10, 0, 10, 20], [-18, 0, 2, 20]], [], [[0, 0, 5, 5]]])
    objects = Objects.inside(boxes, ["object"], SIZE)
    assert len(objects) == 3
    assert_array_equal(objects[0][0], [[0, 0, 10, 20]])
    assert [len(objects[row][1]) for row in range(3)] == [1, 0, 1]


@pytest.mark.parametrize("class_scores", CLASS_SCORES)
def test_a_head_gives_values_of_all_slots(class_scores):
    priors = (((9.0, 9.0), (20.0, 9.0)), ((40.0, 40.0),))
    grid = Grid((30, 40), (4, 8), priors, has_anchors=True)
    with building():
        maps = {stride: keras.Input((-(-30 // stride), -(-40 // stride), 6)) for stride in (4, 8, 16)}
        output, layers = DetectorHead(grid, 3, class_scores, 4, 1)(maps)
    assert output.shape == (None, 8 * 10 * 2 + 4 * 5, 5 + 3) == (None, len(grid.slots()), 8)
    assert all(layer.name.startswith("head_") for layer in layers)
    assert len({layer.name for layer in layers}) == len(layers)
    pixels = [np.zeros((1, *tensor.shape[1:]), "float32") for tensor in maps.values()]
    values = keras.ops.convert_to_numpy(keras.Model(list(maps.values()), output)(pixels))
    assert_allclose(1 / (1 + np.exp(-values[..., 4])), 0.01, rtol=1e-3)  # nearly no slot finds anything at first
    if class_scores == "cell":
        assert_array_equal(values[0, 0, 5:], values[0, 1, 5:])


def test_a_localizer_begins_in_the_middle():
    with building():
        maps = {16: keras.Input((6, 8, 5)), 32: keras.Input((3, 4, 5))}
        output, _ = LocalizerHead(2, 4)(maps)
    pixels = [np.ones((1, *tensor.shape[1:]), "float32") for tensor in maps.values()]
    values = keras.ops.convert_to_numpy(keras.Model(list(maps.values()), output)(pixels))
    assert values.shape == (1, 4 + 2)
    assert_allclose(values[0, :2], 0.5, atol=0.1)
