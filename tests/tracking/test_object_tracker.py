"""The estimator: published counts, rules, appearance, what fit learns, and scikit-learn around it."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks
from sklearn.utils.validation import check_is_fitted
from squares import CORNERS, mean_colour, squares

import skcnn
from skcnn.images import BadImageError
from skcnn.metrics import tracking_frame
from skcnn.tracking import ObjectTracker, TrackNoise, read_mot

PATIENT = {"max_age": 30, "reconfirm": False}


def moving(xs, *, frames=None, y=0.0, label="object"):
    """Return one object that is seen at these places, 40 pixels wide and 80 high."""
    frames = range(1, len(xs) + 1) if frames is None else frames
    table = pd.DataFrame({"frame": list(frames), "label": label, "xmin": np.array(xs, float), "ymin": float(y)})
    return table.assign(xmax=table["xmin"] + 40, ymax=table["ymin"] + 80)


@pytest.fixture(scope="module")
def campus(shared):
    folder = shared / "data" / "mot_tud_campus"
    return read_mot(folder / "det.txt"), read_mot(folder / "gt.txt")


def test_published_counts_of_sort_on_tud_campus(campus):
    detections, truth = campus
    row = tracking_frame([truth], ObjectTracker().predict([detections])).loc["all"]
    counts = row[["n_true", "false_positives", "misses", "switches", "fragmentations"]]
    assert counts.tolist() == [359, 15, 113, 6, 9]
    percents = (100 * row[["recall", "precision", "mota", "motp"]]).round(1)
    assert percents.tolist() == [68.5, 94.3, 62.7, 73.7]


def test_online_and_offline_are_the_same(campus):
    detections, _ = campus
    (offline,) = ObjectTracker().predict([detections])
    tracker, found = ObjectTracker(), []
    for frame in range(1, 72):
        boxes = detections[detections["frame"] == frame]
        found.append(tracker.update(boxes if frame % 2 else boxes[[*CORNERS, "score"]].to_numpy()))
    pd.testing.assert_frame_equal(pd.concat(found, ignore_index=True), offline)
    assert tracker.reset().update([[0, 0, 1, 1]])["track"].tolist() == [1]


def test_a_track_is_reported_once_confirmed_and_while_found():
    # A false detection in frame 1 keeps the first frames for itself: the object comes in frame 5.
    video = pd.concat([moving([500]), moving([0, 5, 10, 15, 20, 30], frames=[5, 6, 7, 8, 9, 11], y=200)])
    (found,) = ObjectTracker().predict([video])
    assert list(zip(found["frame"], found["track"], strict=True)) == [(1, 1), (8, 2), (9, 2)]
    (found,) = ObjectTracker(reconfirm=False).predict([video])
    assert found["frame"].tolist() == [1, 8, 9, 11]
    (found,) = ObjectTracker(min_hits=0).predict([video])
    assert found["frame"].tolist() == [1, 5, 6, 7, 8, 9, 11]


def test_max_age_is_the_longest_gap():
    video = moving([0, 5, 10, 15, 20, 50, 55], frames=[1, 2, 3, 4, 5, 11, 12])
    for max_age, n_tracks in ((4, 2), (5, 1)):
        (found,) = ObjectTracker(max_age=max_age, min_hits=1, reconfirm=False).predict([video])
        assert found["track"].nunique() == n_tracks
    # Frames in which nothing was found pass at once, however many.
    (found,) = ObjectTracker(min_hits=0).predict([moving([0, 0], frames=[0, 10**12])])
    assert found["track"].tolist() == [1, 2]


def test_labels_do_not_mix_and_low_scores_are_left_out():
    video = pd.concat([moving([0] * 4), moving([1] * 4, label="car")]).assign(score=[0.9] * 4 + [0.4] * 4)
    (found,) = ObjectTracker(min_hits=1).predict([video])
    assert found.groupby("track")["label"].unique().map(len).tolist() == [1, 1]
    (found,) = ObjectTracker(min_hits=1, score_threshold=0.5).predict([video])
    assert set(found["label"]) == {"object"}
    assert found["score"].tolist() == [0.9] * 4


def test_output_is_the_state_or_the_detection():
    video = moving([0, 13, 18, 33])
    (states,) = ObjectTracker().predict([video])
    (detections,) = ObjectTracker(output="detection").predict([video])
    assert detections[CORNERS].to_numpy().tolist() == video[CORNERS].to_numpy().tolist()
    assert 0 < np.abs(states[CORNERS] - detections[CORNERS]).max().max() < 6


def test_order_and_index_of_rows_do_not_matter():
    video, _ = squares(with_images=False)
    (expected,) = ObjectTracker().predict([video])
    shuffled = video.sample(frac=1, random_state=0)
    (found,) = ObjectTracker().predict([shuffled])
    same = [table.sort_values(["frame", *CORNERS])[["frame", *CORNERS]].to_numpy() for table in (expected, found)]
    np.testing.assert_allclose(*same)
    assert expected["track"].nunique() == found["track"].nunique()


def test_appearance_finds_again_what_was_hidden(four_videos):
    X, y = four_videos
    counts = {}
    for name, tracker in {
        "iou": ObjectTracker(),
        "patient": ObjectTracker(**PATIENT),
        "appearance": ObjectTracker(mean_colour).fit(X[:2], y[:2]),
        "not fitted": ObjectTracker(mean_colour),
    }.items():
        counts[name] = tracking_frame(y[2:], tracker.predict(X[2:])).loc["all"]
    assert counts["appearance"]["switches"] == 0 < counts["iou"]["switches"]
    assert counts["appearance"]["idf1"] > max(counts["iou"]["idf1"], 0.8)
    assert counts["appearance"]["idf1"] >= counts["not fitted"]["idf1"] > counts["iou"]["idf1"]


def test_a_function_and_a_transformer_say_the_same(four_videos):
    X, y = four_videos
    by_function = ObjectTracker(mean_colour).fit(X[:1], y[:1])
    by_transformer = ObjectTracker(FunctionTransformer(mean_colour)).fit(X[:1], y[:1])
    assert by_transformer.max_distance_ == by_function.max_distance_ > 0
    assert by_transformer.embedder_ is not by_transformer.embedder
    pd.testing.assert_frame_equal(by_function.predict(X[1:2])[0], by_transformer.predict(X[1:2])[0])


def test_an_embedder_is_fitted_on_crops_with_their_tracks(four_videos):
    X, y = four_videos
    seen = {}

    class Embedder(FunctionTransformer):
        def fit(self, X, y=None):
            seen.update(X=X, y=y)
            return self

    ObjectTracker(Embedder(mean_colour)).fit(X[:2], y[:2])
    assert len(seen["X"]) == len(seen["y"]) == len(X[0]) + len(X[1])
    assert sorted(set(seen["y"])) == list(range(8))  # four squares in each of two videos
    for code in range(8):
        colours = mean_colour([crop for crop, other in zip(seen["X"], seen["y"], strict=True) if other == code])
        assert colours.std(axis=0).max() < 30
    ObjectTracker(Embedder(mean_colour)).fit(X[:1])
    assert seen["y"] is None


def test_frames_by_path_and_by_pixels(four_videos, tmp_path):
    from PIL import Image

    X, y = four_videos
    paths = []
    for frame, pixels in X[0].drop_duplicates("frame")[["frame", "image"]].itertuples(index=False):
        paths.append((frame, str(tmp_path / f"{frame}.png")))
        Image.fromarray(pixels).save(paths[-1][1])
    by_path = X[0].drop(columns="image").merge(pd.DataFrame(paths, columns=["frame", "image"]))
    tracker = ObjectTracker(mean_colour).fit(X[1:2], y[1:2])
    pd.testing.assert_frame_equal(*(tracker.predict([video])[0] for video in (X[0], by_path)))
    tracker.reset()
    online = [tracker.update(boxes[CORNERS], image=boxes["image"].iloc[0]) for _, boxes in X[0].groupby("frame")]
    assert online[5]["track"].tolist() == [1, 2, 3, 4]
    (tmp_path / "7.png").write_bytes(b"no image")
    with pytest.raises(BadImageError, match=r"7\.png"):
        tracker.predict([by_path])
    with pytest.raises(ValueError, match=r"X\[0\] has no column 'image'"):
        tracker.predict([by_path.drop(columns="image")])


@pytest.mark.parametrize(
    ("embedder", "message"),
    [
        (lambda crops: np.zeros(len(crops)), r"expected numbers of shape"),
        (lambda crops: np.full((len(crops), 2), np.nan), "NaN or infinite"),
        (lambda crops: [["a"]] * len(crops), "expected numbers"),
    ],
)
def test_what_an_embedder_returns_is_checked(embedder, message):
    video, _ = squares(n_frames=2)
    with pytest.raises(ValueError, match=message):
        ObjectTracker(embedder).predict([video])


def test_fit_learns_noise_and_forgets_it_without_labels(four_videos):
    X, y = four_videos
    tracker = ObjectTracker(**PATIENT).fit(X, y)
    assert tracker.noise_.relative
    # One pixel of 18 to each side: the centre is off by 1 / sqrt(2) of it.
    np.testing.assert_allclose(np.sqrt(tracker.noise_.measurement[:2]), 1 / np.sqrt(2) / 18, rtol=0.15)
    assert not tracker.fit(X).noise_.relative
    given = TrackNoise((1.0,) * 4, (1.0,) * 7, (1.0,) * 7)
    assert ObjectTracker(noise=given).fit(X, y).noise_ is given


def test_cross_validation_and_search(four_videos):
    X, y = four_videos
    predicted = cross_val_predict(ObjectTracker(), X, y, cv=2)
    assert predicted.shape == (4,)
    assert isinstance(predicted[0], pd.DataFrame)
    search = GridSearchCV(ObjectTracker(reconfirm=False), {"max_age": [1, 20]}, cv=2).fit(X[:2], y[:2])
    assert search.best_params_["max_age"] == 20
    as_array = np.empty(4, dtype=object)
    as_array[:] = X
    assert search.score(as_array, y) == search.best_estimator_.score(X, y)


CHECKS = [
    "check_estimator_cloneable",
    "check_estimator_repr",
    "check_estimator_tags_renamed",
    "check_valid_tag_types",
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_get_params_invariance",
    "check_set_params",
    "check_do_not_raise_errors_in_init_or_set_param",
    "check_mixin_order",
    "check_param_validation",
]


@pytest.mark.parametrize("name", [name for name in CHECKS if hasattr(estimator_checks, name)])
def test_scikit_learns_checks(name):
    getattr(estimator_checks, name)("ObjectTracker", ObjectTracker())


def test_it_survives_clone_pickle_and_a_file(four_videos, tmp_path):
    X, y = four_videos
    tracker = ObjectTracker(**PATIENT).fit(X, y)
    expected = tracker.predict(X[:1])[0]
    skcnn.save(tracker, tmp_path / "tracker.skcnn")
    for other in (
        clone(tracker).fit(X, y),
        pickle.loads(pickle.dumps(tracker)),
        skcnn.load(tmp_path / "tracker.skcnn"),
    ):
        pd.testing.assert_frame_equal(other.predict(X[:1])[0], expected)


def test_it_needs_no_fit():
    check_is_fitted(ObjectTracker())
    try:
        ObjectTracker().predict([moving([0, 1])])
    except NotFittedError:
        pytest.fail("predict needs no fit")


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (moving([0]), TypeError, r"X is one table; .*For one video: \[X\]"),
        ("det.txt", TypeError, "X is a str"),
        (np.zeros((2, 3, 5)), TypeError, r"np\.asarray joins tables"),
        ([np.zeros((3, 5))], TypeError, r"X\[0\] is a ndarray"),
        ([moving([0]).drop(columns="xmax")], ValueError, r"X\[0\] has no column 'xmax'"),
        ([moving([0]), moving([0, np.nan])], ValueError, r"box in X\[1\], row 1: .*four finite numbers"),
        ([moving([0]).assign(xmax=-1)], ValueError, r"box in X\[0\], row 0: .*xmin < xmax"),
        ([moving([0]).assign(xmax=np.inf)], ValueError, "four finite numbers"),
        ([moving([0, 1, 2], frames=[1, 1.5, 2.5])], ValueError, r"frame in X\[0\], row 1: 1\.5; .*2 rows"),
        ([moving([0]).assign(frame="a")], ValueError, "column 'frame' of"),
        ([moving([0]).assign(score=np.nan)], ValueError, r"score in X\[0\], row 0"),
        ([moving([0], label=None)], ValueError, r"label in X\[0\], row 0"),
    ],
)
def test_hostile_videos_are_refused_by_name(X, error, message):
    with pytest.raises(error, match=message):
        ObjectTracker().predict(X)


def test_lengths_of_x_and_y():
    with pytest.raises(ValueError, match="X has 2 videos and y 1"):
        ObjectTracker().fit([moving([0])] * 2, [moving([0]).assign(track=1)])
    with pytest.raises(ValueError, match="minimum of 1"):
        ObjectTracker().fit([])
    with pytest.raises(ValueError, match="one box per track and frame"):
        ObjectTracker().fit([moving([0])], [pd.concat([moving([0])] * 2).assign(track=1)])
    for wrong in ([[1, 2, 3]], [1, 2, 3, 4]):
        with pytest.raises(ValueError, match="frame_boxes has the shape"):
            ObjectTracker().update(wrong)


def test_no_boxes_and_many_boxes():
    nothing = moving([])
    tracker = ObjectTracker(mean_colour)
    assert tracker.fit([nothing], [nothing.assign(track=1)]).max_distance_ == 0.2
    assert len(ObjectTracker().predict([nothing])[0]) == 0
    assert list(ObjectTracker().predict([nothing])[0].columns) == ["frame", "label", *CORNERS, "score", "track"]
    assert len(ObjectTracker().predict([])) == 0
    assert len(ObjectTracker().update([])) == 0
    # Ten thousand boxes in each of two frames, most of them alone.
    corners = np.stack(np.meshgrid(np.arange(100) * 50.0, np.arange(100) * 50.0), -1).reshape(-1, 2)
    frames = pd.DataFrame({"frame": np.repeat([1, 2], 10_000)})
    frames[["xmin", "ymin"]] = np.concatenate([corners, corners + 2])
    (found,) = ObjectTracker().predict([frames.assign(xmax=frames["xmin"] + 40, ymax=frames["ymin"] + 40)])
    assert found["track"].nunique() == 10_000
    # Boxes outside the image have a pixel to look at.
    outside = moving([-500, 5000]).assign(image=[np.zeros((20, 20, 3), np.uint8)] * 2)
    assert len(ObjectTracker(mean_colour).predict([outside])[0]) == 2
