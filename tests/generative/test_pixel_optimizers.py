"""Both optimisers on losses whose minimum is known."""

import numpy as np
import pytest

from skcnn.generative._pixel_optimizers import minimize_by_adam, minimize_by_lbfgs
from skcnn.generative._style_objective import Losses

SHAPE = (5, 4, 3)
OPTIMIZERS = [minimize_by_lbfgs, minimize_by_adam]


def losses_of(value):
    return Losses(value, value, 0.0, 0.0)


@pytest.fixture
def target():
    """Some of it beyond the range of pixels."""
    return np.random.default_rng(0).uniform(-80, 335, SHAPE)


@pytest.fixture
def bowl(target):
    stiffness = np.random.default_rng(1).uniform(0.2, 2, SHAPE)

    def evaluate(x):
        assert 0 <= x.min() <= x.max() <= 255 + 1e-9
        return losses_of(float((stiffness * (x - target) ** 2).mean())), 2 * stiffness * (x - target) / x.size

    return evaluate


@pytest.mark.parametrize("minimize", OPTIMIZERS)
def test_the_minimum_within_the_range_of_pixels_is_found(minimize, bowl, target):
    reports = []
    x, is_finite = minimize(bowl, np.full(SHAPE, 100.0), lambda *report: reports.append(report), max_iter=300, tol=0)
    np.testing.assert_allclose(x, target.clip(0, 255), atol=0.5)
    assert is_finite
    assert [report[0] for report in reports] == list(range(len(reports)))
    np.testing.assert_array_equal(reports[0][1], np.full(SHAPE, 100.0))
    for _, pixels, losses in reports:
        assert losses == bowl(pixels)[0]


def test_the_loss_falls_in_each_iteration_of_lbfgs(bowl):
    found = []
    minimize_by_lbfgs(bowl, np.full(SHAPE, 100.0), lambda *report: found.append(report[2].loss), max_iter=12, tol=0)
    assert len(found) > 5
    assert (np.diff(found) < 0).all()


@pytest.mark.parametrize("minimize", OPTIMIZERS)
def test_iterations_and_tolerance_end_it(minimize, bowl):
    def n_done(**limits):
        found = []
        minimize(bowl, np.full(SHAPE, 100.0), lambda *report: found.append(report[2].loss), **limits)
        return len(found) - 1

    assert n_done(max_iter=3, tol=0) == 3
    assert 10 <= n_done(max_iter=2000, tol=0.05) < n_done(max_iter=2000, tol=1e-6)


@pytest.mark.parametrize("minimize", OPTIMIZERS)
def test_what_has_no_loss_is_left_as_it_is(minimize):
    x, is_finite = minimize(
        lambda x: (losses_of(0.0), np.zeros_like(x)), np.ones(SHAPE), lambda *report: None, max_iter=9, tol=0
    )
    np.testing.assert_array_equal(x, 1)
    assert is_finite


@pytest.mark.parametrize("minimize", OPTIMIZERS)
@pytest.mark.parametrize("bad", ["loss", "gradient"])
@pytest.mark.parametrize("after", [0, 4])
def test_of_losses_that_are_not_finite_the_best_image_before_is_left(minimize, bowl, bad, after):
    n_calls = 0

    def evaluate(x):
        nonlocal n_calls
        n_calls += 1
        losses, gradient = bowl(x)
        if n_calls <= after:
            return losses, gradient
        return (losses_of(np.nan), gradient) if bad == "loss" else (losses, np.full(SHAPE, np.inf))

    found = []
    x, is_finite = minimize(evaluate, np.full(SHAPE, 100.0), lambda *r: found.append(r[2].loss), max_iter=20, tol=0)
    assert not is_finite
    assert np.isfinite(x).all()
    assert bowl(x)[0].loss == (min(found) if after else bowl(np.full(SHAPE, 100.0))[0].loss)
