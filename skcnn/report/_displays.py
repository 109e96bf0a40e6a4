"""Several Displays in one figure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from skcnn._text import label_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def drawn_together(draw: Sequence[Callable[[Any], Any]], name: str) -> tuple[Figure, np.ndarray]:
    """Call each function with axes of its own, and return the figure, which is pyplot's, and the axes."""
    import matplotlib.pyplot as plt

    n_columns = min(3, len(draw)) if len(draw) != 4 else 2
    n_rows = -(-len(draw) // n_columns)
    figure = plt.figure(figsize=(5.5 * n_columns, 5.5 * n_rows), layout="constrained")
    places = np.ravel(figure.subplots(n_rows, n_columns))
    for ax, draw_on in zip(places, draw, strict=False):
        draw_on(ax)
    for ax in places[len(draw) :]:
        ax.remove()
    figure.suptitle(label_text(name), parse_math=False)
    return figure, places[: len(draw)]
