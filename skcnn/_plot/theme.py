"""How images look: their colours, how these become those of a page that may be light or dark, and new figures."""

from __future__ import annotations

from colorsys import hls_to_rgb
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK = "#1b1f24"
MUTED = "#59636e"
RULE = "#dfe3e8"
REST = "#b4bcc6"
"""Classes that are not singled out."""
SERIES = ("#0b66c3", "#c7422b", "#15803d", "#8344b8", "#a86a06", "#0b8494")
"""Classes that are."""
RIGHT = (0.16, 0.45, 0.75)
WRONG = (0.83, 0.28, 0.20)
"""Cells of the confusion matrix: fractions of red, green and blue."""

# On the page every colour of a line or a letter is a variable of the style sheet, which knows light from dark.
CSS_VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    RULE: "var(--rule)",
    REST: "var(--rest)",
    **{color: f"var(--series-{number})" for number, color in enumerate(SERIES)},
}

# What the user has set for own plots (a style, TeX, a font) must not reach the page: this goes on top of the defaults.
PAGE_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "skcnn",
    "font.size": 9.0,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 9.0,
    "axes.edgecolor": REST,
    "axes.linewidth": 0.8,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "figure.facecolor": "none",
    "xtick.color": REST,
    "ytick.color": REST,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "xtick.major.size": 3.0,
    "ytick.major.size": 3.0,
}


def new_axes(width: float, height: float) -> Axes:
    """Return the axes of a new figure of so many inches. It is pyplot's, so that ``plt.show()`` shows it."""
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def class_colors(n_classes: int) -> list[tuple[str, str]]:
    """Return the colours of so many classes: of each as matplotlib takes it, and as a style sheet of a page does.

    More classes than there are colours of the page get hues at even steps; the page sets ``--tone``, their lightness.
    """
    if n_classes <= len(SERIES):
        return [(color, CSS_VARIABLES[color]) for color in SERIES[:n_classes]]
    colors = []
    for number in range(n_classes):
        hue = number / n_classes
        red, green, blue = (round(255 * part) for part in hls_to_rgb(hue, 0.42, 0.65))
        colors.append((f"#{red:02x}{green:02x}{blue:02x}", f"hsl({360 * hue:.0f} 65% var(--tone))"))
    return colors
