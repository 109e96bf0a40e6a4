"""The steps from one error rate to the next, drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import pandas as pd

from skcnn.model_selection._gaps import NAMES, Gap, Rate, gaps_frame

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BAR, _STEP, _UNSURE, _INK = "#b4bcc6", "#c7422b", "#e8a99e", "#59636e"


class FitDiagnosisDisplay:
    """Error rates of the parts, with the step from each to the next and its name.

    Red is what a step adds; pale red is a step that may be sampling noise. Whiskers are the intervals of the rates.

    Parameters
    ----------
    rates : dict of str to Rate
        Error rates by part, as :class:`FitDiagnosis` has them; without "human" where it is not known.
    gaps : list of Gap
        Differences between neighbours, as :class:`FitDiagnosis` has them.
    confidence_level : float, default=0.95
        Of the intervals of the rates.
    name : str or None, default=None
        Title of the figure.

    Examples
    --------
    >>> from skcnn.model_selection import FitDiagnosisDisplay, diagnose_fit
    >>> diagnosis = diagnose_fit(human=0.01, train=(40, 2000), dev=(48, 600))
    >>> display = FitDiagnosisDisplay(diagnosis.rates, diagnosis.gaps).plot()
    >>> display.ax_.get_xlabel()
    'Error rate, %'
    """

    def __init__(
        self, rates: dict[str, Rate], gaps: list[Gap], *, confidence_level: float = 0.95, name: str | None = None
    ) -> None:
        self.rates = rates
        self.gaps = gaps
        self.confidence_level = confidence_level
        self.name = name

    def frame(self) -> pd.DataFrame:
        """Return what is drawn: :meth:`FitDiagnosis.frame`."""
        return gaps_frame(self.gaps)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a new figure by pyplot, as scikit-learn's Displays do.

        Returns
        -------
        FitDiagnosisDisplay
            Itself, with the attributes ``ax_`` and ``figure_``.
        """
        rates = self.rates
        if ax is None:
            import matplotlib.pyplot as plt

            _, ax = plt.subplots(figsize=(6.4, 0.8 + 0.55 * len(rates)), layout="constrained")
        gaps = {gap.second: gap for gap in self.gaps}
        intervals = {part: rate.interval(self.confidence_level) for part, rate in rates.items()}
        for place, (part, rate) in enumerate(rates.items()):
            error, (low, high) = 100 * rate.error, intervals[part]
            ax.barh(place, error, color=_BAR, height=0.55)
            if part in gaps:
                gap = gaps[part]
                before = 100 * rates[gap.first].error if gap.first in rates else 0.0
                real = gap.verdict in ("real", "unknown")
                if gap.difference > 0:
                    ax.barh(place, error - before, left=before, color=_STEP if real else _UNSURE, height=0.55)
                if gap.first in rates:  # how far the one before came
                    ax.plot(
                        [before, before],
                        [place - 1, place + (0.275 if gap.difference > 0 else -0.275)],
                        color=_INK,
                        linewidth=0.8,
                    )
                note = "" if gap.verdict in ("real", "unknown") else f" ({gap.verdict})"
                text = f"{error:.1f} %  {gap.name} {100 * gap.difference:+.1f}{note}"
            else:
                text = f"{error:.1f} %"
            if high > low:
                ax.plot([100 * low, 100 * high], [place, place], color=_INK, linewidth=1)
            ax.annotate(
                text,
                (max(error, 100 * high), place),
                xytext=(6, 0),
                textcoords="offset points",
                va="center",
                fontsize=9,
                annotation_clip=False,
            )
        ax.set_yticks(range(len(rates)), [NAMES[part] for part in rates])
        ax.invert_yaxis()
        # The words stand to the right of the bars.
        right = 2.2 * max(max(100 * high for _, high in intervals.values()), 0.5)
        ax.set_xlim(0, right)
        ax.set_xticks([tick for tick in ax.get_xticks() if tick <= min(right, 100)])
        ax.set(xlabel="Error rate, %")
        ax.spines[["top", "right"]].set_visible(False)
        if self.name:
            ax.set_title(self.name, parse_math=False)
        self.ax_ = ax
        self.figure_ = ax.figure
        return self
