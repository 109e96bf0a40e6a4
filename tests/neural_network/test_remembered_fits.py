"""A fit whose parameters, images and seed were seen before is not made again."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV

from skcnn._training import _fits, _runs, fit_memory
from skcnn.cache import FeatureCache


@pytest.fixture
def n_fits(monkeypatch):
    """Remember fits, and count the phases that are trained."""
    trained = []
    train_phase = _runs._train_phase
    monkeypatch.setattr(fit_memory(), "max_bytes", 2**29)
    monkeypatch.setattr(_runs, "_train_phase", lambda *arguments: (trained.append(1), train_phase(*arguments))[1])
    fit_memory().clear()
    yield lambda: len(trained)
    fit_memory().clear()


@pytest.fixture
def binary(task):
    return task[0], task[1] == task[1][0]


def test_a_search_over_a_parameter_of_prediction_trains_once_per_fold(binary, tiny, n_fits):
    thresholds = np.linspace(0.1, 0.9, 15)
    search = GridSearchCV(FixedThresholdClassifier(tiny(epochs=0)), {"threshold": thresholds}, cv=5)
    search.fit(*binary)
    assert n_fits() == 5 + 1  # 76 calls of fit


def test_the_same_as_a_fit(binary, tiny, n_fits):
    X, y = binary
    first = tiny().fit(X, y)
    again = tiny(verbose=0).fit(X.copy(), y.copy())
    assert n_fits() == 2  # two phases, once each
    np.testing.assert_array_equal(first.predict_proba(X), again.predict_proba(X))
    assert again.history_.equals(first.history_)
    assert again.best_epoch_ == first.best_epoch_
    again.partial_fit(X, y)
    assert len(tiny().fit(X, y).history_) == len(first.history_)  # the memory holds what was fitted


@pytest.mark.parametrize(
    "change",
    [
        {"learning_rate": 0.02},
        {"random_state": 1},
        {"early_stopping": True},
        {"dropout": 0.1},
        {"loss": "binary_crossentropy"},
        {"optimizer": "sgd"},
    ],
)
def test_other_parameters_are_another_fit(binary, tiny, n_fits, change):
    tiny().fit(*binary)
    tiny(**change).fit(*binary)
    assert n_fits() == 4


def test_other_data_are_another_fit(binary, tiny, n_fits):
    X, y = binary
    brighter = X.copy()
    brighter[0, 0, 0, 0] ^= 1
    for arguments in ((X, y), (brighter, y), (X, ~y), (X, y, np.r_[2.0, np.ones(29)]), (X[:20], y[:20])):
        tiny(epochs=0).fit(*arguments)
    assert n_fits() == 5


@pytest.mark.parametrize(
    "parameters",
    [
        {"random_state": None},
        {"random_state": np.random.RandomState(0)},
        {"cache": None},
        {"callbacks": [lambda: __import__("keras").callbacks.Callback()]},
        {"on_error": "nan"},
    ],
)
def test_fits_that_are_made_anew(binary, tiny, n_fits, parameters):
    classifier = tiny(epochs=0, **parameters)
    for _ in range(2):
        clone(classifier).fit(*binary)
    assert n_fits() == 2


def test_in_a_directory(binary, tiny, n_fits, tmp_path, monkeypatch):
    X, y = binary
    first = tiny(cache=tmp_path).fit(X, y)
    fit_memory().clear()  # as in another process
    np.testing.assert_array_equal(tiny(cache=FeatureCache(tmp_path)).fit(X, y).predict_proba(X), first.predict_proba(X))
    assert n_fits() == 2
    (file,) = (tmp_path / "fits").iterdir()
    file.write_bytes(file.read_bytes()[:-100])
    fit_memory().clear()
    tiny(cache=tmp_path).fit(X, y)
    assert n_fits() == 4  # a damaged file is written anew
    monkeypatch.setattr(_fits, "MAX_DIRECTORY_BYTES", int(1.5 * file.stat().st_size))
    tiny(cache=tmp_path, random_state=1).fit(X, y)
    assert len([*(tmp_path / "fits").iterdir()]) == 1


def test_the_least_recently_used_leave(binary, tiny, n_fits, monkeypatch):
    first, second = tiny(epochs=0), tiny(epochs=0, random_state=1)
    size = _fits.n_bytes(first.fit(*binary)._weights)
    monkeypatch.setattr(fit_memory(), "max_bytes", int(1.5 * size))
    second.fit(*binary)
    second.fit(*binary)
    assert n_fits() == 2
    first.fit(*binary)
    assert n_fits() == 3
