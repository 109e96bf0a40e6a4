"""Text for people: counts and lists, and what comes from the data, made fit for tables and terminals.

The names of files and classes hold whatever they like.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

# Halves of characters, as which Python holds the bytes of a file name that are no UTF-8.
_HALF = re.compile("[\ud800-\udfff]")
# These, controls, ends of lines, what turns the direction of writing, what is never seen, and what XML refuses. Not:
# spaces that do not break, and what joins or parts the letters of Persian, Hindi and emoji.
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u200b\u2028-\u202e\u2060\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]")


def printable_text(text: Any) -> str:
    """Return text as one line for people: what would end it, turn it or steer a terminal is written as Python does.

    A path is opened, and written to files, as it is.
    """
    return _UNFIT.sub(_escaped, str(text))


def valid_text(text: str) -> str:
    """Return text that every table and file takes: bytes of a name that are no UTF-8 are written as escapes.

    The text types of pandas and of Parquet refuse such names. Different names stay different, up to a name that has
    these very letters.
    """
    return _HALF.sub(_escaped, text)


def valid_label(label: Any) -> Any:
    """Return a label as `valid_text` has it, if it is text."""
    return valid_text(label) if isinstance(label, str) else label


def valid_labels(labels: np.ndarray) -> np.ndarray:
    """Return an array of labels with those that are text as `valid_text` has them; others are left alone."""
    if labels.dtype.kind not in "OU":
        return labels
    given = labels.ravel().tolist()
    if not _HALF.search("".join(label for label in given if isinstance(label, str))):
        return labels
    valid = labels.astype(object)
    for place, label in enumerate(given):
        valid.flat[place] = valid_label(label)
    return valid.astype(object if labels.dtype.kind == "O" else str)


def counted(count: int, noun: str) -> str:
    """Return a count with its noun: "1 sample", "1,797 samples", "12 classes"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}{'es' if noun.endswith('s') else 's'}"


def listing(items: Iterable[str], limit: int = 8) -> str:
    """Return items joined by commas, at most ``limit`` of them: "a, b and 2 more"."""
    items = list(items)
    return ", ".join(items) if len(items) <= limit else f"{', '.join(items[:limit])} and {len(items) - limit:,} more"


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
