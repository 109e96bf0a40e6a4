"""A classifier of windows over whole images: equal to the classifier on each window."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from skcnn.detection import to_fully_convolutional
from skcnn.detection._fully_convolutional import pads, stride_of


def of_the_literature():
    """The example of OverFeat: 14 x 14 pixels, a map of 5 x 5, dense layers of 400, four classes."""
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((14, 14, 3)),
            layers.Conv2D(16, 5, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(400, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(400, activation="relu"),
            layers.Dense(4, activation="softmax"),
        ]
    )


def with_a_map_of_seven():
    """A dense layer of 100 on a map of 7 x 7 positions."""
    keras.utils.set_random_seed(1)
    pixels = keras.Input((17, 17, 3))
    maps = layers.Conv2D(6, 3, strides=2, use_bias=False)(pixels / 255.0)
    maps = layers.BatchNormalization()(maps)
    maps = layers.ReLU()(maps)
    maps = layers.Add()([layers.Conv2D(5, 2)(maps), layers.Conv2D(5, 2)(maps)])
    hidden = layers.Dense(100, use_bias=False)(layers.Flatten()(maps))
    hidden = layers.LeakyReLU()(layers.BatchNormalization()(hidden))
    return keras.Model(pixels, layers.Dense(3, activation="sigmoid")(hidden))


def nested_and_pooled(pooling=layers.GlobalAveragePooling2D):
    keras.utils.set_random_seed(2)
    body = keras.Sequential([keras.Input((12, 10, 1)), layers.Conv2D(4, 3), layers.ReLU()])
    pixels = keras.Input((12, 10, 1))
    head = keras.Sequential([layers.Input((4,)), layers.Dense(3, "relu"), layers.Dense(2, "softmax")])
    return keras.Model(pixels, head(pooling()(body(pixels))))


def windows_of(image, size, stride):
    views = np.lib.stride_tricks.sliding_window_view(image, size, axis=(0, 1))[:: stride[0], :: stride[1]]
    return np.moveaxis(views, 2, -1)


@pytest.mark.parametrize(
    "make",
    [
        of_the_literature,
        with_a_map_of_seven,
        nested_and_pooled,
        lambda: nested_and_pooled(layers.GlobalMaxPooling2D),
    ],
)
def test_outputs_are_those_of_windows(make):
    model = make()
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):  # statistics that are not those of the beginning
            layer.set_weights([np.linspace(0.5, 1.5, w.size).astype(w.dtype) for w in layer.get_weights()])
    _, height, width, channels = model.input_shape
    network = to_fully_convolutional(model)
    stride = stride_of(network, (height, width))
    image = np.random.default_rng(0).uniform(0, 255, (height + 11, width + 14, channels)).astype(np.float32)
    maps = np.asarray(network(image[None]))[0]
    windows = windows_of(image, (height, width), stride)
    assert maps.shape[:2] == windows.shape[:2]
    expected = np.asarray(model(windows.reshape(-1, height, width, channels))).reshape(maps.shape)
    np.testing.assert_allclose(maps, expected, atol=1e-5)
    assert np.abs(maps - maps[0, 0]).max() > 1e-3  # it does look at places


def test_strides_and_sizes_of_the_literature():
    network = to_fully_convolutional(of_the_literature())
    assert network.output_shape == (None, None, None, 4)
    assert stride_of(network, (14, 14)) == (2, 2)
    assert network.compute_output_shape((1, 16, 16, 3)) == (1, 2, 2, 4)
    assert network.compute_output_shape((1, 28, 28, 3)) == (1, 8, 8, 4)


@settings(max_examples=5, deadline=None)
@given(kernel=st.integers(1, 4), units=st.integers(1, 5), size=st.integers(5, 9))
def test_any_kernel(kernel, units, size):
    model = keras.Sequential(
        [keras.Input((size, size, 2)), layers.Conv2D(3, kernel), layers.Flatten(), layers.Dense(units)]
    )
    image = np.random.default_rng(size).normal(size=(size + 2, size + 3, 2)).astype(np.float32)
    windows = windows_of(image, (size, size), (1, 1))
    expected = np.asarray(model(windows.reshape(-1, size, size, 2)))
    found = np.asarray(to_fully_convolutional(model)(image[None]))[0]
    np.testing.assert_allclose(found.reshape(expected.shape), expected, atol=1e-4)


def test_a_window_that_is_larger_than_what_an_output_sees():
    """One output sees 3 pixels of 4: the second position comes early, the third a stride later."""
    model = keras.Sequential([keras.Input((4, 3, 1)), layers.Conv2D(2, 3, strides=2), layers.Flatten()])
    assert stride_of(to_fully_convolutional(model), (4, 3)) == (2, 2)
    pooled = keras.Sequential([keras.Input((10, 10, 1)), layers.Conv2D(2, 3, strides=4), layers.GlobalMaxPooling2D()])
    network = to_fully_convolutional(pooled)  # maps of 2 x 2, of 7 of the 10 pixels
    assert stride_of(network, (10, 10)) == (4, 4)
    image = np.random.default_rng(0).normal(size=(18, 22, 1)).astype(np.float32)
    found = np.asarray(network(image[None]))[0]
    expected = np.asarray(pooled(windows_of(image, (10, 10), (4, 4)).reshape(-1, 10, 10, 1)))
    np.testing.assert_allclose(found.reshape(-1, 2), expected, atol=1e-5)


def test_the_model_is_not_changed():
    model = with_a_map_of_seven()
    image = np.ones((1, 17, 17, 3), np.float32)
    before, weights = np.asarray(model(image)), model.get_weights()
    network = to_fully_convolutional(model)
    network.set_weights([w * 0 for w in network.get_weights()])
    np.testing.assert_array_equal(np.asarray(model(image)), before)
    for a, b in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_which_networks_pad():
    assert not pads(of_the_literature())
    assert not pads(nested_and_pooled())
    body = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3, padding="same")])
    assert pads(keras.Sequential([keras.Input((8, 8, 3)), body, layers.Flatten()]))
    assert pads(keras.Sequential([keras.Input((8, 8, 3)), layers.ZeroPadding2D(1)]))
    assert not pads(keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 1, padding="same")]))


def test_what_has_no_convolutional_form():
    pixels = keras.Input((8, 8, 4))
    squeezed = layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(pixels)
    outputs = layers.Flatten()(layers.Multiply()([pixels, squeezed]))
    with pytest.raises(ValueError, match=r"'squeeze' \(GlobalAveragePooling2D\) has no convolutional form"):
        to_fully_convolutional(keras.Model(pixels, outputs))
    early = keras.Sequential([keras.Input((4, 4, 1)), layers.Flatten(), layers.BatchNormalization(name="late")])
    with pytest.raises(ValueError, match="'late'"):
        to_fully_convolutional(early)
    flat = keras.Sequential([keras.Input((4, 5, 1)), layers.Conv2D(2, 3), layers.Flatten()])
    with pytest.raises(ValueError, match=r"gives 12 outputs, which are a flattened map of 2 channels"):
        to_fully_convolutional(flat)
    with pytest.raises(ValueError, match="all fixed"):
        to_fully_convolutional(keras.Sequential([keras.Input((None, None, 3)), layers.GlobalMaxPooling2D()]))
    with pytest.raises(ValueError, match="expected a vector"):
        to_fully_convolutional(keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(2, 3)]))
    with pytest.raises(TypeError, match=r"expected a Sequential or functional keras\.Model"):
        to_fully_convolutional("model")
