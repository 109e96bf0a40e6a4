"""Places on a machine are in no file, and a file that names some has them reset."""

import joblib
import numpy as np
import pytest
import skops.io
from forging import write
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import FeatureAgglomeration
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import make_scorer, recall_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline

import skcnn
from skcnn.feature_extraction import BottleneckFeatures
from skcnn.neural_network import CNNClassifier
from skcnn.persistence._places import without_places


def features(place):
    return BottleneckFeatures("ResNet20", cache=str(place), root=str(place))


def pipeline(place):
    return Pipeline([("features", features(place)), ("head", LogisticRegression())], memory=str(place))


NESTS = {
    "itself": lambda inner: (inner, lambda again: again),
    "search": lambda inner: (GridSearchCV(inner, {}), lambda again: again.estimator),
    "candidates": lambda inner: (
        GridSearchCV(LogisticRegression(), {"estimator": [inner]}),
        lambda again: again.param_grid["estimator"][0],
    ),
    "voting": lambda inner: (VotingClassifier([("a", inner)]), lambda again: again.estimators[0][1]),
    "calibrated": lambda inner: (CalibratedClassifierCV(inner), lambda again: again.estimator),
    "scorer": lambda inner: (
        GridSearchCV(LogisticRegression(), {}, scoring=make_scorer(recall_score, labels=[inner])),
        lambda again: again.scoring._kwargs["labels"][0],
    ),
    "array": lambda inner: (
        GridSearchCV(LogisticRegression(), {"a": np.array([inner, None], object)}),
        lambda again: again.param_grid["a"][0],
    ),
    "set": lambda inner: (
        GridSearchCV(LogisticRegression(), {"a": {inner}}),
        lambda again: next(iter(again.param_grid["a"])),
    ),
    "pipelines": lambda inner: (make_pipeline(make_pipeline(inner)), lambda again: again[0][0]),
}


@pytest.mark.parametrize("nest", NESTS)
@pytest.mark.parametrize("is_forged", [False, True])
def test_places_are_reset_wherever_they_are(nest, is_forged, tmp_path):
    place = tmp_path / "place"
    given, of = NESTS[nest](pipeline(place))
    path = tmp_path / "a.skcnn"
    if is_forged:
        write(path, {"estimator.skops": skops.io.dumps(given)})
    else:
        skcnn.save(given, path)
        assert str(place).encode() not in b"".join(skcnn_members(path))
    again = of(skcnn.load(path))
    assert again.memory is None
    assert again[0].cache == "memory"
    assert again[0].root is None
    assert of(given)[0].root == str(place)  # what was given is as it was
    assert not place.exists()


def skcnn_members(path):
    from forging import members_of, parts_of

    schema, files = parts_of(members_of(path)["estimator.skops"])
    return [str(schema).encode(), *files.values()]


def test_a_network_writes_no_checkpoints(tmp_path):
    given = CNNClassifier("ResNet20", checkpoint=str(tmp_path / "c"), cache=str(tmp_path / "d"), root="/")
    for write_it in (skcnn.save, lambda given, path: write(path, {"estimator.skops": skops.io.dumps(given)})):
        write_it(given, tmp_path / "a.skcnn")
        again = skcnn.load(tmp_path / "a.skcnn")
        assert (again.cache, again.checkpoint, again.root) == ("memory", None, None)


def test_what_names_no_place_stays(tmp_path):
    given = make_pipeline(BottleneckFeatures("ResNet20", cache=None), LogisticRegression())
    skcnn.save(given, tmp_path / "a.skcnn")
    assert skcnn.load(tmp_path / "a.skcnn")[0].cache is None


def test_a_memory_object_and_other_estimators(tmp_path):
    given = make_pipeline(FeatureAgglomeration(memory=joblib.Memory(tmp_path / "m", verbose=0)))
    skcnn.save(given, tmp_path / "a.skcnn")
    assert skcnn.load(tmp_path / "a.skcnn")[0].memory is None
    assert given[0].memory is not None


def test_candidates_of_a_search(tmp_path):
    grid = {"features__cache": ["memory", "/etc", None], "memory": ["/etc", None], "head__C": [1.0]}
    path = tmp_path / "a.skcnn"
    write(path, {"estimator.skops": skops.io.dumps(GridSearchCV(pipeline("/etc"), grid))})
    assert skcnn.load(path).param_grid == {
        "features__cache": ["memory", "memory", None],
        "memory": [None, None],
        "head__C": [1.0],
    }


def test_nothing_is_copied_without_need():
    for value in ({"cache": "memory", "a": 1}, LogisticRegression(), {"root": 3, 4: "x"}, "memory", Pipeline):
        assert without_places(value) is value


@pytest.mark.parametrize(
    "parameters",
    [
        {"backbone": "/etc/network.keras"},
        {"backbone": "//server/share/network.keras"},
        {"backbone": "ResNet20", "weights": "/etc/x.h5"},
        {"backbone": "ResNet20", "weights": "x.weights.h5"},
        {"backbone": "ResNet20", "image_size": 0},
        {"backbone": "ResNet20", "image_size": 20_000},
        {"backbone": "ResNet20", "image_size": (2.5, 8)},
        {"backbone": {"member": "networks/none.keras"}},
        {"backbone": "ResNet20", "weights": {"member": "estimator.skops"}},
        {"backbone": 3},
    ],
    ids=str,
)
@pytest.mark.parametrize("Estimator", [BottleneckFeatures, CNNClassifier])
def test_parameters_that_no_file_may_have(Estimator, parameters, tmp_path):
    given = Estimator()
    for name, value in parameters.items():
        setattr(given, name, value)
    write(tmp_path / "a.skcnn", {"estimator.skops": skops.io.dumps(given)})
    with pytest.raises(skcnn.persistence.ModelFileError, match="damaged or forged"):
        skcnn.load(tmp_path / "a.skcnn")


@pytest.mark.parametrize("sizes", [(2**31,), (2**15,), (-1,), ("x",), 3])
def test_heads_that_no_file_may_have(sizes, tmp_path):
    given = CNNClassifier("ResNet20", hidden_layer_sizes=sizes)
    write(tmp_path / "a.skcnn", {"estimator.skops": skops.io.dumps(given)})
    with pytest.raises(skcnn.persistence.ModelFileError, match=r"hidden_layer_sizes|not iterable"):
        skcnn.load(tmp_path / "a.skcnn")
