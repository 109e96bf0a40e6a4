import pickle
import warnings

import keras
import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from PIL import Image
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skcnn.backbones import get_backbone, list_backbones
from skcnn.engines import _keras_engine, clear_engines
from skcnn.feature_extraction import BottleneckFeatures
from skcnn.images import BadImageError, BadImageWarning
from skcnn.utils.estimator_checks import yield_image_transformer_checks


def small_network(seed=3):
    """A Keras model that takes pixels in [0, 255], its preprocessing inside."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((24, 20, 3))
    x = keras.layers.Rescaling(1 / 127.5, -1)(inputs)
    x = keras.layers.Conv2D(5, 3, activation="relu", name="first")(x)
    x = keras.layers.Conv2D(7, 3, strides=2, activation="relu", name="second")(x)
    return keras.Model(inputs, x)


def resnet20_reference(pixels, layer="stage3_unit3"):
    """Feature maps of the shipped network by Keras alone."""
    network = get_backbone("ResNet20").build(image_size=pixels.shape[1:3])
    tapped = keras.Model(network.inputs[0], network.get_layer(layer).output)
    return np.asarray(tapped(pixels.astype("float32") / 127.5 - 1, training=False))


def resized(images, size=32):
    return np.stack([np.asarray(Image.fromarray(p).resize((size, size), Image.Resampling.BILINEAR)) for p in images])


def assert_features(actual, expected, tolerance=1e-4):
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= tolerance * np.abs(expected).max()


@pytest.mark.parametrize(
    ("name", "check"),
    [
        pytest.param(name, check, id=f"{label}-{name}")
        for label, transformer in (
            ("ResNet20", BottleneckFeatures("ResNet20")),
            ("no-cache", BottleneckFeatures("ResNet20", cache=None, layers=[-1, "stage1_unit3"], pooling="max")),
            ("maps", BottleneckFeatures("ResNet20", pooling=None, image_size=(16, 12), resize="pad")),
            ("keras-model", BottleneckFeatures(small_network())),
        )
        for name, check in yield_image_transformer_checks(transformer)
    ],
)
def test_checks_for_image_transformers(name, check):
    check()


def test_features_are_kerass(images):
    maps = resnet20_reference(resized(images))
    assert_features(BottleneckFeatures("ResNet20").transform(images), maps.mean((1, 2)))
    assert_features(BottleneckFeatures("ResNet20", pooling="max").transform(images), maps.max((1, 2)))
    assert_features(BottleneckFeatures("ResNet20", pooling=None).transform(images), maps.reshape(6, -1))
    first = resnet20_reference(resized(images), "stage1_unit1").mean((1, 2))
    both = BottleneckFeatures("ResNet20", layers=["stage3_unit3", "stage1_unit1"]).transform(images)
    assert_features(both, np.hstack([maps.mean((1, 2)), first]))


def test_image_size_and_resize(images):
    features = BottleneckFeatures("ResNet20", image_size=(20, 40), resize="pad").transform(images)
    from PIL import ImageOps

    padded = np.stack(
        [np.asarray(ImageOps.pad(Image.fromarray(p), (40, 20), Image.Resampling.BILINEAR)) for p in images]
    )
    assert_features(features, resnet20_reference(padded).mean((1, 2)))


def test_a_keras_model(images):
    network = small_network()
    transformer = BottleneckFeatures(network)
    pixels = np.stack([np.asarray(Image.fromarray(p).resize((20, 24), Image.Resampling.BILINEAR)) for p in images])
    expected = np.asarray(network(pixels.astype("float32"))).mean((1, 2))
    assert_features(transformer.transform(images), expected)
    assert_features(clone(transformer).transform(images), expected)
    assert_features(pickle.loads(pickle.dumps(transformer)).transform(images), expected)
    assert BottleneckFeatures(network, layers="first").fit_transform(images).shape == (6, 5)


def test_another_keras_model_of_the_same_form_is_another_network(images):
    a = BottleneckFeatures(small_network(1)).transform(images)
    b = BottleneckFeatures(small_network(2)).transform(images)
    assert np.abs(a - b).max() > 0.01 * np.abs(a).max()


def test_a_callable(images):
    def build(input_shape):
        keras.utils.set_random_seed(0)
        return keras.Sequential([keras.Input(input_shape), keras.layers.Conv2D(3, 3)])

    features = BottleneckFeatures(build, image_size=(10, 12)).transform(images)
    assert features.shape == (6, 3)


def test_random_weights_follow_their_seed(images):
    def features(seed):
        clear_engines()
        return BottleneckFeatures("ResNet20", weights=None, random_state=seed, cache=None).transform(images)

    first = features(1)
    np.testing.assert_array_equal(first, features(1))
    assert np.abs(first - features(2)).max() > 0.01 * np.abs(first).max()


def test_bfloat16_is_near(images):
    exact = BottleneckFeatures("ResNet20").transform(images)
    rough = BottleneckFeatures("ResNet20", precision="bfloat16").transform(images)
    assert rough.dtype == np.float32
    cosine = (exact * rough).sum(1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(rough, axis=1)
    assert cosine.min() > 0.99
    assert np.abs(exact - rough).max() > 0  # it did compute in something else


def test_bfloat16_keeps_the_standardisation_of_pixels(images):
    # Keras's Normalization computes with copies of its weights, which set_weights leaves as they were.
    inputs = keras.Input((24, 20, 3))
    normalization = keras.layers.Normalization()
    normalization.adapt(images.astype("float32"))
    network = keras.Model(inputs, normalization(inputs))
    exact = BottleneckFeatures(network).transform(images)
    rough = BottleneckFeatures(network, precision="bfloat16").transform(images)
    assert_features(rough, exact, tolerance=0.02)


def test_names(images):
    names = BottleneckFeatures("ResNet20", layers=["stage1_unit3", "stage3_unit3"]).get_feature_names_out()
    assert len(names) == 16 + 64
    assert names[0] == "ResNet20_stage1_unit3_avg_0"
    assert names[-1] == "ResNet20_stage3_unit3_avg_63"
    names = BottleneckFeatures("ResNet20", pooling=None).get_feature_names_out()
    assert len(names) == 8 * 8 * 64
    assert names[64 * 8 * 2 + 64 * 5 + 17] == "ResNet20_stage3_unit3_2_5_17"


def test_an_image_goes_through_the_network_once(images, image_files, cache):
    transformer = BottleneckFeatures("ResNet20")
    transformer.transform(images)
    assert cache.info()[:2] == (6, 0)
    transformer.transform(images[::-1])
    clone(transformer).set_params(layers=["stage1_unit3"], pooling="max", batch_size=2).transform(images)
    assert cache.info()[:2] == (6, 12)
    transformer.transform(np.concatenate([images[:2], images[:1], 255 - images[:1]]))
    assert cache.info()[:2] == (7, 15)
    transformer.transform([image_files[0], image_files[1], image_files[0]])  # files: other content than arrays
    assert cache.info()[:2] == (9, 16)
    clone(transformer).set_params(cache=None).transform(images)
    assert cache.info()[:2] == (9, 16)  # not a matter of the cache
    clone(transformer).set_params(resize="crop").transform(images)  # another image to the network
    assert cache.info().passes == 15


def test_a_grid_search_makes_one_pass_an_image(cache):
    X = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
    y = np.array(["light", "dark"])[(X.mean((1, 2, 3)) < 127.5).astype(int)]
    pipeline = make_pipeline(BottleneckFeatures("ResNet20"), StandardScaler(), LogisticRegression(max_iter=2000))
    search = GridSearchCV(
        pipeline,
        {
            "logisticregression__C": [0.01, 0.1, 1, 10],
            "bottleneckfeatures__layers": [None, ["stage1_unit3", "stage2_unit3"]],
        },
        cv=5,
        n_jobs=1,
        error_score="raise",
    ).fit(X, y)
    assert len(search.cv_results_["params"]) == 8
    assert cache.info().passes == 40
    search.predict(X)
    assert cache.info().passes == 40


def test_beside_numbers_with_labels_and_two_processes(image_files):
    frame = pd.DataFrame({"image": image_files * 4, "age": np.arange(24.0)})
    y = np.array(["even" if index % 2 == 0 else "odd" for _ in range(4) for index in range(6)])
    columns = make_column_transformer(
        (BottleneckFeatures("ResNet20"), ["image"]), (StandardScaler(), ["age"])
    ).set_output(transform="pandas")
    pipeline = make_pipeline(columns, StandardScaler(), LogisticRegression())
    scores = cross_val_score(pipeline, frame, y, cv=3, n_jobs=2, error_score="raise")
    assert scores.min() > 0.8
    out = columns.fit_transform(frame)
    assert out.shape == (24, 65)
    assert list(out.columns[-2:]) == ["bottleneckfeatures__ResNet20_stage3_unit3_avg_63", "standardscaler__age"]


def test_processes_share_the_work(cache):
    X = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
    expected = BottleneckFeatures("ResNet20").transform(X)
    cache.clear()
    together = BottleneckFeatures("ResNet20", n_jobs=2, batch_size=2).transform(X)
    assert_features(together, expected)
    assert cache.info().passes == 40
    BottleneckFeatures("ResNet20").transform(X)
    assert cache.info().passes == 40  # what the workers computed is kept here


def test_processes_name_bad_rows_by_their_place(cache):
    X = [*np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)]
    X[33] = b"broken"
    with pytest.raises(BadImageError) as caught:
        BottleneckFeatures("ResNet20", n_jobs=2, batch_size=2, cache=None).transform(X)
    assert list(caught.value.bad_rows["row"]) == [33]


def test_forking_is_refused():
    X = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
    transformer = BottleneckFeatures("ResNet20", n_jobs=2, batch_size=2, cache=None)
    with parallel_config(backend="multiprocessing"), pytest.raises(RuntimeError, match="use 'loky'"):
        transformer.transform(X)


def bad_frame(image_files):
    return pd.DataFrame({"path": [image_files[0], "none.png", None, image_files[1], "none.png"]})


def test_bad_rows_are_named_at_once(image_files, cache):
    with pytest.raises(BadImageError, match=r"3 of 5 images.*\n  row 1: none.png: no such file") as caught:
        BottleneckFeatures("ResNet20").transform(bad_frame(image_files))
    assert list(caught.value.bad_rows["row"]) == [1, 2, 4]
    assert cache.info().passes == 0  # known before the network ran


def test_bad_rows_found_by_the_decoder_are_all_named(images):
    X = [*images, b"broken", *images, b"broken too"]
    for cache in ("memory", None):
        with pytest.raises(BadImageError) as caught:
            BottleneckFeatures("ResNet20", cache=cache, batch_size=2).transform(X)
        assert list(caught.value.bad_rows["row"]) == [6, 13]


@pytest.mark.parametrize("cache_kind", ["memory", None])
def test_bad_rows_become_nan(image_files, images, cache_kind):
    transformer = BottleneckFeatures("ResNet20", on_error="nan", cache=cache_kind)
    with pytest.warns(BadImageWarning, match="3 of 5") as caught:
        features = transformer.transform(bad_frame(image_files))
    assert list(caught[0].message.bad_rows["row"]) == [1, 2, 4]
    assert np.isnan(features[[1, 2, 4]]).all()
    assert_features(features[[0, 3]], BottleneckFeatures("ResNet20").transform(images[:2]))


def test_all_rows_bad():
    with pytest.warns(BadImageWarning):
        features = BottleneckFeatures("ResNet20", on_error="nan").transform(["a.png", "a.png"])
    assert features.shape == (2, 64)
    assert np.isnan(features).all()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"backbone": "ResNet21"}, "ResNet20"),
        ({"backbone": 5}, "backbone"),
        ({"layers": "stage9"}, "stage3_unit3"),
        ({"layers": []}, "layers"),
        ({"layers": 10_000}, "no layer"),
        ({"pooling": "mean"}, "'pooling' parameter.*'avg'"),
        ({"image_size": 0}, "image_size"),
        ({"resize": "squash"}, "'stretch'"),
        ({"batch_size": 0}, "batch_size"),
        ({"precision": "float16"}, "'bfloat16'"),
        ({"engine": "magic"}, "'keras'"),
        ({"cache": 5}, "'memory'"),
        ({"on_error": "ignore"}, "'nan'"),
        ({"max_pixels": 0}, "max_pixels"),
        ({"random_state": -1}, "random_state"),
        ({"weights": "no-such-weights"}, "no-such-weights"),
        ({"weights": "no/such/file.h5"}, "no/such/file.h5"),
    ],
)
def test_bad_parameters_are_named(parameters, message, images):
    with pytest.raises((ValueError, TypeError, OSError), match=message):
        BottleneckFeatures(**{"backbone": "ResNet20", **parameters}).transform(images)


def test_one_network_per_process(images, monkeypatch):
    clear_engines()
    built = []
    build = _keras_engine.build_record_model
    monkeypatch.setattr(_keras_engine, "build_record_model", lambda plan: built.append(plan) or build(plan))
    transformer = BottleneckFeatures("ResNet20", cache=None)
    for each in (transformer, clone(transformer), pickle.loads(pickle.dumps(transformer))):
        each.transform(images)
    assert len(built) == 1
    assert len(pickle.dumps(transformer)) < 2000


def test_progress_is_shown_and_quiet_by_default(images, capsys):
    BottleneckFeatures("ResNet20", cache=None).transform(images)
    assert capsys.readouterr().err == ""
    BottleneckFeatures("ResNet20", cache=None, verbose=1).transform(images)
    assert "6/6" in capsys.readouterr().err


def test_every_backbone_is_known_without_building_it():
    for name in list_backbones()["name"]:
        weights = "pretrained" if get_backbone(name).weights else None
        names = BottleneckFeatures(name, weights=weights).get_feature_names_out()
        assert names[0].startswith(f"{name}_")


@pytest.mark.slow
def test_real_images_make_a_good_classifier(shared):
    folder = shared / "data" / "flowers5"
    paths, labels = [], []
    for kind in ("roses", "sunflowers"):
        found = sorted(str(path) for path in (folder / kind).iterdir())[:60]
        paths += found
        labels += [kind] * len(found)
    weights = shared / "weights" / "mobilenet_v2_1.0_224.weights.h5"
    pipeline = make_pipeline(BottleneckFeatures("MobileNetV2", weights=weights), LogisticRegression(C=0.1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = cross_val_score(pipeline, pd.DataFrame({"path": paths}), labels, cv=4, error_score="raise")
    assert scores.mean() > 0.85
