"""How far boxes jump and how far detections miss: the variances of the Kalman filter, published or learned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skcnn.tracking._kalman import N_MEASURED, measurements_of

#: Numbers in a state: those that are measured, and the changes per frame of all of them but the ratio.
N_STATE = 7

#: No learned deviation is smaller, as a fraction of the size of a box: perfect detections would switch the filter off.
_SMALLEST = 1e-3


@dataclass(frozen=True)
class TrackNoise:
    """Variances of the Kalman filter, all of them independent of each other.

    Parameters
    ----------
    measurement : tuple of 4 floats
        How far a detection misses the true centre x, centre y, area and width / height.
    process : tuple of 7 floats
        By how much these four and the changes per frame of the first three vary within a frame beyond what the model of
        constant velocity predicts.
    initial : tuple of 7 floats
        How uncertain the state of a new track is.
    relative : bool, default=True
        What the deviations, the square roots, are fractions of. True: lengths are fractions of the square root of the
        area of the box, areas of the area, ratios of the ratio, so that they fit objects near and far. False: they are
        pixels, squared pixels and ratios as they are.

    Examples
    --------
    >>> from skcnn.tracking import ObjectTracker, TrackNoise
    >>> noise = TrackNoise((0.01, 0.01, 0.01, 0.01), (1e-4,) * 7, (0.01,) * 4 + (0.1,) * 3)
    >>> tracker = ObjectTracker(noise=noise)
    """

    measurement: tuple[float, ...]
    process: tuple[float, ...]
    initial: tuple[float, ...]
    relative: bool = True

    def __post_init__(self) -> None:
        for name, length in (("measurement", N_MEASURED), ("process", N_STATE), ("initial", N_STATE)):
            given = getattr(self, name)
            values = np.asarray(given, dtype=float)
            if values.shape != (length,) or not np.isfinite(values).all() or (values < 0).any():
                raise ValueError(f"{name}={given!r}; expected {length} finite variances >= 0.")
            if name == "measurement" and not values.all():
                raise ValueError(f"measurement={given!r}; expected variances > 0: no detection is perfect.")
            object.__setattr__(self, name, tuple(values.tolist()))

    def of_measurements(self, measured: np.ndarray) -> np.ndarray:
        """Return the variances (n, 4) of what is measured where boxes measure about ``measured`` (n, 4)."""
        return np.array(self.measurement) * self._units(measured)

    def of_steps(self, measured: np.ndarray) -> np.ndarray:
        """Return the variances (n, 2, 4) of what happens to such boxes, and to their changes, within a frame."""
        return _with_changes(self.process) * self._units(measured)[:, None]

    def of_new_tracks(self, measured: np.ndarray) -> np.ndarray:
        """Return the variances (n, 2, 4) of the states of tracks that begin with measurements (n, 4)."""
        return _with_changes(self.initial) * self._units(measured)[:, None]

    def _units(self, measured: np.ndarray) -> np.ndarray:
        return units_of(measured) ** 2 if self.relative else np.ones((len(measured), N_MEASURED))


def _with_changes(variances: tuple[float, ...]) -> np.ndarray:
    """Return seven variances as those of four numbers and of their changes, the last of which is always 0."""
    return np.array([*variances, 0.0]).reshape(2, N_MEASURED)


def units_of(measured: np.ndarray) -> np.ndarray:
    """Return what the relative deviations of measurements (n, 4) are fractions of."""
    units = np.empty((len(measured), N_MEASURED))
    area = np.maximum(measured[:, 2], 1e-9)
    units[:, 0] = units[:, 1] = np.sqrt(area)
    units[:, 2], units[:, 3] = area, np.maximum(measured[:, 3], 1e-9)
    return units


#: The values of SORT's published program, in pixels.
SORT_NOISE = TrackNoise(
    measurement=(1.0, 1.0, 10.0, 10.0),
    process=(1.0, 1.0, 1.0, 1.0, 1e-2, 1e-2, 1e-4),
    initial=(10.0, 10.0, 10.0, 10.0, 1e4, 1e4, 1e4),
    relative=False,
)

#: About those of DeepSORT: positions to a twentieth of the size of the object, velocities to a 160th per frame.
RELATIVE_NOISE = TrackNoise(
    measurement=(0.05**2, 0.05**2, 0.1**2, 0.1**2),
    process=(0.05**2, 0.05**2, 0.1**2, 0.01**2, 0.00625**2, 0.00625**2, 0.0125**2),
    initial=(0.1**2, 0.1**2, 0.2**2, 0.1**2, 0.0625**2, 0.0625**2, 0.125**2),
)


def learned_noise(truths: list[np.ndarray], found: np.ndarray, true: np.ndarray) -> TrackNoise | None:
    """Estimate relative noise by the moments of labelled tracks; None where there is too little of them.

    ``truths`` has for each stretch of a labelled track in consecutive frames its boxes (n_frames, 4); ``found`` and
    ``true`` (n, 4) are detections and the labelled boxes that they were matched to.

    Within the model the second difference of a position is the noise of the velocity, plus that of the position in the
    next frame, minus that in the last one: with variance v and covariance c between neighbours, the noise of positions
    has the variance -c, and that of velocities v + 2c.
    """
    stretches = [measurements_of(boxes) for boxes in truths]
    jumps = [np.diff(stretch[:, :3], n=2, axis=0) / units_of(stretch)[1:-1, :3] for stretch in stretches]
    steps = [np.diff(stretch, axis=0) / units_of(stretch)[1:] for stretch in stretches]
    neighbours = [jump[1:] * jump[:-1] for jump in jumps if len(jump) > 1]
    if not neighbours or not len(found):
        return None
    variance = np.mean(np.concatenate(jumps) ** 2, axis=0)
    of_positions = np.clip(-np.mean(np.concatenate(neighbours), axis=0), 0, variance / 2)
    of_velocities = variance - 2 * of_positions
    all_steps = np.mean(np.concatenate(steps) ** 2, axis=0)

    measured = measurements_of(true)
    missed = np.mean(((measurements_of(found) - measured) / units_of(measured)) ** 2, axis=0)
    smallest = _SMALLEST**2
    return TrackNoise(
        measurement=tuple(np.maximum(missed, smallest)),
        process=tuple(np.maximum([*of_positions, all_steps[3], *of_velocities], smallest)),
        initial=tuple(np.maximum([*missed, *all_steps[:3]], smallest)),
    )
