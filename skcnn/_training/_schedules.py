"""Learning rates and early stopping as functions of the history: a resumed run needs no other state."""

from __future__ import annotations

import math
from collections.abc import Sequence

SCHEDULES = ("constant", "cosine", "plateau", "warmup_cosine")

#: Those that change within an epoch.
BY_BATCH = ("cosine", "warmup_cosine")

#: Fraction of a phase in which "warmup_cosine" rises.
_WARMUP = 0.05
_PLATEAU_FACTOR = 0.5


def rate_at(schedule: str, rate: float, progress: float, losses: Sequence[float], patience: int) -> float:
    """Return the current learning rate.

    Parameters
    ----------
    schedule : {"constant", "cosine", "plateau", "warmup_cosine"}
        ``"cosine"`` falls from ``rate`` to 0 over the phase, ``"warmup_cosine"`` rises from 0 in its first twentieth
        before, so that a large rate does not spoil the first weights; ``"plateau"`` halves whenever the loss has not
        fallen for ``patience`` epochs.
    rate : float
        Initial learning rate of the phase.
    progress : float
        Completed fraction of the phase, in [0, 1].
    losses : sequence of float
        Losses of the phase's epochs so far (on the validation set, if there is one).
    patience : int
        Number of epochs without improvement before "plateau" halves the rate.

    Returns
    -------
    float

    Examples
    --------
    >>> rate_at("cosine", 0.1, 0.5, [], 2)
    0.05
    >>> rate_at("warmup_cosine", 0.1, 0.025, [], 2), rate_at("warmup_cosine", 0.1, 0.05, [], 2)
    (0.05, 0.1)
    >>> rate_at("plateau", 0.1, 0.5, [1.0, 1.2, 1.1], 2)
    0.05
    """
    if schedule == "cosine":
        return 0.5 * rate * (1 + math.cos(math.pi * progress))
    if schedule == "warmup_cosine":
        if progress < _WARMUP:
            return rate * progress / _WARMUP
        return 0.5 * rate * (1 + math.cos(math.pi * (progress - _WARMUP) / (1 - _WARMUP)))
    if schedule == "plateau":
        best, waited = math.inf, 0
        for loss in losses:
            best, waited = (loss, 0) if loss < best else (best, waited + 1)
            if waited >= patience:
                rate, waited = rate * _PLATEAU_FACTOR, 0
    return rate


def best_index(losses: Sequence[float]) -> int:
    """Return the index of the smallest loss, the first of equal ones; NaN is never the smallest."""
    return min(range(len(losses)), key=lambda index: (math.isnan(losses[index]), losses[index]))


def is_over(losses: Sequence[float], patience: int) -> bool:
    """Return whether the loss has not fallen for ``patience`` epochs."""
    return len(losses) - 1 - best_index(losses) >= patience


def still_falls(losses: Sequence[float]) -> bool:
    """Tell whether a phase of these training losses ended too early: its last epoch lowered them much.

    That is by a twentieth of the loss of its first epoch, or more. Phases of fewer than five epochs are short on
    purpose.
    """
    return len(losses) >= 5 and losses[-2] - losses[-1] >= losses[0] / 20
