"""Displays of one curve per class, each class against the rest."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pandas as pd
from sklearn.metrics import auc, precision_recall_curve, roc_curve

from skcnn._labels import as_label
from skcnn._plot.theme import REST, SERIES, new_axes
from skcnn._text import label_text, metric_text
from skcnn.metrics._areas import areas_of
from skcnn.metrics._predictions import MANY_CLASSES, Predictions
from skcnn.metrics._tables import sides_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

_GRID = np.linspace(0, 1, 501)


class _OneVsRestDisplay(ABC):
    """What the two Displays share: the frame, the choice of classes to single out, the drawing."""

    _x: ClassVar[str]
    _y: ClassVar[str]
    _area: ClassVar[str]
    _x_label: ClassVar[str]
    _y_label: ClassVar[str]
    _legend_place: ClassVar[str]
    _drawstyle: ClassVar[str]

    def __init__(
        self,
        curves: pd.DataFrame,
        areas: pd.Series,
        *,
        micro: pd.DataFrame | None = None,
        micro_area: float = np.nan,
        name: str | None = None,
    ) -> None:
        self.curves = curves
        self.areas = areas
        self.micro = micro
        self.micro_area = micro_area
        self.name = name

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: ArrayLike, *, sample_weight: ArrayLike | None = None, name: str | None = None
    ) -> Self:
        """Make the Display from a fitted classifier.

        Parameters
        ----------
        estimator, X, y, sample_weight
            A fitted classifier, its input, the true labels and weights of the samples: see
            :meth:`ClassifierReport.from_estimator`.
        name : str or None, default=None
            Title of the legend.

        Returns
        -------
        Display
            Not drawn yet; call :meth:`plot`.

        Raises
        ------
        TypeError
            If it is not a classifier: see :meth:`ClassifierReport.from_estimator`.
        ValueError
            If the estimator has no scores, or its predictions or ``y`` are invalid.
        """
        return cls._from_checked(Predictions.from_estimator(estimator, X, y, sample_weight=sample_weight), name=name)

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_score: ArrayLike,
        *,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        name: str | None = None,
    ) -> Self:
        """Make the Display from scores.

        Parameters
        ----------
        y_true, y_score, classes, sample_weight
            True labels, scores, labels of the classes and weights of the samples: see
            :meth:`ClassifierReport.from_predictions`.
        name : str or None, default=None
            Title of the legend.

        Returns
        -------
        Display
            Not drawn yet; call :meth:`plot`.

        Raises
        ------
        ValueError
            If predictions are refused as in :func:`headline_frame`.
        """
        return cls._from_checked(
            Predictions.from_arrays(y_true, y_score, classes=classes, sample_weight=sample_weight), name=name
        )

    @classmethod
    def _from_checked(
        cls, predictions: Predictions, *, name: str | None = None, only: np.ndarray | None = None
    ) -> Self:
        """Make the Display from checked predictions; of a few of the classes, by their numbers, without averages."""
        if predictions.score is None:
            raise ValueError(f"A curve needs scores, and there are none: {predictions.score_note}.")
        areas = pd.Series(np.nan, index=pd.Index(predictions.classes, name="class"), name=cls._area)
        parts = []
        for number in range(predictions.n_classes) if only is None else only:
            if not cls._is_defined(*sides_of(predictions, number)):
                continue
            x, y, threshold, areas.iloc[number] = cls._curve(
                predictions.true == number, predictions.score[:, number], predictions.sample_weight
            )
            parts.append(pd.DataFrame({"number": number, cls._x: x, cls._y: y, "threshold": threshold}))
        columns = ["number", cls._x, cls._y, "threshold"]
        curves = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns, dtype=float)
        curves.insert(0, "class", predictions.classes[curves.pop("number").to_numpy(dtype=int)])
        micro, micro_area = cls._micro_average(predictions) if only is None else (None, np.nan)
        return cls(curves, areas, micro=micro, micro_area=micro_area, name=name)

    @classmethod
    def _micro_average(cls, predictions: Predictions) -> tuple[pd.DataFrame | None, float]:
        """Return the curve of all pairs of a sample and a class, and its area."""
        if predictions.score is None or predictions.n_classes == 1:
            return None, np.nan
        is_class = predictions.true[:, None] == np.arange(predictions.n_classes)
        weight = predictions.sample_weight
        x, y, threshold, area = cls._curve(
            is_class.ravel(),
            predictions.score.ravel(),
            None if weight is None else np.repeat(weight, predictions.n_classes),
        )
        return pd.DataFrame({cls._x: x, cls._y: y, "threshold": threshold}), area

    @property
    def has_all_curves(self) -> bool:
        """Whether there is a curve of each class that has an area."""
        return int(self.curves["class"].nunique()) == int(self.areas.count())

    def frame(self) -> pd.DataFrame:
        """Return the points of all curves.

        Returns
        -------
        DataFrame of shape (n_points, 4)
            A row per point; columns "class", the two axes, and "threshold" (scores at or above it count as the class).
        """
        return self.curves.copy()

    def macro_curve(self) -> pd.DataFrame:
        """Return the mean of the curves of all classes, at 501 places of the horizontal axis.

        Returns
        -------
        DataFrame of shape (n_points, 2)
            Columns: the two axes. The area under it is, but for the steps of that axis, the mean of the areas.
        """
        points = [group for _, group in self.curves.groupby("class", sort=False)]
        drawn = [self._drawn(group[self._x].to_numpy(), group[self._y].to_numpy()) for group in points]
        means = np.mean([self._at(x, y) for x, y in drawn], axis=0)
        return pd.DataFrame({self._x: _GRID, self._y: means})

    def micro_curve(self) -> pd.DataFrame:
        """Return the curve of all pairs of a sample and a class, each pair counted alike.

        Where the mean of the curves (the macro average) takes every class for as important as any other, this one does
        so with every sample: common classes make most of it. It also compares scores of different classes, which the
        curves of single classes never do.

        Returns
        -------
        DataFrame of shape (n_points, 3)
            Columns: the two axes, and "threshold". Empty where there is one class.
        """
        return pd.DataFrame(columns=[self._x, self._y, "threshold"]) if self.micro is None else self.micro.copy()

    def colors(self, classes: Iterable[Any] | None = None) -> dict[Any, str]:
        """Return the colour of each class that :meth:`plot` singles out.

        Parameters
        ----------
        classes : sequence of labels or None, default=None
            The classes to single out, at most 6. None takes all of them where there are no more than 6, and
            otherwise the 5 with the smallest areas: those that need a look.

        Returns
        -------
        dict
            Label -> colour, in the order of the legend.

        Raises
        ------
        ValueError
            If ``classes`` names one without a curve, or more than 6.
        """
        defined = self.areas.dropna()
        if classes is None:
            classes = defined.index if len(defined) <= len(SERIES) else defined.sort_values(kind="stable").index[:5]
        classes = [as_label(label) for label in classes]
        unknown = [label for label in classes if label not in defined.index]
        if unknown:
            raise ValueError(f"classes names {unknown!r}; those with a curve are {list(defined.index)!r}.")
        if len(classes) > len(SERIES):
            raise ValueError(f"classes names {len(classes)}; expected at most {len(SERIES)}, one colour per class.")
        return dict(zip(classes, SERIES, strict=False))

    def plot(self, ax: Axes | None = None, *, classes: Iterable[Any] | None = None, legend: bool = True) -> Self:
        """Draw the chosen classes in colour, the others in grey, and with three classes or more two averages.

        The macro average, bold, is the mean of the curves of all classes (:meth:`macro_curve`); the micro average,
        dotted, is the curve of all pairs of a sample and a class (:meth:`micro_curve`).

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a new figure by pyplot, as scikit-learn's Displays do.
        classes : sequence of labels or None, default=None
            See :meth:`colors`.
        legend : bool, default=True
            Whether to draw a legend with the area of each curve.

        Returns
        -------
        Display
            Itself, with the attributes ``ax_`` and ``figure_``.

        Raises
        ------
        ValueError
            If ``classes`` is refused as in :meth:`colors`.
        """
        import matplotlib as mpl

        colors = self.colors(classes)
        if ax is None:
            ax = new_axes(5, 5)
        entries = []
        for label, points in self.curves.groupby("class", sort=False):
            style: dict[str, Any] = _REST_STYLE
            if label in colors:
                style = {"color": colors[label], "linewidth": 1.6, "zorder": 3}
            x, y = self._drawn(points[self._x].to_numpy(), points[self._y].to_numpy())
            (line,) = ax.plot(x, y, drawstyle=self._drawstyle, **style)
            if label in colors:
                text = f"{label_text(label, 24)} ({metric_text(self.areas[label])})"
                entries.append((list(colors).index(label), line, text))
            elif not any(position == len(colors) for position, *_ in entries):
                entries.append((len(colors), line, "other classes"))
        if self.areas.count() > 2 and self.has_all_curves:
            mean = self.macro_curve()
            ink = mpl.rcParams["text.color"]
            (line,) = ax.plot(
                mean[self._x], mean[self._y], color=ink, linewidth=2.2, zorder=4, drawstyle=self._drawstyle
            )
            entries.append((-2, line, f"macro average ({metric_text(self.areas.mean())})"))
            if self.micro is not None:
                x, y = self._drawn(self.micro[self._x].to_numpy(), self.micro[self._y].to_numpy())
                # A point for each place of an image; the curve itself may have a hundred thousand.
                (line,) = ax.plot(
                    _GRID, self._at(x, y), color=ink, linewidth=1.6, linestyle=":", zorder=5, drawstyle=self._drawstyle
                )
                entries.append((-1, line, f"micro average ({metric_text(self.micro_area)})"))
        if not entries:
            ax.text(0.5, 0.5, "not defined for any class", ha="center", va="center", transform=ax.transAxes)
        ax.set(xlabel=self._x_label, ylabel=self._y_label, xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
        if legend and entries:
            entries.sort(key=lambda entry: entry[0])
            # Names of classes are not markup: neither TeX in dollars nor a leading underscore means anything.
            lines = [line for _, line, _ in entries]
            box = ax.legend(lines, ["-"] * len(lines), loc=self._legend_place, title=self.name)
            for written, (_, _, text) in zip(box.get_texts(), entries, strict=True):
                written.set_parse_math(False)
                written.set_text(text)
            box.get_title().set_parse_math(False)
        self.ax_ = ax
        self.figure_ = ax.figure
        return self

    @staticmethod
    @abstractmethod
    def _is_defined(present: bool, absent: bool) -> bool: ...

    @staticmethod
    @abstractmethod
    def _curve(
        y_true: np.ndarray, y_score: np.ndarray, sample_weight: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]: ...

    @staticmethod
    @abstractmethod
    def _drawn(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]: ...

    @staticmethod
    @abstractmethod
    def _at(x: np.ndarray, y: np.ndarray) -> np.ndarray: ...


_REST_STYLE = {"color": REST, "linewidth": 0.7, "alpha": 0.8, "zorder": 2}


class OneVsRestRocDisplay(_OneVsRestDisplay):
    """ROC curves of all classes, each against the rest.

    Make it with :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    curves : DataFrame
        Points of the curves: columns "class", "fpr" and "tpr" (false and true positive rate), "threshold".
    areas : Series
        Area under the curve of each class; NaN for a class that has no sample, or has them all.
    micro : DataFrame or None, default=None
        Points of the curve of all pairs of a sample and a class: columns as in ``curves``, without "class". None where
        there is one class.
    micro_area : float, default=nan
        Area under that curve, as scikit-learn's with ``average="micro"``.
    name : str or None, default=None
        Title of the legend.

    Examples
    --------
    >>> from skcnn.metrics import OneVsRestRocDisplay
    >>> display = OneVsRestRocDisplay.from_predictions(["cat", "dog", "dog", "cat"], [0.1, 0.8, 0.6, 0.7])
    >>> display.areas
    class
    cat    0.75
    dog    0.75
    Name: roc_auc, dtype: float64
    >>> figure = display.plot().figure_
    """

    _x = "fpr"
    _y = "tpr"
    _area = "roc_auc"
    _x_label = "False positive rate"
    _y_label = "True positive rate"
    _legend_place = "lower right"
    _drawstyle = "default"

    @staticmethod
    def _is_defined(present: bool, absent: bool) -> bool:
        return present and absent

    @staticmethod
    def _curve(
        y_true: np.ndarray, y_score: np.ndarray, sample_weight: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        x, y, threshold = roc_curve(y_true, y_score, sample_weight=sample_weight)
        return x, y, threshold, auc(x, y)

    @staticmethod
    def _drawn(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return x, y

    @staticmethod
    def _at(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.interp(_GRID, x, y)


class OneVsRestPrecisionRecallDisplay(_OneVsRestDisplay):
    """Precision-recall curves of all classes, each against the rest.

    Make it with :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    curves : DataFrame
        Points of the curves: columns "class", "recall", "precision", "threshold", by increasing recall, from recall 0
        (threshold infinity) to the highest threshold that finds every sample.
    areas : Series
        Average precision of each class; NaN for a class that has no sample.
    micro : DataFrame or None, default=None
        Points of the curve of all pairs of a sample and a class: columns as in ``curves``, without "class". None where
        there is one class.
    micro_area : float, default=nan
        Area under that curve, as scikit-learn's with ``average="micro"``.
    name : str or None, default=None
        Title of the legend.

    Examples
    --------
    >>> from skcnn.metrics import OneVsRestPrecisionRecallDisplay
    >>> display = OneVsRestPrecisionRecallDisplay.from_predictions(["a", "b", "b", "a"], [0.1, 0.8, 0.6, 0.7])
    >>> display.areas.round(2)
    class
    a    0.83
    b    0.83
    Name: average_precision, dtype: float64
    >>> figure = display.plot().figure_
    """

    _x = "recall"
    _y = "precision"
    _area = "average_precision"
    _x_label = "Recall"
    _y_label = "Precision"
    _legend_place = "lower left"
    # The precision of a recall is that of the lowest threshold needed for it: the area is then the average precision.
    _drawstyle = "steps-pre"

    @staticmethod
    def _is_defined(present: bool, absent: bool) -> bool:
        return present

    @staticmethod
    def _curve(
        y_true: np.ndarray, y_score: np.ndarray, sample_weight: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        precision, recall, threshold = precision_recall_curve(
            y_true, y_score, sample_weight=sample_weight, drop_intermediate=True
        )
        recall, precision, threshold = recall[::-1], precision[::-1], np.append(threshold, np.inf)[::-1]
        area = float(np.sum(np.diff(recall) * precision[1:]))
        # Thresholds below the one that finds every sample only cost precision.
        end = np.searchsorted(recall, recall[-1]) + 1
        return recall[:end], precision[:end], threshold[:end], area

    @staticmethod
    def _drawn(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        # At recall 0 the precision is 1 by convention, then that of the highest scores: a stroke that means nothing.
        first = np.searchsorted(x, 0, side="right")
        return np.append(0, x[first:]), np.append(y[first], y[first:])

    @staticmethod
    def _at(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return y[np.minimum(np.searchsorted(x, _GRID), len(x) - 1)]


def singled_out(displays: Sequence[_OneVsRestDisplay]) -> list[list[Any]]:
    """Choose the classes to single out in each of several Displays of the same predictions, so that colours agree.

    They are those that the last Display would choose, less the ones that have no curve in the Display.
    """
    chosen = displays[-1].colors() if displays else {}
    return [[label for label in chosen if label in display.areas.dropna().index] for display in displays]


def curve_displays_of(predictions: Predictions) -> list[OneVsRestRocDisplay | OneVsRestPrecisionRecallDisplay]:
    """Make the Displays of the ROC and precision-recall curves from checked predictions that have scores.

    With more than ``MANY_CLASSES`` they have the areas of all, and the curves of those that are singled out.
    """
    if predictions.n_classes > MANY_CLASSES:
        auc, average_precision = (
            pd.Series(area, index=pd.Index(predictions.classes, name="class"), name=name)
            for area, name in zip(areas_of(predictions), ("roc_auc", "average_precision"), strict=True)
        )
        only = np.argsort(average_precision.to_numpy(), kind="stable")[:5]  # NaN comes last
        roc = OneVsRestRocDisplay._from_checked(predictions, only=only)
        precision_recall = OneVsRestPrecisionRecallDisplay._from_checked(predictions, only=only)
        return [
            OneVsRestRocDisplay(roc.curves, auc),
            OneVsRestPrecisionRecallDisplay(precision_recall.curves, average_precision),
        ]
    return [
        OneVsRestRocDisplay._from_checked(predictions),
        OneVsRestPrecisionRecallDisplay._from_checked(predictions),
    ]
