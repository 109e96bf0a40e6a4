"""What every report is, whatever its task: something to print, to show in a notebook, to write as a page."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from skcnn.metrics.parts import CONFIDENCE_LEVEL, N_RESAMPLES
from skcnn.report._report_text import text_of

if TYPE_CHECKING:
    import numpy as np

    from skcnn.report._findings import Findings


class Report(ABC):
    """The form of a report. A subclass for each task has its findings, tables and Displays."""

    _findings: Findings

    def __init__(self) -> None:
        self._frames: dict[Any, pd.DataFrame] = {}

    @abstractmethod
    def _intervals(
        self, *, confidence_level: float, n_resamples: int, random_state: int | None, n_jobs: int | None
    ) -> pd.DataFrame:
        """Return the metrics at the top with their intervals, computed again: see :meth:`frame`."""

    @abstractmethod
    def _tables(self) -> list[str]:
        """Return what stands between metrics and notes in the text: lines."""

    @abstractmethod
    def _page(self, frame: pd.DataFrame, n_images: int) -> str:
        """Return the HTML page; ``frame`` is that of the report."""

    @abstractmethod
    def _part(self, frame: pd.DataFrame) -> str:
        """Return the HTML for the output of a cell; ``frame`` is that of the report."""

    def frame(
        self,
        *,
        confidence_level: float = CONFIDENCE_LEVEL,
        n_resamples: int = N_RESAMPLES,
        random_state: int | None = 0,
        n_jobs: int | None = None,
    ) -> pd.DataFrame:
        """Return the metrics at the top of the report, each with an interval and a note.

        Parameters
        ----------
        confidence_level, n_resamples, n_jobs
            Level of the intervals, number of resamples and number of threads: see :func:`bootstrap_intervals`.
        random_state : int or None, default=0
            Seed of the draws. An int where :func:`bootstrap_intervals` has None, so that the frame of a report and its
            page agree each time; None draws other resamples.

        Returns
        -------
        DataFrame of shape (n_metrics, 4) or (n_metrics, 5)
            Index "metric"; columns "value", "low", "high" and "note". ``headline`` has the values alone, at once. That
            of a :class:`RegressionReport` has the column "baseline", too: metrics of always predicting the mean.

        Raises
        ------
        ValueError
            If ``confidence_level`` or ``n_resamples`` is out of range.
        """
        asked = (confidence_level, n_resamples, random_state)
        if asked not in self._frames or random_state is None:
            self._frames[asked] = self._intervals(
                confidence_level=confidence_level, n_resamples=n_resamples, random_state=random_state, n_jobs=n_jobs
            )
        return self._frames[asked].copy()

    def to_text(self) -> str:
        """Return the report as lines for a terminal: as it is printed, with the intervals of :meth:`frame`.

        Returns
        -------
        str
            Lines. ``repr`` of a report leaves the intervals out, and is fast.
        """
        return text_of(self._findings, type(self).__name__, self._tables(), self.frame())

    def to_html(self, path: str | os.PathLike[str], *, n_images: int = 12) -> Path:
        """Write the report as one HTML page that loads nothing from elsewhere.

        Images are inlined. The page is whole without JavaScript; with it, a click on the header of a column sorts
        its table, and from 8 classes on a field filters by class.

        Parameters
        ----------
        path : str or path-like
            The file. An existing one is replaced in one step, so that it is always complete.
        n_images : int, default=12
            Maximum number of images of each kind, such as the worst errors. 0 leaves images out, for a page to share.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        FileNotFoundError
            If the folder does not exist.
        """
        from skcnn._page.page import write_page

        return write_page(path, self._page(self.frame(), n_images))

    @property
    def name(self) -> str:
        """What the report calls the estimator."""
        return self._findings.name

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return self._findings.n_samples

    @property
    def sample_weight(self) -> np.ndarray | None:
        """Weights, where they were given."""
        return self._findings.sample_weight

    @property
    def headline(self) -> pd.Series:
        """The metrics at the top of the report."""
        return self._findings.headline

    @property
    def headline_labels(self) -> dict[str, str]:
        """What the metrics of ``headline`` are called in print."""
        return self._findings.headline_labels

    @property
    def notes(self) -> list[str]:
        """Why metrics are NaN, and what else one has to know about them."""
        return self._findings.notes

    @property
    def summary(self) -> str:
        """The report in a few sentences."""
        return self._findings.summary

    @property
    def provenance(self) -> dict[str, str]:
        """How the report was made."""
        return self._findings.provenance

    @property
    def parameters(self) -> dict[str, str]:
        """All parameters of the estimator, by name; empty where it is not known."""
        return self._findings.parameters

    def __repr__(self) -> str:
        return text_of(self._findings, type(self).__name__, self._tables())

    def __str__(self) -> str:
        return self.to_text()

    def _repr_html_(self) -> str:
        """Return the report as notebooks show it: its tables with intervals, and its figures."""
        return self._part(self.frame())
