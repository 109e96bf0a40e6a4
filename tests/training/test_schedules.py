"""Learning rates as functions of the history."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skcnn._training import SCHEDULES
from skcnn._training._schedules import rate_at


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_rates_stay_within_that_of_the_phase(schedule):
    rates = [rate_at(schedule, 0.1, progress, [], 2) for progress in np.linspace(0, 1, 41)]
    assert max(rates) == pytest.approx(0.1)
    assert min(rates) >= 0
    assert rates[-1] == pytest.approx(0 if "cosine" in schedule else 0.1)


def test_warmup_rises_and_then_falls():
    rates = [rate_at("warmup_cosine", 1.0, progress, [], 2) for progress in (0, 0.01, 0.05, 0.525, 1)]
    assert_allclose(rates, [0, 0.2, 1, 0.5, 0], atol=1e-12)
