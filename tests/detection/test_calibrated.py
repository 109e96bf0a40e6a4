"""Scores that are probabilities of being right."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, clone

import skcnn
from skcnn.detection import CalibratedDetector

COLUMNS = ["label", "xmin", "ymin", "xmax", "ymax"]


class Overconfident(BaseEstimator):
    """Finds what is there in ``share`` of all cases, and says 0.9 each time; images are numbers of rows."""

    def __init__(self, share=0.6):
        self.share = share

    def fit(self, X, y):
        return self

    def predict(self, X):
        found = np.empty(len(X), object)
        for place, image in enumerate(X):
            number = int(image[0, 0, 0])
            left = 0 if number % 10 < 10 * self.share else 50
            score = 0.9 if left == 0 or number % 2 else 0.5
            found[place] = pd.DataFrame([["cat", left, 0, left + 10, 10, score]], columns=[*COLUMNS, "score"])
        return found


@pytest.fixture
def task():
    X = np.tile(np.arange(100, dtype=np.uint8)[:, None, None, None], (1, 8, 8, 3))
    y = np.empty(100, object)
    for row in range(100):
        y[row] = pd.DataFrame([["cat", 0, 0, 10, 10]], columns=COLUMNS)
    return X, y


@pytest.mark.parametrize("method", ["isotonic", "sigmoid"])
def test_scores_are_how_often_boxes_are_right(task, method):
    X, y = task
    fitted = CalibratedDetector(Overconfident(), method=method).fit(X, y)
    found = fitted.predict(X)
    # Of 10 images 6 are right at 0.9, 2 wrong at 0.9, and 2 wrong at 0.5.
    scores = np.array([table["score"].iloc[0] for table in found])
    expected = np.where(np.arange(100) % 10 < 6, 0.75, np.where(np.arange(100) % 2, 0.75, 0.0))
    np.testing.assert_allclose(scores, expected, atol=1e-6 if method == "isotonic" else 0.02)
    assert fitted.score(X, y) > 0


def test_all_right_is_a_share(task, tmp_path):
    X, y = task
    fitted = CalibratedDetector(Overconfident(1.0)).fit(X, y)
    assert fitted.calibrators_ == {"cat": 1.0}
    assert fitted.predict(X[:1])[0]["score"].tolist() == [1.0]
    assert clone(fitted).get_params()["cv"] == 5


def test_no_boxes_are_an_error(task):
    class Nothing(Overconfident):
        def predict(self, X):
            return np.array([*([pd.DataFrame(columns=[*COLUMNS, "score"])] * len(X)), None], object)[:-1]

    with pytest.raises(ValueError, match="found no boxes"):
        CalibratedDetector(Nothing()).fit(*task)


def test_saved_and_loaded(squares, tmp_path):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    from skcnn.detection import SlidingWindowDetector
    from skcnn.feature_extraction import BottleneckFeatures

    X, y = squares
    classifier = make_pipeline(BottleneckFeatures("ResNet20"), LogisticRegression())
    detector = SlidingWindowDetector(classifier, window=32, stride=16, score_threshold=0.0, random_state=0)
    fitted = CalibratedDetector(detector, cv=2).fit(X[:4], y[:4])
    skcnn.save(fitted, tmp_path / "c.skcnn")
    loaded = skcnn.load(tmp_path / "c.skcnn")
    pd.testing.assert_frame_equal(loaded.predict(X[:1])[0], fitted.predict(X[:1])[0])
