import numpy as np
import pytest
from scipy.stats import binom

from skcnn.metrics import bootstrap_intervals, compare_predictions, headline_frame
from skcnn.metrics._comparison import comparison_of
from skcnn.metrics._predictions import Predictions


def models(n_samples=400, n_classes=3):
    """Two models that share most of their luck; b is the better one."""
    rng = np.random.default_rng(0)
    y_true = rng.integers(0, n_classes, n_samples)
    common = rng.normal(size=(n_samples, n_classes))
    scores = []
    for skill in (1.0, 1.3):
        logits = common + 0.2 * rng.normal(size=common.shape)
        logits[np.arange(n_samples), y_true] += skill
        exponential = np.exp(logits)
        scores.append(exponential / exponential.sum(axis=1, keepdims=True))
    return y_true, *scores


def test_metrics_and_differences():
    y_true, score_a, score_b = models()
    frame = compare_predictions(y_true, score_a, score_b, n_resamples=200, random_state=0)
    np.testing.assert_allclose(frame["a"], headline_frame(y_true, score_a)["value"])
    np.testing.assert_allclose(frame["b"], headline_frame(y_true, score_b)["value"])
    np.testing.assert_allclose(frame["difference"], frame["b"] - frame["a"])
    assert (frame["difference_low"] < frame["difference"]).all()
    assert (frame["difference"] < frame["difference_high"]).all()
    assert frame.loc["log_loss", "difference_high"] < 0 < frame.loc["accuracy", "difference_low"]


def test_pairs_make_narrow_intervals():
    y_true, score_a, score_b = models()
    frame = compare_predictions(y_true, score_a, score_b, n_resamples=300, random_state=0)
    alone = bootstrap_intervals(y_true, score_a, n_resamples=300, random_state=0)
    width, width_alone = frame["difference_high"] - frame["difference_low"], alone["high"] - alone["low"]
    for metric in ("accuracy", "log_loss", "roc_auc_ovr", "average_precision_macro"):
        assert width[metric] < 0.8 * width_alone[metric], metric


def test_a_model_beside_itself_differs_in_nothing():
    y_true, score, _ = models()
    frame = compare_predictions(y_true, score, score, n_resamples=50, random_state=0)
    assert (frame[["difference", "difference_low", "difference_high"]] == 0).all(axis=None)
    assert frame.loc["accuracy", "p_value"] == 1


def test_mcnemar_by_hand():
    # Only a right on 2 samples, only b on 9: twice the probability of at most 2 heads in 11 tosses, 2 * 67 / 2048.
    y_true = np.zeros(40, int)
    pred_a, pred_b = np.zeros(40, int), np.zeros(40, int)
    pred_b[:2] = 1
    pred_a[2:11] = 1
    row = compare_predictions(y_true, y_pred_a=pred_a, y_pred_b=pred_b, n_resamples=5, random_state=0).loc["accuracy"]
    assert row["p_value"] == pytest.approx(2 * 67 / 2048)
    assert row["p_value"] == pytest.approx(2 * binom.cdf(2, 11, 0.5))
    assert row["note"] == "only a is right on 2 samples, only b on 9"
    assert row["difference"] == pytest.approx(7 / 40)


def test_weights_leave_no_p_value():
    y_true, score_a, score_b = models(60)
    frame = compare_predictions(y_true, score_a, score_b, sample_weight=np.full(60, 0.5), n_resamples=5, random_state=0)
    assert frame["p_value"].isna().all()
    assert frame.loc["accuracy", "note"] == "no p-value: samples have weights"


def test_order_of_classes_does_not_matter():
    y_true, score_a, score_b = models()
    names = np.array(["x", "y", "z"])
    a = Predictions.from_arrays(names[y_true], score_a, classes=names)
    b = Predictions.from_arrays(names[y_true], score_b, classes=names)
    turned = Predictions.from_arrays(names[y_true], score_b[:, [2, 0, 1]], classes=names[[2, 0, 1]])
    got, golden = (comparison_of(a, other, n_resamples=50, random_state=0) for other in (turned, b))
    columns = ["a", "b", "difference", "difference_low", "difference_high", "p_value"]
    np.testing.assert_allclose(got[columns].astype(float), golden[columns].astype(float))


def test_notes_say_which_model():
    y_true, score_a, _ = models()
    pred_b = score_a.argmax(axis=1)
    frame = compare_predictions(y_true, score_a, y_pred_b=pred_b, n_resamples=5, random_state=0)
    assert frame.loc["roc_auc_ovr", "note"] == "b: no scores: none were given"
    assert np.isnan(frame.loc["roc_auc_ovr", "difference"])


def test_other_samples_are_refused():
    a = Predictions.from_arrays(["x", "y", "y"], y_pred=["x", "y", "x"])
    with pytest.raises(ValueError, match="3 and 2 samples"):
        comparison_of(a, Predictions.from_arrays(["x", "y"], y_pred=["x", "y"]))
    with pytest.raises(ValueError, match="differ in 2 rows, first in row 0: 'x' and 'y'"):
        comparison_of(a, Predictions.from_arrays(["y", "x", "y"], y_pred=["x", "y", "x"]))
    with pytest.raises(ValueError, match="weights of the two models differ"):
        comparison_of(a, Predictions.from_arrays(["x", "y", "y"], y_pred=["x", "y", "x"], sample_weight=[1, 2, 1]))
