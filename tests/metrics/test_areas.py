"""Areas under the curves of all classes are scikit-learn's, however many samples a class has; and reports of very many
classes."""

import numpy as np
import numpy.testing as npt
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from skcnn.metrics import _areas, classification_frame, most_confused
from skcnn.metrics._predictions import Predictions
from skcnn.report import ClassifierReport


def made_up(n_samples, n_classes, *, ties, seed=0):
    rng = np.random.default_rng(seed)
    # Of very different sizes: some classes have no sample, some one, some many.
    y = np.minimum(rng.geometric(0.15, n_samples) - 1, n_classes - 1)
    score = rng.random((n_samples, n_classes))
    score[np.arange(n_samples), y] += rng.random(n_samples)
    return y, np.round(score, 1) if ties else score


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("rows", [2, 256])
def test_areas_of_few_and_many_samples_are_those_of_scikit_learn(monkeypatch, weighted, ties, rows):
    monkeypatch.setattr(_areas, "_ROWS", rows)
    y, score = made_up(200, 30, ties=ties)
    weight = np.random.default_rng(1).choice([0, 0.3, 1, 2.5], len(y)) if weighted else None
    frame = classification_frame(y, score, classes=range(30), sample_weight=weight)
    n_few = 0
    for number in range(30):
        is_class = y == number
        counts = is_class if weight is None else is_class & (weight > 0)
        n_few += 0 < counts.sum() <= _areas._FEW
        if not counts.any():
            assert np.isnan(frame.loc[number, ["roc_auc", "average_precision"]]).all()
            continue
        expected = [
            f(is_class, score[:, number], sample_weight=weight) for f in (roc_auc_score, average_precision_score)
        ]
        npt.assert_allclose(frame.loc[number, ["roc_auc", "average_precision"]].astype(float), expected, rtol=1e-12)
    assert 5 < n_few < 30 - (frame["support"] == 0).sum()


def test_many_weightings_at_once_are_each_of_them():
    y, score = made_up(120, 20, ties=True)
    predictions = Predictions.from_arrays(y, score, classes=range(20))
    weights = np.random.default_rng(2).integers(0, 4, (120, 7)).astype(float)
    for number, auc, precision in _areas.Areas(predictions)(weights):
        for row, label in enumerate(number):
            for column in range(7):
                given = (y == label, score[:, label])
                if weights[y == label, column].any():
                    area = average_precision_score(*given, sample_weight=weights[:, column])
                    npt.assert_allclose(precision[row, column], area, rtol=1e-12)
                    area = roc_auc_score(*given, sample_weight=weights[:, column])
                    npt.assert_allclose(auc[row, column], area, rtol=1e-12)
                else:
                    assert np.isnan(precision[row, column])


def test_mistakes_among_very_many_classes_take_no_table_of_all_pairs():
    y = np.arange(300_000)  # all pairs would be 720 GB
    predicted = y.copy()
    predicted[[3, 7, 9]] = 4
    table = most_confused(np.append(y, 9), np.append(predicted, 4), classes=y)
    assert table.to_numpy().tolist() == [[9, 4, 2, 1.0], [3, 4, 1, 1.0], [7, 4, 1, 1.0]]


# scikit-learn 1.7 takes so many classes for a regression.
@pytest.mark.filterwarnings("ignore:The number of unique classes is greater than 50%")
def test_a_report_of_very_many_classes_draws_the_weakest(tmp_path):
    n = 1001
    rng = np.random.default_rng(0)
    score = rng.random((n, n), dtype=np.float32)
    score[np.arange(n), np.arange(n)] += 1
    score[:20] = score[[0]]  # twenty classes in which all samples look the same
    score /= score.sum(axis=1, keepdims=True)
    report = ClassifierReport.from_predictions(np.arange(n), score)
    assert report.most_confused(1)["predicted"].tolist() == [0]
    confusion = report.confusion_display()
    assert confusion.frame().shape == (12, 12)
    assert (confusion.frame()[0] == 1).all()
    roc, precision_recall = report.curve_displays()
    assert len(roc.areas) == len(precision_recall.areas) == n
    assert not roc.has_all_curves
    weakest = report.classification_frame["average_precision"].nsmallest(5).index
    assert set(precision_recall.curves["class"]) == set(weakest)
    npt.assert_allclose(
        precision_recall.areas[weakest],
        [average_precision_score(np.arange(n) == label, score[:, label]) for label in weakest],
    )
    page = report.to_html(tmp_path / "report.html").read_text()
    assert "The 12 most confused of 1,001 classes" in page
    assert "Drawn are the 5 classes of lowest average precision, of 1,001 classes." in page
    assert "982 of 1,001 samples" in str(report)
