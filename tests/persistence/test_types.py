"""Which types go into a file and come out again, which do not, and what save says of these."""

import inspect
import json
import warnings

import numpy as np
import pytest
import skops.io
from forging import forge, nodes_of, write
from scipy import stats
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.feature_extraction import DictVectorizer, FeatureHasher
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import make_scorer, recall_score
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
)
from sklearn.multiclass import OneVsRestClassifier, OutputCodeClassifier
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors, RadiusNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC
from sklearn.utils import all_estimators

import skcnn
from skcnn.metrics import box_scorers
from skcnn.persistence import ModelFileError, UntrustedTypesError
from skcnn.persistence._checks import checked

X = np.random.default_rng(0).random((60, 4))
Y = np.where(X[:, 0] > 0.5, "b", "a")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.skcnn"


def same_after_a_trip(estimator, path):
    skcnn.save(estimator, path)
    again = skcnn.load(path)
    method = "predict_proba" if hasattr(estimator, "predict_proba") else "predict"
    np.testing.assert_array_equal(getattr(again, method)(X), getattr(estimator, method)(X))
    return again


@pytest.mark.parametrize(
    "estimator",
    [
        CalibratedClassifierCV(LogisticRegression(), cv=2),
        CalibratedClassifierCV(LogisticRegression(), method="isotonic", cv=2, ensemble=False),
        CalibratedClassifierCV(FrozenEstimator(LogisticRegression().fit(X, Y))),
        FixedThresholdClassifier(LogisticRegression(), threshold=0.3, pos_label="b"),
        GaussianProcessClassifier(),
        KNeighborsClassifier(algorithm="brute"),
        RadiusNeighborsClassifier(5.0, algorithm="brute"),
        MLPClassifier((3,), max_iter=3, random_state=0),
        MLPClassifier((3,), solver="sgd", max_iter=3, random_state=0),
        OneVsRestClassifier(LogisticRegression()),
        OutputCodeClassifier(LogisticRegression(), random_state=0),
        TunedThresholdClassifierCV(LogisticRegression(), cv=2),
        TunedThresholdClassifierCV(LogisticRegression(), scoring=make_scorer(recall_score, pos_label="b"), cv=2),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_holders_of_attributes(estimator, path):
    same_after_a_trip(estimator.fit(X, Y), path)


def test_temperature_scaling(path):
    if "temperature" not in str(inspect.getdoc(CalibratedClassifierCV)):
        pytest.skip("this scikit-learn has no temperature scaling")
    same_after_a_trip(CalibratedClassifierCV(LogisticRegression(), method="temperature", cv=2).fit(X, Y), path)


def fitted(Classifier):
    parameters = inspect.signature(Classifier).parameters
    given = {
        "estimator": LogisticRegression(),
        "estimators": [("a", LogisticRegression())],
        "n_estimators": 2,
        "max_iter": 5,
        "cv": 2,
    }
    try:
        return Classifier(**{name: given[name] for name in given if name in parameters}).fit(X, Y)
    except (ValueError, IndexError):  # it wants another y
        return None


CLASSIFIERS = all_estimators("classifier")


@pytest.mark.filterwarnings("ignore")
def test_save_says_what_load_refuses(path):
    """No classifier of scikit-learn is saved without a word and then refused."""
    refused = {}
    for name, Classifier in CLASSIFIERS:
        if (classifier := fitted(Classifier)) is None:
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", UserWarning)
                skcnn.save(classifier, path)
        except TypeError as error:
            refused[name] = str(error)
            continue
        again = skcnn.load(path)
        np.testing.assert_array_equal(again.predict(X), classifier.predict(X))
    assert all(" use " in message and "joblib.dump" in message for message in refused.values())
    assert refused.keys() == {
        "DecisionTreeClassifier",
        "ExtraTreeClassifier",
        "ExtraTreesClassifier",
        "GradientBoostingClassifier",
        "HistGradientBoostingClassifier",
        "KNeighborsClassifier",
        "NuSVC",
        "RadiusNeighborsClassifier",
        "RandomForestClassifier",
        "SVC",
    }


DENIED = [
    name
    for name, estimator in all_estimators()
    if estimator.__module__.startswith(
        ("sklearn.tree", "sklearn.ensemble._forest", "sklearn.ensemble._gb", "sklearn.ensemble._hist", "sklearn.svm")
    )
    and not name.startswith("Linear")
] + ["IsolationForest", "KernelDensity"]


@pytest.mark.parametrize("name", DENIED)
def test_types_that_are_denied(name, path):
    estimator = dict(all_estimators())[name]()
    with pytest.raises(TypeError, match=rf"Pipeline cannot be saved: it holds \S+{name} .*use "):
        skcnn.save(make_pipeline(StandardScaler(), estimator), path)
    assert not path.exists()
    write(path, {"estimator.skops": skops.io.dumps(make_pipeline(StandardScaler(), estimator))})
    for trusted in ([], [f"{type(estimator).__module__}.{name}"]):
        with pytest.raises(ModelFileError, match=rf"{name} .*use .*neither saves nor loads"):
            skcnn.load(path, trusted=trusted)


def test_the_way_out_is_named(path):
    with pytest.raises(TypeError, match=r"use LinearSVC instead.*joblib\.dump"):
        skcnn.save(SVC(), path)
    with pytest.raises(TypeError, match="algorithm='brute'"):
        skcnn.save(KNeighborsClassifier(algorithm="kd_tree").fit(X, Y), path)
    write(path, {"estimator.skops": skops.io.dumps(KNeighborsClassifier(algorithm="ball_tree").fit(X, Y))})
    with pytest.raises(ModelFileError, match="algorithm='brute'"):
        skcnn.load(path)


DISTRIBUTIONS = {
    "loguniform": stats.loguniform(1e-3, 1e2),
    "uniform": stats.uniform(loc=0.1, scale=0.5),
    "randint": stats.randint(1, np.int64(9)),
    "norm": stats.norm(),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_distributions_come_back(name, path):
    search = RandomizedSearchCV(LogisticRegression(), [{"C": DISTRIBUTIONS[name]}, {"C": [1.0]}], random_state=0)
    skcnn.save(search, path)
    again = skcnn.load(path).param_distributions[0]["C"]
    assert again.dist.name == name
    np.testing.assert_array_equal(again.rvs(5, random_state=3), DISTRIBUTIONS[name].rvs(5, random_state=3))
    assert search.param_distributions[0]["C"] is DISTRIBUTIONS[name]


def test_a_fitted_randomised_search(path):
    search = RandomizedSearchCV(LogisticRegression(), {"C": DISTRIBUTIONS["loguniform"]}, n_iter=3, random_state=0)
    again = same_after_a_trip(search.fit(X, Y), path)
    assert again.fit(X, Y).best_params_ == search.best_params_


class Mine(stats.rv_continuous):
    """A distribution with a name of scipy's."""


@pytest.mark.parametrize(
    "distribution",
    [Mine(name="norm")(), stats.multivariate_normal([0, 0]), stats.gaussian_kde([1, 2, 3]), stats.norm],
)
def test_distributions_that_cannot_be_saved(distribution, path):
    with pytest.raises(TypeError, match=r"Expected one of scipy\.stats: .*loguniform|cannot be saved"):
        skcnn.save(RandomizedSearchCV(LogisticRegression(), {"C": distribution}), path)


def test_a_forged_distribution_runs_nothing(path, tmp_path):
    marker = tmp_path / "marker"
    frozen = stats.loguniform(1, 2)
    frozen.dist._parse_arg_template = (
        f"__import__('pathlib').Path({str(marker)!r}).touch()\n"
        "def _parse_args(self): pass\n"
        "def _parse_args_stats(self): pass\n"
        "def _parse_args_rvs(self): pass\n"
    )
    state = skops.io.dumps(RandomizedSearchCV(LogisticRegression(), {"C": frozen}))
    names = skops.io.get_untrusted_types(data=state)
    skops.io.loads(state, trusted=names)
    assert marker.exists()  # that is what it does where it is trusted
    marker.unlink()
    write(path, {"estimator.skops": state})
    for trusted in ([], names):
        with pytest.raises(ModelFileError, match=r"scipy\.stats\S+ .building it runs text from the file"):
            skcnn.load(path, trusted=trusted)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [("name", "rv_continuous"), ("name", "os.system"), ("name", 3), ("args", "echo"), ("args", ["echo"]), ("args", 3)],
)
def test_a_file_asks_for_listed_distributions_of_numbers(name, value, path):
    skcnn.save(RandomizedSearchCV(LogisticRegression(), {"C": stats.loguniform(1, 2)}), path)

    def change(schema, _):
        [node] = [node for node in nodes_of(schema) if node["__class__"] == "StoredDistribution"]
        node["content"]["content"][name] = {
            "__class__": "str",
            "__module__": "builtins",
            "__loader__": "JsonNode",
            "content": json.dumps(value),
            "is_json": True,
        }

    forge(path, change)
    with pytest.raises(ModelFileError, match=r"not a name of scipy\.stats with numbers"):
        skcnn.load(path)


def reached(estimator, path):
    """What is built from a file that save did not check."""
    write(path, {"estimator.skops": skops.io.dumps(estimator)})
    return skcnn.load(path)


def forged_neighbors(**attributes):
    neighbors = KNeighborsClassifier(algorithm="brute", metric="manhattan").fit(X, Y)
    vars(neighbors).update(attributes)
    return neighbors


@pytest.mark.parametrize(
    "estimator",
    [
        forged_neighbors(_y=np.full(60, 2**40)),
        forged_neighbors(_y=np.full(60, -5)),
        forged_neighbors(_y=np.zeros(3, int)),
        forged_neighbors(_y=np.zeros(60)),
        forged_neighbors(_fit_X=X[:, :1]),
        forged_neighbors(_fit_X=X[:0]),
        forged_neighbors(_fit_method="kd_tree"),
        forged_neighbors(classes_=np.array(["a"])),
    ],
)
def test_neighbors_that_end_the_process(estimator, path):
    with pytest.raises(ModelFileError, match="KNeighborsClassifier"):
        reached(estimator, path)
    with pytest.raises(TypeError, match="KNeighborsClassifier"):
        skcnn.save(estimator, path)


def test_neighbors_of_other_kinds(path):
    several = KNeighborsClassifier(algorithm="brute").fit(X, np.c_[Y, Y[::-1]])
    np.testing.assert_array_equal(reached(several, path).predict(X), several.predict(X))
    neighbors = NearestNeighbors(algorithm="brute").fit(X)
    np.testing.assert_array_equal(reached(neighbors, path).kneighbors(X)[1], neighbors.kneighbors(X)[1])
    assert reached(KNeighborsClassifier(), path).algorithm == "auto"


def with_attributes(estimator, **attributes):
    vars(estimator).update(attributes)
    return estimator


def forged_one_vs_rest():
    estimator = OneVsRestClassifier(LogisticRegression()).fit(X, Y)
    estimator.estimators_[0].intercept_ = np.zeros(3)
    return estimator


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (forged_one_vs_rest(), "OneVsRestClassifier"),
        (with_attributes(FeatureHasher(), n_features=0), "n_features=0"),
        (with_attributes(DictVectorizer(), vocabulary_={"a": 10**9}), "vocabulary"),
        (with_attributes(LogisticRegression(), predict=np.exp), "in place of the method predict"),
    ],
)
def test_other_arrays_that_end_the_process(estimator, message, path):
    with pytest.raises(ModelFileError, match=message):
        reached(estimator, path)
    with pytest.raises(TypeError, match=message):
        skcnn.save(estimator, path)


def test_a_random_state_stays_within_its_numbers():
    state = np.random.RandomState(0)
    assert checked(state) is state
    kind, key, *_ = state.get_state()

    def forged():
        state.set_state((kind, key, 10**6))  # which a later NumPy refuses itself
        return checked(state)

    with pytest.raises(ValueError, match=r"random state is at 1000000 of 624|between 0 and 624"):
        forged()


class Own(BaseEstimator):
    """An estimator of the user's own."""


def test_own_types_are_named_by_save_and_given_to_load(path):
    with pytest.warns(UserWarning, match=r"skcnn\.load\(path, trusted=\['\S+\.Own'\]\)"):
        skcnn.save(Own(), path)
    with pytest.raises(UntrustedTypesError) as caught:
        skcnn.load(path)
    assert isinstance(caught.value, ModelFileError)
    assert isinstance(caught.value, TypeError)
    assert type(skcnn.load(path, trusted=caught.value.types)) is Own


def test_functions_of_arrays(path):
    skcnn.save(FunctionTransformer(np.log1p), path)
    assert skcnn.load(path).func is np.log1p


def test_scorers_of_boxes(path):
    search = GridSearchCV(LogisticRegression(), {"C": [1.0]}, scoring=box_scorers("average_precision_50", "mean_iou"))
    search.scoring |= box_scorers("average_recall", "localization_accuracy")
    skcnn.save(search, path)
    assert list(skcnn.load(path).scoring) == list(search.scoring)
