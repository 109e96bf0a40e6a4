"""The tracks of a video while it goes on: one call per frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.stats import chi2

from skcnn.boxes import Pairs, best_pairs, joined, overlapping_pairs
from skcnn.tracking import _kalman
from skcnn.tracking._noise import TrackNoise


@dataclass(frozen=True)
class Rules:
    """What :class:`Tracks` go by; the parameters of :class:`ObjectTracker` describe them."""

    noise: TrackNoise
    max_age: int
    min_hits: int
    iou_threshold: float
    max_distance: float
    gate: float | None
    reconfirm: bool
    gallery_size: int

    @property
    def farthest(self) -> float:
        """Largest squared Mahalanobis distance within the gate."""
        return np.inf if self.gate is None else float(chi2.ppf(self.gate, _kalman.N_MEASURED))


class Reported(NamedTuple):
    """What is known in a frame: detections that belong to a confirmed track.

    Attributes
    ----------
    rows : ndarray of shape (n_reported,), int64
        Positions of the detections.
    boxes : ndarray of shape (n_reported, 4), float64
        The boxes of the states of their tracks.
    tracks : ndarray of shape (n_reported,), int64
        Numbers of their tracks, from 1.
    """

    rows: np.ndarray
    boxes: np.ndarray
    tracks: np.ndarray


class Tracks:
    """The tracks that are alive, as arrays with an entry per track."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.frames_seen = 0
        self.n_reported = 0
        self.states = np.empty((0, 5, _kalman.N_MEASURED))
        self.labels = np.empty(0, dtype=object)
        #: Frames since the track was last found, times it was found in a row, whether it ever was confirmed, and its
        #: number, 0 before it is first reported.
        self.missed = np.empty(0, int)
        self.hits = np.empty(0, int)
        self.confirmed = np.empty(0, bool)
        self.numbers = np.empty(0, int)
        #: Unit vectors (at most ``gallery_size``, n_dimensions) of the last times that the track was found.
        self.galleries: list[np.ndarray] = []

    def __len__(self) -> int:
        return len(self.states)

    def step(self, boxes: np.ndarray, labels: np.ndarray, appearance: np.ndarray | None = None) -> Reported:
        """Go on by a frame with the detections in it.

        Parameters
        ----------
        boxes : ndarray of shape (n, 4)
            Their boxes.
        labels : ndarray of shape (n,), object
            Their labels.
        appearance : ndarray of shape (n, n_dimensions) or None, default=None
            What they look like, as unit vectors.
        """
        self.frames_seen += 1
        measured = _kalman.measurements_of(boxes)
        self._predict()
        pairs = self._matched(boxes, measured, labels, appearance)
        self._update(pairs, measured, appearance)
        is_new = np.ones(len(boxes), bool)
        is_new[pairs.second] = False
        born = np.flatnonzero(is_new)
        n_before = len(self)
        rows = np.full(n_before + len(born), -1)
        rows[pairs.first] = pairs.second
        rows[n_before:] = born
        self._begin(measured[born], labels[born], None if appearance is None else appearance[born])
        reported = self._reported(rows)
        # Nobody waits for a track that was never confirmed, but for one frame.
        patience = np.where(self.confirmed, self.rules.max_age, min(self.rules.max_age, 1))
        self._keep(self.missed <= patience)
        return reported

    def _predict(self) -> None:
        if len(self):
            self.states = _kalman.predict(self.states, self.rules.noise.of_steps(self.states[:, _kalman.MEAN]))

    def _matched(
        self, boxes: np.ndarray, measured: np.ndarray, labels: np.ndarray, appearance: np.ndarray | None
    ) -> Pairs:
        """Return which detection continues which track."""
        if not len(self) or not len(boxes):
            return joined([])
        known = joined([]) if appearance is None else self._matched_by_appearance(measured, labels, appearance)
        # What appearance does not find again may still be where it was expected: DeepSORT asks this of tracks that were
        # found in the last frame, and all do better.
        free = np.ones(len(self), bool)
        free[known.first] = False
        unknown = np.ones(len(boxes), bool)
        unknown[known.second] = False
        tracks, rows = np.flatnonzero(free), np.flatnonzero(unknown)
        found = overlapping_pairs(
            _kalman.boxes_of(self.states[tracks, _kalman.MEAN]), boxes[rows], at_least=self.rules.iou_threshold
        )
        found = found._replace(first=tracks[found.first], second=rows[found.second])
        same = np.asarray(self.labels[found.first] == labels[found.second], bool)
        return joined([known, best_pairs(found.only(same))])

    def _matched_by_appearance(self, measured: np.ndarray, labels: np.ndarray, appearance: np.ndarray) -> Pairs:
        """Match confirmed tracks by their galleries, those first that were found last: DeepSORT's cascade.

        A track that was not found for long is uncertain, so that many detections are within its gate; one that was
        just found has the better claim.
        """
        free = np.ones(len(measured), bool)
        chosen = []
        for missed in np.unique(self.missed[self.confirmed]):
            tracks = np.flatnonzero(self.confirmed & (self.missed == missed))
            distance = np.array([1 - (self.galleries[track] @ appearance.T).max(axis=0) for track in tracks])
            allowed = free & (distance <= self.rules.max_distance) & (self.labels[tracks, None] == labels)
            if self.rules.gate is not None:
                states = self.states[tracks]
                noise = self.rules.noise.of_measurements(states[:, _kalman.MEAN])
                allowed &= _kalman.squared_distances(states, measured, noise) <= self.rules.farthest
            row, column = np.nonzero(allowed)
            # As near as can be, and yet better than not at all.
            closeness = self.rules.max_distance - distance[row, column] + 1e-6
            found = best_pairs(Pairs(tracks[row], column, closeness))
            free[found.second] = False
            chosen.append(found)
        return joined(chosen)

    def _update(self, pairs: Pairs, measured: np.ndarray, appearance: np.ndarray | None) -> None:
        tracks, rows = pairs.first, pairs.second
        if len(tracks):
            states = self.states[tracks]
            noise = self.rules.noise.of_measurements(states[:, _kalman.MEAN])
            self.states[tracks] = _kalman.update(states, measured[rows], noise)
        self.missed += 1
        self.missed[tracks] = 0
        self.hits = np.where(self.missed == 0, self.hits + 1, 0)
        self.confirmed |= self.hits >= self.rules.min_hits
        if appearance is not None:
            for track, row in zip(tracks.tolist(), rows.tolist(), strict=True):
                gallery = [self.galleries[track], appearance[row : row + 1]]
                self.galleries[track] = np.concatenate(gallery)[-self.rules.gallery_size :]

    def _begin(self, measured: np.ndarray, labels: np.ndarray, appearance: np.ndarray | None) -> None:
        n_new = len(measured)
        if not n_new:
            return
        states = _kalman.begin(measured, self.rules.noise.of_new_tracks(measured))
        self.states = np.concatenate([self.states, states])
        self.labels = np.concatenate([self.labels, labels])
        zeros = np.zeros(n_new, int)
        self.missed, self.hits, self.numbers = (
            np.concatenate([values, zeros]) for values in (self.missed, self.hits, self.numbers)
        )
        self.confirmed = np.concatenate([self.confirmed, np.full(n_new, self.rules.min_hits == 0)])
        self.galleries += [row[None] for row in appearance] if appearance is not None else []

    def _reported(self, rows: np.ndarray) -> Reported:
        """Report the confirmed tracks that were just found; in the first frames there is no time to confirm any."""
        is_sure = self.hits >= self.rules.min_hits if self.rules.reconfirm else self.confirmed
        is_early = self.frames_seen <= self.rules.min_hits
        shown = np.flatnonzero((self.missed == 0) & (is_sure | is_early))
        shown = shown[rows[shown] >= 0]
        first_time = shown[self.numbers[shown] == 0]
        self.numbers[first_time] = self.n_reported + 1 + np.arange(len(first_time))
        self.n_reported += len(first_time)
        return Reported(rows[shown], _kalman.boxes_of(self.states[shown, _kalman.MEAN]), self.numbers[shown])

    def _keep(self, kept: np.ndarray) -> None:
        if kept.all():
            return
        self.states, self.labels = self.states[kept], self.labels[kept]
        self.missed, self.hits, self.numbers = self.missed[kept], self.hits[kept], self.numbers[kept]
        self.confirmed = self.confirmed[kept]
        if self.galleries:
            self.galleries = [gallery for gallery, stays in zip(self.galleries, kept, strict=True) if stays]
