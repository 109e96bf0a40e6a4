"""Settings of the process, Keras's and scikit-learn's, change no result: graphs are built and run under their own."""

import threading
from contextlib import contextmanager
from dataclasses import replace

import keras
import numpy as np
import pytest
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from toy import TOY, build_toy

import skcnn
from skcnn._keras import _settings, pinned
from skcnn.backbones import _backbone, scale_pixels
from skcnn.cache import FeatureCache, memory_cache
from skcnn.engines import clear_engines
from skcnn.feature_extraction import BottleneckFeatures, feature_network
from skcnn.inspection import GradCAMDisplay
from skcnn.neural_network import CNNClassifier, _network, build_cnn, clear_graphs, trained_network

SETTINGS = {
    "half precision": {"dtype_policy": "mixed_float16", "image_data_format": "channels_first", "output": "pandas"},
    "double precision": {"floatx": "float64", "dtype_policy": "float64", "epsilon": 0.1, "output": "polars"},
}


def read():
    """Return Keras's settings."""
    policy = keras.config.dtype_policy().name
    return {"dtype_policy": policy, **{name: getattr(keras.config, name)() for name in _settings._SETTINGS}}


@contextmanager
def settings(output="default", **given):
    """Settings of Keras, and the output of scikit-learn's transformers; they are still so at the end of the block."""
    before = read()
    try:
        for name, value in given.items():
            getattr(keras.config, f"set_{name}")(value)
        with sklearn.config_context(transform_output=output):
            yield
            assert sklearn.get_config()["transform_output"] == output
        assert read() == {**before, **given}
    finally:
        for name, value in before.items():
            getattr(keras.config, f"set_{name}")(value)


#: Its preprocessing has numbers for each channel.
TORCH = replace(TOY, preprocessing="torch")


def forget():
    """Forget every graph and record of the process, so that all are made anew."""
    clear_engines()
    clear_graphs()
    memory_cache().clear()
    _network._initial.clear()
    _backbone._built_digest.cache_clear()


def outputs(network, tensor, pixels):
    model = keras.Model(network.inputs[0], tensor)
    return keras.ops.convert_to_numpy(model(keras.ops.convert_to_numpy(pixels), training=False))


def results(X, y, model, folder):
    """Return what everything public that reaches Keras gives, as arrays by name; ``model`` is one of the user's."""
    found = {}
    for mode in ("none", "tf", "torch", "caffe"):
        found[f"scale_pixels {mode}"] = keras.ops.convert_to_numpy(scale_pixels(X[:2].astype("float64"), mode))
    found["build"] = np.concatenate([w.ravel() for w in TOY.build(weights=None).get_weights()])

    extract = BottleneckFeatures(TORCH, engine="keras", layers=["first", "parts"], cache=folder)
    exported = sklearn.clone(extract).set_params(engine="openvino", cache=folder / "openvino")
    for name, features in {"features": extract, "features of OpenVINO": exported}.items():
        out = features.transform(X)
        assert type(out).__module__.partition(".")[0] in ("numpy", "pandas", "polars")
        found[name] = np.asarray(out)

    scaled = scale_pixels(X[:2], "torch")
    built = feature_network(extract)
    found["feature_network"] = outputs(built.network, built.features, scaled)
    pipe = make_pipeline(extract, StandardScaler(), LogisticRegression()).fit(X, y)
    found["pipeline"] = pipe.predict_proba(X).astype("float32")  # scikit-learn computes frames of polars in float64
    found["GradCAM of a pipeline"] = GradCAMDisplay.from_estimator(pipe, X[:2], target=y[:2]).heatmaps

    classifier = CNNClassifier(
        model, head_epochs=0, epochs=1, head_learning_rate=0.05, learning_rate=0.01, dropout=0.2, early_stopping=True,
        validation_fraction=0.4, batch_size=4, random_state=0,
        augmentation=[keras.layers.RandomFlip(), keras.layers.RandomContrast(0.2)],
    )  # fmt: skip
    head = sklearn.clone(classifier).set_params(
        augmentation=None, head_epochs=1, epochs=0, early_stopping=False, loss="kl_divergence"
    )
    for name, cnn in {"fine": classifier.fit(X, y), "head": head.fit(X, y)}.items():
        found[f"{name} probabilities"] = cnn.predict_proba(X)
        found[f"{name} features"] = np.asarray(cnn.features(X))
        found[f"{name} history"] = cnn.history_.select_dtypes("number").to_numpy()
        found[f"{name} model_"] = keras.ops.convert_to_numpy(cnn.model_(X[:2].astype("float32")))
    trained = trained_network(classifier)
    found["trained_network"] = outputs(trained.network, trained.features, scale_pixels(X[:2], "none"))
    found["GradCAM"] = GradCAMDisplay.from_estimator(classifier, X[:2], target=y[:2]).heatmaps
    skcnn.save(classifier.set_params(augmentation=None), folder / "model.skcnn")
    found["loaded"] = skcnn.load(folder / "model.skcnn").predict_proba(X)
    np.testing.assert_array_equal(found["loaded"], found["fine probabilities"])
    cnn = build_cnn({"n_classes_": 2}, backbone=TOY, random_state=1)
    found["build_cnn"] = keras.ops.convert_to_numpy(cnn(X[:2].astype("float32")))
    return found


@pytest.fixture(scope="module")
def data():
    generator = np.random.default_rng(0)
    X = generator.integers(0, 256, (12, 16, 16, 3)).astype(np.uint8)
    return X, np.array(["cat", "dog"])[np.arange(12) % 2], build_toy(weights="toy")


@pytest.fixture(scope="module")
def expected(data, tmp_path_factory):
    pytest.importorskip("openvino")
    forget()
    return results(*data, tmp_path_factory.mktemp("unset"))


@pytest.mark.parametrize("given", SETTINGS.values(), ids=SETTINGS)
def test_settings_of_the_process_change_nothing(data, expected, tmp_path, given):
    forget()
    with settings(**given):
        found = results(*data, tmp_path)
    forget()
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].dtype == value.dtype, name
        tolerance = 1e-5 if "pipeline" in name else 1e-6
        np.testing.assert_allclose(found[name], value, rtol=0, atol=tolerance, err_msg=name)
    # What the cache holds is what anybody else puts there.
    features = BottleneckFeatures(TORCH, layers=["first", "parts"], cache=tmp_path)
    np.testing.assert_array_equal(features.transform(data[0]), expected["features"])
    assert FeatureCache(tmp_path).info().passes == len(data[0])


def test_callbacks_see_the_users_output_of_transformers(data):
    X, y, _ = data
    made = []

    def factory():
        made.append(sklearn.get_config()["transform_output"])
        return keras.callbacks.Callback()

    with sklearn.config_context(transform_output="pandas"):
        CNNClassifier(TOY, head_epochs=1, epochs=0, callbacks=[factory], random_state=0).fit(X, y)
    assert made == ["pandas"]


def test_threads_share_the_pins():
    inside, leave = threading.Event(), threading.Event()

    def stay():
        with pinned():
            inside.set()
            assert leave.wait(60)

    with settings(floatx="float64", image_data_format="channels_first", epsilon=0.1):
        thread = threading.Thread(target=stay)
        thread.start()
        assert inside.wait(60)
        with pinned():
            pass
        # The other thread is still at work.
        assert (keras.config.floatx(), keras.config.image_data_format()) == ("float32", "channels_last")
        leave.set()
        thread.join()
        assert (keras.config.floatx(), keras.config.image_data_format()) == ("float64", "channels_first")


def test_an_error_leaves_the_settings_as_they_were():
    def fail():
        with pinned(), pinned():
            assert read() == {"dtype_policy": "float32", **_settings._SETTINGS}
            raise ZeroDivisionError

    with settings(**SETTINGS["double precision"]), pytest.raises(ZeroDivisionError):
        fail()
