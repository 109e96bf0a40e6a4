"""CLEAR MOT, IDF1 and HOTA: by hand, against another program's figures, and by their properties."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skcnn.metrics import hota_score, idf1_score, mota_score, motp_score, tracking_frame


def boxes(rows):
    """Return a table of boxes of 10 x 20 pixels out of (frame, x, track)."""
    table = pd.DataFrame(rows, columns=["frame", "xmin", "track"]).assign(ymin=0)
    return table.assign(xmax=table["xmin"] + 10, ymax=20)


def wandering(seed):
    """Return true and predicted tracks that miss, invent, switch and blur."""
    generator = np.random.default_rng(seed)
    place, names = generator.uniform(0, 100, (4, 2)), np.arange(4)
    true, found = [], []
    for frame in range(25):
        place += generator.normal(0, 4, place.shape)
        for person in range(4):
            box = np.concatenate([place[person], place[person] + 30])
            true.append((frame, *box, person))
            if generator.random() < 0.06:
                other = generator.integers(4)
                names[[person, other]] = names[[other, person]]
            if generator.random() < 0.85:
                found.append((frame, *(box + generator.normal(0, 2.5, 4)), names[person]))
    columns = ["frame", "xmin", "ymin", "xmax", "ymax", "track"]
    predicted = pd.DataFrame(found, columns=columns).drop_duplicates(["frame", "track"])
    return pd.DataFrame(true, columns=columns), predicted


def test_by_hand():
    true = boxes([(f, 0, "a") for f in range(1, 6)] + [(f, 100, "b") for f in range(1, 6)])
    predicted = boxes(
        [
            *[(1, 0, 1), (2, 0, 1), (4, 0, 2), (5, 0, 2)],  # a: missed once, and found again as another
            *[(1, 100, 3), (2, 102, 3), (3, 100, 3), (4, 100, 3)],  # b: missed at the end
            (3, 300, 4),  # nothing is there
        ]
    )
    row = tracking_frame([true], [predicted]).loc["all"]
    counts = ["n_true", "n_pred", "matches", "misses", "false_positives", "switches", "fragmentations"]
    assert row[counts].tolist() == [10, 9, 8, 2, 1, 1, 1]
    assert row[["n_true_tracks", "n_pred_tracks", "mostly_tracked", "mostly_lost"]].tolist() == [2, 4, 2, 0]
    assert row["mota"] == pytest.approx(1 - (2 + 1 + 1) / 10)
    assert row["motp"] == pytest.approx((7 + 8 / 12) / 8)
    assert row["idf1"] == pytest.approx(2 * (2 + 4) / (10 + 9))
    assert row[["id_precision", "id_recall"]].tolist() == pytest.approx([6 / 9, 6 / 10])
    assert row[["recall", "precision"]].tolist() == pytest.approx([0.8, 8 / 9])
    # HOTA: at the 13 thresholds up to 0.65 eight boxes match, above them seven.
    below = (8 / 11, (4 * 2 / 5 + 4 * 4 / 5) / 8)
    above = (7 / 12, (4 * 2 / 5 + 3 * 3 / 6) / 7)
    expected = (13 * np.sqrt(np.prod(below)) + 6 * np.sqrt(np.prod(above))) / 19
    assert row["hota"] == pytest.approx(expected)
    assert row["deta"] == pytest.approx((13 * below[0] + 6 * above[0]) / 19)
    assert row["assa"] == pytest.approx((13 * below[1] + 6 * above[1]) / 19)


# TrackEval 1.3.0 on the same tables: mota, motp, idf1, hota, deta, assa, switches.
TRACKEVAL = {
    0: (0.76, 0.7691838505, 0.6263736264, 0.4211518824, 0.6225760868, 0.2854322414, 6),
    1: (0.79, 0.7728872392, 0.6229508197, 0.5003747291, 0.6321769148, 0.3965307954, 4),
    2: (0.85, 0.7631024489, 0.6031746032, 0.4688904704, 0.6644274977, 0.331571436, 4),
    7: (0.78, 0.779419485, 0.6129032258, 0.4328483126, 0.6407671644, 0.2928865382, 8),
}


@pytest.mark.parametrize("seed", TRACKEVAL)
def test_figures_of_trackeval(seed):
    true, predicted = wandering(seed)
    row = tracking_frame([true], [predicted]).loc["all"]
    found = row[["mota", "motp", "idf1", "hota", "deta", "assa", "switches"]].tolist()
    np.testing.assert_allclose(found, TRACKEVAL[seed], rtol=0, atol=1e-9)


def test_a_match_stays_while_it_overlaps_enough():
    true = boxes([(1, 0, 1), (2, 0, 1)])
    predicted = boxes([(1, 0, 7), (2, 3, 7), (2, 0, 8)])  # in frame 2 the other one is closer
    row = tracking_frame([true], [predicted]).loc["all"]
    assert row["switches"] == 0
    assert row["motp"] == pytest.approx((1 + 7 / 13) / 2)


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 10_000))
def test_properties(seed):
    true, predicted = wandering(seed)
    frame = tracking_frame([true, true], [predicted, true])
    # Perfect tracks, whatever they are called and in whichever order the rows are.
    renamed = true.assign(track=true["track"].map(lambda track: f"t{-track}")).sample(frac=1, random_state=0)
    perfect = tracking_frame([true], [renamed]).loc["all"]
    assert perfect[["mota", "motp", "idf1", "hota"]].tolist() == [1, 1, 1, 1]
    assert perfect[["switches", "fragmentations", "misses", "false_positives"]].tolist() == [0, 0, 0, 0]
    # Counts of videos add up.
    counts = ["n_true", "n_pred", "matches", "misses", "false_positives", "switches", "fragmentations"]
    assert frame.loc["all", counts].tolist() == (frame.loc[0, counts] + frame.loc[1, counts]).tolist()
    assert ((frame[["idf1", "hota", "deta", "assa", "recall", "precision"]] <= 1 + 1e-12).all()).all()
    # Exchanging truth and prediction exchanges precision and recall, and leaves F scores alone.
    other = tracking_frame([predicted], [true]).loc["all"]
    assert other["id_precision"] == pytest.approx(frame.loc[0, "id_recall"])
    assert other[["idf1", "hota"]].tolist() == pytest.approx(frame.loc[0, ["idf1", "hota"]].tolist())


def test_scores_are_those_of_the_frame():
    true, predicted = wandering(3)
    row = tracking_frame([true], [predicted]).loc["all"]
    for score in (mota_score, motp_score, idf1_score, hota_score):
        assert score([true], [predicted]) == row[score.__name__.removesuffix("_score")]
    assert mota_score([true], [predicted], iou_threshold=0.9) < row["mota"]


def test_labels_must_agree():
    true = boxes([(1, 0, 1), (2, 0, 1)]).assign(label="cat")
    assert mota_score([true], [true.assign(label="dog")]) == -1
    assert mota_score([true], [true]) == 1


def test_what_is_not_defined_is_nan():
    nothing, something = boxes([]), boxes([(1, 0, 1)])
    empty = tracking_frame([nothing], [nothing]).loc["all"]
    assert empty[["mota", "motp", "idf1", "hota", "recall", "loca"]].isna().all()
    assert np.isnan(mota_score([nothing], [something]))
    missed = tracking_frame([something], [nothing]).loc["all"]
    assert missed[["mota", "idf1", "hota", "recall", "assa"]].tolist() == [0, 0, 0, 0, 0]
    assert missed[["motp", "precision"]].isna().all()


def test_ten_thousand_boxes_in_a_frame():
    many = boxes([(1, 11 * place, place) for place in range(10_000)])
    row = tracking_frame([many], [many[::-1]]).loc["all"]
    assert row[["mota", "idf1", "hota", "n_true_tracks"]].tolist() == [1, 1, 1, 10_000]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([boxes([(1, 0, 1)])], []), ValueError, "y_true has 1 videos and y_pred 0"),
        (([], []), ValueError, "y_true has no videos"),
        ((boxes([(1, 0, 1)]), [boxes([(1, 0, 1)])]), TypeError, "y_true is one table"),
        (([boxes([(1, 0, 1)])], [boxes([(1, 0, 1)]).drop(columns="track")]), ValueError, r"y_pred\[0\] has no column"),
        (([boxes([(1, 0, 1), (1, 5, 1)])], [boxes([])]), ValueError, r"track in y_true\[0\], row 1"),
        (([boxes([(1, 0, None)])], [boxes([])]), ValueError, r"track in y_true\[0\], row 0"),
        (([boxes([(1, np.nan, 1)])], [boxes([])]), ValueError, r"box in y_true\[0\], row 0"),
    ],
)
def test_hostile_tables_are_refused_by_name(arguments, error, message):
    with pytest.raises(error, match=message):
        tracking_frame(*arguments)


@pytest.mark.parametrize("iou_threshold", [0, 1.5, np.nan, "0.5"])
def test_invalid_threshold(iou_threshold):
    with pytest.raises(ValueError, match="iou_threshold="):
        idf1_score([boxes([])], [boxes([])], iou_threshold=iou_threshold)
