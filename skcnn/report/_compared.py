"""What is known of several classifiers on the same samples, side by side. Text and page render it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from skcnn._text import counted, file_name, interval_text, label_text, metric_text, percent_text, signed_text
from skcnn.images import Images
from skcnn.metrics.parts import (
    check_same_samples,
    image_grid_display_of,
    mcnemar_of,
    percentiles,
    resampled_headlines,
)
from skcnn.report._classifier_findings import ClassifierFindings

if TYPE_CHECKING:
    from skcnn.metrics import ImageGridDisplay


@dataclass(frozen=True, eq=False)
class ComparedFindings:
    """The findings about several classifiers. Made by `of`; the tables are made when they are first asked for."""

    findings: list[ClassifierFindings]
    """Two or more, of the same samples. The others are compared with the first."""
    names: list[str]
    """Their names; one that occurs a second time is numbered."""
    confidence_level: float
    """Of the intervals."""
    n_resamples: int
    """Number of bootstrap resamples."""
    random_state: int | None
    """Seed of the resamples."""
    n_jobs: int | None
    """Number of processes that resample."""

    @classmethod
    def of(
        cls,
        findings: Sequence[ClassifierFindings],
        *,
        confidence_level: float,
        n_resamples: int,
        random_state: int | None,
        n_jobs: int | None,
    ) -> ComparedFindings:
        """Put findings side by side. See :func:`compare_reports`."""
        findings = list(findings)
        if len(findings) < 2:
            raise ValueError(f"{counted(len(findings), 'report')} given; expected two or more.")
        names = _unique([label_text(one.name) for one in findings])
        first = findings[0]
        for name, other in zip(names[1:], findings[1:], strict=True):
            try:
                check_same_samples(first.predictions, other.predictions)
                _check_same_files(first.images, other.images)
                if first.top_k != other.top_k:
                    raise ValueError(f"Their top_k are {first.top_k} and {other.top_k}; make both with the same.")
            except ValueError as error:
                raise ValueError(f"{names[0]!r} and {name!r} cannot be compared. {error}") from None
        return cls(findings, names, confidence_level, n_resamples, random_state, n_jobs)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The headline metrics of all, and their differences from those of the first."""
        # All at once: resamples draw the same samples of all reports.
        resampled = resampled_headlines(
            [findings.predictions for findings in self.findings],
            top_k=self.findings[0].top_k_asked,
            n_resamples=self.n_resamples,
            random_state=self.random_state,
            n_jobs=self.n_jobs,
        )
        parts = []
        for name, findings, of_this in zip(self.names, self.findings, resampled, strict=True):
            part = pd.DataFrame({"value": findings.headline})
            part["low"], part["high"] = percentiles(of_this, self.confidence_level)
            is_first = name == self.names[0]  # A report may be compared with itself.
            part["difference"] = np.nan if is_first else findings.headline - self.findings[0].headline
            differences = np.full_like(of_this, np.nan) if is_first else of_this - resampled[0]
            part["difference_low"], part["difference_high"] = percentiles(differences, self.confidence_level)
            part["p_value"] = np.nan
            if not is_first:
                part.loc["accuracy", "p_value"] = self._p_value(findings)
            parts.append(part.assign(report=name).set_index("report", append=True))
        frame = pd.concat(parts)
        return frame.loc[[(metric, name) for metric in self.findings[0].headline.index for name in self.names]]

    @cached_property
    def agreement_frame(self) -> pd.DataFrame:
        """On how many samples the first and each other one are right and wrong."""
        rows = {}
        first = self.findings[0].is_right
        for name, findings in zip(self.names[1:], self.findings[1:], strict=True):
            this = findings.is_right
            counts = [int(n.sum()) for n in (first & this, first & ~this, ~first & this, ~first & ~this)]
            rows[name] = [*counts, self._p_value(findings)]
        columns = ["both_right", "only_first", "only_this", "both_wrong", "p_value"]
        return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("report")

    @property
    def shown_metrics(self) -> dict[str, str]:
        """What the headline metrics that are defined for one report at least are called in print."""
        defined = self.frame["value"].notna().groupby(level="metric").any()
        return {metric: label for metric, label in self.findings[0].headline_labels.items() if defined[metric]}

    def class_frame(self, metric: str) -> pd.DataFrame:
        """Return a figure of each class, a column for each classifier."""
        accepted = ("precision", "recall", "f1", "roc_auc", "average_precision")
        if metric not in accepted:
            raise ValueError(f"metric={metric!r}; expected one of {accepted}.")
        columns = [findings.classification_frame[metric] for findings in self.findings]
        # By position, for labels that pandas would read as a mask.
        classes = pd.Index(self.findings[0].classes, name="class")
        for column in columns[1:]:
            classes = classes.append(column.index[classes.get_indexer(column.index) < 0])
        values = {}
        for name, column in zip(self.names, columns, strict=True):
            where = column.index.get_indexer(classes)
            values[name] = np.where(where < 0, np.nan, column.to_numpy()[where])
        return pd.DataFrame(values, index=classes.rename("class"))

    def image_displays(self, n_images: int) -> list[ImageGridDisplay]:
        """Return the Displays of the images that one alone of the first and another one has right."""
        images = next((findings.images for findings in self.findings if findings.images is not None), None)
        if images is None:
            return []
        displays = []
        first = self.findings[0]
        for name, other in zip(self.names[1:], self.findings[1:], strict=True):
            for right, wrong, who in ((first, other, self.names[0]), (other, first, name)):
                rows = np.flatnonzero(right.is_right & ~wrong.is_right)
                if not len(rows):
                    continue
                display = image_grid_display_of(
                    wrong.predictions.take(rows),
                    images.take(rows.tolist()),
                    n_images=n_images,
                    name=f"Correct only by {who}",
                )
                display.rows["row"] = rows[display.rows["row"]]
                displays.append(display)
        return displays

    @property
    def summary(self) -> str:
        """Which classifier is better, and which were trained on some of these images."""
        return " ".join([self._verdict, *self._warnings])

    @property
    def _warnings(self) -> list[str]:
        return [
            (
                f"{one.origin.n_trained_on:,} of {counted(one.n_samples, 'image')} were in the training set of {name}, "
                "so its metrics are too optimistic and the comparison is not fair."
            )
            for one, name in zip(self.findings, self.names, strict=True)
            if one.origin.n_trained_on
        ]

    @property
    def _verdict(self) -> str:
        """Whether the accuracy of each report differs from that of the first, and which other metrics do."""
        rows = self.frame.loc["accuracy"]
        sentences = []
        for name, row in list(rows.iterrows())[1:]:
            pair = f"\u201c{name}\u201d", f"\u201c{self.names[0]}\u201d"
            if row["difference_low"] > 0 or row["difference_high"] < 0:
                said = f"{pair[0]} has a {'higher' if row['difference'] > 0 else 'lower'} accuracy than {pair[1]}"
            else:
                said = f"The accuracies of {pair[0]} and {pair[1]} do not differ significantly on these samples"
            p_value = f"; McNemar\u2019s p\u00a0=\u00a0{metric_text(row['p_value'])}".replace("=\u00a0<", "<\u00a0")
            sentences.append(
                f"{said}: {metric_text(row['value'])} against {metric_text(rows['value'].iloc[0])}, "
                f"difference {signed_text(row['difference'])} ({percent_text(self.confidence_level)} interval "
                f"{signed_text(row['difference_low'])} to {signed_text(row['difference_high'])}"
                f"{'' if np.isnan(row['p_value']) else p_value})."
            )
            sentences += self._by_other_metrics(name)
        return " ".join(sentences)

    def _by_other_metrics(self, name: str) -> list[str]:
        """Return a sentence per pair of reports of which one is significantly better by metrics beside accuracy."""
        better: dict[str, list[str]] = {name: [], self.names[0]: []}
        for metric, row in self.frame.xs(name, level="report").drop(index="accuracy").iterrows():
            if row["difference_low"] > 0 or row["difference_high"] < 0:
                is_larger = row["difference"] > 0
                winner = name if is_larger != (metric == "log_loss") else self.names[0]
                better[winner].append(self.findings[0].headline_labels[metric])
        pairs = zip(better, reversed(better), better.values(), strict=True)
        return [
            f"\u201c{winner}\u201d is better than \u201c{other}\u201d by {', '.join(metrics)}."
            for winner, other, metrics in pairs
            if metrics
        ]

    def to_text(self, kind: str) -> str:
        """Return a comparison of this kind as lines for a terminal."""
        shown = self.shown_metrics
        written = pd.DataFrame(index=list(shown.values()))
        for name, short in zip(self.names, _unique([label_text(name, 26) for name in self.names]), strict=True):
            rows = self.frame.xs(name, level="report").loc[list(shown)]
            written[short] = [interval_text(*row) for row in rows[["value", "low", "high"]].to_numpy()]
            if name == self.names[0]:
                continue
            what = "difference" if len(self.names) == 2 else f"{short}: difference"
            differences = rows[["difference", "difference_low", "difference_high"]].to_numpy()
            written[what] = [interval_text(*row, write=signed_text) for row in differences]
        return "\n".join([f"{kind}: {self.summary}", "", written.to_string()])

    def _p_value(self, findings: ClassifierFindings) -> float:
        return mcnemar_of(self.findings[0].predictions, findings.predictions)[0]


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
        names = [None if (path := images.path(row)) is None else file_name(path) for images in (a, b)]
        if None not in names and names[0] != names[1]:
            raise ValueError(
                f"Row {row} is the file {names[0]!r} of the one and {names[1]!r} of the other. A paired comparison "
                "needs the same samples in the same order."
            )
