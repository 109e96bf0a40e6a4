"""What the errors on the parts of a split say about what to do next."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING

import pandas as pd

from skcnn.model_selection._diagnosis_display import FitDiagnosisDisplay
from skcnn.model_selection._gaps import ADVICE, NAMES, Gap, Rate, gaps_frame

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Error = float | tuple[int, int]
"""An error rate, or (number wrong, number of rows)."""


@dataclass(frozen=True)
class FitDiagnosis:
    """Where the error of a model comes from; made by :func:`diagnose_fit`.

    ``print`` it for a summary in words.

    Attributes
    ----------
    rates : dict of str to Rate
        Error rates by part, in the order human, train, train_dev, dev, test. Where ``human`` was not given it is 0.
    gaps : list of Gap
        Differences between neighbours: name, first, second, difference, difference_low, difference_high, verdict.
    human_known : bool
        Whether ``human`` was given; the whole training error counts as avoidable where it was not.
    confidence_level : float
        Of the intervals.
    """

    rates: dict[str, Rate]
    gaps: list[Gap]
    human_known: bool
    confidence_level: float

    @property
    def largest(self) -> Gap | None:
        """The gap to work on: the largest that is not within noise or negative; None where there is none."""
        open_gaps = [gap for gap in self.gaps if gap.is_open]
        return max(open_gaps, key=lambda gap: gap.difference, default=None)

    def frame(self) -> pd.DataFrame:
        """Return the gaps.

        Returns
        -------
        DataFrame
            Index "gap"; columns "first" and "second" (the parts that it lies between), "difference" (of the error
            rates), "difference_low" and "difference_high" (its interval; NaN where no counts were given), "verdict"
            ("real", "within noise", "negative", "unknown") and "next" (what makes it smaller; "" unless it is a gap to
            work on).
        """
        return gaps_frame(self.gaps)

    def plot(self, ax: Axes | None = None) -> FitDiagnosisDisplay:
        """Draw the gaps.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a new figure.

        Returns
        -------
        FitDiagnosisDisplay
            Drawn: it has the attributes ``ax_`` and ``figure_``.
        """
        display = FitDiagnosisDisplay(self._known, self.gaps, confidence_level=self.confidence_level)
        return display.plot(ax)

    @property
    def _known(self) -> dict[str, Rate]:
        return {part: rate for part, rate in self.rates.items() if part != "human" or self.human_known}

    def __str__(self) -> str:
        known = self._known
        parts = ", ".join(f"{NAMES[part]} {rate.error:.1%}" for part, rate in known.items())
        lines = [f"Error rates: {parts}"]
        for gap in self.gaps:
            between = f"{NAMES[gap.first] if gap.first in known else 'none wrong'} to {NAMES[gap.second]}"
            lines.append(f"  {gap.name:20s}{between:20s}{100 * gap.difference:+6.1f} points{self._in_words(gap)}")
        if self.largest is None:
            lines.append("No gap stands out: the rest is the error of people, or smaller than these sets can show.")
        else:
            lines.append(f"Work on {self.largest.name} first: {ADVICE[self.largest.name]}.")
        if any(gap.verdict == "unknown" for gap in self.gaps):
            lines.append("Give (number wrong, number of rows) in place of rates to see what may be due to chance.")
        if not self.human_known:
            lines.append("human= is not given: not all of the training error may be avoidable.")
        if "train_dev" not in self.rates:
            lines.append(
                "If dev is of another source than train, give train_dev=: variance here includes the mismatch."
            )
        return "\n".join(lines)

    def _in_words(self, gap: Gap) -> str:
        if gap.verdict == "unknown":
            return ""
        interval = f"  [{100 * gap.difference_low:+.1f}, {100 * gap.difference_high:+.1f}]"
        if gap.verdict == "within noise":
            return f"{interval}  within sampling noise"
        if gap.verdict == "negative":
            return f"{interval}  {NAMES[gap.second]} is easier than {NAMES[gap.first]}"
        return interval


def diagnose_fit(
    *,
    train: Error,
    dev: Error,
    train_dev: Error | None = None,
    test: Error | None = None,
    human: Error | None = None,
    confidence_level: float = 0.95,
) -> FitDiagnosis:
    """Distinguish avoidable bias, variance, data mismatch and overfitting to dev by the errors on the parts of a split.

    ========================  ====================================================================
    gap                       between
    ========================  ====================================================================
    avoidable bias            what people get wrong, and the training error
    variance                  training, and rows of the same source not used for training
    data mismatch             those, and dev, which is like the images that the model will meet
    overfitting to dev        dev, by which models were chosen, and test
    ========================  ====================================================================

    Where all parts are of one source there is no mismatch, and variance lies between training and dev: leave
    ``train_dev`` out.

    Parameters
    ----------
    train, dev : float or tuple of (n_wrong, n_rows)
        Error rates in [0, 1]; accuracy is 1 minus that. Counts, such as ``(12, 400)``, also give intervals. A rate
        without its count is taken as exact.
    train_dev, test : float or tuple of (n_wrong, n_rows) or None, default=None
        Errors on the train-dev part (see :func:`train_dev_test_split`) and on the test part, where there are.
    human : float or tuple of (n_wrong, n_rows) or None, default=None
        Error of people, or of the best known system: an estimate of the lowest possible error. None if it is not known:
        the whole training error then counts as avoidable bias, which is its upper bound.
    confidence_level : float, default=0.95
        Of the intervals of the gaps.

    Returns
    -------
    FitDiagnosis
        ``print`` it; ``frame()`` is the same as a table, and ``plot()`` as a figure.

    Raises
    ------
    ValueError
        If an error rate is not in [0, 1], more rows are wrong than there are, or ``confidence_level`` is not in (0, 1).

    Notes
    -----
    Intervals are Newcombe's for the difference of two independent proportions, from Wilson's for each [2]_. A gap whose
    interval holds 0 is within sampling noise. Training rows are not a sample of new ones; their interval is
    computed from their number nevertheless.

    References
    ----------
    .. [1] A. Ng, "Machine Learning Yearning", 2018: chapters 20 to 27 (bias and variance), 40 and 41 (data mismatch).
    .. [2] R. G. Newcombe, "Interval estimation for the difference between independent proportions: comparison of eleven
       methods", Statistics in Medicine 17, 1998: method 10.

    Examples
    --------
    >>> from skcnn.model_selection import diagnose_fit
    >>> print(diagnose_fit(human=0.01, train=(40, 2000), train_dev=(13, 500), dev=(48, 600), test=(51, 600)))
    Error rates: human 1.0%, train 2.0%, train-dev 2.6%, dev 8.0%, test 8.5%
      avoidable bias      human to train        +1.0 points  [+0.5, +1.7]
      variance            train to train-dev    +0.6 points  [-0.7, +2.5]  within sampling noise
      data mismatch       train-dev to dev      +5.4 points  [+2.8, +8.1]
      overfitting to dev  dev to test           +0.5 points  [-2.6, +3.7]  within sampling noise
    Work on data mismatch first: look at what is wrong in dev and not in train-dev, and get or make training images \
like those: same camera, light, crop.
    """
    if not isinstance(confidence_level, Real) or not 0 < confidence_level < 1:
        raise ValueError(f"confidence_level={confidence_level!r}; expected a number in (0, 1).")
    given = {"human": human, "train": train, "train_dev": train_dev, "dev": dev, "test": test}
    rates = {part: _rate(part, error) for part, error in given.items() if error is not None or part in ("train", "dev")}
    rates = {"human": Rate(0.0, None), **rates}
    steps = [
        ("avoidable bias", "human", "train"),
        ("variance", "train", "dev" if train_dev is None else "train_dev"),
        ("data mismatch", "train_dev", "dev"),
        ("overfitting to dev", "dev", "test"),
    ]
    gaps = [
        _gap(name, first, second, rates, confidence_level)
        for name, first, second in steps
        if first in rates and second in rates
    ]
    return FitDiagnosis(rates, gaps, human is not None, confidence_level)


def _gap(name: str, first: str, second: str, rates: dict[str, Rate], confidence_level: float) -> Gap:
    before, after = rates[first], rates[second]
    difference = after.error - before.error
    if before.n_rows is None and after.n_rows is None:
        return Gap(name, first, second, difference, math.nan, math.nan)
    (low_before, high_before), (low_after, high_after) = (rate.interval(confidence_level) for rate in (before, after))
    return Gap(
        name,
        first,
        second,
        difference,
        difference - math.hypot(after.error - low_after, high_before - before.error),
        difference + math.hypot(high_after - after.error, before.error - low_before),
    )


def _rate(part: str, error: Error) -> Rate:
    accepted = "an error rate in [0, 1], or (number wrong, number of rows)"
    if isinstance(error, (tuple, list)):
        if len(error) == 2 and all(isinstance(n, Integral) and not isinstance(n, bool) for n in error):
            n_wrong, n_rows = (int(n) for n in error)
            if 0 <= n_wrong <= n_rows and n_rows > 0:
                return Rate(n_wrong / n_rows, n_rows)
    elif isinstance(error, Real) and not isinstance(error, bool) and 0 <= error <= 1:
        return Rate(float(error), None)
    raise ValueError(f"{part}={error!r}; expected {accepted}.")
