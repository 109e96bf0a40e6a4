"""CNNRegressor: numbers in any unit, one per image or several."""

import keras
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score

import skcnn
from skcnn.images import BadImageError, BadImageWarning
from skcnn.neural_network import CNNRegressor
from skcnn.neural_network._loss import regressing


@pytest.fixture(scope="module")
def numbers():
    """Images whose brightness is the target."""
    generator = np.random.default_rng(0)
    y = generator.uniform(20, 235, 40)
    X = np.clip(y[:, None, None, None] + generator.normal(0, 5, (40, 16, 16, 3)), 0, 255).astype(np.uint8)
    return X, y


@pytest.fixture
def regressor(tiny_network):
    def make(**parameters):
        defaults = {
            "head_epochs": 20,
            "head_learning_rate": 0.05,
            "epochs": 2,
            "learning_rate": 1e-3,
            "learning_rate_schedule": "constant",
            "unfreeze": "all",
            "batch_size": 8,
            "random_state": 0,
        }
        return CNNRegressor(tiny_network, **{**defaults, **parameters})

    return make


@pytest.mark.parametrize("loss", ["auto", "mean_absolute_error", "huber", keras.losses.LogCosh()])
def test_learns(numbers, regressor, loss):
    X, y = numbers
    fitted = regressor(loss=loss).fit(X[:30], y[:30])
    assert fitted.score(X[30:], y[30:]) > 0.85
    assert fitted.score(X[30:], y[30:]) == r2_score(y[30:], fitted.predict(X[30:]))
    np.testing.assert_allclose(
        fitted.model_.predict(X.astype("float32"), verbose=0)[:, 0], fitted.predict(X), rtol=1e-4
    )
    assert list(fitted.history_.columns) == ["phase", "epoch", "loss", "r2_score", "learning_rate"]
    assert fitted.n_iter_ == fitted.best_epoch_ == 22


def test_the_unit_of_y_does_not_matter(numbers, regressor):
    X, y = numbers
    metres = regressor().fit(X, y).predict(X)
    feet = regressor().fit(X, 3.28 * y + 1e4).predict(X)
    np.testing.assert_allclose(feet, 3.28 * metres + 1e4, rtol=1e-5)


def test_counts_are_positive(numbers, regressor):
    X, y = numbers
    counts = np.rint(y / 50)
    fitted = regressor(loss="poisson").fit(X, counts)
    assert fitted.predict(X).min() > 0
    assert fitted.score(X, counts) > 0.8
    with pytest.raises(ValueError, match=r"loss='poisson' is for numbers >= 0; the least of y is -1"):
        regressor(loss="poisson").fit(X, counts - counts.min() - 1)


def test_several_targets(numbers, regressor):
    X, y = numbers
    table = pd.DataFrame({"brightness": y, "constant": 7.0, "darkness": -1000 * y})
    fitted = regressor().fit(X, table)
    predicted = fitted.predict(X)
    assert predicted.shape == (40, 3)
    assert fitted.n_outputs_ == 3
    np.testing.assert_allclose(predicted[:, 1], 7, atol=0.5)
    assert r2_score(table["darkness"], predicted[:, 2]) > 0.9
    assert regressor(epochs=0).fit(X, y[:, None]).predict(X).shape == (40, 1)  # as scikit-learn's regressors


def test_r2_of_the_history_is_scikit_learns(numbers, regressor):
    X, y = numbers
    fitted = regressor(early_stopping=True, validation_fraction=0.5, epochs=0, n_iter_no_change=30).fit(X, y)
    _, held_out = fitted._split(np.arange(40), y)
    best = fitted.history_.iloc[fitted.best_epoch_ - 1]
    assert best["val_r2_score"] == pytest.approx(r2_score(y[held_out], fitted.predict(X[held_out])), abs=1e-4)
    assert best["val_loss"] == fitted.history_["val_loss"].min()


def test_rows_of_weight_0_are_not_used(numbers, regressor):
    X, y = numbers
    wrong = np.r_[y[:30], np.full(10, 1e6)]
    weighted = regressor(epochs=0).fit(X, wrong, sample_weight=np.r_[np.ones(30), np.zeros(10)])
    np.testing.assert_allclose(weighted.predict(X), regressor(epochs=0).fit(X[:30], y[:30]).predict(X), rtol=1e-4)


def test_partial_fit(numbers, regressor):
    X, y = numbers
    fitted = regressor(learning_rate=0.05, unfreeze=None)
    for _ in range(40):
        fitted.partial_fit(X, y)
    assert fitted.score(X, y) > 0.8
    with pytest.raises(ValueError, match=r"y has shape \(40, 2\); expected \(40,\)"):
        fitted.partial_fit(X, np.c_[y, y])


def test_bad_rows(numbers, regressor):
    X, y = [*numbers[0]], numbers[1]
    X[3] = b"nothing"
    with pytest.raises(BadImageError):
        regressor().fit(X, y)
    fitted = regressor(on_error="nan")
    with pytest.warns(BadImageWarning):
        fitted.fit(X, y)
    with pytest.warns(BadImageWarning):
        predicted = fitted.predict(X)
    assert list(np.flatnonzero(np.isnan(predicted))) == [3]


def test_saved_and_searched(numbers, regressor, tmp_path):
    X, y = numbers
    search = GridSearchCV(regressor(epochs=0), {"head_learning_rate": [1e-6, 0.05]}, cv=3).fit(X, y)
    assert search.best_params_ == {"head_learning_rate": 0.05}
    skcnn.save(search, tmp_path / "search.skcnn")
    loaded = skcnn.load(tmp_path / "search.skcnn")
    np.testing.assert_allclose(loaded.predict(X), search.predict(X), rtol=1e-5)
    assert cross_val_score(clone(search.best_estimator_), X, y, cv=3).min() > 0.3


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (None, ValueError, "The regressor requires y to be passed"),
        (["a"] * 40, ValueError, "could not convert string to float"),
        (np.r_[np.nan, np.ones(39)], ValueError, "contains NaN"),
        (np.ones(39), ValueError, "inconsistent numbers of samples"),
    ],
)
def test_refused(numbers, regressor, y, error, message):
    with pytest.raises(error, match=message):
        regressor().fit(numbers[0], y)


@pytest.mark.parametrize("loss", ["categorical_crossentropy", "binary_focal_crossentropy", "hinge"])
def test_losses_of_classes_refused(loss):
    with pytest.raises(ValueError, match=f"loss='{loss}' is for classes"):
        regressing(loss, 1)
