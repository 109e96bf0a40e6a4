"""Display of the training history, epoch by epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import pandas as pd

from skcnn._plot.theme import MUTED, REST, SERIES, new_axes
from skcnn._text import label_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NEEDED = ("phase", "epoch")


class TrainingCurveDisplay:
    """Loss or another metric by epoch, on the training set and on the validation set.

    Make it with :meth:`from_estimator`, or from a history of another training.

    Parameters
    ----------
    history : DataFrame
        One row per epoch: columns "phase", "epoch", and a metric such as "loss"; "val_loss" if there was a validation
        set.
    best_epoch : int or None, default=None
        Number of the epoch that the weights are from; None marks none.
    name : str or None, default=None
        Title of the legend.

    Raises
    ------
    ValueError
        If ``history`` lacks the column "phase" or "epoch".

    Examples
    --------
    >>> import pandas as pd
    >>> from skcnn.metrics import TrainingCurveDisplay
    >>> history = pd.DataFrame({"phase": ["head", "fine"], "epoch": [1, 2], "loss": [1.2, 0.7], "val_loss": [1.3, 0.9]})
    >>> display = TrainingCurveDisplay(history, best_epoch=2).plot()
    >>> display.ax_.get_ylabel()
    'Loss'
    """

    def __init__(self, history: pd.DataFrame, *, best_epoch: int | None = None, name: str | None = None) -> None:
        if missing := [column for column in _NEEDED if column not in history]:
            raise ValueError(f"history has no column {missing[0]!r}; its columns are {list(history.columns)!r}.")
        self.history = history
        self.best_epoch = best_epoch
        self.name = name

    @classmethod
    def from_estimator(cls, estimator: Any, *, name: str | None = None) -> Self:
        """Make the Display from a fitted classifier.

        Parameters
        ----------
        estimator : CNNClassifier
            A fitted classifier with ``history_`` and ``best_epoch_``.
        name : str or None, default=None
            Title of the legend.

        Returns
        -------
        TrainingCurveDisplay
            Not drawn yet; call :meth:`plot`.
        """
        return cls(estimator.history_, best_epoch=getattr(estimator, "best_epoch_", None), name=name)

    def frame(self) -> pd.DataFrame:
        """Return the training history.

        Returns
        -------
        DataFrame
            A copy of ``history``.
        """
        return self.history.copy()

    def plot(self, ax: Axes | None = None, *, metric: str = "loss", legend: bool = True) -> Self:
        """Draw a metric by epoch; vertical lines separate the phases, and a dot marks the best epoch.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a new figure by pyplot, as scikit-learn's Displays do.
        metric : str, default="loss"
            A column of the history, such as "accuracy" or "learning_rate".
        legend : bool, default=True
            Whether to draw a legend.

        Returns
        -------
        TrainingCurveDisplay
            Itself, with the attributes ``ax_`` and ``figure_``.

        Raises
        ------
        ValueError
            If the history has no such metric.
        """
        from matplotlib.ticker import MaxNLocator

        columns = [column for column in (metric, f"val_{metric}") if column in self.history]
        if metric not in columns:
            given = [c for c in self.history if c not in _NEEDED and not str(c).startswith("val_")]
            raise ValueError(f"metric={metric!r}; expected a column of the history: {', '.join(map(repr, given))}.")
        if ax is None:
            ax = new_axes(6, 4)
        epoch = self.history["epoch"]
        for column, label, color in zip(columns, ("training", "validation"), SERIES, strict=False):
            ax.plot(epoch, self.history[column], color=color, linewidth=1.6, marker=".", label=label, zorder=3)
        if self.best_epoch is not None and (epoch == self.best_epoch).any():
            value = self.history.loc[epoch == self.best_epoch, columns[-1]].iloc[0]
            ax.plot(
                [self.best_epoch], [value], "o", color=SERIES[len(columns) - 1], markersize=8, label="best epoch",
                zorder=4,
            )  # fmt: skip
        begins = self.history["phase"].ne(self.history["phase"].shift())
        for place, phase in zip(epoch[begins], self.history.loc[begins, "phase"], strict=True):
            if place != epoch.iloc[0]:
                ax.axvline(place - 0.5, color=REST, linewidth=0.8, zorder=1)
            # Above the axes, where no curve runs.
            ax.annotate(
                label_text(phase, 24), (place - 0.45, 1.01), xycoords=ax.get_xaxis_transform(), color=MUTED, fontsize=8,
                va="bottom", parse_math=False,
            )  # fmt: skip
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set(xlabel="Epoch", ylabel=metric.replace("_", " ").capitalize())
        if legend:
            box = ax.legend(title=self.name)
            box.get_title().set_parse_math(False)
        self.ax_ = ax
        self.figure_ = ax.figure
        return self
