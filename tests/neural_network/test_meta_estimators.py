"""CNNClassifier inside scikit-learn's estimators that hold others, and behind imbalanced-learn's samplers."""

import os
import signal

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_validate
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from toy import TOY

from skcnn._training import n_graphs
from skcnn.cache import memory_cache
from skcnn.ensemble import BaggedSGDClassifier
from skcnn.feature_extraction import BottleneckFeatures
from skcnn.neural_network import CNNClassifier


@pytest.fixture
def frame(task, tmp_path):
    """The images as a one-column frame of paths, and the labels."""
    paths = []
    for row, pixels in enumerate(task[0]):
        paths.append(str(tmp_path / f"{row}.png"))
        Image.fromarray(pixels).save(paths[-1])
    return pd.DataFrame({"path": paths}), task[1]


@pytest.fixture
def frozen():
    return CNNClassifier(TOY, head_epochs=4, head_learning_rate=0.2, epochs=0, batch_size=8, random_state=0)


def test_grid_search_of_schedules_costs_one_pass_an_image(frame, frozen, cache):
    search = GridSearchCV(
        frozen,
        [
            {"learning_rate_schedule": ["constant", "cosine", "plateau"]},
            {"learning_rate_schedule": ["cosine"], "early_stopping": [True], "validation_fraction": [0.2]},
        ],
        cv=3,
        scoring=["accuracy", "neg_log_loss"],
        refit="neg_log_loss",
        error_score="raise",
    ).fit(*frame)
    assert len(search.cv_results_["params"]) == 4
    assert memory_cache().info().passes == 30
    assert search.best_score_ > -1.1
    assert search.predict(frame[0]).shape == (30,)
    assert search.best_estimator_.feature_names_in_.tolist() == ["path"]


def test_a_search_shares_the_compiled_graph(frame, frozen):
    fit = clone(frozen).fit(*frame)
    before = n_graphs()
    grid = [
        {"head_learning_rate": [0.01, 0.02]},
        {"dropout": [0.0, 0.5], "class_weight": ["balanced"]},
    ]
    GridSearchCV(frozen, grid, cv=2).fit(*frame)
    assert n_graphs() == before
    assert fit.predict(frame[0]).shape == (30,)


def test_folds_are_stratified(frame, frozen):
    X, y = frame
    order = np.argsort(y, kind="stable")
    results = cross_validate(frozen, X.iloc[order], y[order], cv=3, scoring="accuracy", return_indices=True)
    for held_out in results["indices"]["test"]:
        assert np.unique(y[order][held_out], return_counts=True)[1].tolist() in ([3, 3, 4], [3, 4, 3], [4, 3, 3])
    assert results["test_score"].mean() > 0.6


def test_cross_val_predict(frame, frozen):
    probabilities = cross_val_predict(frozen, *frame, cv=3, method="predict_proba")
    assert probabilities.shape == (30, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)


def test_workers(frame, frozen):
    X, y = frame
    alone = cross_val_predict(frozen, X, y, cv=2, method="predict_proba")
    together = cross_val_predict(frozen, X, y, cv=2, method="predict_proba", n_jobs=2)
    np.testing.assert_allclose(together, alone, atol=1e-4)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks are POSIX's")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_is_refused(task, frozen, tiny):
    fitted = clone(frozen).fit(*task)  # Keras is at work in this process
    tuned = tiny(head_epochs=1, epochs=1, unfreeze="parts").fit(*task)
    tuned.predict(task[0])
    engines = [BottleneckFeatures(TOY, cache=None, engine=engine) for engine in ("keras", "openvino")]
    for features in engines:
        features.transform(task[0])
    # What is compiled already hangs in the child as well as what is not.
    asks = [lambda: clone(frozen).fit(*task), lambda: fitted.predict(task[0]), lambda: tuned.predict(task[0])]
    asks += [lambda features=features: features.transform(task[0]) for features in engines]
    # Forked by hand, as joblib's 'multiprocessing' does: its pool may wait for ever where two tasks fail at a time (it
    # ends a worker that holds the lock of the results).
    if (child := os.fork()) == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(60)  # a child that hangs is ended by the kernel
        n_refused = 0
        try:
            for ask in asks:
                try:
                    ask()
                except RuntimeError as error:
                    n_refused += "forked" in str(error)
        finally:
            os._exit(n_refused)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == len(asks)


@pytest.mark.parametrize("ensemble", [True, False])
@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_calibration(frame, frozen, ensemble, method):
    calibrated = CalibratedClassifierCV(frozen, method=method, cv=3, ensemble=ensemble).fit(*frame)
    assert calibrated.predict_proba(frame[0]).shape == (30, 3)
    assert calibrated.score(*frame) > 0.6


@pytest.mark.parametrize("voting", ["soft", "hard"])
def test_voting(frame, frozen, voting):
    other = make_pipeline(BottleneckFeatures(TOY), LogisticRegression())
    ensemble = VotingClassifier([("cnn", frozen), ("linear", other)], voting=voting).fit(*frame)
    assert ensemble.score(*frame) > 0.6


def test_stacking(frame, frozen):
    other = make_pipeline(BottleneckFeatures(TOY), BaggedSGDClassifier(n_estimators=2, random_state=0))
    ensemble = StackingClassifier([("cnn", frozen), ("sgd", other)], LogisticRegression(), cv=2).fit(*frame)
    assert ensemble.predict_proba(frame[0]).shape == (30, 3)


def test_bagging_on_a_column(frame, frozen):
    X, y = frame
    bagging = BaggingClassifier(frozen, n_estimators=2, random_state=0).fit(X.to_numpy(dtype=object), y)
    assert bagging.predict_proba(X.to_numpy(dtype=object)).shape == (30, 3)


def test_one_vs_rest(task, frozen):
    X, y = task
    column = np.empty((30, 1), object)
    column[:, 0] = [*X]
    assert OneVsRestClassifier(frozen).fit(column, y).predict_proba(column).shape == (30, 3)


def test_pipeline(frame, frozen):
    pipeline = make_pipeline(FunctionTransformer(), frozen).fit(*frame)
    assert pipeline.score(*frame) > 0.6
    search = GridSearchCV(pipeline, {"cnnclassifier__dropout": [0.0, 0.5]}, cv=2).fit(*frame)
    assert set(search.best_params_) == {"cnnclassifier__dropout"}


def test_sample_weight_by_metadata_routing(frame, frozen):
    import sklearn

    X, y = frame
    weights = np.ones(30)
    with sklearn.config_context(enable_metadata_routing=True):
        routed = clone(frozen).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        scores = cross_validate(routed, X, y, cv=2, params={"sample_weight": weights})["test_score"]
    np.testing.assert_allclose(scores, cross_validate(frozen, X, y, cv=2)["test_score"])


def test_imbalanced_learn(frame, frozen):
    sampling = pytest.importorskip("imblearn.over_sampling")
    from imblearn.pipeline import make_pipeline as make_sampling_pipeline

    X, y = frame
    rare = np.r_[np.flatnonzero(y == "red")[:3], np.flatnonzero(y != "red")]
    X, y = X.iloc[rare], y[rare]
    sampler = sampling.RandomOverSampler(random_state=0)
    resampled, labels = sampler.fit_resample(X, y)
    assert list(resampled.columns) == ["path"]
    assert np.unique(labels, return_counts=True)[1].tolist() == [10, 10, 10]
    pipeline = make_sampling_pipeline(sampler, frozen).fit(X, y)
    plain = clone(frozen).fit(X, y)
    red = y == "red"
    assert pipeline.predict_proba(X)[red, 0].mean() > plain.predict_proba(X)[red, 0].mean()
    under = pytest.importorskip("imblearn.under_sampling").RandomUnderSampler(random_state=0)
    assert make_sampling_pipeline(under, frozen).fit(X, y).predict(X).shape == (23,)
