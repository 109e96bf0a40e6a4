"""How names, labels and numbers are written: text from the data is made fit for tables and terminals first."""

from __future__ import annotations

import difflib
import math
import re
import unicodedata
from collections.abc import Callable, Iterable
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


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """Return the names that come close to a given one as a question, with a space before it, or ""."""
    by_lower = {name.lower(): name for name in known}
    if given.lower() in by_lower:
        return f" Did you mean {printable_text(by_lower[given.lower()])!r}?"
    close = [by_lower[match] for match in difflib.get_close_matches(given.lower(), by_lower, n=3)]
    return f" Did you mean {' or '.join(map(repr, map(printable_text, close)))}?" if close else ""


def valid_text(text: str) -> str:
    """Return text that every table and file takes: bytes of a name that are no UTF-8 are written as escapes.

    The text types of pandas and of Parquet refuse such names. Different names stay different, up to a name that has
    these very letters.
    """
    return _HALF.sub(_escaped, text)


def valid_label(label: Any) -> Any:
    """Return a label as :func:`valid_text` has it, if it is text."""
    return valid_text(label) if isinstance(label, str) else label


def valid_labels(labels: np.ndarray) -> np.ndarray:
    """Return an array of labels with those that are text as :func:`valid_text` has them; others are left alone."""
    if labels.dtype.kind not in "OU":
        return labels
    given = labels.ravel().tolist()
    if not _HALF.search("".join(label for label in given if isinstance(label, str))):
        return labels
    valid = labels.astype(object)
    for place, label in enumerate(given):
        valid.flat[place] = valid_label(label)
    return valid.astype(object if labels.dtype.kind == "O" else str)


def metric_text(value: float) -> str:
    """Return a metric with three decimals; one that would round to a perfect 1 or to 0 without being it says so."""
    if math.isnan(value):
        return "nan"
    text = f"{value:.3f}"
    if text == "1.000" and value < 1:
        return ">0.999"
    if text == "0.000" and value > 0:
        return "<0.001"
    return text


def signed_text(value: float) -> str:
    """Return a difference with its sign and three decimals."""
    if math.isnan(value):
        return "nan"
    return f"{value:+.3f}".replace("-", "\u2212") if value else "0.000"


def number_text(value: float) -> str:
    """Return a number of any size, such as one in the unit of a target: four digits, or all before the point."""
    if not math.isfinite(value):
        return str(value)
    text = f"{value:,.0f}" if 1000 <= abs(value) < 1e9 else f"{value + 0.0:.4g}"  # -0.0 becomes 0.0
    return f"\u2212{text[1:]}" if text.startswith("-") else text


def error_text(value: float) -> str:
    """Return a mean error, in the unit of what is predicted: three digits, or all before the point."""
    if not math.isfinite(value) or abs(value) >= 999.5:
        return number_text(value)
    return f"{value + 0.0:#.3g}".rstrip(".").replace("-", "\u2212", 1 if value < 0 else 0)


def signed_number_text(value: float) -> str:
    """Return a difference between two numbers of any size, with its sign."""
    text = number_text(value)
    return f"+{text}" if value > 0 else text


def percent_text(fraction: float) -> str:
    """Return a fraction as percents: "95 %", with a space that does not break."""
    return f"{100 * fraction:.6g}\u00a0%"


def interval_text(value: float, low: float, high: float, *, write: Callable[[float], str] = metric_text) -> str:
    """Return a metric with its interval: "0.981 (0.969 to 0.991)"."""
    return write(value) if math.isnan(low) or math.isnan(high) else f"{write(value)} ({write(low)} to {write(high)})"


def count_text(value: float) -> str:
    """Return a count with thousands separated; a sum of weights with three digits."""
    return f"{int(value):,}" if float(value).is_integer() else f"{value:,.3g}"


def shorter_counts(value: float) -> list[str]:
    """Return ways to write a count, from :func:`count_text` to the shortest one: "10,748", "10.7k", "11k"."""
    if value < 1000:
        return list(dict.fromkeys([count_text(value), *(f"{value:.{digits}g}" for digits in (3, 2, 1) if value % 1)]))
    unit, sign = (1e3, "k") if value < 999_500 else (1e6, "M")
    return [count_text(value), f"{value / unit:.1f}{sign}", f"{value / unit:.0f}{sign}"]


def counted(count: int, noun: str) -> str:
    """Return a count with its noun: "1 sample", "1,797 samples", "12 classes", "2 boxes"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}{'es' if noun.endswith(('s', 'x')) else 's'}"


def label_text(label: Any, width: int | None = None) -> str:
    """Return a class label as :func:`printable_text` does, shortened in its middle where it is wider than ``width``.

    The middle is what is left out because names tend to differ at their ends ("n02085620-Chihuahua").
    """
    text = printable_text(label)
    if width is None or _width(text) <= width:
        return text
    for kept in range(min(width - 1, len(text)), 0, -1):
        short = f"{text[: (kept + 1) // 2]}\u2026{text[len(text) - kept // 2 :]}"
        if _width(short) <= width:
            return short
    return "\u2026"


def quoted(label: Any) -> str:
    """Return a label in quotation marks, as one line of printable text."""
    return f"\u201c{label_text(label)}\u201d"


def file_text(path: Any) -> str:
    """Return the end of a path, folder and file, as one line: a page does not tell where its author keeps things."""
    return label_text("/".join(str(path).replace("\\", "/").split("/")[-2:]))


def file_name(path: Any) -> str:
    """Return the last part of a path or a URL, whichever slashes it is written with."""
    return str(path).replace("\\", "/").rpartition("/")[2]


def listing(items: Iterable[str], limit: int = 8) -> str:
    """Return items joined by commas, at most ``limit`` of them: "a, b and 2 more"."""
    items = list(items)
    return ", ".join(items) if len(items) <= limit else f"{', '.join(items[:limit])} and {len(items) - limit:,} more"


def values_text(values: Any, limit: int = 5) -> str:
    """Return labels or numbers as Python writes them, joined by commas, at most ``limit`` of them."""
    import numpy as np

    return listing((repr(value.item() if isinstance(value, np.generic) else value) for value in values), limit)


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")


def _width(text: str) -> int:
    # Characters of East Asian scripts take two columns.
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)
