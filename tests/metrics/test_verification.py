import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from skcnn.metrics import (
    VerificationCurveDisplay,
    equal_error_rate,
    identification_frame,
    identity_pairs,
    tar_at_far,
    threshold_at_far,
    verification_frame,
    verification_rates,
)

GENERATOR = np.random.default_rng(0)
Y = np.repeat(np.arange(8), 3)
CODES = GENERATOR.normal(size=(24, 3)) + 2 * GENERATOR.normal(size=(8, 3))[Y]
PAIRS, SAME = identity_pairs(Y)
SCORE = -np.linalg.norm(CODES[PAIRS[:, 0]] - CODES[PAIRS[:, 1]], axis=1).round(1)  # with ties
PEOPLE = Y[PAIRS]


def rates_at(true, score, threshold):
    true = np.asarray(true, bool)
    accepted = np.asarray(score) >= threshold
    return accepted[~true].mean(), accepted[true].mean()


SCORES = st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=4, max_size=30).filter(
    lambda pairs: 0 < sum(same for same, _ in pairs) < len(pairs)
)


@settings(max_examples=60, deadline=None)
@given(SCORES, st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0]))
def test_rates_are_those_of_every_threshold_tried(pairs, far):
    true, score = np.array(pairs).T
    thresholds = [np.inf, *sorted(set(score), reverse=True)]
    allowed = [t for t in thresholds if rates_at(true, score, t)[0] <= far + 1e-12]
    assert threshold_at_far(true, score, far=far) == allowed[-1]
    assert tar_at_far(true, score, far=far) == pytest.approx(rates_at(true, score, allowed[-1])[1])
    # At the EER the line between two neighbouring thresholds crosses FAR = FRR.
    eer = equal_error_rate(true, score)
    points = [rates_at(true, score, t) for t in thresholds]
    crossing = [(low, high) for low, high in itertools.pairwise(points) if low[0] <= eer + 1e-9 <= high[0] + 2e-9]
    assert any(
        min(1 - high[1], 1 - low[1]) - 1e-9 <= eer <= max(1 - high[1], 1 - low[1]) + 1e-9 for low, high in crossing
    )


def test_the_table_has_the_metrics_and_their_intervals():
    frame = verification_frame(SAME, SCORE, people=PEOPLE, far=[0.1, 0.001], n_resamples=200, random_state=0)
    assert frame.index.tolist() == ["eer", "roc_auc", "tar@far=0.1", "tar@far=0.001"]
    assert frame["value"]["eer"] == equal_error_rate(SAME, SCORE)
    assert frame["value"]["roc_auc"] == pytest.approx(roc_auc_score(SAME, SCORE))
    assert frame["value"]["tar@far=0.1"] == tar_at_far(SAME, SCORE, far=0.1)
    assert (frame["low"] <= frame["value"]).all()
    assert (frame["value"] <= frame["high"]).all()
    assert "252 impostor pairs" in frame["note"].iloc[-1]
    assert frame["note"].iloc[:-1].eq("").all()
    again = verification_frame(SAME, SCORE, people=PEOPLE, far=[0.1, 0.001], n_resamples=200, random_state=0)
    assert frame.equals(again)


def test_a_resample_is_of_people_drawn():
    """The interval is that of metrics of pairs which are written out, person by person."""
    seeds = np.random.RandomState(3).randint(np.iinfo(np.int32).max, size=50)
    values = []
    for seed in seeds:
        drawn = np.random.default_rng(seed).integers(8, size=8)
        rows = []
        for row, (a, b) in enumerate(PEOPLE):
            times = (drawn == a).sum() if a == b else (drawn == a).sum() * (drawn == b).sum()
            rows += [row] * int(times)
        values.append(equal_error_rate(SAME[rows], SCORE[rows]))
    frame = verification_frame(SAME, SCORE, people=PEOPLE, n_resamples=50, random_state=3)
    assert frame.loc["eer", ["low", "high"]].tolist() == pytest.approx(np.quantile(values, [0.025, 0.975]))


def test_without_people_there_is_no_interval():
    frame = verification_frame(SAME, SCORE)
    assert frame[["low", "high"]].isna().all(axis=None)
    assert "people=" in frame["note"]["eer"]


def test_pairs_of_one_kind_define_nothing():
    frame = verification_frame([1, 1], [0.5, 0.6])
    assert frame["value"].isna().all()
    assert "no impostor pairs" in frame["note"]["eer"]


def test_rates_by_group():
    group = np.where(PEOPLE.max(axis=1) < 4, "a", np.where(PEOPLE.min(axis=1) >= 4, "b", "mixed"))
    frame = verification_rates(SAME, SCORE, -2.5, group=group, people=PEOPLE, n_resamples=100, random_state=0)
    assert frame.index.tolist() == ["all", "a", "b", "mixed"]
    for name, row in frame.iterrows():
        mask = np.ones(len(group), bool) if name == "all" else group == name
        assert row["n_impostor"] == (mask & ~SAME).sum()
        assert row["far"] == pytest.approx((SCORE >= -2.5)[mask & ~SAME].mean())
        if name != "mixed":
            assert row["frr"] == pytest.approx((SCORE < -2.5)[mask & SAME].mean())
            assert row["far_low"] <= row["far"] <= row["far_high"]
    assert np.isnan(frame.loc["mixed", "frr"])


def test_identification():
    y_score = np.array([[0.9, 0.1], [0.2, 0.7], [0.8, 0.6], [0.75, 0.1], [0.2, 0.1]])
    frame = identification_frame(
        ["a", "b", "b", "x", "y"], y_score, classes=["a", "b"], far=[0.5, 0], n_resamples=50, random_state=0
    )
    assert frame["value"].tolist() == pytest.approx([2 / 3, 2 / 3, 1 / 3])  # 0.7 is below the unknown's 0.75
    assert frame["threshold"].tolist()[1:] == [0.7, 0.8]
    assert "2 probes" in frame["note"]["dir@far=0"]
    assert (frame["low"] <= frame["value"]).all()


def test_the_display_has_curve_eer_and_band():
    display = VerificationCurveDisplay.from_predictions(SAME, SCORE, people=PEOPLE, n_resamples=20, name="$a").plot()
    display.figure_.canvas.draw()
    assert display.eer == equal_error_rate(SAME, SCORE)
    assert display.ax_.get_title() == "$a"
    frame = display.frame()
    assert frame["far"].is_monotonic_increasing
    for far, frr, threshold in frame.iloc[[0, 5, -1]].to_numpy():
        assert (far, 1 - frr) == pytest.approx(rates_at(SAME, SCORE, threshold))
    assert (display.band["low"] <= display.band["high"]).all()
    plain = VerificationCurveDisplay.from_predictions([1, 0], [1, 0]).plot()  # no errors
    assert plain.eer == 0
    plain.figure_.canvas.draw()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: equal_error_rate([1, 0], [1]), r"y_score \(1,\); expected"),
        (lambda: equal_error_rate([], []), "0 pairs"),
        (lambda: equal_error_rate(["a", "b"], [1, 0]), "y_true has the values 'a', 'b'"),
        (lambda: equal_error_rate([1, 0], [1, np.nan]), r"y_score\[1\] is nan"),
        (lambda: tar_at_far([1, 0], [1, 0], far=2), "far is 2"),
        (lambda: threshold_at_far([1, 1], [1, 0]), "no impostor pair"),
        (lambda: verification_frame([1, 0], [1, 0], people=["a", "b"]), r"people has shape \(2,\)"),
        (lambda: verification_frame([1, 0], [1, 0], people=[["a", "b"], ["a", "b"]]), r"y_true\[0\] is 1, but people"),
        (lambda: verification_rates([1, 0], [1, 0], 0, group=["a"]), r"group has shape \(1,\)"),
        (lambda: identity_pairs([[1, 2]]), r"y has shape \(1, 2\)"),
        (lambda: identification_frame(["a"], [[1, 2]], classes=["a"]), r"y_score has shape \(1, 2\)"),
        (lambda: identification_frame(["a"], [[np.inf]], classes=["a"]), r"y_score\[0\] is not finite"),
        (lambda: VerificationCurveDisplay.from_predictions([1, 1], [1, 0]), "one kind"),
    ],
)
def test_errors_say_what_is_expected(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_display_needs_a_verifier():
    with pytest.raises(TypeError, match="decision_function"):
        VerificationCurveDisplay.from_estimator(3, [], [])
