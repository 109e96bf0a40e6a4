"""Error rates of the parts of a split, and the gaps between them."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

import pandas as pd

NAMES = {"human": "human", "train": "train", "train_dev": "train-dev", "dev": "dev", "test": "test"}

ADVICE = {
    "avoidable bias": "a larger network or more layers unfrozen, longer training, less regularisation, images of a "
    "higher resolution",
    "variance": "more training images, augmentation, more regularisation, fewer layers unfrozen, a bag of models",
    "data mismatch": "look at what is wrong in dev and not in train-dev, and get or make training images like those: "
    "same camera, light, crop",
    "overfitting to dev": "a larger dev set, or a new one: too many models were chosen by this one",
}
"""What makes each gap smaller (Machine Learning Yearning, chapters 25 to 27, 40 to 43)."""


class Rate(NamedTuple):
    """An error rate, and the rows that it was measured on; None where it is taken as exact."""

    error: float
    n_rows: int | None

    def interval(self, confidence_level: float) -> tuple[float, float]:
        """Return Wilson's interval; of an exact rate the rate itself."""
        if self.n_rows is None:
            return self.error, self.error
        z = NormalDist().inv_cdf(0.5 + confidence_level / 2)
        scale = 1 + z**2 / self.n_rows
        middle = (self.error + z**2 / (2 * self.n_rows)) / scale
        spread = self.error * (1 - self.error) / self.n_rows + z**2 / (4 * self.n_rows**2)
        half = z * math.sqrt(spread) / scale
        return max(0.0, middle - half), min(1.0, middle + half)


class Gap(NamedTuple):
    """A difference between two neighbouring error rates."""

    name: str
    first: str
    second: str
    difference: float
    difference_low: float
    difference_high: float

    @property
    def verdict(self) -> str:
        """Whether it is "real", "within noise", "negative", or "unknown" since no counts were given."""
        if math.isnan(self.difference_low):
            return "unknown"
        if self.difference_low > 0:
            return "real"
        return "negative" if self.difference_high < 0 else "within noise"

    @property
    def is_open(self) -> bool:
        """Whether it is one to work on: neither within noise nor negative."""
        return self.difference > 0 and self.verdict in ("real", "unknown")


def gaps_frame(gaps: list[Gap]) -> pd.DataFrame:
    """Make the table of :meth:`FitDiagnosis.frame`."""
    rows = [{**gap._asdict(), "verdict": gap.verdict, "next": ADVICE[gap.name] if gap.is_open else ""} for gap in gaps]
    return pd.DataFrame(rows).set_index("name").rename_axis("gap")
