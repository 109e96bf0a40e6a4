"""What the layers before the open ones give is computed once per image, and training behind them is the same."""

import pickle

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from toy import TOY

import skcnn
from skcnn.cache import ActivationCache, activation_cache, memory_cache
from skcnn.images import BadImageError, BadImageWarning
from skcnn.neural_network import CNNClassifier, CNNRegressor, _cnn

WHOLE = [keras.layers.Identity()]  # an augmentation that changes nothing keeps the whole network in training


@pytest.fixture(autouse=True)
def cache():
    """The cache of the process, empty before and after."""
    activation_cache().clear()
    yield activation_cache()
    activation_cache().clear()


@pytest.fixture
def shared(monkeypatch):
    """Return a function that lets estimators use another cache."""

    def use(other):
        monkeypatch.setattr(_cnn, "activation_cache", lambda: other)
        return other

    return use


@pytest.fixture
def toy():
    """Return a function that makes a classifier of which the last layer and the head learn."""

    def make(**changed):
        defaults = {
            "backbone": TOY,
            "head_epochs": 1,
            "epochs": 3,
            "unfreeze": "parts",
            "learning_rate": 0.01,
            "random_state": 0,
        }
        return CNNClassifier(**{**defaults, "head_learning_rate": 0.05, "batch_size": 8, **changed})

    return make


@pytest.mark.parametrize("batch_norm", ["inference", "train"])
def test_the_same_as_training_with_the_whole_network(task, toy, cache, batch_norm):
    X, y = task
    behind = toy(batch_norm=batch_norm).fit(X, y)
    assert cache.info().passes == len(X)
    whole = toy(batch_norm=batch_norm, augmentation=WHOLE).fit(X, y)
    assert cache.info().passes == len(X)
    # The head is trained on features in one of them, on augmented pixels in the other.
    assert_allclose(behind.history_["loss"], whole.history_["loss"], atol=1e-3)
    assert_allclose(behind.predict_proba(X), whole.predict_proba(X), atol=1e-3)
    for one, other in zip(behind._weights["base"], whole._weights["base"], strict=True):
        assert_allclose(one, other, atol=2e-3)
    first = toy(epochs=0).fit(X, y)
    assert np.abs(behind.predict_proba(X) - first.predict_proba(X)).max() > 0.01  # it learned something


def test_statistics_that_are_open_are_learned_behind_the_cut(task, cache):
    X, y = task

    def make(**changed):
        return CNNClassifier(
            TOY, unfreeze="norm", batch_norm="train", head_epochs=0, epochs=3, random_state=0, **changed
        ).fit(X, y)

    behind, whole = make(), make(augmentation=WHOLE)
    assert cache.info().passes == len(X)
    for one, other in zip(behind._weights["base"], whole._weights["base"], strict=True):
        assert_allclose(one, other, atol=1e-3)
    statistics = behind._weights["base"][4:6]
    assert all(np.ptp(values) > 1e-3 for values in statistics)  # they were the same for all channels


def test_a_search_runs_the_frozen_layers_once_per_image(task, toy, cache):
    X, y = task
    rates = [1e-4, 1e-3, 1e-2, 1e-1]
    search = GridSearchCV(toy(epochs=1), {"learning_rate": rates}, cv=3, scoring="neg_log_loss").fit(X, y)
    assert cache.info().passes == len(X)
    assert_allclose(search.predict_proba(X), toy(epochs=1, **search.best_params_).fit(X, y).predict_proba(X), atol=1e-6)
    assert cache.info().passes == len(X)


def test_a_regressor(task, cache):
    X, y = task[0], np.arange(len(task[0])) / 10
    settings = {"head_epochs": 1, "epochs": 2, "unfreeze": "parts", "random_state": 0}
    behind = CNNRegressor(TOY, **settings).fit(X, y)
    assert cache.info().passes == len(X)
    assert_allclose(
        behind.predict(X), CNNRegressor(TOY, augmentation=WHOLE, **settings).fit(X, y).predict(X), atol=2e-2
    )


@pytest.mark.parametrize(
    "changed", [{"unfreeze": "all"}, {"unfreeze": "edges"}, {"augmentation": WHOLE}, {"epochs": 0}]
)
def test_nothing_is_kept_where_there_is_nothing_to_keep(task, toy, cache, changed):
    toy(**{"epochs": 1, **changed}).fit(*task)
    assert cache.info().passes == cache.info().n_bytes == 0


def test_random_layers_before_the_cut_are_drawn_in_training(task, cache):
    with keras.utils.CustomObjectScope({}):
        pixels = keras.Input((16, 16, 3))
        x = keras.layers.Conv2D(6, 3, 2, name="edges")(pixels)
        x = keras.layers.Conv2D(8, 3, name="parts")(keras.layers.Dropout(0.5, seed=0)(x))
        network = keras.Model(pixels, x)
    common = {"head_epochs": 0, "epochs": 1, "unfreeze": "parts", "random_state": 0}
    CNNClassifier(network, batch_norm="train", **common).fit(*task)
    assert cache.info().passes == 0
    CNNClassifier(network, **common).fit(*task)  # in inference mode nothing is drawn
    assert cache.info().passes == len(task[0])


def test_partial_fit_keeps_nothing_of_images_that_may_not_come_again(task, toy, cache):
    X, y = task
    classifier = toy()
    for start in (0, 15):
        classifier.partial_fit(X[start : start + 15], y[start : start + 15], classes=np.unique(y))
    assert cache.info().passes == 0
    assert classifier.predict_proba(X).shape == (len(X), 3)


def test_no_cache_keeps_activations_for_the_fit_alone(task, toy, cache, monkeypatch):
    made = []

    class Counted(ActivationCache):
        def __init__(self):
            super().__init__()
            made.append(self)

    monkeypatch.setattr(_cnn, "ActivationCache", Counted)
    classifier = toy(cache=None).fit(*task)
    assert cache.info().passes == 0
    assert [one.info().passes for one in made] == [len(task[0])]
    assert_allclose(classifier.predict_proba(task[0]), toy().fit(*task).predict_proba(task[0]), atol=1e-6)
    assert len(made) == 1


def test_without_room_they_are_computed_in_every_epoch(task, toy, shared):
    X, y = task
    expected = toy().fit(X, y)
    small = shared(ActivationCache(max_bytes=0, max_disk_bytes=0))
    classifier = toy().fit(X, y)
    assert 3 * len(X) <= small.info().passes < 4 * len(X)  # Keras looks at two batches before the first epoch
    assert small.info().n_bytes == small.info().n_disk_bytes == 0
    assert_allclose(classifier.history_["loss"], expected.history_["loss"], atol=1e-6)
    assert_allclose(classifier.predict_proba(X), expected.predict_proba(X), atol=1e-6)


def test_in_a_file(task, toy, shared, tmp_path):
    X, y = task
    expected = toy().fit(X, y)
    on_disk = shared(ActivationCache(max_bytes=0, folder=tmp_path))
    classifier = toy().fit(X, y)
    info = on_disk.info()
    assert (info.passes, info.n_bytes) == (len(X), 0)
    assert info.n_disk_bytes == len(X) * 8 * 8 * 6 * 4
    assert_array_equal(classifier.predict_proba(X), expected.predict_proba(X))


def test_what_another_network_needs_does_not_disturb_a_training(task, toy, shared):
    X, y = task
    expected = toy().fit(X, y)
    cache = shared(ActivationCache(max_bytes=40 * 8 * 8 * 6 * 4, max_disk_bytes=0))

    class Disturbing(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            cache.reserve("another network", [b"an image"], 35 * 8 * 8 * 6)

    classifier = toy(callbacks=[Disturbing]).fit(X, y)
    assert_array_equal(classifier.history_["loss"], expected.history_["loss"])
    assert cache.info().passes == len(X)


def test_bad_images_are_named_before_the_first_epoch(task, toy, tmp_path):
    X, y = task
    paths = [tmp_path / f"{row}.png" for row in range(len(X))]
    for path, pixels in zip(paths, X, strict=True):
        Image.fromarray(pixels).save(path)
    paths[3].write_bytes(b"no image")
    with pytest.raises(BadImageError, match=r"row 3: .*3\.png"):
        toy(head_epochs=0).fit(paths, y)
    keep = np.arange(len(X)) != 3
    expected = toy(head_epochs=0).fit(X[keep], y[keep])
    with pytest.warns(BadImageWarning, match="row 3"):
        classifier = toy(head_epochs=0, on_error="nan").fit(paths, y)
    assert_allclose(classifier.history_["loss"], expected.history_["loss"], atol=1e-5)
    with pytest.warns(BadImageWarning, match="row 3"):
        probabilities = classifier.predict_proba(paths)
    assert np.isnan(probabilities[3]).all()
    assert_allclose(probabilities[keep], classifier.predict_proba(X[keep]), atol=1e-6)


def test_an_image_that_goes_bad_during_training_is_named(task, toy, shared, tmp_path):
    X, y = task
    paths = [tmp_path / f"{row}.png" for row in range(len(X))]
    for path, pixels in zip(paths, X, strict=True):
        Image.fromarray(pixels).save(path)
    shared(ActivationCache(max_bytes=0, max_disk_bytes=0))

    class Spoiling(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            paths[5].write_bytes(b"no image")

    with pytest.raises(BadImageError, match=r"row 5: .*5\.png"):
        toy(head_epochs=0, epochs=2, callbacks=[Spoiling]).fit(paths, y)


def test_saved_and_pickled_they_predict_the_same(task, toy, tiny_network, tmp_path, cache):
    X, y = task
    classifier = toy(backbone=tiny_network).fit(X, y)
    assert cache.info().passes == len(X)
    expected = classifier.predict_proba(X)
    skcnn.save(classifier, tmp_path / "model.skcnn")
    again = [skcnn.load(tmp_path / "model.skcnn"), pickle.loads(pickle.dumps(classifier))]
    assert cache.info().passes == len(X)  # what is known is used
    cache.clear()
    for one in again:
        assert_allclose(one.predict_proba(X), expected, atol=1e-5)
    assert cache.info().passes == 0  # the whole network, in a process that did not train


def test_a_run_is_resumed_behind_the_cut(task, toy, tmp_path):
    X, y = task
    expected = toy().fit(X, y)

    class Stopping(keras.callbacks.Callback):
        n_epochs = 0

        def on_epoch_begin(self, epoch, logs=None):
            Stopping.n_epochs += 1
            if Stopping.n_epochs == 3:  # the second one of fine-tuning
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        toy(checkpoint=tmp_path, callbacks=[Stopping]).fit(X, y)
    resumed = toy(checkpoint=tmp_path, callbacks=[Stopping]).fit(X, y)
    assert Stopping.n_epochs == 5
    assert_allclose(resumed.predict_proba(X), expected.predict_proba(X), atol=1e-6)


def test_in_bfloat16(task, toy, cache):
    X, y = task
    classifier = toy(precision="bfloat16", learning_rate=1e-3).fit(X, y)
    assert cache.info().passes == len(X)
    whole = toy(precision="bfloat16", learning_rate=1e-3, augmentation=WHOLE).fit(X, y)
    assert_allclose(classifier.predict_proba(X), whole.predict_proba(X), atol=2e-2)


def test_views_run_through_the_frozen_layers_once(task, toy, cache):
    X, y = task
    memory_cache().clear()
    views = toy(epochs=4, augmentation="light", augmentation_views=4).fit(X, y)
    again = clone(views).set_params(learning_rate=1e-3).fit(X, y)
    # The images themselves are in the head's features, which say how many rows there are.
    assert (cache.info().passes, memory_cache().info().passes) == (4 * len(X), 5 * len(X))
    assert views.score(X, y) > 0.9
    plain = toy(epochs=4).fit(X, y)
    assert np.abs(views.history_["loss"] - plain.history_["loss"]).max() > 1e-4  # the images were changed
    same = clone(again).set_params(cache=None).fit(X, y)
    assert_allclose(same.history_["loss"], again.history_["loss"], atol=1e-5)


def test_the_validation_set_is_not_changed(task, toy, cache):
    X, y = task
    black = keras.layers.Rescaling(0.0)  # of the training images nothing is left to see
    classifier = toy(augmentation=black, augmentation_views=2, early_stopping=True, validation_fraction=0.3)
    history = classifier.fit(X, y).history_
    assert_allclose(history["loss"].iloc[0], np.log(3), atol=0.1)
    assert history["val_loss"].nunique() == len(history)
    outputs = classifier.predict_proba(X)
    assert np.ptp(outputs, axis=0).max() > 0  # images are seen as they are


def test_views_do_not_matter_where_nothing_is_kept(task, toy, cache):
    X, y = task
    changed = toy(augmentation="light", unfreeze="all", head_epochs=0, epochs=1)
    expected = changed.fit(X, y).predict_proba(X)
    views = changed.set_params(augmentation_views=2).fit(X, y)
    assert_allclose(views.predict_proba(X), expected, atol=1e-6)
    assert cache.info().passes == 0
    views.partial_fit(X, y)
    assert cache.info().passes == 0
