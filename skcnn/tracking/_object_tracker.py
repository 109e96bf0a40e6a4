"""The estimator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.utils import Tags
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

from skcnn.boxes import Pairs, Video, as_videos, best_pairs, joined, overlaps_by_frame
from skcnn.metrics import idf1_score
from skcnn.tracking._crops import crops_of_video, embedded
from skcnn.tracking._noise import RELATIVE_NOISE, SORT_NOISE, TrackNoise, learned_noise
from skcnn.tracking._tracks import Reported, Rules, Tracks

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

#: Overlap from which on a detection is one of a labelled box, for what `fit` learns.
_SAME_OBJECT = 0.5

#: DeepSORT's largest cosine distance.
_PUBLISHED_DISTANCE = 0.2

_CORNERS = ["xmin", "ymin", "xmax", "ymax"]


class ObjectTracker(BaseEstimator):
    """Follow objects through the frames of videos: detections in, tracks out.

    A sample is a video: a table of the boxes that a detector found, with their frames. By default this is SORT [1]_: a
    Kalman filter of constant velocity predicts each box, and the Hungarian method pairs predictions with detections by
    their overlap. With an ``embedder`` it is DeepSORT [2]_: what an object looks like finds it again after it was
    hidden.

    ``fit`` learns from labelled tracks what is else set by hand: how far detections miss and objects swerve, and how
    different two views of an object look. ``predict`` needs no ``fit``; it then goes by the published values.

    Parameters
    ----------
    embedder : callable, transformer or None, default=None
        What makes a vector of what an object looks like: a function, or a transformer by its ``transform``, from a list
        of crops (uint8 arrays of shape (height, width, 3)) to an array of shape (n_crops, n_dimensions), such as
        :class:`~skcnn.feature_extraction.BottleneckFeatures` or a pipeline of it. Vectors are compared by the cosine of
        their angle. ``fit`` clones a transformer and fits it on crops, with their tracks as classes if there is ``y``;
        one that is fitted goes into a :class:`sklearn.frozen.FrozenEstimator`. With an embedder, tables have a column
        "image": the path of each box's frame (or its pixels). None goes by overlap alone.
    max_age : int or None, default=None
        Frames that a confirmed track may be missing without being given up, >= 0. None is the published value: 1, or 30
        with an embedder. One that was not confirmed yet may miss one frame.
    min_hits : int, default=3
        How often, frame after frame, a new track must be found again before it is confirmed and reported, >= 0. More of
        it suppresses false detections, and loses the first frames of each object. In the first ``min_hits`` frames of a
        video everything is reported.
    iou_threshold : float, default=0.3
        Least intersection over union of a predicted box and a detection of one object, in (0, 1].
    max_distance : float or None, default=None
        Largest cosine distance of a detection from the nearest of the vectors of its track, in [0, 2]. None is what
        ``fit`` learned, the value that best separates the labelled tracks; without labels 0.2, as published.
    gate : float or None, default=0.95
        Where an object may appear again: the region around its prediction that holds this fraction of all true
        detections by the filter's own reckoning, in (0, 1). None searches everywhere. Used with an embedder alone.
    reconfirm : bool or None, default=None
        Whether a track that was missing is reported only after it was found ``min_hits`` times again. True is SORT,
        False DeepSORT; None is True without an embedder.
    gallery_size : int, default=100
        Vectors that a track keeps, those of the last times it was found, >= 1.
    noise : TrackNoise, {"sort", "relative"} or None, default=None
        Variances of the Kalman filter. "sort" has those of SORT's program, in pixels; "relative" is close to those of
        DeepSORT, fractions of the size of each box. None is what ``fit`` learned; without labels "sort", or
        "relative" with an embedder, whose gate needs variances that are about right.
    score_threshold : float or None, default=None
        Detections with smaller scores are left out. None takes all.
    output : {"state", "detection"}, default="state"
        Which boxes are reported: those of the filter, which are smoother, or those of the detections.

    Attributes
    ----------
    noise_ : TrackNoise
        The variances that are used.
    max_distance_ : float
        The largest distance that is used.
    embedder_ : callable, transformer or None
        What is used: the fitted clone of a transformer.

    See Also
    --------
    skcnn.metrics.tracking_frame : How good tracks are.
    skcnn.metrics.TrackDisplay : Where they go wrong.
    read_mot : Read the text files of MOTChallenge.

    Notes
    -----
    Frames are counted by ones: a number without boxes is a frame in which nothing was found. Of a video of which only
    every tenth frame was taken, number those that were taken.

    Objects of different labels are never of one track.

    Written from the papers, with one addition: what is not found again by what it looks like may be found by its
    overlap, however long it was missing (DeepSORT does this only for what was found in the last frame). All tracks are
    predicted at once, and overlapping boxes are paired in groups that touch, so that time grows with the number of
    boxes.

    References
    ----------
    .. [1] A. Bewley, Z. Ge, L. Ott, F. Ramos and B. Upcroft, "Simple online and realtime tracking", ICIP, 2016.
    .. [2] N. Wojke, A. Bewley and D. Paulus, "Simple online and realtime tracking with a deep association metric",
       ICIP, 2017.

    Examples
    --------
    >>> import pandas as pd
    >>> from skcnn.tracking import ObjectTracker
    >>> right = pd.DataFrame({"frame": range(1, 7), "xmin": range(0, 60, 10), "ymin": 0})
    >>> left = right.assign(xmin=right["xmin"][::-1].to_numpy() + 200, ymin=100)
    >>> video = pd.concat([right, left]).assign(xmax=lambda t: t["xmin"] + 40, ymax=lambda t: t["ymin"] + 80)
    >>> (tracks,) = ObjectTracker().predict([video])
    >>> tracks.groupby("track")["frame"].agg(["min", "max"]).to_dict("index")
    {1: {'min': 1, 'max': 6}, 2: {'min': 1, 'max': 6}}
    """

    _parameter_constraints = {  # noqa: RUF012  (scikit-learn's own form)
        "embedder": [callable, HasMethods(["transform"]), None],
        "max_age": [Interval(Integral, 0, None, closed="left"), None],
        "min_hits": [Interval(Integral, 0, None, closed="left")],
        "iou_threshold": [Interval(Real, 0, 1, closed="right")],
        "max_distance": [Interval(Real, 0, 2, closed="both"), None],
        "gate": [Interval(Real, 0, 1, closed="neither"), None],
        "reconfirm": ["boolean", None],
        "gallery_size": [Interval(Integral, 1, None, closed="left")],
        "noise": [StrOptions({"sort", "relative"}), TrackNoise, None],
        "score_threshold": [Real, None],
        "output": [StrOptions({"state", "detection"})],
    }

    def __init__(
        self,
        embedder: Callable[[list[np.ndarray]], ArrayLike] | BaseEstimator | None = None,
        *,
        max_age: int | None = None,
        min_hits: int = 3,
        iou_threshold: float = 0.3,
        max_distance: float | None = None,
        gate: float | None = 0.95,
        reconfirm: bool | None = None,
        gallery_size: int = 100,
        noise: TrackNoise | str | None = None,
        score_threshold: float | None = None,
        output: str = "state",
    ) -> None:
        self.embedder = embedder
        self.max_age = max_age
        self.min_hits = min_hits
        self.iou_threshold = iou_threshold
        self.max_distance = max_distance
        self.gate = gate
        self.reconfirm = reconfirm
        self.gallery_size = gallery_size
        self.noise = noise
        self.score_threshold = score_threshold
        self.output = output

    def fit(self, X: Sequence[pd.DataFrame], y: Sequence[pd.DataFrame] | None = None) -> Self:
        """Estimate noise and distances on labelled tracks.

        Parameters
        ----------
        X : sequence of DataFrames, of length n_videos
            Detections: per video a table with the columns "frame", "xmin", "ymin", "xmax", "ymax", and possibly
            "label", "score" and "image": see :func:`skcnn.boxes.as_videos`.
        y : sequence of DataFrames or None, default=None
            True boxes of the same videos, with the column "track". None learns nothing: the published values are used.

        Returns
        -------
        ObjectTracker
            Itself.

        Raises
        ------
        TypeError
            If ``X`` or ``y`` is not a sequence of tables.
        ValueError
            If a table or a parameter is invalid, or the lengths of ``X`` and ``y`` differ.
        BadImageError
            If an image of a frame cannot be read.
        """
        videos = self._videos(X)
        truths = None if y is None else as_videos(y, name="y", tracked=True)
        if truths is not None and len(truths) != len(videos):
            raise ValueError(f"X has {len(videos)} videos and y {len(truths)}; expected one table per video in both.")
        if not videos:
            raise ValueError("X has 0 videos (n_samples=0), while a minimum of 1 is required.")
        pairs = None if truths is None else [_pairs_of(*both) for both in zip(truths, videos, strict=True)]
        self.embedder_ = self._fitted_embedder(videos, truths, pairs)
        self.noise_, self.max_distance_ = self._published()
        if truths is not None and pairs is not None:
            if self.noise is None:
                true = np.concatenate([truth.boxes[pair.first] for truth, pair in zip(truths, pairs, strict=True)])
                found = np.concatenate([video.boxes[pair.second] for video, pair in zip(videos, pairs, strict=True)])
                stretches = [stretch for truth in truths for stretch in _stretches(truth)]
                self.noise_ = learned_noise(stretches, found, true) or self.noise_
            if self.embedder is not None and self.max_distance is None:
                self.max_distance_ = self._learned_distance(videos, truths, pairs)
        self.reset()
        return self

    def predict(self, X: Sequence[pd.DataFrame]) -> np.ndarray:
        """Track the objects of videos.

        Parameters
        ----------
        X : sequence of DataFrames, of length n_videos
            Detections: see :meth:`fit`.

        Returns
        -------
        ndarray of shape (n_videos,), object
            Per video a DataFrame with a row per reported box, ordered by frame and track, and the columns "frame",
            "label" ("object" where ``X`` has no labels), "xmin", "ymin", "xmax", "ymax", "score" and "track" (numbers
            from 1, in the order in which the tracks are first reported).

        Raises
        ------
        TypeError
            If ``X`` is not a sequence of tables.
        ValueError
            If a table or a parameter is invalid.
        BadImageError
            If an image of a frame cannot be read.
        """
        videos = self._videos(X)
        tables = np.empty(len(videos), dtype=object)
        for number, video in enumerate(videos):
            tables[number] = self._track(video, f"X[{number}]")
        return tables

    def update(self, frame_boxes: pd.DataFrame | ArrayLike, image: Any = None) -> pd.DataFrame:
        """Go on by one frame, while a video runs. :meth:`reset` begins another video.

        Parameters
        ----------
        frame_boxes : DataFrame or array-like of shape (n_boxes, 4) or (n_boxes, 5)
            Detections of the next frame: a table with "xmin", "ymin", "xmax", "ymax" and possibly "label" and "score",
            or these numbers, in this order, score last. A frame without any counts, too: give an empty table.
        image : image or None, default=None
            The frame itself, for the embedder: an array, a path, or any other form of an image that
            :func:`skcnn.images.as_images` takes.

        Returns
        -------
        DataFrame
            What :meth:`predict` reports of this frame; "frame" counts the calls from 1.

        Raises
        ------
        TypeError
            If ``frame_boxes`` is neither a table nor an array.
        ValueError
            If boxes or parameters are invalid, or there is an embedder and no image.
        BadImageError
            If the image cannot be read.

        Examples
        --------
        >>> from skcnn.tracking import ObjectTracker
        >>> tracker = ObjectTracker()
        >>> for x in (0, 4, 8):
        ...     tracks = tracker.update([[x, 0, x + 10, 20]])
        >>> tracks[["frame", "track"]].to_dict("records")
        [{'frame': 3, 'track': 1}]
        """
        online: Tracks | None = getattr(self, "_online", None)
        if online is None:
            self._validate_params()
            online = self._online = Tracks(self._rules())
        number = online.frames_seen + 1
        video = _one_frame(frame_boxes, number, image)
        if self.score_threshold is not None:
            video = video.only(video.scores >= self.score_threshold)
        appearance = self._appearance(video, "frame_boxes")
        reported = online.step(video.boxes, video.labels, appearance)
        return self._table(video, [(np.arange(len(video.frames))[reported.rows], reported)])

    def reset(self) -> Self:
        """Forget the tracks of :meth:`update`: the next frame is the first one of another video.

        Returns
        -------
        ObjectTracker
            Itself.
        """
        self.__dict__.pop("_online", None)
        return self

    def score(self, X: Sequence[pd.DataFrame], y: Sequence[pd.DataFrame]) -> float:
        """Return the IDF1 of the tracks of all videos together: see :func:`skcnn.metrics.idf1_score`.

        Parameters
        ----------
        X : sequence of DataFrames, of length n_videos
            Detections: see :meth:`fit`.
        y : sequence of DataFrames, of length n_videos
            True boxes with the column "track".

        Returns
        -------
        float
            In [0, 1]; NaN where there are neither true boxes nor tracks.

        Raises
        ------
        TypeError
            If ``X`` or ``y`` is not a sequence of tables.
        ValueError
            If a table or a parameter is invalid, or the lengths of ``X`` and ``y`` differ.
        """
        return idf1_score(y, list(self.predict(X)))

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.two_d_array = False
        tags.target_tags.one_d_labels = False
        return tags

    def _videos(self, X: Any) -> list[Video]:
        self._validate_params()
        videos = as_videos(X)
        if self.score_threshold is None:
            return videos
        return [video.only(video.scores >= self.score_threshold) for video in videos]

    def _published(self) -> tuple[TrackNoise, float]:
        """Return what is used where nothing was learned."""
        named = {"sort": SORT_NOISE, "relative": RELATIVE_NOISE}
        default = "sort" if self.embedder is None else "relative"
        noise = self.noise if isinstance(self.noise, TrackNoise) else named[self.noise or default]
        return noise, _PUBLISHED_DISTANCE if self.max_distance is None else float(self.max_distance)

    def _rules(self) -> Rules:
        noise, max_distance = self._published()
        max_age = self.max_age
        if max_age is None:
            max_age = 1 if self.embedder is None else 30
        return Rules(
            noise=getattr(self, "noise_", noise),
            max_age=int(max_age),
            min_hits=int(self.min_hits),
            iou_threshold=float(self.iou_threshold),
            max_distance=getattr(self, "max_distance_", max_distance),
            gate=self.gate,
            reconfirm=self.embedder is None if self.reconfirm is None else bool(self.reconfirm),
            gallery_size=int(self.gallery_size),
        )

    def _fitted_embedder(self, videos: list[Video], truths: list[Video] | None, pairs: list[Pairs] | None) -> Any:
        """Return the embedder, a transformer as a clone that was fitted on the crops of labelled boxes, or of all."""
        if self.embedder is None or not hasattr(self.embedder, "fit"):
            return self.embedder
        crops, tracks = [], []
        for number, video in enumerate(videos):
            seen = list(crops_of_video(video, f"X[{number}]"))
            if truths is None or pairs is None:
                crops += seen
                continue
            for first, second in zip(pairs[number].first, pairs[number].second, strict=True):
                crops.append(seen[second])
                tracks.append((number, truths[number].tracks[first]))  # type: ignore[index]
        return clone(self.embedder).fit(
            crops, None if truths is None else pd.factorize(pd.Index(tracks, tupleize_cols=False))[0]
        )

    def _appearance(self, video: Video, name: str) -> np.ndarray | None:
        embedder = getattr(self, "embedder_", self.embedder)
        return None if embedder is None else embedded(embedder, crops_of_video(video, name))

    def _learned_distance(self, videos: list[Video], truths: list[Video], pairs: list[Pairs]) -> float:
        """Return the distance that best separates views of one object from those of others, in the labelled tracks.

        The second half of each track is compared with the first halves of all: the same object some time later.
        """
        same: list[np.ndarray] = []
        others: list[np.ndarray] = []
        for number, (video, truth, pair) in enumerate(zip(videos, truths, pairs, strict=True)):
            vectors = self._appearance(video, f"X[{number}]")
            codes = pd.factorize(truth.tracks)[0][pair.first]
            rows = [pair.second[codes == code] for code in range(codes.max(initial=-1) + 1)]
            halves = [np.array_split(row, 2) for row in rows if len(row) > 1]
            for place, (_, later) in enumerate(halves):
                for other, (before, _) in enumerate(halves):
                    nearest = 1 - (vectors[later] @ vectors[before[-self.gallery_size :]].T).max(axis=1)  # type: ignore[index]
                    (same if other == place else others).append(nearest)
        if not same or not others:
            return _PUBLISHED_DISTANCE
        near, far = np.concatenate(same), np.concatenate(others)
        # Youden's index: found again, less mistaken for another.
        steps = np.unique(np.concatenate([near, far]))
        found = np.searchsorted(np.sort(near), steps, side="right") / len(near)
        mistaken = np.searchsorted(np.sort(far), steps, side="right") / len(far)
        best = int(np.argmax(found - mistaken))
        following = steps[min(best + 1, len(steps) - 1)]
        return float(np.clip((steps[best] + following) / 2, 0, 2))

    def _track(self, video: Video, name: str) -> pd.DataFrame:
        appearance = self._appearance(video, name)
        tracks, found = Tracks(self._rules()), []
        before: int | None = None
        for frame, rows in video.by_frame():
            if before is not None:
                self._pass_empty_frames(tracks, frame - before - 1)
            vectors = None if appearance is None else appearance[rows]
            reported = tracks.step(video.boxes[rows], video.labels[rows], vectors)
            found.append((reported.rows + rows.start, reported))
            before = frame
        return self._table(video, found)

    @staticmethod
    def _pass_empty_frames(tracks: Tracks, n_frames: int) -> None:
        """Go on by frames without detections; when no track is left, nothing changes any more."""
        nothing = np.empty((0, 4)), np.empty(0, dtype=object)
        for passed in range(n_frames):
            if not len(tracks):
                tracks.frames_seen += n_frames - passed
                return
            tracks.step(*nothing)

    def _table(self, video: Video, found: list[tuple[np.ndarray, Reported]]) -> pd.DataFrame:
        rows = np.concatenate([np.empty(0, int), *(row for row, _ in found)])
        tracks = np.concatenate([np.empty(0, int), *(reported.tracks for _, reported in found)])
        boxes = video.boxes[rows]
        if self.output == "state":
            boxes = np.concatenate([np.empty((0, 4)), *(reported.boxes for _, reported in found)])
        order = np.lexsort([tracks, video.frames[rows]])
        rows = rows[order]
        return pd.DataFrame(
            {
                "frame": video.frames[rows],
                "label": video.labels[rows],
                **dict(zip(_CORNERS, boxes[order].T, strict=True)),
                "score": video.scores[rows],
                "track": tracks[order],
            }
        )


def _pairs_of(truth: Video, video: Video) -> Pairs:
    """Return which detections are of which labelled boxes."""
    found = (pairs.only(pairs.score >= _SAME_OBJECT) for pairs in overlaps_by_frame(truth, video))
    return joined(best_pairs(pairs) for pairs in found)


def _stretches(truth: Video) -> list[np.ndarray]:
    """Return the boxes of each track as arrays (n, 4), cut where a frame is missing."""
    codes = pd.factorize(truth.tracks)[0]
    order = np.argsort(codes, kind="stable")
    ends = np.flatnonzero((np.diff(codes[order]) != 0) | (np.diff(truth.frames[order]) != 1)) + 1
    return np.split(truth.boxes[order], ends)


def _one_frame(frame_boxes: Any, number: int, image: Any) -> Video:
    """Return the detections of a frame as a video of one."""
    if hasattr(frame_boxes, "to_pandas"):
        frame_boxes = frame_boxes.to_pandas()
    if isinstance(frame_boxes, pd.DataFrame):
        columns = {name: frame_boxes[name].to_numpy() for name in frame_boxes.columns}
    else:
        numbers = np.asarray(frame_boxes, dtype=float)
        if numbers.size == 0:
            numbers = numbers.reshape(0, 4)
        if numbers.ndim != 2 or numbers.shape[1] not in (4, 5):
            raise ValueError(
                f"frame_boxes has the shape {numbers.shape}; expected (n_boxes, 4) or (n_boxes, 5): xmin, ymin, xmax, "
                "ymax and possibly the score. For a frame without boxes: []."
            )
        columns = dict(zip([*_CORNERS, "score"], numbers.T, strict=False))
    n_boxes = len(next(iter(columns.values()))) if columns else 0
    if not n_boxes:
        columns = dict.fromkeys(_CORNERS, np.empty(0))
    columns["frame"] = np.full(n_boxes, number)
    if image is not None:
        columns["image"] = np.empty(n_boxes, dtype=object)
        columns["image"][:] = [image] * n_boxes
    return as_videos([columns], name="frame_boxes")[0]
