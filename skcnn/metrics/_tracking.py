"""How good tracks are: CLEAR MOT, IDF1 and HOTA."""

from __future__ import annotations

from dataclasses import dataclass, fields
from numbers import Real
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from skcnn.boxes import Pairs, Video, as_videos, best_pairs, joined, overlaps_by_frame

if TYPE_CHECKING:
    from collections.abc import Sequence

#: The thresholds over which HOTA is a mean.
HOTA_THRESHOLDS = np.arange(1, 20) * 0.05

#: Rounding: an intersection over union that is the threshold but for this counts as reaching it.
_ROUNDING = float(np.finfo(float).eps)


def tracking_frame(
    y_true: Sequence[pd.DataFrame], y_pred: Sequence[pd.DataFrame], *, iou_threshold: float = 0.5
) -> pd.DataFrame:
    """Compare predicted with true tracks: metrics and counts, of each video and of all together.

    Parameters
    ----------
    y_true, y_pred : sequence of DataFrames, of length n_videos
        True and predicted tracks of each video: a row per box with the columns "frame", "xmin", "ymin", "xmax", "ymax"
        and "track", and possibly "label"; see :func:`skcnn.boxes.as_videos`. Boxes match only if their labels are the
        same.
    iou_threshold : float, default=0.5
        Least intersection over union of boxes that match, in (0, 1]. The benchmarks of pedestrians take 0.5. HOTA has
        thresholds of its own.

    Returns
    -------
    DataFrame of shape (n_videos + 1, 22)
        Index "video": the numbers from 0, and "all", in which counts are sums and metrics those of the sums. Columns:

        - "mota" [1]_: 1 - (misses + false_positives + switches) / n_true; negative where there are more errors than
          boxes. "motp": mean intersection over union of the matches.
        - "idf1", "id_precision", "id_recall" [2]_: boxes whose track is the one that the true track is assigned to, in
          the best assignment of whole tracks.
        - "hota" [3]_: geometric mean of the accuracy of detection, "deta", and of association, "assa", averaged over
          the thresholds 0.05, 0.10, ..., 0.95; "loca" is the mean overlap of its matches.
        - "recall" and "precision" of boxes.
        - "false_positives", "misses" and "matches" of boxes; "switches": matches of a true track with another predicted
          track than the last time; "fragmentations": how often a true track is found again
          after it was missed.
        - "mostly_tracked" and "mostly_lost": true tracks that are matched in at least 80 % or less than 20 % of their
          boxes.
        - "n_true" and "n_pred" boxes, "n_true_tracks" and "n_pred_tracks".

        A metric that is not defined, such as "mota" without true boxes, is NaN.

    Raises
    ------
    TypeError
        If ``y_true`` or ``y_pred`` is not a sequence of tables.
    ValueError
        If their lengths differ, a table is invalid, or ``iou_threshold`` is out of range.

    References
    ----------
    .. [1] K. Bernardin and R. Stiefelhagen, "Evaluating multiple object tracking performance: the CLEAR MOT metrics",
       EURASIP Journal on Image and Video Processing, 2008.
    .. [2] E. Ristani, F. Solera, R. Zou, R. Cucchiara and C. Tomasi, "Performance measures and a data set for
       multi-target, multi-camera tracking", ECCV workshops, 2016.
    .. [3] J. Luiten, A. Osep, P. Dendorfer, P. Torr, A. Geiger, L. Leal-Taixe and B. Leibe, "HOTA: a higher order
       metric for evaluating multi-object tracking", International Journal of Computer Vision 129, 2021.

    Examples
    --------
    >>> import pandas as pd
    >>> from skcnn.metrics import tracking_frame
    >>> true = pd.DataFrame({"frame": [1, 2, 3, 4], "xmin": 0, "ymin": 0, "xmax": 10, "ymax": 20, "track": 1})
    >>> found = true.assign(track=[7, 7, 8, 8])
    >>> tracking_frame([true], [found]).loc["all", ["mota", "idf1", "hota", "switches"]].round(3).tolist()
    [0.75, 0.5, 0.707, 1.0]
    """
    counts = _compared(y_true, y_pred, iou_threshold)
    rows = [count.metrics() for count in [*counts, _total(counts)]]
    return pd.DataFrame(rows, index=pd.Index([*range(len(counts)), "all"], name="video", dtype=object))


def mota_score(y_true: Sequence[pd.DataFrame], y_pred: Sequence[pd.DataFrame], *, iou_threshold: float = 0.5) -> float:
    """Return the multiple object tracking accuracy of all videos together.

    Parameters
    ----------
    y_true, y_pred : sequence of DataFrames, of length n_videos
        True and predicted tracks: see :func:`tracking_frame`, which has the definition and the reference, too.
    iou_threshold : float, default=0.5
        Least intersection over union of boxes that match, in (0, 1].

    Returns
    -------
    float
        At most 1; negative where there are more errors than boxes; NaN without true boxes.

    Raises
    ------
    TypeError
        If ``y_true`` or ``y_pred`` is not a sequence of tables.
    ValueError
        If their lengths differ, a table is invalid, or ``iou_threshold`` is out of range.

    Examples
    --------
    >>> import pandas as pd
    >>> from skcnn.metrics import mota_score
    >>> true = pd.DataFrame({"frame": [1, 2], "xmin": 0, "ymin": 0, "xmax": 10, "ymax": 20, "track": 1})
    >>> mota_score([true], [true[:1]])
    0.5
    """
    return _total(_compared(y_true, y_pred, iou_threshold)).metrics()["mota"]


def motp_score(y_true: Sequence[pd.DataFrame], y_pred: Sequence[pd.DataFrame], *, iou_threshold: float = 0.5) -> float:
    """Return the multiple object tracking precision: the mean overlap of boxes that match, of all videos together.

    Parameters
    ----------
    y_true, y_pred : sequence of DataFrames, of length n_videos
        True and predicted tracks: see :func:`tracking_frame`, which has the definition and the reference, too.
    iou_threshold : float, default=0.5
        Least intersection over union of boxes that match, in (0, 1].

    Returns
    -------
    float
        In [``iou_threshold``, 1]; NaN where nothing matches.

    Raises
    ------
    TypeError
        If ``y_true`` or ``y_pred`` is not a sequence of tables.
    ValueError
        If their lengths differ, a table is invalid, or ``iou_threshold`` is out of range.

    Examples
    --------
    >>> import pandas as pd
    >>> from skcnn.metrics import motp_score
    >>> true = pd.DataFrame({"frame": [1, 2], "xmin": 0, "ymin": 0, "xmax": 10, "ymax": 20, "track": 1})
    >>> motp_score([true], [true.assign(xmax=8)])
    0.8
    """
    return _total(_compared(y_true, y_pred, iou_threshold)).metrics()["motp"]


def idf1_score(y_true: Sequence[pd.DataFrame], y_pred: Sequence[pd.DataFrame], *, iou_threshold: float = 0.5) -> float:
    """Return the F1 score of identities of all videos together: how much of the tracks is right as a whole.

    Parameters
    ----------
    y_true, y_pred : sequence of DataFrames, of length n_videos
        True and predicted tracks: see :func:`tracking_frame`, which has the definition and the reference, too.
    iou_threshold : float, default=0.5
        Least intersection over union of boxes that match, in (0, 1].

    Returns
    -------
    float
        In [0, 1]; NaN where there are neither true nor predicted boxes.

    Raises
    ------
    TypeError
        If ``y_true`` or ``y_pred`` is not a sequence of tables.
    ValueError
        If their lengths differ, a table is invalid, or ``iou_threshold`` is out of range.

    Examples
    --------
    >>> import pandas as pd
    >>> from skcnn.metrics import idf1_score
    >>> true = pd.DataFrame({"frame": [1, 2], "xmin": 0, "ymin": 0, "xmax": 10, "ymax": 20, "track": 1})
    >>> idf1_score([true], [true.assign(track=[1, 2])])
    0.5
    """
    return _total(_compared(y_true, y_pred, iou_threshold)).metrics()["idf1"]


def hota_score(y_true: Sequence[pd.DataFrame], y_pred: Sequence[pd.DataFrame]) -> float:
    """Return the higher order tracking accuracy of all videos together.

    Parameters
    ----------
    y_true, y_pred : sequence of DataFrames, of length n_videos
        True and predicted tracks: see :func:`tracking_frame`, which has the definition and the reference, too.

    Returns
    -------
    float
        In [0, 1]; NaN where there are neither true nor predicted boxes.

    Raises
    ------
    TypeError
        If ``y_true`` or ``y_pred`` is not a sequence of tables.
    ValueError
        If their lengths differ, or a table is invalid.

    Examples
    --------
    >>> import pandas as pd
    >>> from skcnn.metrics import hota_score
    >>> true = pd.DataFrame({"frame": [1, 2], "xmin": 0, "ymin": 0, "xmax": 10, "ymax": 20, "track": 1})
    >>> round(hota_score([true], [true.assign(track=[1, 2])]), 3)
    0.707
    """
    return _total(_compared(y_true, y_pred, 0.5)).metrics()["hota"]


class TrackMatches(NamedTuple):
    """Boxes of true and predicted tracks of a video that were matched, as CLEAR MOT matches them.

    Attributes
    ----------
    true, predicted : ndarray of shape (n_matches,), int64
        Positions in the two videos, by frame.
    iou : ndarray of shape (n_matches,), float64
        Their intersection over union.
    switched : ndarray of shape (n_matches,), bool
        Whether the true track was matched to another predicted track the last time.
    """

    true: np.ndarray
    predicted: np.ndarray
    iou: np.ndarray
    switched: np.ndarray


def match_tracks(true: Video, predicted: Video, iou_threshold: float) -> TrackMatches:
    """Match the boxes of two videos that have tracks, frame by frame.

    What was matched in the last frame (that has boxes of both) stays so while it overlaps enough; the rest is matched
    with the largest sum of overlaps.
    """
    true_code, _ = codes_of(true)
    predicted_code, _ = codes_of(predicted)
    last: dict[int, int] = {}  # of each true track: the predicted track that it was matched to
    before: dict[int, int] = {}  # the same, of the last frame alone
    matched, switched = [], []
    for overlaps in overlaps_by_frame(true, predicted):
        enough = overlaps.score >= iou_threshold - _ROUNDING
        codes, others = true_code[overlaps.first], predicted_code[overlaps.second]
        stays = np.array([before.get(code, -1) for code in codes.tolist()], int) == others
        stays &= enough
        free = (
            enough & ~np.isin(overlaps.first, overlaps.first[stays]) & ~np.isin(overlaps.second, overlaps.second[stays])
        )
        chosen = [overlaps.only(stays), best_pairs(overlaps.only(free))]
        pairs = joined(chosen)
        before = dict(zip(true_code[pairs.first].tolist(), predicted_code[pairs.second].tolist(), strict=True))
        switched += [last.get(code, other) != other for code, other in before.items()]
        last |= before
        matched.append(pairs)
    return TrackMatches(*joined(matched), np.array(switched, bool))


def codes_of(video: Video) -> tuple[np.ndarray, int]:
    """Return the track of each box as a number from 0, and how many tracks there are."""
    codes, tracks = pd.factorize(video.tracks)
    return codes, len(tracks)


@dataclass
class TrackCounts:
    """What the metrics of one or several videos are made of; the counts of videos can be added.

    Those of HOTA, the last four, are arrays with an entry per threshold.
    """

    n_true: int
    n_pred: int
    n_true_tracks: int
    n_pred_tracks: int
    matches: int
    switches: int
    fragmentations: int
    mostly_tracked: int
    mostly_lost: int
    overlap: float
    identical: int
    hota_matches: np.ndarray
    hota_overlap: np.ndarray
    hota_association: np.ndarray

    def __add__(self, other: TrackCounts) -> TrackCounts:
        return TrackCounts(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))

    def metrics(self) -> dict[str, float]:
        """Return the columns of :func:`tracking_frame`."""
        misses, false_positives = self.n_true - self.matches, self.n_pred - self.matches
        deta = _ratio(self.hota_matches, self.n_true + self.n_pred - self.hota_matches)
        # Without matches the association is 0 [3]_, wherever there is something to match.
        assa = self.hota_association / np.maximum(self.hota_matches, 1) + 0 * deta
        loca = _ratio(self.hota_overlap, self.hota_matches)
        return {
            "mota": float(1 - _ratio(misses + false_positives + self.switches, self.n_true)),
            "motp": float(_ratio(self.overlap, self.matches)),
            "idf1": float(_ratio(2 * self.identical, self.n_true + self.n_pred)),
            "id_precision": float(_ratio(self.identical, self.n_pred)),
            "id_recall": float(_ratio(self.identical, self.n_true)),
            "hota": float(np.mean(np.sqrt(deta * assa))),
            "deta": float(np.mean(deta)),
            "assa": float(np.mean(assa)),
            "loca": float(np.nanmean(loca)) if self.hota_matches.any() else np.nan,
            "recall": float(_ratio(self.matches, self.n_true)),
            "precision": float(_ratio(self.matches, self.n_pred)),
            "false_positives": false_positives,
            "misses": misses,
            "matches": self.matches,
            "switches": self.switches,
            "fragmentations": self.fragmentations,
            "mostly_tracked": self.mostly_tracked,
            "mostly_lost": self.mostly_lost,
            "n_true": self.n_true,
            "n_pred": self.n_pred,
            "n_true_tracks": self.n_true_tracks,
            "n_pred_tracks": self.n_pred_tracks,
        }


def _ratio(part: np.ndarray | float, whole: np.ndarray | float) -> np.ndarray:
    """Return a quotient, NaN where the whole is 0."""
    whole = np.asarray(whole, float)
    return np.divide(part, whole, out=np.full(np.broadcast(part, whole).shape, np.nan), where=whole != 0)


def count_tracks(true: Video, predicted: Video, iou_threshold: float) -> TrackCounts:
    """Count what the metrics of a video are made of."""
    true_code, n_true_tracks = codes_of(true)
    predicted_code, n_pred_tracks = codes_of(predicted)
    overlaps = list(overlaps_by_frame(true, predicted))
    matches = match_tracks(true, predicted, iou_threshold)
    found = np.zeros(len(true.frames), bool)
    found[matches.true] = True
    coverage = np.bincount(true_code[found], minlength=n_true_tracks) / np.bincount(true_code, minlength=n_true_tracks)
    return TrackCounts(
        n_true=len(true.frames),
        n_pred=len(predicted.frames),
        n_true_tracks=n_true_tracks,
        n_pred_tracks=n_pred_tracks,
        matches=len(matches.true),
        switches=int(matches.switched.sum()),
        fragmentations=_fragmentations(true_code, found),
        mostly_tracked=int((coverage >= 0.8).sum()),
        mostly_lost=int((coverage < 0.2).sum()),
        overlap=float(matches.iou.sum()),
        identical=_identical(overlaps, true_code, predicted_code, iou_threshold),
        **_hota_sums(overlaps, true_code, predicted_code),
    )


def _fragmentations(codes: np.ndarray, found: np.ndarray) -> int:
    """Count how often a track is found again; the boxes of each track are in the order of frames."""
    order = np.argsort(codes, kind="stable")
    codes, found = codes[order], found[order]
    begins = found & ~np.concatenate([[False], found[:-1] & (codes[1:] == codes[:-1])])
    return int(begins.sum() - len(np.unique(codes[found])))


def _identical(overlaps: list[Pairs], true_code: np.ndarray, predicted_code: np.ndarray, iou_threshold: float) -> int:
    """Count the boxes that match in the best assignment of whole tracks."""
    enough = joined(overlaps)
    common = _common(enough.only(enough.score >= iou_threshold - _ROUNDING), true_code, predicted_code)
    return int(best_pairs(common).score.sum())


def _common(pairs: Pairs, true_code: np.ndarray, predicted_code: np.ndarray) -> Pairs:
    """Return the pairs of tracks that have pairs of boxes, with their number."""
    # One number per pair of tracks: np.unique is much faster on these than on pairs.
    n_predicted = int(predicted_code.max(initial=0)) + 1
    codes, count = np.unique(true_code[pairs.first] * n_predicted + predicted_code[pairs.second], return_counts=True)
    return Pairs(codes // n_predicted, codes % n_predicted, count.astype(float))


def _hota_sums(overlaps: list[Pairs], true_code: np.ndarray, predicted_code: np.ndarray) -> dict[str, np.ndarray]:
    """Return the sums over matches that HOTA is made of, an entry per threshold.

    Boxes are matched once for all thresholds, by their overlap times how well their tracks go together over the video
    [3]_; a threshold only decides which of the matches count.
    """
    n_true, n_pred = np.bincount(true_code), np.bincount(predicted_code)
    shares: dict[tuple[int, int], float] = {}
    for found in overlaps:
        # The overlap as a fraction of all that the two boxes have with others.
        rows, columns = np.bincount(found.first, found.score), np.bincount(found.second, found.score)
        fraction = found.score / (rows[found.first] + columns[found.second] - found.score)
        codes = zip(true_code[found.first].tolist(), predicted_code[found.second].tolist(), strict=True)
        for pair, part in zip(codes, fraction.tolist(), strict=True):
            shares[pair] = shares.get(pair, 0.0) + part
    matched = []
    for found in overlaps:
        first, second = true_code[found.first], predicted_code[found.second]
        common = np.array([shares[pair] for pair in zip(first.tolist(), second.tolist(), strict=True)], float)
        alike = common / (n_true[first] + n_pred[second] - common)
        matched.append(best_pairs(found, found.score * alike))
    matches = joined(matched)
    sums = np.zeros((3, len(HOTA_THRESHOLDS)))
    for place, threshold in enumerate(HOTA_THRESHOLDS):
        counted = matches.only(matches.score >= threshold - _ROUNDING)
        together = _common(counted, true_code, predicted_code)
        union = n_true[together.first] + n_pred[together.second] - together.score
        sums[:, place] = len(counted.score), counted.score.sum(), (together.score**2 / union).sum()
    return dict(zip(("hota_matches", "hota_overlap", "hota_association"), sums, strict=True))


def _compared(
    y_true: Sequence[pd.DataFrame], y_pred: Sequence[pd.DataFrame], iou_threshold: float
) -> list[TrackCounts]:
    check_iou_threshold(iou_threshold)
    true, predicted = (
        as_videos(tables, name=name, tracked=True) for name, tables in (("y_true", y_true), ("y_pred", y_pred))
    )
    if len(true) != len(predicted):
        raise ValueError(
            f"y_true has {len(true)} videos and y_pred {len(predicted)}; expected one table per video in both."
        )
    if not true:
        raise ValueError("y_true has no videos; expected at least one.")
    return [count_tracks(*videos, float(iou_threshold)) for videos in zip(true, predicted, strict=True)]


def check_iou_threshold(iou_threshold: float) -> None:
    """Raise an error unless it is a number in (0, 1]."""
    if not isinstance(iou_threshold, Real) or not 0 < iou_threshold <= 1:
        raise ValueError(f"iou_threshold={iou_threshold!r}; expected a number in (0, 1].")


def _total(counts: list[TrackCounts]) -> TrackCounts:
    return sum(counts[1:], start=counts[0])
