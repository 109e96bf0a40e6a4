import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba

from skcnn.metrics import TrackDisplay
from skcnn.tracking import ObjectTracker


def table(rows):
    frame = pd.DataFrame(rows, columns=["frame", "xmin", "track"]).assign(ymin=0)
    return frame.assign(xmax=frame["xmin"] + 10, ymax=20)


TRUE = table([(f, 0, "a") for f in (1, 2, 3, 4)] + [(f, 50, "$b_") for f in (1, 2)])
FOUND = table([(1, 0, 1), (2, 0, 1), (4, 1, 2), (1, 50, 3), (3, 90, 9)])


def test_frame_has_matches_misses_and_extra_boxes():
    frame = TrackDisplay.from_predictions([TRUE], [FOUND]).frame()
    assert len(frame) == 7
    a = frame[frame["true_track"] == "a"]
    assert a["track"].tolist()[:2] == [1, 1]
    assert a["track"].isna().tolist() == [False, False, True, False]
    assert a["switched"].tolist() == [False, False, False, True]
    assert a["xmin"].tolist() == [0, 0, 0, 1]  # the predicted box where there is one
    assert frame[frame["true_track"].isna()][["frame", "track"]].to_numpy().tolist() == [[3, 9]]


@pytest.mark.parametrize("kind", ["time", "paths"])
def test_both_kinds_are_drawn(kind):
    display = TrackDisplay.from_predictions([TRUE], [FOUND], name="$a_").plot(kind=kind)
    display.figure_.canvas.draw()
    assert display.ax_.get_title() == "$a_"
    if kind == "time":
        assert [tick.get_text() for tick in display.ax_.get_yticklabels()] == ["a", "$b_", "only 9"]
        colours = {bar.get_facecolor() for bar in display.ax_.patches}
        assert len(colours) == 5  # four predicted tracks, and grey
        assert to_rgba("#b4bcc6") in colours
    else:
        assert len(display.ax_.lines) == 4
        assert display.ax_.yaxis_inverted()


def test_without_truth_and_from_a_tracker():
    video = table([(f, 3 * f, 1) for f in range(1, 9)])
    frame = TrackDisplay.from_estimator(ObjectTracker(), [video]).plot().frame()
    assert frame["true_track"].isna().all()
    assert frame["frame"].tolist() == list(range(1, 9))
    both = TrackDisplay.from_estimator(ObjectTracker(), [TRUE, video], [TRUE, video], video=1).frame()
    assert both["true_track"].tolist() == [1] * 8


def test_nothing_is_drawn_of_nothing():
    nothing = table([])
    for kind in ("time", "paths"):
        TrackDisplay.from_predictions([nothing], [nothing]).plot(kind=kind).figure_.canvas.draw()
        TrackDisplay.from_predictions([TRUE], [nothing]).plot(kind=kind).figure_.canvas.draw()
        TrackDisplay.from_predictions(None, [nothing]).plot(kind=kind)


def test_many_tracks_get_colours_that_differ():
    many = table([(1, 20 * track, track) for track in range(60)])
    display = TrackDisplay.from_predictions(None, [many]).plot()
    colours = np.array([bar.get_facecolor() for bar in display.ax_.patches])
    assert np.abs(np.diff(colours, axis=0)).sum(axis=1).min() > 0.2
    assert len(display.ax_.get_yticks()) <= 40


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: TrackDisplay.from_predictions([TRUE], [FOUND], video=1), ValueError, "video=1; expected"),
        (lambda: TrackDisplay.from_predictions([TRUE], [FOUND], iou_threshold=0), ValueError, "iou_threshold=0"),
        (lambda: TrackDisplay.from_predictions([TRUE], [FOUND]).plot(kind="x"), ValueError, "kind='x'"),
        (lambda: TrackDisplay.from_estimator(3, [FOUND]), TypeError, "estimator is a int"),
    ],
)
def test_invalid_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()
