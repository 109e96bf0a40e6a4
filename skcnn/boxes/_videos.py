"""What a video may be: one table, in which each row is a box in a frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from skcnn.boxes._pairs import Pairs, overlapping_pairs

CORNERS = ("xmin", "ymin", "xmax", "ymax")
_EXPECTED = (
    "expected a sequence of tables, one per video, with the columns 'frame', 'xmin', 'ymin', 'xmax' and 'ymax' (and, "
    "where there are some, 'label', 'score', 'track' and 'image')"
)
#: The label of boxes whose table has none.
NO_LABEL = "object"


@dataclass(frozen=True, eq=False)
class Video:
    """The boxes of a video, checked, in the order of frames.

    Made by :func:`as_videos`.

    Parameters
    ----------
    frames : ndarray of shape (n_boxes,), int64
        Number of the frame of each box; ascending.
    boxes : ndarray of shape (n_boxes, 4), float64
        xmin, ymin, xmax, ymax in pixels.
    labels : ndarray of shape (n_boxes,), object
        "object" where the table has no labels.
    scores : ndarray of shape (n_boxes,), float64
        1 where the table has no scores.
    tracks : ndarray of shape (n_boxes,), object or None
        Which object a box belongs to; None where the table has none.
    images : ndarray of shape (n_boxes,), object or None
        The image, or the path of the image, of the frame of each box; None where the table has none.
    rows : ndarray of shape (n_boxes,), int64
        Position of each box in its table.
    """

    frames: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    tracks: np.ndarray | None
    images: np.ndarray | None
    rows: np.ndarray

    def only(self, which: np.ndarray) -> Video:
        """Return some of the boxes.

        Parameters
        ----------
        which : ndarray of shape (n_boxes,), bool
            Which ones.

        Returns
        -------
        Video
        """
        return Video(
            self.frames[which],
            self.boxes[which],
            self.labels[which],
            self.scores[which],
            None if self.tracks is None else self.tracks[which],
            None if self.images is None else self.images[which],
            self.rows[which],
        )

    def by_frame(self) -> list[tuple[int, slice]]:
        """Find the frames.

        Returns
        -------
        list of (int, slice)
            Number and rows of each frame that has boxes, in order.
        """
        starts = np.flatnonzero(np.diff(self.frames, prepend=self.frames[:1] - 1))
        ends = [*starts[1:], len(self.frames)][: len(starts)]
        return [(int(self.frames[start]), slice(start, end)) for start, end in zip(starts, ends, strict=True)]


def as_videos(X: Any, *, name: str = "X", tracked: bool = False) -> list[Video]:
    """Check tables of the boxes of videos, one table per video.

    Parameters
    ----------
    X : sequence of DataFrames, of length n_videos
        Each with a row per box and the columns "frame" (whole numbers, one more per frame), "xmin", "ymin", "xmax" and
        "ymax" (pixels), and those of "label", "score", "track" and "image" that there are. The order of the rows is
        free. A frame without boxes has no row, and a video without boxes an empty table. Tables of polars and dicts of
        columns are taken as well.
    name : str, default="X"
        What errors call it.
    tracked : bool, default=False
        Whether the column "track" is needed; a track has at most one box per frame.

    Returns
    -------
    list of Video

    Raises
    ------
    TypeError
        If ``X`` is not a sequence of tables.
    ValueError
        If a table lacks a column or has invalid values; the message names the video and the row.

    Examples
    --------
    >>> import pandas as pd
    >>> from skcnn.boxes import as_videos
    >>> video = pd.DataFrame({"frame": [2, 1], "xmin": 0, "ymin": 0, "xmax": [9, 8], "ymax": 5})
    >>> as_videos([video])[0].boxes.tolist()
    [[0.0, 0.0, 8.0, 5.0], [0.0, 0.0, 9.0, 5.0]]
    """
    if hasattr(X, "columns") or isinstance(X, dict):
        raise TypeError(f"{name} is one table; {_EXPECTED}. For one video: [{name}].")
    if isinstance(X, str) or not isinstance(X, (Sequence, np.ndarray, pd.Series)):
        raise TypeError(f"{name} is a {type(X).__name__}; {_EXPECTED}.")
    if isinstance(X, np.ndarray) and X.ndim != 1:
        raise TypeError(
            f"{name} has the shape {X.shape}; {_EXPECTED}. np.asarray joins tables of one length: keep a list, or fill "
            "np.empty(n, dtype=object)."
        )
    return [_checked(table, f"{name}[{number}]", tracked) for number, table in enumerate(X)]


def overlaps_by_frame(first: Video, second: Video) -> Iterator[Pairs]:
    """Find the boxes of two videos that overlap.

    Parameters
    ----------
    first, second : Video
        True and found boxes, say.

    Yields
    ------
    Pairs
        For each frame in which both videos have boxes: the positions in the two videos of those that have the same
        label and overlap, with their intersection over union.

    Examples
    --------
    >>> import pandas as pd
    >>> from skcnn.boxes import as_videos, overlaps_by_frame
    >>> video = pd.DataFrame({"frame": [1, 2], "xmin": 0, "ymin": 0, "xmax": 10, "ymax": [5, 10]})
    >>> first, second = as_videos([video, video.assign(ymax=5)])
    >>> [pairs.score.tolist() for pairs in overlaps_by_frame(first, second)]
    [[1.0], [0.5]]
    """
    others = dict(second.by_frame())
    for frame, rows in first.by_frame():
        if (columns := others.get(frame)) is None:
            continue
        found = overlapping_pairs(first.boxes[rows], second.boxes[columns])
        pairs = Pairs(found.first + rows.start, found.second + columns.start, found.score)
        yield pairs.only(np.asarray(first.labels[pairs.first] == second.labels[pairs.second], bool))


def _checked(table: Any, name: str, tracked: bool) -> Video:
    columns = _columns(table, name)
    needed = ("frame", *CORNERS, *(("track",) if tracked else ()))
    if missing := [column for column in needed if column not in columns]:
        raise ValueError(
            f"{name} has no column {', '.join(map(repr, missing))}, but {', '.join(map(str, columns)) or 'none'};"
            f" {_EXPECTED}."
        )
    frames = _numbers(columns["frame"], f"column 'frame' of {name}")
    boxes = np.column_stack([_numbers(columns[column], f"column {column!r} of {name}") for column in CORNERS])
    is_broken = (frames != np.rint(frames)) | ~(np.abs(frames) < 2**53)
    _refuse(is_broken, frames, f"frame in {name}", "a whole number")
    _refuse(~(np.abs(boxes) < 1e9).all(axis=1), boxes, f"box in {name}", "four finite numbers, in pixels")
    _refuse(np.any(boxes[:, 2:] <= boxes[:, :2], axis=1), boxes, f"box in {name}", "xmin < xmax and ymin < ymax")
    scores, labels, tracks = np.ones(len(frames)), np.full(len(frames), NO_LABEL, dtype=object), None
    if "score" in columns:
        scores = _numbers(columns["score"], f"column 'score' of {name}")
        _refuse(~np.isfinite(scores), scores, f"score in {name}", "a finite number")
    if "label" in columns:
        labels = columns["label"].astype(object)
        _refuse(pd.isna(labels), labels, f"label in {name}", "a label for each box")
    if "track" in columns:
        tracks = columns["track"].astype(object)
    if tracked and tracks is not None:
        _refuse(pd.isna(tracks), tracks, f"track in {name}", "a track for each box")
        twice = pd.DataFrame({"frame": frames, "track": tracks}).duplicated().to_numpy()
        _refuse(twice, tracks, f"track in {name}", "one box per track and frame")
    order = np.argsort(frames, kind="stable")
    return Video(
        frames=frames[order].astype(np.int64),
        boxes=boxes[order],
        labels=labels[order],
        scores=scores[order],
        tracks=None if tracks is None else tracks[order],
        images=columns["image"].astype(object)[order] if "image" in columns else None,
        rows=order,
    )


def _columns(table: Any, name: str) -> dict[str, np.ndarray]:
    """Return the columns of a table as arrays."""
    if hasattr(table, "to_pandas"):
        table = table.to_pandas()
    if isinstance(table, dict) and all(isinstance(column, np.ndarray) for column in table.values()):
        return table
    if not isinstance(table, (pd.DataFrame, dict)):
        raise TypeError(f"{name} is a {type(table).__name__}; {_EXPECTED}.")
    table = pd.DataFrame(table)
    if len(twice := table.columns[table.columns.duplicated()]):
        raise ValueError(f"{name} has several columns {twice[0]!r}; expected one of each name.")
    return {column: table[column].to_numpy() for column in table.columns}


def _numbers(column: np.ndarray, name: str) -> np.ndarray:
    try:
        return pd.to_numeric(column).astype(float) if column.dtype.kind == "O" else column.astype(float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} holds {column.dtype} values; expected numbers.") from error


def _refuse(bad: np.ndarray, values: np.ndarray, name: str, expected: str) -> None:
    """Raise the error about the first bad row, if there is one."""
    if len(rows := np.flatnonzero(bad)):
        value = values[rows[0]]
        given = value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
        others = f" ({len(rows):,} rows are like it)" if len(rows) > 1 else ""
        raise ValueError(f"{name}, row {rows[0]}: {given!r}; expected {expected}{others}.")
