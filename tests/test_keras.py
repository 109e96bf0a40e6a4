"""skcnn._keras: the one seam to Keras."""

import functools
import os
import random
import subprocess
import sys
import threading

import keras
import numpy as np
import pytest
from sklearn.base import clone

from skcnn._keras import _settings, building, copy_model, model_digest, model_to_bytes
from skcnn._network_files import network_from_archive
from skcnn.backbones import as_backbone
from skcnn.feature_extraction import BottleneckFeatures
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
    monkeypatch.setattr(_settings, "_building", WatchedLock(go_on))
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


SCALE = 127.5


def helper(x):
    return x - 1


def scaled(x):
    return helper(x / SCALE)


def with_lambda(function, nested=False):
    pixels = keras.Input((8, 8, 3))
    layer = keras.layers.Lambda(function, name="scaling")
    if nested:
        layer = keras.Sequential([keras.Input((8, 8, 3)), layer], name="inner")
    with building(0):
        return keras.Model(pixels, keras.layers.Conv2D(2, 3, name="edges")(layer(pixels)), name="cnn")


FUNCTIONS = {
    "lambda": lambda x: x / SCALE - 1,
    "function": scaled,
    "of Keras": keras.applications.mobilenet_v2.preprocess_input,
}


@pytest.mark.parametrize("nested", [False, True], ids=["", "nested"])
@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_functions_in_a_live_model_are_used_as_they_are(function, nested):
    model = with_lambda(function, nested)
    X = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    expected = model(X.astype("float32")).numpy()
    np.testing.assert_allclose(copy_model(model)(X.astype("float32")), expected)
    features = BottleneckFeatures(model, pooling=None, cache=None, engine="keras")
    for transformer in (features, clone(features)):  # as a search makes them
        np.testing.assert_allclose(transformer.transform(X), expected.reshape(4, -1), atol=1e-4)
    with pytest.raises(TypeError, match=r"Lambda layer 'scaling'.*keras\.layers\.Rescaling"):
        model_to_bytes(model)


def test_a_model_is_known_by_what_its_functions_compute(monkeypatch):
    def made(number):
        def scale(x):
            return x / number

        return scale

    # All of one name, which is all that Keras writes down of the last three.
    functions = [lambda x: x, lambda x: x + 1, made(2), made(3), scaled]
    digests = [model_digest(with_lambda(function)) for function in functions]
    assert len(set(digests)) == len(digests)
    assert model_digest(with_lambda(made(2))) == digests[2]
    assert model_digest(with_lambda(scaled, nested=True)) not in digests
    monkeypatch.setitem(globals(), "SCALE", 255)
    changed = model_digest(with_lambda(scaled))
    assert changed != digests[4]
    monkeypatch.setitem(globals(), "helper", lambda x: x - 2)
    assert model_digest(with_lambda(scaled)) not in (changed, digests[4])


def test_a_function_that_keras_cannot_describe():
    model = with_lambda(functools.partial(keras.ops.multiply, 2.0))
    with pytest.raises(TypeError, match=r"cannot describe the model 'cnn'.*keras\.layers\.Rescaling"):
        BottleneckFeatures(model).transform(np.zeros((1, 8, 8, 3), np.uint8))


#: As TensorFlow 2.21, and older versions, write them.
NOTICES = (
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n"
    "I0000 00:00:1795677748.064129   32243 port.cc:153] oneDNN custom operations are on. You may see\n"
    "2024-05-01 10:00:00.123456: I tensorflow/core/util/port.cc:113] oneDNN custom operations are on.\n"
    "I0000 00:00:1795677748.748740   32243 cpu_feature_guard.cc:227] This TensorFlow binary is optimized to use\n"
    "To enable the following instructions: AVX2 AVX512F FMA, in other operations, rebuild TensorFlow\n"
    "E0000 00:00:1795677753.997448   32243 cuda_platform.cc:52] failed call to cuInit: INTERNAL: CUDA error\n"
)
OTHERS = "F0000 00:00:1795677753.997448   32243 cpu_feature_guard.cc:9] compiled to use AVX\nlibfoo: no such file\n"


@pytest.fixture
def run_with_stand_in(tmp_path):
    """Run code in a process where Keras and TensorFlow are stand-ins that write notices and have ``at_start`` run."""
    (tmp_path / "tensorflow.py").write_text(
        f"import contextlib, os\nwith contextlib.suppress(OSError):\n    os.write(2, {(NOTICES + OTHERS).encode()!r})\n"
    )
    (tmp_path / "keras.py").write_text(
        "import os, tensorflow\nclass ops:\n    @staticmethod\n    def zeros(n):\n"
        f"        os.write(2, {NOTICES.encode()!r})\n        print('started')\n"
    )

    def run(code, at_start="", **environment):
        with (tmp_path / "keras.py").open("a") as file:
            file.write(at_start)
        given = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
        path = os.pathsep.join([str(tmp_path), *sys.path])
        return subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            env={**given, "PYTHONPATH": path, **environment},
        )

    return run


@pytest.mark.parametrize("level", [{}, {"TF_CPP_MIN_LOG_LEVEL": "3"}])
def test_notices_of_tensorflow_are_not_shown(run_with_stand_in, level):
    code = (
        "import os; from skcnn._keras import *; start_keras(); start_keras(); print(os.environ['TF_CPP_MIN_LOG_LEVEL'])"
    )
    done = run_with_stand_in(code, **level)
    assert done.stderr == OTHERS
    assert done.stdout.split() == ["started", level.get("TF_CPP_MIN_LOG_LEVEL", "2")]


@pytest.mark.parametrize(
    ("before", "level"), [("", {"TF_CPP_MIN_LOG_LEVEL": "0"}), ("import tensorflow; ", {})], ids=["asked", "imported"]
)
def test_notices_of_tensorflow_are_shown(run_with_stand_in, before, level):
    code = (
        f"import os; {before}from skcnn._keras import *; start_keras(); print(os.environ.get('TF_CPP_MIN_LOG_LEVEL'))"
    )
    done = run_with_stand_in(code, **level)
    assert done.stderr == NOTICES + OTHERS  # and TensorFlow itself is left to start when it is used
    assert done.stdout.split() == [level.get("TF_CPP_MIN_LOG_LEVEL", "None")]


def test_all_is_shown_if_the_import_fails(run_with_stand_in):
    done = run_with_stand_in("from skcnn._keras import *; start_keras()", at_start="raise ImportError('libcudart')\n")
    assert done.stderr.startswith(NOTICES + OTHERS)
    assert done.stderr.rstrip().endswith("ImportError: libcudart")


def test_closed_standard_error(run_with_stand_in):
    done = run_with_stand_in("import os; os.close(2); from skcnn._keras import *; import_keras(); print('here')")
    assert done.stdout.split() == ["here"]


@pytest.mark.slow
def test_a_script_writes_nothing_of_tensorflow():
    code = "from skcnn.backbones import get_backbone; get_backbone('ResNet20').build(); import tensorflow as tf; "
    given = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run(
        [sys.executable, "-c", code + "print(tf.__name__)"], capture_output=True, text=True, check=True, env=given
    )
    assert (done.stdout, done.stderr) == ("tensorflow\n", "")
