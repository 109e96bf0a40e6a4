"""skcnn._keras: the one seam to Keras."""

import random
import threading

import keras
import numpy as np
import pytest

from skcnn import _keras
from skcnn._keras import building, copy_model, model_to_bytes
from skcnn._network_files import network_from_archive
from skcnn.backbones import as_backbone
from skcnn.neural_network import build_cnn


def small(input_shape):
    """Build a network of one layer with random weights."""
    return keras.Sequential([keras.Input(input_shape), keras.layers.Conv2D(4, 3)])


def build_backbone():
    return as_backbone(small, image_size=(8, 8)).build(random_state=1).get_weights()


def build_head():
    parameters = {"backbone": small, "image_size": 8, "hidden_layer_sizes": (5,), "random_state": 2}
    return build_cnn({"n_classes_": 3}, **parameters).get_weights()


class WatchedLock:
    """A lock that says when one has to wait for it."""

    def __init__(self, waiting):
        self._lock, self._waiting = threading.RLock(), waiting

    def __enter__(self):
        if not self._lock.acquire(blocking=False):
            self._waiting.set()
            self._lock.acquire()

    def __exit__(self, *error):
        self._lock.release()


def test_two_threads_do_not_draw_from_each_others_seeds(monkeypatch):
    alone = {"backbone": build_backbone(), "head": build_head()}
    built, seed = {}, random.seed
    seeded, go_on = threading.Event(), threading.Event()
    first = threading.Thread(target=lambda: built.__setitem__("backbone", build_backbone()))
    second = threading.Thread(target=lambda: built.__setitem__("head", build_head()))

    def watched_seed(value):
        seed(value)
        if threading.current_thread() is second:
            go_on.set()
        elif not seeded.is_set():
            seeded.set()
            assert go_on.wait(60)

    # The first thread stops between seeding the generator and drawing from it, until the second one has seeded the
    # generator as well, or has to wait.
    monkeypatch.setattr(random, "seed", watched_seed)
    monkeypatch.setattr(_keras, "_building", WatchedLock(go_on))
    first.start()
    assert seeded.wait(60)
    second.start()
    for thread in (first, second):
        thread.join()
    for name, weights in alone.items():
        for expected, found in zip(weights, built[name], strict=True):
            np.testing.assert_array_equal(found, expected)


def seeded(seed):
    """Build the small network with weights of its own, and a layer that copies its weights."""
    with building(seed):
        model = small((8, 8, 3))
        model.add(keras.layers.Normalization(mean=[1.0] * 4, variance=[2.0] * 4))
    return model


def test_nested_blocks_draw_from_their_own_seed():
    with building(1):
        inner = seeded(2).get_weights()[0]
        outer = small((8, 8, 3)).get_weights()[0]
    np.testing.assert_array_equal(inner, seeded(2).get_weights()[0])
    np.testing.assert_array_equal(outer, seeded(1).get_weights()[0])


@pytest.mark.parametrize(
    "make",
    [lambda model: seeded(4), copy_model, lambda model: network_from_archive(model_to_bytes(model))],
    ids=["building", "copy_model", "network_from_archive"],
)
def test_the_generator_of_the_process_is_left_alone(make):
    model = seeded(3)
    state = random.getstate()
    make(model)
    assert random.getstate() == state


def test_a_copy_computes_the_same_and_shares_nothing():
    model = seeded(3)
    copy = copy_model(model)
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 3)).astype("float32")
    expected = model(pixels).numpy()
    np.testing.assert_array_equal(copy(pixels), expected)
    assert not {id(layer) for layer in copy.layers} & {id(layer) for layer in model.layers}
    copy.set_weights([np.zeros_like(weight) for weight in copy.get_weights()])
    np.testing.assert_array_equal(model(pixels), expected)


def test_a_copy_with_other_entries_of_the_configuration():
    def without_bias(operation):
        return {"use_bias": False} if isinstance(operation, keras.layers.Conv2D) else {}

    model = seeded(3)
    copy = copy_model(model, changed=without_bias, copy_weights=False)
    assert [weight.shape for weight in copy.layers[0].weights] == [(3, 3, 3, 4)]
    assert model.layers[0].use_bias


def test_a_copy_that_leaves_a_layer_out():
    pixels = keras.Input((8, 8, 3))
    hidden = keras.layers.Conv2D(4, 3, name="kept")(pixels)
    model = keras.Model(pixels, keras.layers.ReLU(name="left_out")(hidden))

    def call(operation, *arguments, **options):
        return arguments[0] if operation.name == "left_out" else operation(*arguments, **options)

    assert [layer.name for layer in copy_model(model, call=call).layers][1:] == ["kept"]
