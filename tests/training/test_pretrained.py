"""A head on the feature maps of a pretrained network: what is frozen is not in the graph, and nothing else changes."""

from dataclasses import dataclass

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from toy import TOY

from skcnn._training import MapDesign, clear_graphs
from skcnn._wiring import tensors_by_position
from skcnn.backbones import scale_pixels


@dataclass(frozen=True)
class Head:
    """Counts and sums what both maps say."""

    units: int = 3

    def __call__(self, maps):
        fine, coarse = (keras.layers.GlobalAveragePooling2D()(maps[stride]) for stride in (2, 4))
        dense = keras.layers.Dense(self.units, name="head_sum")
        return dense(keras.layers.Concatenate()([fine, coarse])), [dense]


@pytest.fixture
def design():
    yield MapDesign(TOY, "toy", 0, (16, 16), (2, 4), Head())
    clear_graphs()


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), np.uint8)


def weights_of(design):
    return {"base": design.initial_base(), "head": design.initial_head()}


@pytest.mark.parametrize("unfreeze", [None, "parts"])
def test_prefix_and_suffix_are_the_network(design, pixels, unfreeze):
    weights = weights_of(design)
    plain = design.plain_model(weights).predict(pixels.astype("float32"), verbose=0)
    with design.pixel_graph(None, None) as graph:
        graph.put(weights)
        assert_allclose(graph.model.predict_on_batch(pixels), plain, atol=1e-5)
    cut = design.frozen_prefix(unfreeze)
    network = TOY.build(weights="toy")
    found = tensors_by_position(network)
    maps = keras.Model(network.inputs[0], [found[position] for position in cut.positions])
    x = np.asarray(scale_pixels(pixels.astype("float32"), "tf"))
    values = np.concatenate([np.reshape(part, (3, -1)) for part in keras.tree.flatten(maps(x))], axis=1)
    with design.suffix_graph(unfreeze, None) as graph:
        graph.put(weights)
        assert_allclose(graph.model.predict_on_batch(values), plain, atol=1e-5)


def test_what_is_open_is_trainable(design):
    with design.suffix_graph(None, ("loss",)) as graph:
        assert [variable.path for variable in graph.model.trainable_variables] == ["head_sum/kernel", "head_sum/bias"]
    with design.suffix_graph("parts", ("loss",)) as graph:
        assert len(graph.model.trainable_variables) == 4
    assert design.frozen_prefix("all") is None


def test_first_weights_depend_on_the_seed(design):
    first, again = design.initial_head(), design.initial_head()
    other = MapDesign(TOY, "toy", 1, (16, 16), (2, 4), Head()).initial_head()
    for a, b in zip(first, again, strict=True):
        assert_array_equal(a, b)
    assert not np.array_equal(first[0], other[0])
