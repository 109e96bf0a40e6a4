import numpy as np
import pytest
from sklearn.dummy import DummyRegressor

from skcnn.metrics import ResidualHistogramDisplay


def display_of(residual, **options):
    residual = np.asarray(residual, dtype=float)
    return ResidualHistogramDisplay.from_predictions(residual, np.zeros(len(residual)), **options)


def test_bins_are_those_of_numpy_and_hold_every_sample():
    residual = np.random.default_rng(0).normal(2, 1, 500)
    frame = display_of(residual).frame()
    assert len(frame) == len(np.histogram_bin_edges(residual, "fd")) - 1
    count, edges = np.histogram(residual, len(frame))
    np.testing.assert_array_equal(frame["count"], count)
    np.testing.assert_allclose(frame["low"], edges[:-1])
    np.testing.assert_allclose(frame["high"], edges[1:])
    assert len(display_of(residual, n_bins=3).frame()) == 3


FAR, FEW, SAME = [*np.linspace(0, 1, 99), 1e12], [0] * 99 + [1], [1] * 5
ROUNDED, NARROW = 1 + np.arange(3) * 1e-16, 1e9 + np.arange(3) * 1e-7


@pytest.mark.parametrize("residual", [FAR, FEW, SAME, [2.0], [0.0], ROUNDED, NARROW])
def test_far_outside_or_all_the_same(residual):
    frame = display_of(residual).frame()
    assert len(frame) <= 40
    assert frame["count"].sum() == len(residual)


def test_weights_count_and_the_sign_is_scikit_learns():
    display = ResidualHistogramDisplay.from_predictions([3, 0], [1, 0], sample_weight=[2, 6], n_bins=2)
    assert display.frame()["count"].tolist() == [6, 2]
    assert display.mean == 0.5  # true minus predicted
    ax = display.plot().ax_
    assert [line.get_xdata()[0] for line in ax.lines] == [0, 0.5]
    assert [bar.get_height() for bar in ax.patches] == [6, 2]
    assert ax.get_xlabel() == "Residual (true minus predicted)\n(dashed: mean, 0.5)"


def test_an_estimator_is_run():
    X, y = np.zeros((4, 1)), np.array([0, 0, 0, 4])
    display = ResidualHistogramDisplay.from_estimator(DummyRegressor().fit(X, y), X, y, n_bins=2, name="Mean")
    assert display.frame()["count"].tolist() == [3, 1]
    assert display.plot().ax_.get_title() == "Mean"


def test_errors():
    with pytest.raises(ValueError, match="There are 2 targets; expected one"):
        ResidualHistogramDisplay.from_predictions(np.ones((3, 2)), np.ones((3, 2)))
    with pytest.raises(ValueError, match="n_bins=0; expected an int >= 1"):
        display_of([1, 2], n_bins=0)
