"""Rows of X without an image: the error, the warning and the table that report them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from skcnn._text import counted, printable_text

if TYPE_CHECKING:
    import pandas as pd


class BadRow(NamedTuple):
    """A row that gives no image: its position in X, its path (or None) and what is wrong with it."""

    row: int
    path: str | None
    reason: str


#: What became of bad rows under on_error="nan". In a pipeline the classifier is what refuses them, in words of its own.
NAN_OUTCOME = (
    "Their features are NaN, which most classifiers do not accept: before one, drop these rows with "
    "X, y = skcnn.images.drop_bad_images(X, y)."
)


class BadImageError(ValueError):
    """Some rows of X have no image; ``bad_rows`` is a DataFrame of all of them: ``row``, ``path``, ``reason``."""

    def __init__(
        self,
        bad_rows: pd.DataFrame,
        n_rows: int,
        advice: str = "Repair these rows, drop them with X, y = skcnn.images.drop_bad_images(X, y), or use "
        "on_error='nan' to get rows of NaN. skcnn.images.check_images(X) returns them as a DataFrame.",
    ):
        self.bad_rows, self.n_rows, self.advice = bad_rows, n_rows, advice
        super().__init__(f"{describe_bad_rows(bad_rows, n_rows)}\n{advice}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.bad_rows, self.n_rows, self.advice)


class BadImageWarning(UserWarning):
    """Some rows of X have no image and were skipped; ``bad_rows`` is a DataFrame of all of them."""

    def __init__(self, bad_rows: pd.DataFrame, n_rows: int, outcome: str = NAN_OUTCOME):
        self.bad_rows, self.n_rows, self.outcome = bad_rows, n_rows, outcome
        super().__init__(f"{describe_bad_rows(bad_rows, n_rows)}\n{outcome}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.bad_rows, self.n_rows, self.outcome)


def describe_bad_rows(bad_rows: pd.DataFrame, n_rows: int, noun: str = "image", shown: int = 20) -> str:
    """Return which of so many rows (images, or others by their noun) cannot be used, and why: lines."""
    lines = [f"{len(bad_rows):,} of {counted(n_rows, noun)} cannot be used:"]
    for row, path, reason in bad_rows.head(shown).itertuples(index=False):
        lines.append(f"  row {row}: {printable_text(path) + ': ' if isinstance(path, str) else ''}{reason}")
    if len(bad_rows) > shown:
        lines.append(f"  ... and {len(bad_rows) - shown:,} more (all in the attribute bad_rows)")
    return "\n".join(lines)


def bad_rows_frame(bad_rows: Sequence[BadRow]) -> pd.DataFrame:
    """Return bad rows as a DataFrame (``row`` int64, ``path``, ``reason``), in the order of X."""
    import pandas as pd  # half a second, which no command should wait for before it has read its arguments

    # Objects from the first: pandas' own text type refuses names that are no UTF-8.
    frame = pd.DataFrame(sorted(bad_rows), columns=list(BadRow._fields), dtype=object)
    return frame.astype({"row": "int64"})
