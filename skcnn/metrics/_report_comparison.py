"""Reports of several classifiers on the same samples, side by side."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import pandas as pd

from skcnn._text import counted, listing
from skcnn.images import Images
from skcnn.metrics._comparison import check_same_samples, mcnemar_of
from skcnn.metrics._image_grid_display import ImageGridDisplay
from skcnn.metrics._intervals import percentiles
from skcnn.metrics._resampling import resampled_headlines
from skcnn.metrics._text import figure_text, interval_text, label_text, percent_text, signed_text
from skcnn.metrics._theme import MUTED, SERIES, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from skcnn.metrics._report import ClassifierReport


class ReportComparison:
    """Which of several classifiers is better on the same samples, and how sure that is.

    Made by `ClassifierReport.compare`. Every report is compared with the first one. Differences are paired: resamples
    of the bootstrap draw the same samples of both, so that samples which are hard for all do not count.

    Parameters
    ----------
    reports : sequence of ClassifierReport
        Two or more, of the same samples in the same order.
    confidence_level, n_resamples, random_state, n_jobs
        As in `ClassifierReport.compare`.

    Attributes
    ----------
    reports : list of ClassifierReport
        The reports, in order.
    names : list of str
        Their names; one that occurs a second time is numbered.
    agreement_frame : DataFrame of shape (n_reports - 1, 5)
        On how many samples the first report and each other one are right and wrong. Index "report"; columns
        "both_right", "only_first", "only_this", "both_wrong" (samples, also where they have weights) and "p_value" (of
        McNemar's exact test; NaN where samples have weights).
    summary : str
        What accuracy says of each report after the first, and which other metrics tell it from the first.

    Examples
    --------
    >>> from skcnn.metrics import ClassifierReport
    >>> y_true = ["cat"] * 50 + ["dog"] * 50
    >>> first = ClassifierReport.from_predictions(y_true, y_pred=["cat"] * 40 + ["dog"] * 60, name="first")
    >>> second = ClassifierReport.from_predictions(y_true, y_pred=["cat"] * 48 + ["dog"] * 52, name="second")
    >>> comparison = ClassifierReport.compare([first, second])
    >>> comparison.frame().loc[("accuracy", "second"), ["value", "difference", "p_value"]].round(3).to_dict()
    {'value': 0.98, 'difference': 0.08, 'p_value': 0.008}
    >>> comparison.agreement_frame  # doctest: +NORMALIZE_WHITESPACE
            both_right  only_first  only_this  both_wrong  p_value
    report
    second          90           0          8           2  0.007812
    """

    def __init__(
        self,
        reports: Sequence[ClassifierReport],
        *,
        confidence_level: float = 0.95,
        n_resamples: int = 1000,
        random_state: int | None = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.reports = list(reports) if isinstance(reports, Iterable) else [reports]
        strange = [type(report).__name__ for report in self.reports if not hasattr(report, "headline_labels")]
        if strange:
            raise TypeError(f"A comparison is of ClassifierReports, in a list; {listing(strange)} was given.")
        if len(self.reports) < 2:
            raise ValueError(f"{counted(len(self.reports), 'report')} given; a comparison needs two or more.")
        self.confidence_level = confidence_level
        self._bootstrap: dict[str, Any] = {
            "n_resamples": n_resamples,
            "random_state": random_state,
            "n_jobs": n_jobs,
        }
        self.names = _unique([label_text(report.name) for report in self.reports])
        first = self.reports[0]
        for name, other in zip(self.names[1:], self.reports[1:], strict=True):
            try:
                check_same_samples(first._predictions, other._predictions)
                _check_same_files(first._images, other._images)
                if first.top_k != other.top_k:
                    raise ValueError(f"Their top_k are {first.top_k} and {other.top_k}; make both with the same.")
            except ValueError as error:
                raise ValueError(f"{self.names[0]!r} and {name!r} cannot be compared. {error}") from None

    def frame(self) -> pd.DataFrame:
        """Return the headline figures of all reports, and their differences from those of the first.

        Returns
        -------
        DataFrame of shape (7 * n_reports, 7)
            Index "metric" (as in `headline_frame`) and "report". Columns "value", "low" and "high" (the figure and its
            interval, as in `bootstrap_intervals`); "difference" (from the first report: above 0 is better, but for
            ``log_loss``), "difference_low" and "difference_high" (its paired interval: one without 0 in it tells the
            two apart) and "p_value" (of McNemar's exact test, for ``accuracy`` only). The last four are NaN for the
            first report. See `compare_predictions`.
        """
        return self._frame.copy()

    @cached_property
    def agreement_frame(self) -> pd.DataFrame:
        """On how many samples the first report and each other one are right and wrong."""
        rows = {}
        first = _is_right(self.reports[0])
        for name, report in zip(self.names[1:], self.reports[1:], strict=True):
            this = _is_right(report)
            counts = [int(n.sum()) for n in (first & this, first & ~this, ~first & this, ~first & ~this)]
            rows[name] = [*counts, self._p_value(report)]
        columns = ["both_right", "only_first", "only_this", "both_wrong", "p_value"]
        return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("report")

    def class_frame(
        self, metric: Literal["precision", "recall", "f1", "roc_auc", "average_precision"] = "f1"
    ) -> pd.DataFrame:
        """Return a figure of each class, a column for each report.

        Parameters
        ----------
        metric : {"precision", "recall", "f1", "roc_auc", "average_precision"}, default="f1"
            A column of `classification_frame`. F1 is hurt by both kinds of mistakes about a class.

        Returns
        -------
        DataFrame of shape (n_classes, n_reports)
            Index "class", in the order of the first report; NaN where a report does not know a class.

        Raises
        ------
        ValueError
            If ``metric`` is none of these.
        """
        accepted = ("precision", "recall", "f1", "roc_auc", "average_precision")
        if metric not in accepted:
            raise ValueError(f"metric is {metric!r}; one of {accepted} is accepted.")
        columns = [report.classification_frame[metric] for report in self.reports]
        # By position, for labels that pandas would read as a mask.
        classes = pd.Index(self.reports[0].classes, name="class")
        for column in columns[1:]:
            classes = classes.append(column.index[classes.get_indexer(column.index) < 0])
        values = {}
        for name, column in zip(self.names, columns, strict=True):
            where = column.index.get_indexer(classes)
            values[name] = np.where(where < 0, np.nan, column.to_numpy()[where])
        return pd.DataFrame(values, index=classes.rename("class"))

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the differences from the first report with their intervals.

        A dot is filled where the interval does not hold 0. To the right is better, for log-loss too: its difference is
        drawn with the opposite sign.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure by pyplot, as scikit-learn's Displays do.

        Returns
        -------
        ReportComparison
            Itself, with the attributes ``ax_`` and ``figure_``.
        """
        others = self.names[1:]
        frame = self._frame.dropna(subset=["difference"])
        figures = [figure for figure in self.reports[0].headline.index if figure in frame.index.get_level_values(0)]
        if ax is None:
            height = 1.2 + len(figures) * (0.25 + 0.2 * len(others))
            ax = new_axes(6, height)
            ax.set_title(f"Difference from {label_text(self.names[0], 40)}", parse_math=False)
        step = 0.7 / len(others)
        lines = {}
        for (kind, name), row in frame.iterrows():
            number = others.index(name)
            y = figures.index(kind) + step * (number - (len(others) - 1) / 2)
            color, sign = SERIES[number % len(SERIES)], -1 if kind == "log_loss" else 1
            ends = np.sort([sign * row["difference_low"], sign * row["difference_high"]])
            filled = color if ends[0] > 0 or ends[1] < 0 else "none"
            (lines[name],) = ax.plot(ends, [y, y], color=color, linewidth=1.6, zorder=3, solid_capstyle="round")
            ax.scatter([sign * row["difference"]], [y], s=34, facecolor=filled, edgecolor=color, zorder=4)
        ax.axvline(0, color=MUTED, linewidth=1, zorder=2)
        labels = self.reports[0].headline_labels
        ticks = [f"{labels[figure]}{' (reversed)' if figure == 'log_loss' else ''}" for figure in figures]
        ax.set_yticks(range(len(figures)), ticks)
        ax.set(ylim=(len(figures) - 0.5, -0.5), xlabel="Difference (to the right is better)")
        ax.grid(False, axis="y")
        ax.tick_params(axis="y", length=0)
        ax.locator_params(axis="x", nbins=5)
        if len(others) > 1:
            box = ax.legend(list(lines.values()), ["-"] * len(lines), loc="best")
            for written, name in zip(box.get_texts(), lines, strict=True):
                written.set_parse_math(False)
                written.set_text(label_text(name, 30))
        self.ax_ = ax
        self.figure_ = ax.figure
        return self

    def image_displays(self, n_images: int = 12) -> list[ImageGridDisplay]:
        """Return the Displays of the images that one alone of the first report and another one has right.

        Parameters
        ----------
        n_images : int, default=12
            How many of each at most: those that the other one is furthest off.

        Returns
        -------
        list of ImageGridDisplay
            Two for each report after the first, less those without an image: their ``name`` says who has them right,
            and they tell what the other one said of them. Empty where no report has images.
        """
        images = next((report._images for report in self.reports if report._images is not None), None)
        if images is None:
            return []
        displays = []
        first = self.reports[0]
        for name, other in zip(self.names[1:], self.reports[1:], strict=True):
            for right, wrong, who in ((first, other, self.names[0]), (other, first, name)):
                rows = np.flatnonzero(_is_right(right) & ~_is_right(wrong))
                if not len(rows):
                    continue
                display = ImageGridDisplay._from_checked(
                    wrong._predictions.take(rows),
                    images.take(rows.tolist()),
                    n_images=n_images,
                    name=f"Only {who} has these right",
                )
                display.rows["row"] = rows[display.rows["row"]]
                displays.append(display)
        return displays

    def to_html(self, path: str | os.PathLike[str], *, n_images: int = 12) -> Path:
        """Write the comparison as one HTML page that loads nothing from elsewhere.

        Parameters
        ----------
        path : str or path-like
            The file, as in `ClassifierReport.to_html`.
        n_images : int, default=12
            As in `image_displays`; 0 leaves images out.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        FileNotFoundError
            If the folder does not exist.
        """
        from skcnn.metrics._comparison_page import render_comparison
        from skcnn.metrics._page import write_page

        return write_page(path, render_comparison(self, n_images=n_images))

    @property
    def summary(self) -> str:
        """What accuracy says of each report after the first, and which other metrics tell it from the first."""
        rows = self._frame.loc["accuracy"]
        sentences = []
        for name, row in list(rows.iterrows())[1:]:
            pair = f"\u201c{name}\u201d", f"\u201c{self.names[0]}\u201d"
            if row["difference_low"] > 0 or row["difference_high"] < 0:
                said = f"{pair[0]} has a {'higher' if row['difference'] > 0 else 'lower'} accuracy than {pair[1]}"
            else:
                said = f"By accuracy these samples do not tell {pair[0]} and {pair[1]} apart"
            p_value = f"; McNemar\u2019s p\u00a0=\u00a0{figure_text(row['p_value'])}".replace("=\u00a0<", "<\u00a0")
            sentences.append(
                f"{said}: {figure_text(row['value'])} against {figure_text(rows['value'].iloc[0])}, "
                f"difference {signed_text(row['difference'])} ({percent_text(self.confidence_level)} interval "
                f"{signed_text(row['difference_low'])} to {signed_text(row['difference_high'])}"
                f"{'' if np.isnan(row['p_value']) else p_value})."
            )
            sentences += self._by_other_metrics(name)
        return " ".join(sentences)

    def _by_other_metrics(self, name: str) -> list[str]:
        """Return a sentence for each of a pair of reports that metrics other than accuracy speak for beyond doubt."""
        better: dict[str, list[str]] = {name: [], self.names[0]: []}
        for metric, row in self._frame.xs(name, level="report").drop(index="accuracy").iterrows():
            if row["difference_low"] > 0 or row["difference_high"] < 0:
                is_larger = row["difference"] > 0
                winner = name if is_larger != (metric == "log_loss") else self.names[0]
                better[winner].append(self.reports[0].headline_labels[metric])
        pairs = zip(better, reversed(better), better.values(), strict=True)
        return [
            f"\u201c{winner}\u201d is better than \u201c{other}\u201d by {', '.join(metrics)}."
            for winner, other, metrics in pairs
            if metrics
        ]

    def __repr__(self) -> str:
        labels = self.reports[0].headline_labels
        written = pd.DataFrame(index=[labels[figure] for figure in self.reports[0].headline.index])
        for name, short in zip(self.names, _unique([label_text(name, 26) for name in self.names]), strict=True):
            rows = self._frame.xs(name, level="report")
            written[short] = [interval_text(*row) for row in rows[["value", "low", "high"]].to_numpy()]
            if name == self.names[0]:
                continue
            what = "difference" if len(self.names) == 2 else f"{short}: difference"
            differences = rows[["difference", "difference_low", "difference_high"]].to_numpy()
            written[what] = [interval_text(*row, write=signed_text) for row in differences]
        return "\n".join([f"{type(self).__name__}: {self.summary}", "", written.to_string()])

    @cached_property
    def _frame(self) -> pd.DataFrame:
        # All at once: resamples draw the same samples of all reports.
        resampled = resampled_headlines(
            [report._predictions for report in self.reports], top_k=self.reports[0]._top_k_asked, **self._bootstrap
        )
        parts = []
        for name, report, of_this in zip(self.names, self.reports, resampled, strict=True):
            part = pd.DataFrame({"value": report.headline})
            part["low"], part["high"] = percentiles(of_this, self.confidence_level)
            is_first = name == self.names[0]  # A report may be compared with itself.
            part["difference"] = np.nan if is_first else report.headline - self.reports[0].headline
            differences = np.full_like(of_this, np.nan) if is_first else of_this - resampled[0]
            part["difference_low"], part["difference_high"] = percentiles(differences, self.confidence_level)
            part["p_value"] = np.nan
            if not is_first:
                part.loc["accuracy", "p_value"] = self._p_value(report)
            parts.append(part.assign(report=name).set_index("report", append=True))
        frame = pd.concat(parts)
        return frame.loc[[(figure, name) for figure in self.reports[0].headline.index for name in self.names]]

    def _p_value(self, report: ClassifierReport) -> float:
        return mcnemar_of(self.reports[0]._predictions, report._predictions)[0]


def _is_right(report: ClassifierReport) -> np.ndarray:
    return report._predictions.true == report._predictions.predicted


def _unique(names: list[str]) -> list[str]:
    """Return the names, with a number behind those that occurred before."""
    seen: Counter[str] = Counter()
    unique: list[str] = []
    for name in names:
        seen[name] += 1
        numbered = name if seen[name] == 1 else f"{name} ({seen[name]})"
        while numbered in unique:
            seen[name] += 1
            numbered = f"{name} ({seen[name]})"
        unique.append(numbered)
    return unique


def _check_same_files(a: Images | None, b: Images | None) -> None:
    """Refuse images of other names: equal labels in the same order do not make them the same samples."""
    if a is None or b is None:
        return
    for row in range(len(a)):
        names = [_file_name(images.path(row)) for images in (a, b)]
        if None not in names and names[0] != names[1]:
            raise ValueError(
                f"Row {row} is the file {names[0]!r} of the one and {names[1]!r} of the other. A paired comparison "
                "needs the same samples in the same order."
            )


def _file_name(path: Any) -> str | None:
    return None if path is None else str(path).replace("\\", "/").rpartition("/")[2]
