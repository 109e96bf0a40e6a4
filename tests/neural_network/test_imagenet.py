"""ImageNetClassifier: the classes of ImageNet, in their order, by a network that needs no fit."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import zipfile

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.base import clone, is_classifier
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted, validate_data
from toy import TOY_IMAGENET, build_toy_imagenet

import skcnn
from skcnn.backbones import get_backbone, scale_pixels
from skcnn.cache import memory_cache
from skcnn.images import BadImageError, BadImageWarning, Images
from skcnn.neural_network import ImageNetClassifier
from skcnn.utils.estimator_checks import yield_image_classifier_checks

#: The digest of the file from which keras.applications.imagenet_utils.decode_predictions takes classes.
KERAS_MD5 = "c2c37ea517e94d9795004a39431a14cb"


@pytest.fixture
def toy() -> ImageNetClassifier:
    return ImageNetClassifier(TOY_IMAGENET, engine="keras")


@pytest.fixture
def small() -> np.ndarray:
    """Eight images (8, 16, 16, 3) of noise, at the size of the network."""
    return np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), dtype=np.uint8)


def class_index(classifier) -> str:
    """Write the classes as Keras's own file does: names with underscores, duplicates as they are."""
    words = [name.removesuffix(f" ({wnid})") for name, wnid in zip(classifier.classes_, classifier.wnids_, strict=True)]
    pairs = zip(classifier.wnids_.tolist(), words, strict=True)
    return json.dumps({str(code): [wnid, word.replace(" ", "_")] for code, (wnid, word) in enumerate(pairs)})


def test_classes_are_keras_own_byte_for_byte():
    assert hashlib.md5(class_index(ImageNetClassifier()).encode(), usedforsecurity=False).hexdigest() == KERAS_MD5


def test_names_are_unique_and_readable():
    classifier = ImageNetClassifier()
    names = classifier.classes_.tolist()
    assert len(set(names)) == len(set(classifier.wnids_.tolist())) == 1000
    assert not any("_" in name for name in names)
    assert [name for name in names if "(" in name] == [
        "crane (n02012849)",
        "crane (n03126707)",
        "maillot (n03710637)",
        "maillot (n03710721)",
    ]
    with pytest.raises(ValueError, match="read-only"):
        classifier.classes_[0] = "fish"


def test_names_are_those_of_the_labels_file(shared):
    lines = (shared / "weights" / "imagenet_labels.txt").read_text().splitlines()[1:]  # the first is "background"
    first = [line.split(", ")[0] for line in lines]
    assert [name.partition(" (")[0] for name in ImageNetClassifier().classes_] == first


def test_as_decode_predictions(toy, small, tmp_path, monkeypatch):
    # Keras reads its file from here, and verifies its digest.
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path))
    monkeypatch.setattr(keras.applications.imagenet_utils, "CLASS_INDEX", None, raising=False)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "imagenet_class_index.json").write_text(class_index(toy))
    probabilities = toy.predict_proba(small)
    decoded = keras.applications.imagenet_utils.decode_predictions(probabilities, top=7)
    found = toy.predict_top_k(small, k=7)
    for row, expected in enumerate(decoded):
        mine = found.loc[row]
        assert mine["wnid"].tolist() == [wnid for wnid, _, _ in expected]
        words = [name.partition(" (")[0].replace(" ", "_") for name in mine["class"]]
        assert words == [word for _, word, _ in expected]
        np.testing.assert_array_equal(mine["probability"], [probability for _, _, probability in expected])


def test_probabilities_are_the_networks(toy, small):
    network = build_toy_imagenet(include_top=True, weights="imagenet")
    expected = np.asarray(network(scale_pixels(small, "tf")))
    found = toy.predict_proba(small)
    assert found.shape == (8, 1000)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-12)
    assert len(set(expected.argmax(axis=1))) > 2  # else names could not be wrong
    assert toy.predict(small).tolist() == toy.classes_[expected.argmax(axis=1)].tolist()


def test_images_of_another_size_are_resized_to_that_asked_for(toy, images):
    network = build_toy_imagenet(include_top=True, weights="imagenet", input_shape=(24, 20, 3))
    resized = np.stack([np.asarray(Image.fromarray(pixels).resize((20, 24))) for pixels in images])
    found = toy.set_params(image_size=(24, 20)).predict_proba(resized)
    np.testing.assert_allclose(found, np.asarray(network(scale_pixels(resized, "tf"))), rtol=1e-3, atol=1e-5)
    assert not np.allclose(toy.set_params(image_size=None).predict_proba(resized), found, atol=1e-3)


def test_top_k(toy, small):
    probabilities = toy.predict_proba(small)
    found = toy.predict_top_k(small, k=3)
    assert found.columns.tolist() == ["wnid", "class", "probability"]
    assert found.index.names == ["row", "rank"]
    assert found.index.tolist()[:4] == [(0, 1), (0, 2), (0, 3), (1, 1)]
    np.testing.assert_array_equal(found["probability"].to_numpy().reshape(8, 3), -np.sort(-probabilities)[:, :3])
    assert found.xs(1, level="rank")["class"].tolist() == toy.predict(small).tolist()
    assert len(toy.predict_top_k(small[:1], k=2000)) == 1000
    assert len(toy.predict_top_k(small[:1])) == 5
    for k in (0, 2.0, "5"):
        with pytest.raises(ValueError, match="expected an int >= 1"):
            toy.predict_top_k(small, k=k)


def test_top_k_has_the_index_of_a_frame(toy, small, tmp_path):
    Image.fromarray(small[0]).save(tmp_path / "a.png")
    frame = pd.DataFrame({"path": ["a.png", "a.png"]}, index=["x", "y"])
    found = toy.set_params(root=tmp_path).predict_top_k(frame, k=1)
    assert found.index.tolist() == [("x", 1), ("y", 1)]
    assert found.loc["x"].equals(found.loc["y"])


def test_score_by_name_and_by_identifier(toy, small):
    predicted = toy.predict(small)
    wnids = dict(zip(toy.classes_, toy.wnids_, strict=True))
    y = predicted.copy()
    y[:2] = "tench" if "tench" not in predicted[:2] else "goldfish"
    assert toy.score(small, y) == 0.75
    assert toy.score(small, [wnids[name] for name in y]) == 0.75
    assert toy.score(small, pd.Series(y), sample_weight=[0, 0, 1, 1, 1, 1, 1, 1]) == 1
    assert cross_val_score(toy, small, y, cv=[([0], [0, 1]), ([0], [2, 3])]).tolist() == [0, 1]


def test_score_of_other_classes_is_refused(toy, small):
    with pytest.raises(
        ValueError, match=r"Got 'maillot'; expected names .* Did you mean 'maillot \(n03710637\)' or 'mai"
    ):
        toy.score(small, ["tench"] * 7 + ["maillot"])
    with pytest.raises(ValueError, match="Got '1'"):
        toy.score(small, [1] * 8)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        toy.score(small, ["tench"])
    with pytest.raises(ValueError, match="requires y to be passed"):
        toy.score(small, None)


def test_an_image_goes_through_the_network_once(toy, small, cache):
    toy.predict(small)
    toy.predict_proba(small[::-1])
    clone(toy).predict_top_k(small, k=2)
    assert memory_cache().info().passes == 8


def test_images_that_cannot_be_read(toy, small):
    X = [small[0], b"no image", small[1]]
    with pytest.raises(BadImageError, match="row 1"):
        toy.predict_proba(X)
    toy.set_params(on_error="nan")
    with pytest.warns(BadImageWarning):
        found = toy.predict_proba(X)
    assert np.isnan(found[1]).all()
    np.testing.assert_allclose(found[[0, 2]], toy.predict_proba(small[:2]))
    for method in (toy.predict, toy.predict_top_k, lambda X: toy.score(X, ["tench"] * 3)):
        with pytest.raises(BadImageError, match="there is no class for them"):
            method(X)
    file = io.BytesIO()
    Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(file, "png")
    with pytest.raises(BadImageError, match="400 pixels"):
        toy.set_params(max_pixels=399).predict([file.getvalue()])


def test_needs_no_fit_and_learns_nothing(toy, small):
    check_is_fitted(toy)
    assert is_classifier(toy)
    before = toy.predict_proba(small)
    assert toy.fit(small, ["cat"] * 8) is toy
    assert toy.fit(small) is toy
    np.testing.assert_array_equal(toy.predict_proba(small), before)
    assert len(toy.classes_) == 1000
    tags = toy.__sklearn_tags__()
    assert not tags.requires_fit
    assert not tags.target_tags.required
    assert tags.input_tags.three_d_array
    assert not tags.input_tags.two_d_array


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"backbone": "ResNet20"}, "ResNet20 has no classifier of the classes of ImageNet; expected a network of"),
        ({"backbone": "MobilNetV2"}, "Did you mean 'MobileNetV2'"),
        ({"backbone": "VGG16", "image_size": 128, "weights": None}, "images of 224 x 224 pixels only"),
        ({"weights": "cifar10"}, "has no weights 'cifar10'"),
        ({"resize": "squash"}, "'resize' parameter"),
        ({"engine": "fast"}, "'engine' parameter"),
        ({"image_size": 0}, "image_size=0"),
    ],
)
def test_parameters_that_do_not_fit(small, parameters, message):
    classifier = ImageNetClassifier(TOY_IMAGENET).set_params(**parameters)
    with pytest.raises(ValueError, match=message):
        classifier.predict(small)


def test_a_model_of_ones_own(small):
    network = build_toy_imagenet(include_top=True, weights="imagenet")
    pixels = keras.Input((16, 16, 3))
    whole = keras.Model(pixels, network(keras.layers.Rescaling(1 / 127.5, offset=-1)(pixels)))
    found = ImageNetClassifier(whole, engine="keras").predict_proba(small)
    expected = ImageNetClassifier(TOY_IMAGENET, engine="keras").predict_proba(small)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)

    few = keras.Model(pixels, keras.layers.Dense(10)(keras.layers.Flatten()(pixels)))
    with pytest.raises(ValueError, match=r"gives \(None, 10\); expected \(None, 1000\)"):
        ImageNetClassifier(few).fit(small)
    scores = keras.Model(pixels, keras.layers.Dense(1000)(keras.layers.Flatten()(pixels)))
    with pytest.raises(ValueError, match="expected a model that ends in a softmax"):
        ImageNetClassifier(scores, engine="keras").predict(small)


def test_weights_of_a_file(small, tmp_path):
    path = tmp_path / "mine.weights.h5"
    build_toy_imagenet(include_top=True, weights="imagenet").save_weights(path)
    classifier = ImageNetClassifier(TOY_IMAGENET, weights=path, engine="keras", cache=tmp_path / "cache")
    expected = ImageNetClassifier(TOY_IMAGENET, engine="keras").predict_proba(small)
    np.testing.assert_allclose(classifier.predict_proba(small), expected, rtol=1e-5, atol=1e-8)
    again = pickle.loads(pickle.dumps(classifier))
    np.testing.assert_array_equal(again.predict_proba(small), classifier.predict_proba(small))


def test_saved_and_loaded(small, tmp_path, monkeypatch):
    monkeypatch.setattr("skcnn.backbones._registry._registered", {TOY_IMAGENET.name: TOY_IMAGENET})
    path = tmp_path / "mine.weights.h5"
    build_toy_imagenet(include_top=True, weights="imagenet").save_weights(path)
    classifier = ImageNetClassifier("ToyImageNet", weights=path, engine="keras", cache=tmp_path / "cache", batch_size=4)
    expected = classifier.predict_top_k(small)
    skcnn.save(classifier, tmp_path / "a.skcnn")
    path.unlink()
    again = skcnn.load(tmp_path / "a.skcnn")
    assert type(again) is ImageNetClassifier
    assert (again.backbone, again.batch_size, again.cache) == ("ToyImageNet", 4, "memory")
    assert again.predict_top_k(small).equals(expected)
    with zipfile.ZipFile(tmp_path / "a.skcnn") as archive:
        stored = b"".join(archive.read(name) for name in archive.namelist())
    assert str(tmp_path).encode() not in stored


def test_saved_with_published_weights_is_small(tmp_path):
    skcnn.save(ImageNetClassifier("VGG16"), tmp_path / "a.skcnn")
    assert skcnn.load(tmp_path / "a.skcnn").get_params() == ImageNetClassifier("VGG16").get_params()
    assert (tmp_path / "a.skcnn").stat().st_size < 20_000


#: Those that do not want an estimator to learn the labels that it is given.
CHECKS = (
    "check_parameters",
    "check_fit_changes_no_parameter",
    "check_refit",
    "check_order_and_batches",
    "check_input_forms",
    "check_features_in",
    "check_copies",
    "check_threads",
    "check_input_untouched",
)


@pytest.mark.parametrize("name", CHECKS)
def test_checks_of_classifiers_of_images(name, toy):
    dict(yield_image_classifier_checks(toy))[name]()


class RowsAsImages(ImageNetClassifier):
    """Takes tables of numbers, each row as an image one pixel high; for scikit-learn's checks alone.

    These take differences of what is predicted: codes of classes instead of names.
    """

    def predict(self, X):
        return np.argsort(self.classes_)[np.searchsorted(np.sort(self.classes_), super().predict(X))]

    def _check_input(self, X, *, reset):
        self._validate_params()
        X = validate_data(self, X, reset=reset, dtype="float64")
        pixels = np.rint(255 / (1 + np.exp(-np.clip(X, -30, 30)))).astype(np.uint8)
        return Images([row[None, :] for row in pixels])

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        tags.input_tags.one_d_array = tags.input_tags.three_d_array = tags.input_tags.string = False
        return tags


def expected_to_fail(estimator):
    """Checks that give labels of their own, which neither ``fit`` nor ``score`` takes."""
    names = (
        "check_fit_score_takes_y",
        "check_pipeline_consistency",
        "check_classifiers_one_label",
        "check_classifiers_classes",
        "check_classifiers_train",
        "check_classifiers_regression_target",
        "check_supervised_y_no_nan",
        "check_supervised_y_2d",
    )
    return dict.fromkeys(names, "the classes are those of ImageNet, and y is ignored")


@parametrize_with_checks([RowsAsImages(TOY_IMAGENET, engine="keras")], expected_failed_checks=expected_to_fail)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("ConvNeXtTiny", "convnext"),
        ("DenseNet121", "densenet"),
        ("EfficientNetB0", "efficientnet"),
        ("MobileNet", "mobilenet"),
        ("MobileNetV3Small", "mobilenet_v3"),
        ("ResNet50", "resnet"),
    ],
)
def test_each_family_gives_what_keras_applications_gives(name, module, tmp_path):
    keras.utils.set_random_seed(0)
    network = getattr(keras.applications, name)(weights=None)
    size = get_backbone(name).image_size[0]
    X = np.random.default_rng(1).integers(0, 256, (3, size, size, 3), dtype=np.uint8)
    X[1:, : size // 2] //= 4
    pixels = getattr(keras.applications, module).preprocess_input(X.astype(np.float32))
    # A fresh network finds all classes equally probable: its classifier is scaled until it does not.
    kernel = network.weights[-2]
    while (spread := np.log(expected := np.asarray(network(pixels, training=False))).std()) < 0.5:
        kernel.assign(np.asarray(kernel) * min(2 / max(spread, 1e-4), 100))
    network.save_weights(tmp_path / "a.weights.h5")
    classifier = ImageNetClassifier(name, weights=tmp_path / "a.weights.h5", engine="keras", cache=None)
    found = classifier.predict_proba(X)
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=1e-6)


@pytest.mark.slow
def test_a_real_network_knows_real_images(shared):
    """MobileNetV2 names the objects of those folders of caltech30 that are called as a class of ImageNet."""
    folders = {"Leopards": "leopard", "cougar_face": "cougar"}
    classifier = ImageNetClassifier("MobileNetV2", weights=shared / "weights" / "mobilenet_v2_1.0_224.weights.h5")
    paths, y = [], []
    for folder in sorted((shared / "data" / "caltech30").iterdir()):
        name = folders.get(folder.name, folder.name.replace("_", " "))
        if name in classifier.classes_:
            files = sorted(folder.glob("*.jpg"))[:20]
            paths += files
            y += [name] * len(files)
    assert len(set(y)) == 13
    top = classifier.predict_top_k(paths)["class"].to_numpy().reshape(-1, 5)
    # Measured: .742 and .923 of 260 images.
    assert classifier.score(paths, y) == (top[:, 0] == y).mean() > 0.7
    assert (top == np.array(y)[:, None]).any(axis=1).mean() > 0.9


@pytest.mark.slow
def test_a_whole_keras_model_of_another_kind(shared):
    classifier = ImageNetClassifier(shared / "weights" / "squeezenet_v1.0_imagenet.keras")
    paths = sorted((shared / "data" / "caltech30" / "dalmatian").glob("*.jpg"))[:10]
    assert classifier.score(paths, ["dalmatian"] * len(paths)) > 0.7
