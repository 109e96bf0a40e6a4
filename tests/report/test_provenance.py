import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skcnn.feature_extraction import BottleneckFeatures
from skcnn.metrics._predictions import Predictions
from skcnn.metrics.parts import root_of
from skcnn.model_selection import with_threshold
from skcnn.report import ClassifierReport
from skcnn.report._provenance import digest_of_input, digest_of_predictions, parameters_of

Y_TRUE, Y_SCORE = ["a", "b", "b"], np.array([0.25, 0.5, 1.0])


def digest(**changed) -> str:
    given = {"y_true": Y_TRUE, "y_score": Y_SCORE, **changed}
    return digest_of_predictions(Predictions.from_arrays(**given))


def test_digest_of_predictions_by_hand():
    expected = hashlib.sha256(json.dumps(["a", "b"]).encode())
    for part in (
        b"(3,)",
        np.array([0, 1, 1], "<i8").tobytes(),
        b"(3,)",
        np.array([0, 0, 1], "<i8").tobytes(),
        b"(3, 2)",
        np.array([[0.75, 0.25], [0.5, 0.5], [0, 1]], "<f8").tobytes(),
        b"none",
    ):
        expected.update(part)
    assert digest() == expected.hexdigest()


def test_digest_of_predictions_knows_every_change_and_no_other():
    others = [
        digest(y_true=["a", "a", "b"]),
        digest(y_score=[0.25, 0.5, 0.999]),
        digest(sample_weight=[1, 1, 2]),
        digest(y_pred=["a", "b", "b"]),
        digest(y_true=["a", "c", "c"]),
    ]
    assert len({digest(), *others}) == 6
    assert digest(y_score=Y_SCORE.astype(np.float32)) == digest(y_true=np.array(Y_TRUE, object)) == digest()


def test_digest_of_files_is_of_their_content(image_files, tmp_path):
    first = digest_of_input(image_files)
    assert first.startswith("SHA-256 ")
    assert first.endswith("of 6 rows, length and first 64 KiB of each file")
    moved = [copied(path, tmp_path / f"moved-{i}.png") for i, path in enumerate(image_files)]
    assert digest_of_input(pd.DataFrame({"path": moved})) == first
    assert digest_of_input(image_files[::-1]) != first
    Image.new("RGB", (4, 4)).save(moved[0])
    assert digest_of_input(moved) != first
    assert digest_of_input([*image_files[:5], "nowhere.png"]).endswith("; 1 could not be read")


def test_digest_of_files_reads_their_beginning_and_length(tmp_path):
    content = bytes(70_000)
    digests = []
    for name, written in (("a", content), ("end", content[:-1] + b"x"), ("longer", content + b"x")):
        (tmp_path / name).write_bytes(written)
        digests.append(digest_of_input([tmp_path / name]))
    assert digests[0] == digests[1] != digests[2]


def test_digest_of_arrays_and_tables(images):
    assert digest_of_input(images) == digest_of_input(images.copy()) != digest_of_input(images[::-1])
    X = np.arange(6.0).reshape(3, 2)
    assert digest_of_input(X).endswith("of 3 x 2 numbers (float64)")
    assert digest_of_input(X) == digest_of_input(X.astype(">f8")).replace(">f8", "float64")
    assert digest_of_input(pd.DataFrame(X, columns=["a", "b"])) != digest_of_input(pd.DataFrame(X, columns=["a", "c"]))
    assert digest_of_input(list(images)) != digest_of_input(list(images[::-1]))


@pytest.mark.parametrize(
    ("X", "reason"),
    [
        (["memory://a.png", "memory://b.png"], "X holds URLs"),
        (["a text", "another"], "no row of X is an image"),
        (pd.DataFrame({"a": ["x", "y"], "b": [1, 2]}), "a DataFrame that holds neither images nor numbers alone"),
    ],
)
def test_what_is_not_digested_says_why(X, reason):
    said = digest_of_input(X)
    assert said.startswith("not digested: ")
    assert reason in said


def test_parameters_of_all_parts_are_told():
    X, y = np.random.default_rng(0).normal(size=(20, 2)), [0, 1] * 10
    search = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression(C=3)), {"logisticregression__C": [7]}, cv=2
    )
    report = ClassifierReport.from_estimator(search.fit(X, y), X, y)
    assert report.parameters["estimator__logisticregression__C"] == "3"
    assert report.parameters["estimator__standardscaler"] == "StandardScaler"
    assert report.parameters["estimator__standardscaler__with_mean"] == "True"
    assert report.parameters["best_params_: logisticregression__C"] == "7"
    assert ClassifierReport.from_predictions(Y_TRUE, Y_SCORE).parameters == {}


def test_parameters_and_root_of_a_frozen_part_are_known(tmp_path):
    X, y = np.random.default_rng(0).normal(size=(20, 2)), [0, 1] * 10
    fixed = with_threshold(make_pipeline(StandardScaler(), LogisticRegression(C=3)).fit(X, y), 0.3)
    parameters = parameters_of(fixed)
    assert parameters["threshold"] == "0.3"
    assert parameters["estimator__estimator__logisticregression__C"] == "3"
    assert parameters["estimator__estimator__logisticregression"] == "LogisticRegression"
    features = BottleneckFeatures("ResNet20", root=tmp_path)
    assert root_of(FrozenEstimator(make_pipeline(features))) == str(tmp_path)
    assert root_of(FixedThresholdClassifier(FrozenEstimator(make_pipeline(features)))) == str(tmp_path)
    assert root_of(fixed) is None


def test_long_parameters_are_shortened():
    told = parameters_of(LogisticRegression(class_weight=dict.fromkeys(range(1000), 1)))["class_weight"]
    assert len(told) == 300
    assert told.endswith("...")


def test_the_report_tells_both_digests(image_files):
    report = ClassifierReport.from_predictions(["a", "b", "b"] * 2, np.tile(Y_SCORE, 2), X=image_files)
    assert report.provenance["Digest of X"] == digest_of_input(image_files)
    assert digest_of_predictions(report._findings.predictions) in report.provenance["Digest of predictions"]


def copied(source, target) -> str:
    target.write_bytes(Path(source).read_bytes())
    return str(target)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    assert digest_of_input([tmp_path / "pipe.png"]) == "not digested: no row of X is an image that can be read"
