"""Objects of Keras as plain data, from which no code is run."""

import keras
import pytest

from skcnn._training import keras_as_data, keras_from_data


def test_there_and_back():
    data = keras_as_data(keras.optimizers.SGD(momentum=0.5), "optimizer")
    assert isinstance(data["keras"], str)
    assert keras_from_data(data, "optimizer").momentum == 0.5
    assert keras_from_data(keras_as_data("adam", "optimizer"), "optimizer") == "adam"
    assert keras_as_data(None, "augmentation") is None


def test_code_is_refused():
    with pytest.raises(TypeError, match="augmentation holds a Lambda layer"):
        keras_as_data(keras.layers.Lambda(abs), "augmentation")
    with pytest.raises(TypeError, match="optimizer holds 'system'"):
        keras_from_data({"keras": '{"class_name": "system", "module": "os", "config": {}}'}, "optimizer")
