"""How numbers and labels are written, in text and on the page."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable
from typing import Any

import numpy as np

from skcnn._text import listing, printable_text


def figure_text(value: float) -> str:
    """Return a figure with three decimals; one that would round to a perfect 1 or to 0 without being it says so."""
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


def percent_text(share: float) -> str:
    """Return a share as percents: "95 %", with a space that does not break."""
    return f"{100 * share:.6g}\u00a0%"


def interval_text(value: float, low: float, high: float, *, write: Callable[[float], str] = figure_text) -> str:
    """Return a figure with its interval: "0.981 (0.969 to 0.991)"."""
    return write(value) if math.isnan(low) or math.isnan(high) else f"{write(value)} ({write(low)} to {write(high)})"


def count_text(value: float) -> str:
    """Return a count with thousands separated; a sum of weights with three digits."""
    return f"{int(value):,}" if float(value).is_integer() else f"{value:,.3g}"


def shorter_counts(value: float) -> list[str]:
    """Return ways to write a count, from `count_text` to the shortest one: "10,748", "10.7k", "11k"."""
    if value < 1000:
        return list(dict.fromkeys([count_text(value), *(f"{value:.{digits}g}" for digits in (3, 2, 1) if value % 1)]))
    unit, sign = (1e3, "k") if value < 999_500 else (1e6, "M")
    return [count_text(value), f"{value / unit:.1f}{sign}", f"{value / unit:.0f}{sign}"]


def label_text(label: Any, width: int | None = None) -> str:
    """Return a class label as `printable_text` does, shortened in its middle where it is wider than ``width``.

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


def file_text(path: Any) -> str:
    """Return the end of a path, folder and file, as one line: a page does not tell where its author keeps things."""
    return label_text("/".join(str(path).replace("\\", "/").split("/")[-2:]))


def values_text(values: Any, limit: int = 5) -> str:
    """Return labels or numbers as Python writes them, joined by commas, at most ``limit`` of them."""
    return listing((repr(value.item() if isinstance(value, np.generic) else value) for value in values), limit)


def _width(text: str) -> int:
    # Characters of East Asian scripts take two columns.
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)
