"""Display of the tracks of a video: who was found when, and as whom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from skcnn._plot.theme import INK, MUTED, REST, class_colors, new_axes
from skcnn._text import label_text
from skcnn.boxes import Video, as_videos
from skcnn.metrics._tracking import check_iou_threshold, match_tracks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_KINDS = ("time", "paths")
_GOLDEN = (5**0.5 - 1) / 2
_MOST_NAMED, _LONGEST_NAME = 40, 18


class TrackDisplay:
    """Tracks of a video over time: a line per true track, in the colours of the predicted tracks that found it.

    Where the colour of a line changes a track was switched, where it is grey the object was missed. Lines below are
    predicted tracks as far as they match nothing. Make it with :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    boxes : DataFrame of shape (n_boxes, 8)
        What :meth:`frame` returns.
    name : str or None, default=None
        Title of the image.

    See Also
    --------
    tracking_frame : The metrics.

    Examples
    --------
    >>> import pandas as pd
    >>> from skcnn.metrics import TrackDisplay
    >>> true = pd.DataFrame({"frame": [1, 2, 3, 4], "xmin": 0, "ymin": 0, "xmax": 10, "ymax": 20, "track": "walker"})
    >>> display = TrackDisplay.from_predictions([true], [true[1:].assign(track=[1, 1, 2])])
    >>> display.frame()[["frame", "true_track", "track", "switched"]]
       frame true_track track  switched
    0      1     walker   NaN     False
    1      2     walker     1     False
    2      3     walker     1     False
    3      4     walker     2      True
    >>> figure = display.plot().figure_
    """

    def __init__(self, boxes: pd.DataFrame, *, name: str | None = None) -> None:
        self.boxes = boxes
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Sequence[pd.DataFrame] | None = None,
        *,
        video: int = 0,
        iou_threshold: float = 0.5,
        name: str | None = None,
    ) -> Self:
        """Make the Display from a tracker.

        Parameters
        ----------
        estimator : ObjectTracker
            A tracker, by its method ``predict``.
        X : sequence of DataFrames, of length n_videos
            Detections: see :meth:`skcnn.tracking.ObjectTracker.fit`.
        y : sequence of DataFrames or None, default=None
            True boxes with the column "track". Without them only predicted tracks are drawn.
        video, iou_threshold
            Which video to draw, and how boxes match: see :meth:`from_predictions`.
        name : str or None, default=None
            Title of the image.

        Returns
        -------
        TrackDisplay
            Not drawn yet; call :meth:`plot`.

        Raises
        ------
        TypeError
            If the estimator has no ``predict``, or ``X`` or ``y`` is not a sequence of tables.
        ValueError
            If a table is invalid, there is no such video, or ``iou_threshold`` is out of range.
        """
        if not hasattr(estimator, "predict"):
            raise TypeError(f"estimator is a {type(estimator).__name__}, which has no predict; expected a tracker")
        place = _check_video(video, len(X))
        truth = None if y is None else [y[place]]
        found = estimator.predict([X[place]])
        return cls.from_predictions(truth, list(found), iou_threshold=iou_threshold, name=name)

    @classmethod
    def from_predictions(
        cls,
        y_true: Sequence[pd.DataFrame] | None,
        y_pred: Sequence[pd.DataFrame],
        *,
        video: int = 0,
        iou_threshold: float = 0.5,
        name: str | None = None,
    ) -> Self:
        """Make the Display from tracks.

        Parameters
        ----------
        y_true : sequence of DataFrames or None
            True tracks: see :func:`tracking_frame`. None draws the predicted ones alone.
        y_pred : sequence of DataFrames, of length n_videos
            Predicted tracks.
        video : int, default=0
            Position of the video that is drawn.
        iou_threshold : float, default=0.5
            Least intersection over union of boxes that match, in (0, 1].
        name : str or None, default=None
            Title of the image.

        Returns
        -------
        TrackDisplay
            Not drawn yet; call :meth:`plot`.

        Raises
        ------
        TypeError
            If ``y_true`` or ``y_pred`` is not a sequence of tables.
        ValueError
            If a table is invalid, there is no such video, or ``iou_threshold`` is out of range.
        """
        check_iou_threshold(iou_threshold)
        predicted = as_videos(y_pred, name="y_pred", tracked=True)
        found = predicted[_check_video(video, len(predicted))]
        if y_true is None:
            return cls(_rows(found, np.arange(len(found.frames))).assign(true_track=None, switched=False), name=name)
        true = as_videos(y_true, name="y_true", tracked=True)
        truth = true[_check_video(video, len(true))]
        matches = match_tracks(truth, found, iou_threshold)
        boxes = _rows(truth, np.arange(len(truth.frames))).rename(columns={"track": "true_track"})
        boxes = boxes.assign(track=pd.Series(np.nan, index=boxes.index, dtype=object), switched=False)
        boxes.loc[matches.true, "track"] = found.tracks[matches.predicted]  # type: ignore[index]
        boxes.loc[matches.true[matches.switched], "switched"] = True
        # Where both are known, the box is the predicted one.
        boxes.loc[matches.true, list(_CORNERS)] = found.boxes[matches.predicted]
        extra = np.setdiff1d(np.arange(len(found.frames)), matches.predicted)
        others = _rows(found, extra).assign(true_track=pd.Series(np.nan, index=range(len(extra)), dtype=object))
        parts = [part for part in (boxes, others.assign(switched=False)) if len(part)]
        return cls(pd.concat(parts, ignore_index=True) if parts else boxes, name=name)

    def frame(self) -> pd.DataFrame:
        """Return the boxes.

        Returns
        -------
        DataFrame of shape (n_boxes, 8)
            Columns "frame"; "true_track", NaN where a predicted box matches nothing; "track", the predicted one, NaN
            where a true box was missed; "switched", whether the true track had another predicted track the last time;
            and "xmin", "ymin", "xmax" and "ymax", of the predicted box where there is one.
        """
        return self.boxes[["frame", "true_track", "track", "switched", *_CORNERS]].copy()

    def plot(self, ax: Axes | None = None, *, kind: str = "time") -> Self:
        """Draw the tracks.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a new figure by pyplot, as scikit-learn's Displays do.
        kind : {"time", "paths"}, default="time"
            "time" draws when each true track was found, and by which predicted track, frames from left to right.
            "paths" draws where predicted tracks go in the image: the middle of the lower edge of their boxes, where an
            object stands.

        Returns
        -------
        TrackDisplay
            Itself, with the attributes ``ax_`` and ``figure_``.

        Raises
        ------
        ValueError
            If ``kind`` is unknown.
        """
        if kind not in _KINDS:
            raise ValueError(f"kind={kind!r}; expected {' or '.join(map(repr, _KINDS))}.")
        tracks = [track for track in self.boxes["track"].unique() if not pd.isna(track)]
        # Tracks that follow each other get colours that are far apart.
        places = np.argsort(np.arange(len(tracks)) * _GOLDEN % 1).argsort()
        every = class_colors(len(tracks))
        colors = {track: every[place][0] for track, place in zip(tracks, places, strict=True)}
        draw = self._plot_time if kind == "time" else self._plot_paths
        self.ax_ = draw(ax, colors)
        self.figure_ = self.ax_.figure
        if self.name:
            self.ax_.set_title(self.name, parse_math=False)
        return self

    def _plot_time(self, ax: Axes | None, colors: dict[Any, str]) -> Axes:
        boxes = self.boxes
        is_true = boxes["true_track"].notna()
        true = list(boxes.loc[is_true, "true_track"].unique())
        extra = list(boxes.loc[~is_true, "track"].unique())
        n_lines = len(true) + len(extra)
        ax = new_axes(7.0, float(np.clip(1.0 + 0.28 * n_lines, 2.0, 12.0))) if ax is None else ax
        # A line per true track; below them, what matches none of them.
        line_of_true = {track: place for place, track in enumerate(true)}
        line_of_extra = {track: len(true) + place for place, track in enumerate(extra)}
        line = np.where(is_true, boxes["true_track"].map(line_of_true), boxes["track"].map(line_of_extra))
        shade = [REST if pd.isna(track) else colors[track] for track in boxes["track"]]
        height = np.where(boxes["track"].isna(), 0.2, np.where(is_true, 0.7, 0.35))
        ax.bar(boxes["frame"], height, 1.0, bottom=line - height / 2, color=shade, linewidth=0, zorder=2)
        switched = boxes["switched"].to_numpy(bool)
        ax.scatter(
            boxes["frame"][switched] - 0.5, line[switched], marker="|", s=120, color=INK, linewidths=1.4, zorder=3
        )
        names = [label_text(track, _LONGEST_NAME) for track in true]
        names += [f"{'only ' if true else ''}{label_text(track, _LONGEST_NAME)}" for track in extra]
        step = max(1, -(-n_lines // _MOST_NAMED))
        ax.set_yticks(range(0, n_lines, step), names[::step], parse_math=False)
        ax.set_ylim(n_lines - 0.4, -0.6)
        ax.grid(visible=False)
        ax.set(xlabel="Frame", ylabel="True track, coloured by predicted track" if true else "Predicted track")
        return ax

    def _plot_paths(self, ax: Axes | None, colors: dict[Any, str]) -> Axes:
        ax = new_axes(6.0, 4.5) if ax is None else ax
        boxes = self.boxes.sort_values("frame", kind="stable")
        for track, color in colors.items():
            own = boxes[boxes["track"] == track]
            middle, foot = (own["xmin"] + own["xmax"]) / 2, own["ymax"]
            ax.plot(middle, foot, color=color, linewidth=1.4, zorder=2)
            ax.annotate(
                label_text(track, _LONGEST_NAME),
                (middle.iloc[-1], foot.iloc[-1]),
                color=color,
                fontsize=8,
                parse_math=False,
            )
        missed = boxes[boxes["track"].isna()]
        middle = (missed["xmin"] + missed["xmax"]) / 2
        ax.scatter(middle, missed["ymax"], s=6, color=MUTED, linewidths=0, zorder=1)
        if len(boxes) and not ax.yaxis_inverted():
            ax.invert_yaxis()
        ax.set_aspect("equal", adjustable="datalim")
        ax.set(xlabel="x (pixels)", ylabel="y (pixels)")
        return ax


def _check_video(video: int, n_videos: int) -> int:
    if not isinstance(video, (int, np.integer)) or not -n_videos <= video < n_videos:
        raise ValueError(f"video={video!r}; expected the position of one of {n_videos} videos.")
    return int(video)


def _rows(video: Video, rows: np.ndarray) -> pd.DataFrame:
    corners = dict(zip(_CORNERS, video.boxes[rows].T, strict=True))
    tracks = pd.Series(video.tracks[rows], dtype=object)  # type: ignore[index]
    return pd.DataFrame({"frame": video.frames[rows], "track": tracks, **corners})
