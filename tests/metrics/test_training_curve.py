import numpy as np
import pandas as pd
import pytest

from skcnn.metrics import TrainingCurveDisplay


@pytest.fixture
def history():
    return pd.DataFrame(
        {
            "phase": ["head", "head", "fine", "fine"],
            "epoch": [1, 2, 3, 4],
            "loss": [1.0, 0.8, 0.5, 0.3],
            "accuracy": [0.4, 0.6, 0.8, 0.9],
            "val_loss": [1.1, 0.9, 0.6, 0.7],
            "val_accuracy": [0.3, 0.5, 0.7, 0.7],
            "learning_rate": [0.1, 0.1, 0.01, 0.01],
        }
    )


def test_it_draws_both_curves_and_what_was_kept(history):
    display = TrainingCurveDisplay(history, best_epoch=3, name="$x$").plot()
    learned, aside, kept, phase = display.ax_.get_lines()
    np.testing.assert_array_equal(learned.get_ydata(), history["loss"])
    np.testing.assert_array_equal(aside.get_ydata(), history["val_loss"])
    assert (list(kept.get_xdata()), list(kept.get_ydata())) == ([3], [0.6])
    assert list(phase.get_xdata()) == [2.5, 2.5]
    assert [text.get_text() for text in display.ax_.texts] == ["head", "fine"]
    assert [text.get_text() for text in display.ax_.get_legend().get_texts()] == [
        "training",
        "validation",
        "best epoch",
    ]
    display.figure_.canvas.draw()


def test_metrics(history):
    display = TrainingCurveDisplay(history)
    assert display.plot(metric="accuracy").ax_.get_ylabel() == "Accuracy"
    assert len(display.plot(metric="learning_rate", legend=False).ax_.get_lines()) == 2
    with pytest.raises(
        ValueError, match="metric='auc'; expected a column of the history: 'loss', 'accuracy', 'learning_rate'"
    ):
        display.plot(metric="auc")
    with pytest.raises(ValueError, match="no column 'phase'"):
        TrainingCurveDisplay(history.drop(columns="phase"))


def test_from_estimator(history):
    class Fitted:
        history_, best_epoch_ = history, 4

    display = TrainingCurveDisplay.from_estimator(Fitted())
    assert display.best_epoch == 4
    frame = display.frame()
    frame["loss"] = 0
    assert display.history["loss"].iloc[0] == 1.0
