import keras
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from scipy.ndimage import zoom
from scipy.special import softmax
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skcnn._keras import gradient_of
from skcnn.backbones import Backbone, BottleneckLayer, get_backbone
from skcnn.datasets import load_digit_images
from skcnn.ensemble import BaggedSGDClassifier
from skcnn.feature_extraction import BottleneckFeatures
from skcnn.images import BadImageError
from skcnn.inspection import GradCAMDisplay
from skcnn.inspection._explainable import scored_network
from skcnn.inspection._grad_cam import enlarged, grad_cam
from skcnn.inspection._scored_network import FeatureMap
from skcnn.model_selection import with_threshold
from skcnn.neural_network import CNNClassifier

X, Y = load_digit_images(return_X_y=True)
X, Y = X[:60], Y[:60]
NAMES = np.array(["nought", "one", "two"])


def of_three_classes() -> tuple[np.ndarray, np.ndarray]:
    few = Y < 3
    return X[few], NAMES[Y[few]]


def features(**options) -> BottleneckFeatures:
    return BottleneckFeatures("ResNet20", engine="keras", **options)


def logistic(*steps, classes: int = 3, **options):
    images, labels = of_three_classes()
    few = np.isin(labels, NAMES[:classes])
    pipe = make_pipeline(features(**options), *steps, LogisticRegression(C=0.01, max_iter=1000))
    return pipe.fit(images[few], labels[few])


@pytest.fixture(scope="module")
def last_maps() -> np.ndarray:
    """The last feature maps (n, 8, 8, 64) of the first images, by Keras alone."""
    return np.asarray(get_backbone("ResNet20").build().predict_on_batch(X[:5].astype("float32") / 127.5 - 1))


def golden_heat(maps: np.ndarray, coef: np.ndarray) -> np.ndarray:
    """Return class activation maps by the equations of Zhou et al., from coefficients (n, channels)."""
    cam = np.maximum((maps * coef[:, None, None, :]).sum(axis=-1), 0)
    large = np.stack([zoom(one, 4, order=1, mode="nearest", grid_mode=True) for one in cam])
    return large / large.max(axis=(1, 2), keepdims=True)


def test_linear_head_on_averages_is_class_activation_mapping(last_maps):
    pipe = logistic()
    display = GradCAMDisplay.from_estimator(pipe, X[:5])
    codes = pipe[-1].decision_function(pipe[0].transform(X[:5])).argmax(axis=1)
    np.testing.assert_allclose(display.heatmaps, golden_heat(last_maps, pipe[-1].coef_[codes]), atol=1e-4)
    assert display.heatmaps.dtype == np.float32
    assert display.layer == "stage3_unit3"
    frame = display.frame()
    assert frame["target"].tolist() == NAMES[codes].tolist()
    decision = pipe.decision_function(X[:5])
    np.testing.assert_allclose(frame["score"], decision[np.arange(5), codes], rtol=1e-4)
    cam = np.maximum((last_maps * pipe[-1].coef_[codes][:, None, None, :]).sum(axis=-1), 0)
    np.testing.assert_allclose(frame["peak"], cam.max(axis=(1, 2)) / 64, rtol=1e-4)
    np.testing.assert_array_equal(display.images, X[:5])


def test_a_threshold_changes_no_heat():
    pipe = logistic(classes=2)
    expected = GradCAMDisplay.from_estimator(pipe, X[:2], target="one")
    found = GradCAMDisplay.from_estimator(with_threshold(pipe, 0.9), X[:2], target="one")
    np.testing.assert_array_equal(found.heatmaps, expected.heatmaps)
    assert found.frame().equals(expected.frame())


def test_affine_steps_are_one_map(last_maps):
    pipe = logistic(StandardScaler(), "passthrough", make_pipeline(PCA(10)))
    display = GradCAMDisplay.from_estimator(pipe, X[:5], target="two")
    scaler, pca = pipe[1], pipe[3][0]
    coef = pipe[-1].coef_[2] @ pca.components_ / scaler.scale_
    np.testing.assert_allclose(display.heatmaps, golden_heat(last_maps, coef[None]), atol=1e-4)
    np.testing.assert_allclose(display.frame()["score"], pipe.decision_function(X[:5])[:, 2], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("solver", ["sklearn", "minibatch"])
def test_bags_count_by_their_mean(solver, last_maps):
    images, labels = of_three_classes()
    head = BaggedSGDClassifier(solver=solver, n_estimators=3, random_state=0)
    pipe = make_pipeline(features(), StandardScaler(), head).fit(images, labels)
    display = GradCAMDisplay.from_estimator(pipe, X[:5], target="one")
    coef = np.zeros((3, 64))
    for columns, of_bag in zip(head.estimators_features_, head.estimators_coef_, strict=True):
        np.add.at(coef.T, columns, of_bag.T / 3)
    np.testing.assert_allclose(display.heatmaps, golden_heat(last_maps, (coef[1] / pipe[1].scale_)[None]), atol=1e-4)


def test_two_classes_speak_against_each_other(last_maps):
    pipe = logistic(classes=2)
    for target, sign in (("one", 1), ("nought", -1)):
        display = GradCAMDisplay.from_estimator(pipe, X[:5], target=target)
        golden = golden_heat(last_maps, sign * pipe[-1].coef_)
        np.testing.assert_allclose(display.heatmaps, golden, atol=1e-4)
        np.testing.assert_allclose(display.frame()["score"], sign * pipe.decision_function(X[:5]), rtol=1e-3, atol=1e-4)


def test_searches_are_looked_into():
    images, labels = of_three_classes()
    search = GridSearchCV(logistic(), {"logisticregression__C": [0.01]}, cv=2).fit(images, labels)
    display = GradCAMDisplay.from_estimator(search, X[:3])
    golden = GradCAMDisplay.from_estimator(search.best_estimator_, X[:3])
    np.testing.assert_array_equal(display.heatmaps, golden.heatmaps)


def branching_network() -> tuple[keras.Model, dict[str, keras.layers.Layer]]:
    """A network with a way around the layer "inner", and nothing linear behind it."""
    layers = {
        "first": keras.layers.Conv2D(3, 3, padding="same", activation="tanh", name="first"),
        "inner": keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="tanh", name="inner"),
        "around": keras.layers.Conv2D(4, 1, strides=2, padding="same", name="around"),
        "last": keras.layers.Conv2D(5, 3, activation="softplus", name="last"),
    }
    pixels = keras.Input((16, 12, 3))
    first = layers["first"](keras.layers.Rescaling(1 / 127.5, -1)(pixels))
    last = layers["last"](keras.layers.Add()([layers["inner"](first), layers["around"](first)]))
    return keras.Model(pixels, last), layers


def test_gradients_are_those_of_small_steps():
    network, layers = branching_network()
    images = np.random.default_rng(0).integers(0, 256, (12, 16, 12, 3), dtype=np.uint8)
    pipe = make_pipeline(
        BottleneckFeatures(network, pooling=None, engine="keras"), LogisticRegression(max_iter=1000)
    ).fit(images, np.arange(12) % 3)
    scored = scored_network(pipe)
    feature_map = FeatureMap(scored, "inner")
    codes = np.array([0, 2])
    maps, gradients, scores = feature_map.look(images[:2], scored.selection(codes))

    def run(name: str, x: np.ndarray) -> np.ndarray:
        return keras.ops.convert_to_numpy(layers[name](x))

    first = run("first", images[:2].astype("float32") / 127.5 - 1)
    np.testing.assert_allclose(maps, run("inner", first), atol=1e-5)

    def score(maps: np.ndarray) -> np.ndarray:
        flat = run("last", maps + run("around", first)).reshape(2, -1)
        return np.asarray([row @ pipe[-1].coef_[code] for row, code in zip(flat, codes, strict=True)])

    np.testing.assert_allclose(scores, score(maps) + pipe[-1].intercept_[codes], atol=1e-4)
    rng = np.random.default_rng(1)
    for _ in range(5):
        step = 0.05 * rng.normal(size=maps.shape).astype("float32")
        slope = (score(maps + step) - score(maps - step)) / 2
        np.testing.assert_allclose((gradients * step).sum(axis=(1, 2, 3)), slope, rtol=0.02, atol=1e-4)
    display = GradCAMDisplay.from_estimator(pipe, images[:2], target=[0, 2], layer="inner")
    assert display.heatmaps.shape == (2, 16, 12)
    np.testing.assert_array_equal(display.heatmaps, enlarged(grad_cam(maps, gradients), (16, 12)))


def test_network_of_the_user_is_left_as_it_was():
    network, _ = branching_network()
    images = np.random.default_rng(0).integers(0, 256, (6, 16, 12, 3), dtype=np.uint8)
    pipe = make_pipeline(BottleneckFeatures(network, engine="keras"), LogisticRegression(max_iter=1000))
    pipe.fit(images, np.arange(6) % 2)
    before = [len(layer._inbound_nodes) for layer in network.layers]
    displays = [GradCAMDisplay.from_estimator(pipe, images, layer=layer) for layer in (None, "inner", "inner")]
    assert [len(layer._inbound_nodes) for layer in network.layers] == before
    assert [display.layer for display in displays] == ["output", "inner", "inner"]
    np.testing.assert_array_equal(displays[1].heatmaps, displays[2].heatmaps)


@pytest.mark.parametrize("options", [{"hidden_layer_sizes": (5,)}, {"loss": "binary_crossentropy"}, {"pooling": "max"}])
def test_scores_of_a_classifier_are_those_before_the_softmax(options):
    images, labels = of_three_classes()
    two = labels != "two"
    classifier = CNNClassifier("ResNet20", head_epochs=2, epochs=0, random_state=0, **options)
    classifier.fit(images[two], labels[two])
    scores = [
        GradCAMDisplay.from_estimator(classifier, X[:4], target=target).frame()["score"] for target in ("nought", "one")
    ]
    factor = 1 if "loss" not in options else 0.5  # Of one score, the other is its negative.
    np.testing.assert_allclose(
        softmax(factor * np.column_stack(scores), axis=1), classifier.predict_proba(X[:4]), atol=1e-5
    )


def with_patches(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return noise, every other image with a patch in a corner; what the images are called; and the corners."""
    rng = np.random.default_rng(seed)
    images = rng.integers(60, 180, (n, 32, 32, 3), dtype=np.uint8)
    labels = np.where(np.arange(n) % 2, "patch", "plain")
    corners = rng.integers(0, 2, (n, 2))
    for image, (down, across) in zip(images[1::2], corners[1::2], strict=True):
        image[down * 22 :, across * 22 :][:10, :10] = [230, 30, 30]
    return images, labels, corners


def test_heat_lies_where_the_class_is_told():
    classifier = CNNClassifier(
        "ResNet20", head_epochs=8, head_learning_rate=0.03, epochs=1, unfreeze="stage3_unit3", random_state=0
    ).fit(*with_patches(96, 0)[:2])
    images, labels, corners = with_patches(32, 1)
    assert classifier.score(images, labels) > 0.9
    heat = GradCAMDisplay.from_estimator(classifier, images[1::2], target="patch").heatmaps
    quarters = np.stack([quarter_of(one, corner) for one, corner in zip(heat, corners[1::2], strict=True)])
    # A quarter of the image, and most of the heat, also where it is hottest.
    assert (quarters.sum(axis=(1, 2)) / heat.sum(axis=(1, 2))).mean() > 0.7
    assert (quarters.max(axis=(1, 2)) == 1).mean() > 0.9


def quarter_of(heat: np.ndarray, corner: np.ndarray) -> np.ndarray:
    return heat[corner[0] * 16 :, corner[1] * 16 :][:16, :16]


def test_layers_by_their_names():
    pipe = logistic(layers=["stage1_unit3", "stage2_unit3"])
    assert GradCAMDisplay.from_estimator(pipe, X[:2]).layer == "stage2_unit3"
    assert GradCAMDisplay.from_estimator(pipe, X[:2], layer="stage1_unit3").layer == "stage1_unit3"
    index = GradCAMDisplay.from_estimator(pipe, X[:2], layer=5)
    assert index.layer == "layer[5]"
    assert index.heatmaps.shape == (2, 32, 32)
    for layer, message in (
        ("stage3_unit3", "layer='stage3_unit3' is not on the way to the features"),
        ("no_such", "ResNet20 has no layer 'no_such'"),
    ):
        with pytest.raises(ValueError, match=message):
            GradCAMDisplay.from_estimator(pipe, X[:2], layer=layer)


def test_normalisation_behind_the_pooling():
    def build(include_top, weights, input_shape):
        pixels = keras.Input(input_shape)
        edges = keras.layers.Conv2D(4, 3, strides=2, name="edges")(pixels)
        return keras.Model(pixels, keras.layers.LayerNormalization(name="norm")(edges))

    layers = (BottleneckLayer("output", -1, 4, pool_first=True),)
    backbone = Backbone("Normed", (16, 16), "tf", layers, n_parameters=120, weights=(), builder=build)
    images = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), dtype=np.uint8)
    pipe = make_pipeline(BottleneckFeatures(backbone, weights=None, engine="keras"), LogisticRegression())
    pipe.fit(images, np.arange(6) % 2)
    displays = [GradCAMDisplay.from_estimator(pipe, images, layer=layer) for layer in (None, "edges", "output")]
    assert [display.layer for display in displays] == ["edges", "edges", "output"]
    for display in displays:
        np.testing.assert_array_equal(display.heatmaps, displays[0].heatmaps)
        decision = pipe.decision_function(images)
        np.testing.assert_allclose(display.frame()["score"], abs(decision), rtol=1e-3, atol=1e-4)
    assert displays[0].heatmaps.max() == 1


def test_map_of_one_place_is_not_the_default():
    images, labels = of_three_classes()
    network = BottleneckFeatures("LeNet5", weights=None, engine="keras")
    pipe = make_pipeline(network, LogisticRegression(max_iter=1000)).fit(images, labels)
    assert GradCAMDisplay.from_estimator(pipe, images[:2]).layer == "pool2"


def test_targets():
    pipe = logistic()
    one = GradCAMDisplay.from_estimator(pipe, X[:3], target="one")
    each = GradCAMDisplay.from_estimator(pipe, X[:3], target=["one", "two", "nought"])
    assert one.frame()["target"].tolist() == ["one"] * 3
    assert each.frame()["target"].tolist() == ["one", "two", "nought"]
    np.testing.assert_array_equal(one.heatmaps[0], each.heatmaps[0])
    assert not np.array_equal(one.heatmaps[1], each.heatmaps[1])
    with pytest.raises(ValueError, match="target names 'six'; the classes are 'nought', 'one', 'two'"):
        GradCAMDisplay.from_estimator(pipe, X[:3], target="six")
    with pytest.raises(ValueError, match="target has 2 labels; expected one, or 3"):
        GradCAMDisplay.from_estimator(pipe, X[:3], target=["one", "two"])


def test_nothing_that_speaks_for_a_class_is_no_heat():
    maps = np.ones((1, 2, 2, 3), "float32")
    nothing = grad_cam(maps, -maps)
    assert not nothing.any()
    assert not enlarged(nothing, (4, 4)).any()
    half = enlarged(grad_cam(np.float32([[[[0], [2]], [[0], [2]]]]), np.ones((1, 2, 2, 1), "float32")), (2, 4))
    np.testing.assert_allclose(half[0], [[0, 0.25, 0.75, 1]] * 2)


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (make_pipeline(features(), RandomForestClassifier(2)), "RandomForestClassifier is not a linear classifier"),
        (make_pipeline(features(), SVC(kernel="linear")), "SVC is not a linear classifier"),
        (
            make_pipeline(StandardScaler(), LogisticRegression()),
            "The estimator is StandardScaler [+] LogisticRegression",
        ),
    ],
)
def test_other_estimators_are_refused(estimator, message):
    images, labels = of_three_classes()
    is_of_images = isinstance(estimator[0], BottleneckFeatures)
    estimator.fit(images if is_of_images else images.reshape(len(images), -1)[:, ::97], labels)
    with pytest.raises(TypeError, match=f"{message}.*Accepted: a fitted CNNClassifier"):
        GradCAMDisplay.from_estimator(estimator, images[:1], target="one")


def test_unfitted_is_refused():
    with pytest.raises(NotFittedError):
        GradCAMDisplay.from_estimator(make_pipeline(features(), LogisticRegression()), X[:1])


def test_paths_start_where_the_estimator_says(tmp_path):
    for row in range(2):
        Image.fromarray(X[row]).resize((64, 48)).save(tmp_path / f"{row}.png")
    pipe = logistic().set_params(bottleneckfeatures__root=tmp_path)
    display = GradCAMDisplay.from_estimator(pipe, ["0.png", "1.png"])
    assert display.frame()["path"].tolist() == [str(tmp_path / "0.png"), str(tmp_path / "1.png")]
    assert display.images.shape == (2, 32, 32, 3)
    (tmp_path / "1.png").unlink()
    with pytest.raises(BadImageError, match=r"row 1: .*1\.png: no such file"):
        GradCAMDisplay.from_estimator(pipe, ["0.png", "1.png"], target="one")


def test_plot_lays_heat_over_images():
    display = GradCAMDisplay.from_estimator(logistic(), X[:3], target=["one", "two", "one"], name="digits")
    overlays = display.overlays(alpha=1.0, cmap="gray")
    np.testing.assert_allclose(overlays[..., 0], display.heatmaps * 255, atol=1.5)
    np.testing.assert_array_equal(display.overlays(alpha=0.0), display.images)
    ax = Figure().subplots()
    assert display.plot(ax) is display
    assert display.ax_ is ax
    assert [text.get_text() for text in ax.texts] == ["one", "two", "one"]
    assert len(ax.images) == 6
    np.testing.assert_array_equal(ax.images[1].get_array(), display.overlays()[0])
    assert display.plot().ax_.get_title() == "digits"


def test_gradient_of():
    ops = keras.ops
    x, w = np.array([1.0, 2.0], "float32"), np.array([3.0, -1.0], "float32")
    gradient, cube = gradient_of(lambda x, w: (ops.sum(w * x**3), (x**3,)))(x, w)
    np.testing.assert_allclose(gradient, [9.0, -12.0])
    np.testing.assert_allclose(cube, [1.0, 8.0])


def test_parameters_out_of_range_are_refused():
    pipe = logistic()
    for given in ({"batch_size": 0}, {"batch_size": 1.5}, {"target": [["one"]]}):
        with pytest.raises(ValueError, match=r"batch_size=|target has shape \(1, 1\)"):
            GradCAMDisplay.from_estimator(pipe, X[:1], **given)
    with pytest.raises(ValueError, match=r"alpha=-1; expected a number in \[0, 1\]"):
        GradCAMDisplay.from_estimator(pipe, X[:1]).overlays(alpha=-1)
