"""What CNNClassifier learns, gives and refuses."""

import copy
import pickle
import random

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from toy import TOY

from skcnn._training import _runs, open_layers
from skcnn.backbones import as_backbone
from skcnn.cache import memory_cache
from skcnn.feature_extraction import BottleneckFeatures
from skcnn.images import BadImageError, BadImageWarning
from skcnn.neural_network import CNNClassifier
from skcnn.neural_network._loss import classifying


def same(a, b):
    np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def test_it_learns_and_tells(task, tiny):
    X, y = task
    classifier = tiny(head_epochs=10, epochs=5).fit(X, y)
    assert classifier.score(X, y) == 1.0
    assert classifier.classes_.tolist() == ["red", "tree", "water"]
    probabilities = classifier.predict_proba(X)
    assert probabilities.shape == (30, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-12)
    same(classifier.predict(X), classifier.classes_[probabilities.argmax(axis=1)])
    history = classifier.history_
    assert list(history["phase"]) == ["head"] * 10 + ["fine"] * 5
    assert list(history["epoch"]) == [*range(1, 16)]
    assert set(history.columns) == {"phase", "epoch", "loss", "accuracy", "learning_rate"}
    assert set(history["learning_rate"]) == {0.05, 0.01}
    assert classifier.n_iter_ == classifier.best_epoch_ == 15
    assert history["loss"].iloc[-1] < history["loss"].iloc[0]


def test_model_takes_raw_pixels_and_serves_anywhere(task, tiny, tmp_path):
    X, y = task
    for epochs in (0, 2):
        classifier = tiny(epochs=epochs, hidden_layer_sizes=(5,), dropout=0.2).fit(X, y)
        model = classifier.model_
        assert type(model) is keras.models.Model or type(model).__name__ == "Functional"
        expected = classifier.predict_proba(X)
        np.testing.assert_allclose(model.predict(X, verbose=0), expected, atol=1e-5)
        model.save(tmp_path / "x.keras")
        again = keras.saving.load_model(tmp_path / "x.keras")  # safe mode: standard layers alone
        np.testing.assert_allclose(again.predict(X.astype("float32"), verbose=0), expected, atol=1e-5)


def test_model_of_a_shipped_backbone(task):
    X, y = task
    classifier = CNNClassifier("ResNet20", head_epochs=2, epochs=0, random_state=0).fit(X, y)
    images = np.stack([np.asarray(Image.fromarray(x).resize((32, 32), Image.Resampling.BILINEAR)) for x in X])
    np.testing.assert_allclose(
        classifier.model_.predict(images, verbose=0), classifier.predict_proba(X), rtol=1e-4, atol=1e-5
    )


def test_the_network_given_is_not_changed(task, tiny, tiny_network):
    before = [np.array(value) for value in tiny_network.get_weights()]
    trainable = [layer.trainable for layer in tiny_network.layers]
    classifier = tiny(batch_norm="train", learning_rate=0.1).fit(*task)
    for old, new in zip(before, tiny_network.get_weights(), strict=True):
        same(old, new)
    assert [layer.trainable for layer in tiny_network.layers] == trainable
    assert classifier.backbone is tiny_network
    moved = [np.abs(old - new).max() for old, new in zip(before, classifier._weights["base"], strict=True)]
    assert max(moved) > 1e-3


@pytest.mark.parametrize(("batch_norm", "moves"), [("inference", False), ("train", True)])
def test_moving_statistics(task, tiny, tiny_network, batch_norm, moves):
    classifier = tiny(epochs=4, learning_rate=0.05, batch_norm=batch_norm).fit(*task)
    norm = classifier.model_.get_layer("base").get_layer("norm")
    for old, new in zip(tiny_network.get_layer("norm").get_weights()[2:], norm.get_weights()[2:], strict=True):
        assert (np.abs(old - new).max() > 1e-3) == moves
    # An open layer learns in either case: its scale and shift move.
    assert np.abs(tiny_network.get_layer("norm").get_weights()[0] - norm.get_weights()[0]).max() > 1e-4


def test_frozen_layers_do_not_learn_even_in_train_mode(task, tiny, tiny_network):
    classifier = tiny(batch_norm="train", unfreeze="parts", learning_rate=0.05).fit(*task)
    for old, new in zip(tiny_network.get_weights()[:6], classifier._weights["base"][:6], strict=True):
        same(old, new)
    assert np.abs(tiny_network.get_weights()[6] - classifier._weights["base"][6]).max() > 1e-3


@pytest.mark.parametrize(
    ("unfreeze", "n_moved"), [("all", 6), ("norm", 4), ("parts", 2), (-1, 2), (1, 6), (0.25, 2), (1.0, 6), (None, 0)]
)
def test_unfreeze(task, tiny, tiny_network, unfreeze, n_moved):
    classifier = tiny(head_epochs=1, epochs=1, learning_rate=0.05, unfreeze=unfreeze).fit(*task)
    trained = classifier._weights.get("base") or tiny_network.get_weights()
    moved = [np.any(old != new) for old, new in zip(tiny_network.get_weights(), trained, strict=True)]
    assert sum(moved) == n_moved


@pytest.mark.parametrize("unfreeze", ["no_such_layer", 99, -99, 0.0, 1.5, True, ""])
def test_unfreeze_refused(task, tiny, unfreeze, cache):
    with pytest.raises(ValueError, match="unfreeze="):
        tiny(unfreeze=unfreeze).fit(*task)
    assert cache.info().passes == 0  # told before anything is computed


@pytest.mark.parametrize("unfreeze", ["output", 0.01])
def test_open_layers(tiny_network, unfreeze):
    is_open = open_layers(as_backbone(tiny_network), tiny_network, unfreeze)
    assert is_open == [False] * (len(tiny_network.layers) - 1) + [True]


def test_weights_of_some_layers(task, tiny, tiny_network):
    X, y = task
    taken = tiny(weight_layers=["edges", "norm"], head_epochs=1, epochs=1, unfreeze="parts").fit(X, y)
    for learned, given in zip(taken._weights["base"][:6], tiny_network.get_weights()[:6], strict=True):
        same(learned, given)
    assert np.abs(taken._weights["base"][6] - tiny_network.get_weights()[6]).max() > 0.05  # began elsewhere
    assert np.abs(tiny(epochs=1, head_epochs=1).fit(X, y).predict_proba(X) - taken.predict_proba(X)).max() > 1e-3
    frozen = tiny(weight_layers="edges", epochs=0).fit(X, y)
    assert np.abs(frozen.features(X) - tiny(epochs=0).fit(X, y).features(X)).max() > 1e-3
    with pytest.raises(ValueError, match=r"weights is called 'egdes'.*Did you mean 'edges'"):
        tiny(weight_layers="egdes").fit(X, y)
    with pytest.raises(TypeError, match="weight_layers=3; expected the name of a layer"):
        tiny(weight_layers=3).fit(X, y)
    with pytest.raises(ValueError, match="with weights=None; expected weights to take"):
        tiny(weights=None, weight_layers="edges").fit(X, y)


def test_layers_opened_by_a_pattern(tiny_network):
    names = [layer.name for layer in tiny_network.layers]
    is_open = open_layers(as_backbone(tiny_network), tiny_network, "[ep]*s")
    assert is_open == [name in ("edges", "parts") for name in names]
    with pytest.raises(ValueError, match=r"unfreeze='zz\*'; no layer of .* has a name of this form"):
        open_layers(as_backbone(tiny_network), tiny_network, "zz*")


def test_unfreeze_by_a_name_of_the_table(task):
    X, y = task
    classifier = CNNClassifier(TOY, head_epochs=0, epochs=1, learning_rate=0.05, unfreeze="first")
    classifier.fit(X, y)
    assert np.isfinite(classifier.predict_proba(X)).all()


def test_head_start_equals_training_the_joined_network(task, tiny):
    X, y = task
    parameters = {"epochs": 0, "head_epochs": 4, "hidden_layer_sizes": (4,)}
    on_features = tiny(**parameters).fit(X, y)
    # A layer that changes nothing, but has every image go through the network at every step.
    joined = tiny(**parameters, augmentation=keras.layers.Rescaling(1.0)).fit(X, y)
    np.testing.assert_allclose(on_features.history_["loss"], joined.history_["loss"], rtol=1e-4)
    np.testing.assert_allclose(on_features.predict_proba(X), joined.predict_proba(X), atol=1e-5)
    assert "base" not in joined._weights


def test_head_start_runs_the_network_once(task, tiny, cache):
    X, y = task
    classifier = tiny(epochs=3, unfreeze=None).fit(X, y)
    classifier.predict(X)
    clone(classifier).set_params(head_learning_rate=0.1, dropout=0.5, hidden_layer_sizes=(7,)).fit(X, y).score(X, y)
    assert memory_cache().info().passes == 30


def test_features(task, tiny, tiny_network):
    X, y = task
    frozen = tiny(epochs=0).fit(X, y)
    same(frozen.features(X), BottleneckFeatures(tiny_network).transform(X))
    tuned = tiny(learning_rate=0.05).fit(X, y)
    features = tuned.features(X)
    assert features.shape == (30, 8)
    assert features.dtype == np.float32
    assert np.abs(features - frozen.features(X)).max() > 1e-3
    kernel, bias = tuned._weights["head"]
    logits = features @ kernel + bias
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(tuned.predict_proba(X), expected, atol=1e-5)


def test_pooling_none_and_max(task, tiny):
    X, y = task
    for pooling, n_features in ((None, 72), ("max", 8)):
        classifier = tiny(pooling=pooling).fit(X, y)
        assert classifier.features(X).shape == (30, n_features)
        assert classifier.score(X, y) > 0.5


def test_same_seed_same_result(task, tiny):
    X, y = task
    parameters = {"dropout": 0.3, "hidden_layer_sizes": (6,), "augmentation": "light"}
    first = tiny(**parameters).fit(X, y)
    tiny(**parameters, random_state=5).fit(X, y)  # the graph was used for something else in between
    second = tiny(**parameters).fit(X, y)
    same(first.predict_proba(X), second.predict_proba(X))
    pd.testing.assert_frame_equal(first.history_, second.history_)
    other = tiny(**parameters, random_state=1).fit(X, y)
    assert np.abs(first.predict_proba(X) - other.predict_proba(X)).max() > 1e-4


def test_refit_forgets(task, tiny):
    X, y = task
    classifier = tiny().fit(X, y)
    before = classifier.predict_proba(X)
    classifier.fit(X, y[::-1])
    same(classifier.fit(X, y).predict_proba(X), before)


def test_two_fitted_estimators_share_a_graph(task, tiny):
    X, y = task
    a, b = tiny().fit(X, y), tiny(random_state=1).fit(X, y)
    expected = a.predict_proba(X), b.predict_proba(X)
    for _ in range(2):
        same(a.predict_proba(X), expected[0])
        same(b.predict_proba(X), expected[1])


def test_global_state_is_left_alone(task, tiny):
    import tensorflow as tf
    from tensorflow.python.framework import config

    tiny().fit(*task)  # imports SciKeras
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    states = random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    tiny(augmentation="standard", dropout=0.5).fit(*task)
    assert random.getstate() == states[0]
    same(np.random.get_state()[1], states[1])  # noqa: NPY002
    assert not config.is_op_determinism_enabled()
    tf.random.uniform(())  # raises where op determinism is on and there is no seed


@pytest.mark.parametrize(
    ("loss", "n_outputs"),
    [
        ("auto", 2),
        ("binary_crossentropy", 1),
        pytest.param(keras.losses.BinaryFocalCrossentropy(), 1, marks=pytest.mark.slow),
    ],
)
def test_binary_with_one_and_with_two_outputs(task, tiny, loss, n_outputs):
    X, y = task[0], np.where(task[1] == "red", "yes", "no")
    classifier = tiny(loss=loss, head_epochs=15).fit(X, y)
    assert classifier.model_.output_shape == (None, n_outputs)
    assert classifier.predict_proba(X).shape == (30, 2)
    assert classifier.score(X, y) == 1.0
    assert classifier.predict_proba(X[:1]).shape == (1, 2)


def test_a_loss_of_two_classes_for_three(task, tiny):
    with pytest.raises(ValueError, match="for 2 classes, but y has 3"):
        tiny(loss="binary_crossentropy").fit(*task)


@pytest.mark.parametrize(
    "loss",
    [
        "categorical_focal_crossentropy",
        pytest.param(keras.losses.CategoricalCrossentropy(label_smoothing=0.1), marks=pytest.mark.slow),
        pytest.param(keras.losses.SparseCategoricalCrossentropy(), marks=pytest.mark.slow),
        pytest.param("mean_squared_error", marks=pytest.mark.slow),
    ],
)
def test_losses(task, tiny, loss):
    X, y = task
    assert tiny(loss=loss, head_epochs=15).fit(X, y).score(X, y) > 0.9


def test_training_is_what_keras_does(task, tiny, tiny_network):
    X, y = task
    optimizer = keras.optimizers.SGD(momentum=0.9, nesterov=True, weight_decay=0.1)
    trained = tiny(head_epochs=0, epochs=2, batch_norm="train", optimizer=optimizer, unfreeze="all").fit(X, y)

    # By hand: the first weights of a run of no consequence, and the rows in the order that they came in.
    start = tiny(head_epochs=0, epochs=1, learning_rate=1e-30, unfreeze="all").fit(X, y)
    network = keras.models.clone_model(tiny_network)
    network.set_weights(tiny_network.get_weights())
    pixels = keras.Input((16, 16, 3))
    features = keras.layers.GlobalAveragePooling2D()(network(pixels))
    model = keras.Model(pixels, keras.layers.Dense(3, activation="softmax")(features))
    model.layers[-1].set_weights(start.model_.layers[-1].get_weights())
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True, weight_decay=0.1)
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    model.compile(optimizer, "sparse_categorical_crossentropy")
    codes = np.unique(y, return_inverse=True)[1]
    for epoch in range(2):
        order = np.random.default_rng((trained._seed, 0, epoch)).permutation(30)
        for first in range(0, 30, 8):
            rows = order[first : first + 8]
            model.train_on_batch(X[rows].astype("float32"), codes[rows])
    for ours, by_hand in zip(trained.model_.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, by_hand, rtol=1e-4, atol=1e-6)
    assert np.abs(trained.model_.get_weights()[0] - start.model_.get_weights()[0]).max() > 1e-3


def test_a_loss_of_class_indices_that_is_not_called_sparse():
    objective = classifying(keras.losses.CategoricalGeneralizedCrossEntropy(), 3)
    assert float(objective.loss(objective.encode(np.array([2])), np.array([[0.0, 0.0, 1.0]]))) < 1e-3


def test_label_smoothing_is_seen(task, tiny):
    X, y = task
    quick = {"head_epochs": 15, "head_learning_rate": 0.3, "epochs": 0}
    smooth = tiny(loss=keras.losses.CategoricalCrossentropy(label_smoothing=0.5), **quick).fit(X, y)
    hard = tiny(**quick).fit(X, y)
    assert smooth.predict_proba(X).max() < 0.9 < hard.predict_proba(X).max()


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"loss": "no_such_loss"}, ValueError, "loss='no_such_loss'; expected"),
        ({"loss": keras.losses.CategoricalCrossentropy(from_logits=True)}, ValueError, "from_logits=True"),
        ({"loss": 3}, TypeError, "loss=3"),
        ({"optimizer": "no_such_optimizer"}, ValueError, "optimizer='no_such_optimizer'; expected"),
        ({"optimizer": 3}, TypeError, "optimizer=3"),
        (
            {"optimizer": keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 10))},
            ValueError,
            "has a learning rate schedule",
        ),
        ({"augmentation": "much"}, ValueError, "augmentation='much'; expected"),
        ({"augmentation": [3]}, TypeError, "augmentation holds 3"),
        ({"hidden_layer_sizes": (3, -1)}, ValueError, "hidden_layer_sizes"),
        ({"callbacks": [3]}, TypeError, "callbacks=.3.; expected"),
        ({"callbacks": keras.callbacks.TerminateOnNaN}, TypeError, "callbacks=.*; expected"),
        ({"callbacks": [lambda: None]}, TypeError, "returned None; expected a Keras callback"),
        ({"callbacks": [lambda: keras.callbacks.ReduceLROnPlateau()]}, ValueError, "learning_rate_schedule"),
        ({"optimizer": keras.optimizers.SGD(use_ema=True), "early_stopping": True}, ValueError, "use_ema=True"),
        ({"class_weight": {"red": -1.0}}, ValueError, "class_weight=.*; expected"),
        ({"class_weight": {"red": np.nan}}, ValueError, "class_weight=.*; expected"),
        ({"head_epochs": 0, "epochs": 0}, ValueError, "expected at least one of them > 0"),
        ({"dropout": 1.0}, ValueError, "'dropout' parameter"),
        ({"early_stopping": True, "validation_fraction": 0.01}, ValueError, "is not possible"),
    ],
)
def test_refused_parameters(task, tiny, parameters, error, message):
    with pytest.raises(error, match=message):
        tiny(**parameters).fit(*task)


@pytest.mark.parametrize(
    "changed",
    [{"pooling": "max"}, {"hidden_layer_sizes": (4,)}, {"backbone": "ResNet20"}, {"loss": "binary_focal_crossentropy"}],
)
def test_another_network_after_fit_is_refused(task, tiny, changed):
    X, y = task[0][:20], task[1][np.arange(20) % 3 % 2]
    classifier = tiny(epochs=int("pooling" in changed)).fit(X, y)  # the head alone, and with the network
    before = classifier.predict_proba(X)
    old = {name: getattr(classifier, name) for name in changed}
    with pytest.raises(ValueError, match=f"{next(iter(changed))} was changed after fit"):
        classifier.set_params(**changed).predict(X)
    np.testing.assert_array_equal(classifier.set_params(**old).predict_proba(X), before)
    classifier.set_params(**changed).fit(X, y).predict(X)


def test_another_size_after_fit_is_refused_where_it_counts(task):
    flat = CNNClassifier(TOY, pooling=None, head_epochs=1, epochs=0).fit(*task)
    with pytest.raises(ValueError, match="image_size was changed after fit"):
        flat.set_params(image_size=32).predict(task[0])


def test_other_weights_after_fit_are_refused_where_they_count(task):
    X, y = task
    frozen = CNNClassifier(TOY, head_epochs=1, epochs=0, random_state=0).fit(X, y)
    with pytest.raises(ValueError, match="weights was changed after fit"):
        frozen.set_params(weights=None).predict(X)
    tuned = CNNClassifier(TOY, head_epochs=0, epochs=1, random_state=0).fit(X, y)
    before = tuned.predict_proba(X)
    np.testing.assert_array_equal(tuned.set_params(weights=None).predict_proba(X), before)  # it has its own


def test_misspelled_parameter():
    with pytest.raises(TypeError, match="unexpected keyword argument 'learning_rat'"):
        CNNClassifier(learning_rat=0.1)


def test_one_class_is_refused(task, tiny):
    with pytest.raises(ValueError, match=r"one class \('red'\)"):
        tiny().fit(task[0], ["red"] * 30)
    with pytest.raises(ValueError, match=r"one class \('red'\)"):
        tiny().partial_fit(task[0], ["red"] * 30, classes=["red"])


def test_a_fit_that_fails_leaves_nothing_to_predict_with(task, tiny):
    classifier = tiny(epochs=0).fit(*task)
    with pytest.raises(ZeroDivisionError):
        classifier.set_params(callbacks=[lambda: 1 / 0]).fit(*task)
    with pytest.raises(NotFittedError):
        classifier.predict(task[0])


def test_y_is_checked(task, tiny):
    X, y = task
    with pytest.raises(ValueError, match="requires y to be passed"):
        tiny().fit(X, None)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        tiny().fit(X, y[:-1])
    with pytest.raises(ValueError, match="missing values, the first in row 2"):
        tiny().fit(X[:4], np.array(["a", "b", None, "a"], object))


def test_not_fitted(task, tiny):
    for ask in ("predict", "predict_proba", "features", "predict_top_k"):
        with pytest.raises(NotFittedError):
            getattr(tiny(), ask)(task[0])
    assert not hasattr(tiny(), "model_")
    assert not hasattr(tiny(), "history_")


def test_class_weight_and_sample_weight(task, tiny):
    X, y = task
    rare = np.r_[np.flatnonzero(y == "red")[:2], np.flatnonzero(y != "red")]
    plain = tiny(epochs=0).fit(X[rare], y[rare])
    balanced = tiny(epochs=0, class_weight="balanced").fit(X[rare], y[rare])
    red = y == "red"
    assert balanced.predict_proba(X[red])[:, 0].mean() > plain.predict_proba(X[red])[:, 0].mean()
    # The same weights, said in three ways.
    weights = np.where(y == "red", 3.0, 1.0)
    kept = weights.copy()
    by_rows = tiny().fit(X, y, sample_weight=weights)
    by_class = tiny(class_weight={"red": 3.0}).fit(X, y)
    both = tiny(class_weight={"red": 1.5}).fit(X, y, sample_weight=np.where(y == "red", 2.0, 1.0))
    same(by_rows.predict_proba(X), by_class.predict_proba(X))
    same(by_rows.predict_proba(X), both.predict_proba(X))
    same(weights, kept)


def test_the_callers_weights_are_not_touched(task, tiny):
    X, y = task
    weights = np.linspace(1, 2, 30)
    weights.setflags(write=False)
    tiny(class_weight="balanced").fit(X, y, sample_weight=weights)


def test_rows_of_weight_zero_are_left_out(task, tiny):
    X, y = task
    weights = np.ones(30)
    weights[20:] = 0
    same(tiny().fit(X, y, sample_weight=weights).predict_proba(X), tiny().fit(X[:20], y[:20]).predict_proba(X))
    with pytest.raises(ValueError, match=r"at least one non-zero|All weights are 0"):
        tiny().fit(X, y, sample_weight=np.zeros(30))


def test_input_forms_agree(task, tiny, tmp_path):
    X, y = task
    paths = []
    for row, pixels in enumerate(X):
        paths.append(str(tmp_path / f"{row}.png"))
        Image.fromarray(pixels).save(paths[-1])
    expected = tiny().fit(X, y).predict_proba(X)
    frame = pd.DataFrame({"image": paths})
    for form in (paths, frame, np.array(paths, object)[:, None], list(X)):
        classifier = tiny().fit(form, y)
        np.testing.assert_allclose(classifier.predict_proba(form), expected, atol=1e-6)
    classifier.fit(frame, y)
    assert classifier.n_features_in_ == 1
    assert list(classifier.feature_names_in_) == ["image"]
    with pytest.raises(ValueError, match="feature names"):
        classifier.predict(frame.rename(columns={"image": "other"}))
    assert not hasattr(classifier.fit(X, y), "n_features_in_")
    relative = tiny(root=tmp_path).fit([f"{row}.png" for row in range(30)], y)
    np.testing.assert_allclose(relative.predict_proba(["3.png"]), expected[[3]], atol=1e-6)


def test_every_row_counts_in_every_epoch(task, tiny, monkeypatch):
    made, original = [], _runs.make_batches

    def remembering(read, sampler, seed):
        seen = []
        made.append((sampler.rows, seen))
        return original(lambda rows, generator: (seen.extend(rows), read(rows, generator))[1], sampler, seed)

    monkeypatch.setattr(_runs, "make_batches", remembering)
    tiny(batch_size=7, head_epochs=2, epochs=2).fit(*task)  # 30 = 4 * 7 + 2
    assert len(made) == 2
    for rows, seen in made:
        assert set(seen) == set(rows) == set(range(30))
        assert seen[-60:-30] != seen[-30:]  # another order in every epoch
        assert sorted(seen[-30:]) == list(range(30))


@pytest.mark.parametrize("epochs", [0, 1])
@pytest.mark.parametrize("augmentation", [None, "light"])
def test_bad_rows(task, tiny, epochs, augmentation):
    X, y = [*task[0]], task[1]
    X[4], X[20] = "no-such-file.png", b"nothing"
    with pytest.raises(BadImageError) as caught:
        tiny(epochs=epochs, augmentation=augmentation).fit(X, y)
    assert list(caught.value.bad_rows["row"]) == [4, 20]
    classifier = tiny(epochs=epochs, augmentation=augmentation, on_error="nan")
    with pytest.warns(BadImageWarning):
        classifier.fit(X, y)
    good = np.delete(np.arange(30), [4, 20])
    expected = tiny(epochs=epochs, augmentation=augmentation).fit(task[0][good], y[good])
    with pytest.warns(BadImageWarning):
        probabilities = classifier.predict_proba(X)
    np.testing.assert_allclose(probabilities[good], expected.predict_proba(task[0][good]), atol=1e-5)
    assert np.isnan(probabilities[[4, 20]]).all()
    # on_error="nan" is set already: to advise it would help nobody.
    for predict in (classifier.predict, classifier.predict_top_k):
        with pytest.raises(BadImageError, match="there is no class for them") as caught:
            predict(X)
        assert list(caught.value.bad_rows["row"]) == [4, 20]
    with pytest.raises(BadImageError, match="or use on_error='nan'"):
        classifier.set_params(on_error="raise").predict_proba(X)


def test_early_stopping_keeps_the_best_epoch(task, tiny):
    X, y = task
    y = np.r_[np.roll(y[:10], 1), y[10:]]  # some labels are wrong, so that learning them by heart does not help
    parameters = {"early_stopping": True, "validation_fraction": 0.3, "n_iter_no_change": 2, "head_epochs": 4}
    stopped = tiny(**parameters, epochs=30, learning_rate=0.02, head_learning_rate=0.01).fit(X, y)
    history = stopped.history_
    assert stopped.n_iter_ < 70
    assert stopped.best_epoch_ == history["val_loss"].argmin() + 1 < stopped.n_iter_
    # The weights are those of that epoch: its loss comes out again on the rows that were set aside.
    from sklearn.metrics import log_loss
    from sklearn.model_selection import train_test_split

    _, held_out = train_test_split(
        np.arange(30), test_size=0.3, stratify=np.unique(y, return_inverse=True)[1], random_state=stopped._seed
    )
    found = log_loss(y[np.sort(held_out)], stopped.predict_proba(X[np.sort(held_out)]), labels=stopped.classes_)
    assert found == pytest.approx(history["val_loss"].min(), rel=1e-3)
    counts = np.unique(y[held_out], return_counts=True)[1]
    assert counts.tolist() == [3, 3, 3]


def test_training_that_ended_too_early_warns(task, tiny):
    X, y = task
    with pytest.warns(ConvergenceWarning, match=r"still fell in the last epoch, from .*increase head_epochs=5, or"):
        tiny(head_epochs=5, epochs=0).fit(X, y)
    with pytest.warns(ConvergenceWarning, match="increase epochs=6"):
        tiny(head_epochs=1, epochs=6, learning_rate=3e-3).fit(X, y)
    tiny(head_epochs=4, epochs=0).fit(X, y)  # short on purpose
    tiny(head_epochs=5, epochs=0, early_stopping=True, validation_fraction=0.3).fit(X, y)
    tiny(head_epochs=5, epochs=0, learning_rate_schedule="cosine").fit(X, y)  # has come to rest


def test_learning_rate_schedules(task, tiny):
    X, y = task
    rates = tiny(learning_rate_schedule="cosine", epochs=0, head_epochs=4).fit(X, y).history_["learning_rate"]
    # The last step of each epoch of 4 steps, 16 in all.
    expected = [0.5 * 0.05 * (1 + np.cos(np.pi * step / 16)) for step in (3, 7, 11, 15)]
    np.testing.assert_allclose(rates, expected)
    falling = tiny(learning_rate_schedule="plateau", n_iter_no_change=2, head_learning_rate=5.0, head_epochs=12)
    rates = falling.fit(X, y).history_.query("phase == 'head'")["learning_rate"]
    assert rates.iloc[-1] < rates.iloc[0] == 5.0


def test_the_learning_rate_counts(task, tiny):
    X, y = task
    slow, quick = (tiny(epochs=0, head_learning_rate=rate).fit(X, y) for rate in (1e-6, 0.1))
    assert quick.history_["loss"].iloc[-1] < slow.history_["loss"].iloc[-1] - 0.1


@pytest.mark.parametrize(
    "optimizer",
    [
        "sgd",
        pytest.param("nadam", marks=pytest.mark.slow),
        pytest.param("adagrad", marks=pytest.mark.slow),
        keras.optimizers.SGD(momentum=0.9, nesterov=True, weight_decay=1e-3),
    ],
)
def test_optimizers(task, tiny, optimizer):
    X, y = task
    classifier = tiny(optimizer=optimizer)
    first = clone(classifier).fit(X, y).predict_proba(X)
    same(clone(classifier).fit(X, y).predict_proba(X), first)  # the state of the optimizer is reset, too


def test_weight_decay_spares_biases(task, tiny):
    X, y = task
    decayed = tiny(optimizer=keras.optimizers.SGD(weight_decay=0.9), head_learning_rate=0.5, epochs=0).fit(X, y)
    plain = tiny(optimizer=keras.optimizers.SGD(), head_learning_rate=0.5, epochs=0).fit(X, y)
    assert np.linalg.norm(decayed._weights["head"][0]) < 0.5 * np.linalg.norm(plain._weights["head"][0])


def test_callbacks_are_factories(task, tiny):
    made, seen = [], []

    def factory():
        made.append(1)
        return keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(epoch))

    classifier = tiny(callbacks=[factory])
    clone(classifier).fit(*task)
    assert len(made) == 2
    assert seen == [0, 1, 2, 0, 1]


def test_a_callback_cannot_train_the_network_in_training(task, tiny):
    def factory():
        return keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: tiny(epochs=0).fit(*task))

    with pytest.raises(RuntimeError, match="being trained"):
        tiny(epochs=0, callbacks=[factory]).fit(*task)


def test_a_callback_may_predict_by_an_estimator_of_the_same_network(task, tiny):
    other, seen = tiny(epochs=0).fit(*task), []
    expected = other.predict_proba(task[0])

    def factory():
        return keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: seen.append(other.predict_proba(task[0].copy()))
        )

    classifier = tiny(callbacks=[factory]).fit(*task)
    for probabilities in seen:
        np.testing.assert_array_equal(probabilities, expected)
    np.testing.assert_array_equal(classifier.predict_proba(task[0]), tiny().fit(*task).predict_proba(task[0]))


@pytest.mark.parametrize("phase", ["head", "fine"])
def test_a_model_checkpoint_is_the_plain_network(task, tiny, tmp_path, phase):
    X, y = task
    epochs = {"head_epochs": 2, "epochs": 0} if phase == "head" else {"head_epochs": 0, "epochs": 2}

    def factory():
        return keras.callbacks.ModelCheckpoint(tmp_path / "of_epoch_{epoch}.keras", save_freq="epoch")

    classifier = tiny(**epochs, dropout=0.1, augmentation="light", callbacks=[factory]).fit(X, y)
    first, last = (keras.saving.load_model(tmp_path / f"of_epoch_{epoch}.keras") for epoch in (1, 2))
    # Layers of Keras alone, so that it loads where this package is not.
    assert {type(layer).__module__.partition(".")[0] for layer in last.layers} == {"keras"}
    probabilities = classifier.predict_proba(X)
    np.testing.assert_allclose(last.predict(X.astype("float32"), verbose=0), probabilities, atol=1e-5)
    assert np.abs(first.predict(X.astype("float32"), verbose=0) - probabilities).max() > 1e-4


def test_callbacks_may_copy_the_model_and_write_it_down(task, tiny, tmp_path):
    X = task[0].astype("float32")
    outputs = []

    class Write(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            keras.saving.save_model(self.model, tmp_path / "model.keras")
            copy = keras.models.clone_model(self.model)
            copy.set_weights(self.model.get_weights())
            read = keras.saving.load_model(tmp_path / "model.keras")
            outputs[:] = [model(X, training=False) for model in (self.model, copy, read)]

    probabilities = tiny(head_epochs=0, epochs=1, dropout=0.1, callbacks=[Write]).fit(*task).predict_proba(task[0])
    for output in outputs:
        np.testing.assert_allclose(output, probabilities, atol=1e-5)


def test_early_stopping_names_the_class_of_one_image(task, tiny):
    X, y = task
    with pytest.raises(ValueError, match=r"two images or more per class\. Got one image of 'lynx', 'zebra'\."):
        tiny(early_stopping=True).fit(X, ["zebra", *y[1:-1], "lynx"])


def test_averaged_weights_are_kept(task, tiny):
    # With a momentum of 1 the average is what the first step gave.
    averaging = keras.optimizers.SGD(use_ema=True, ema_momentum=1.0)
    averaged = tiny(epochs=0, batch_size=30, head_epochs=3, optimizer=averaging).fit(*task)
    once = tiny(epochs=0, batch_size=30, head_epochs=1, optimizer="sgd").fit(*task)
    np.testing.assert_allclose(averaged._weights["head"][0], once._weights["head"][0], atol=1e-6)


def test_a_loss_that_is_not_finite(task, tiny):
    with pytest.raises(ValueError, match="smaller learning rate"):
        tiny(epochs=8, learning_rate=1e30, optimizer="sgd").fit(*task)
    assert tiny().fit(*task).score(*task) > 0.3  # and the graph is as good as new


def test_partial_fit(task, tiny):
    X, y = task
    classifier = tiny(learning_rate=0.02)
    with pytest.raises(ValueError, match="classes must be passed"):
        classifier.partial_fit(X, y)
    for _ in range(25):
        for start in (0, 15):
            classifier.partial_fit(X[start : start + 15], y[start : start + 15], classes=["red", "tree", "water"])
    assert classifier.n_iter_ == 50
    assert classifier.score(X, y) > 0.9
    assert set(classifier.history_["phase"]) == {"partial"}
    with pytest.raises(ValueError, match="not the same as on last call"):
        classifier.partial_fit(X, y, classes=["a", "b"])
    with pytest.raises(
        ValueError, match=r"not among those of the first call: Got 'blue'; expected 'red', 'tree', 'water'\."
    ):
        classifier.partial_fit(X, np.where(y == "red", "blue", y))


def test_partial_fit_with_another_optimizer(task, tiny):
    X, y = task
    some = y != "water"
    classifier = tiny(unfreeze=None, class_weight={"red": 2.0, "water": 3.0})  # of a class that these rows lack
    for n_steps in (3, 6):
        classifier.partial_fit(X[some], y[some], classes=np.unique(y))
        (state,) = classifier._optimizer.values()
        assert state[0] == n_steps
    classifier.set_params(optimizer="sgd").partial_fit(X, y)
    (state,) = classifier._optimizer.values()
    assert state[0] == 4


def test_partial_fit_goes_on_after_fit(task, tiny):
    X, y = task
    classifier = tiny().fit(X, y)
    before = classifier.predict_proba(X)
    again = copy.deepcopy(classifier)
    classifier.partial_fit(X[:1], y[:1])
    assert classifier.n_iter_ == 6
    assert np.abs(classifier.predict_proba(X) - before).max() > 1e-6
    same(again.predict_proba(X), before)
    frozen = tiny(unfreeze=None).fit(X, y)
    assert "base" not in frozen.partial_fit(X, y)._weights


def test_predict_top_k(task, tiny):
    X, y = task
    classifier = tiny().fit(X, y)
    frame = classifier.predict_top_k(X[:4], k=2)
    assert frame.shape == (8, 2)
    same(frame.xs(1, level="rank")["class"], classifier.predict(X[:4]))
    same(frame.xs(1, level="rank")["probability"], classifier.predict_proba(X[:4]).max(axis=1))
    assert classifier.predict_top_k(X[:4], k=9).shape == (12, 2)
    series = pd.Series([*X[:2]], index=["a", "b"])
    assert list(classifier.predict_top_k(series, k=1).index.get_level_values("row")) == ["a", "b"]
    with pytest.raises(ValueError, match="k=0"):
        classifier.predict_top_k(X, k=0)


def test_pickles_hold_weights_and_no_graph(task):
    X, y = task
    tuned = CNNClassifier(TOY, hidden_layer_sizes=(4000,), head_epochs=1, epochs=1, random_state=0)
    classifier = clone(tuned).fit(X, y)
    content = pickle.dumps(classifier)
    assert len(content) < 220_000  # 48,000 float32 and no optimizer
    again = pickle.loads(content)
    same(again.predict_proba(X), classifier.predict_proba(X))
    partial = clone(tuned).partial_fit(X, y, classes=np.unique(y))
    assert partial._optimizer
    assert pickle.loads(pickle.dumps(partial))._optimizer == {}
    assert len(pickle.dumps(CNNClassifier("ResNet20", image_size=16, head_epochs=1, epochs=0).fit(X, y))) < 10_000


def test_from_scratch(task):
    X, y = task
    scratch = CNNClassifier(
        TOY, weights=None, head_epochs=0, epochs=10, learning_rate=0.03, learning_rate_schedule="constant",
        unfreeze="all", dropout=0.0, batch_norm="train", batch_size=10, random_state=0,
    )  # fmt: skip
    assert scratch.fit(X, y).history_["accuracy"].iloc[-1] > 0.8
    other = clone(scratch).set_params(random_state=1, epochs=1).fit(X, y)
    assert np.abs(other._weights["base"][0] - scratch._weights["base"][0]).max() > 1e-2
    with pytest.raises(UserWarning, match="batch_norm='train'"):  # an error in these tests, before anything is built
        clone(scratch).set_params(batch_norm="inference", epochs=1).fit(X, y)
    with pytest.raises(UserWarning, match=r"weights=None with unfreeze=0\.5: the frozen layers keep their random"):
        clone(scratch).set_params(unfreeze=0.5, epochs=1).fit(X, y)


def test_a_users_builder(task):
    X, y = task
    asked = []

    def build(meta):
        asked.append(meta["n_classes_"])
        inputs = keras.Input(meta["X_shape_"][1:])
        return keras.Model(inputs, keras.layers.Conv2D(4, 3, 2, activation="relu")(inputs / 255))

    classifier = CNNClassifier(
        build, image_size=16, head_epochs=20, head_learning_rate=0.1, epochs=2, learning_rate=0.01, random_state=0
    )
    assert classifier.fit(X, y).score(X, y) > 0.8
    assert set(asked) == {3}


def test_bfloat16(task, tiny):
    X, y = task
    classifier = tiny(precision="bfloat16", head_epochs=10).fit(X, y)
    assert classifier.score(X, y) > 0.9
    full = tiny(head_epochs=10).fit(X, y)
    np.testing.assert_allclose(classifier.predict_proba(X), full.predict_proba(X), atol=0.1)


@pytest.mark.parametrize(
    "augmentation",
    [
        "light",
        "standard",
        pytest.param(keras.layers.RandomContrast(0.9), marks=pytest.mark.slow),
        [keras.layers.RandomFlip()],
    ],
)
def test_augmentation_changes_training_alone(task, tiny, augmentation):
    X, y = task
    plain = tiny().fit(X, y).predict_proba(X)
    classifier = tiny(augmentation=augmentation).fit(X, y)
    assert np.abs(classifier.predict_proba(X) - plain).max() > 1e-4
    same(classifier.predict_proba(X), classifier.predict_proba(X))  # nothing random about it
    assert not any("random" in layer.name for layer in classifier.model_.layers)
