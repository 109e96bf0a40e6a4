"""A grid of pictures with words below, in which nothing is cut and nothing overlaps."""

from __future__ import annotations

import textwrap
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from skcnn.metrics._text import figure_text, label_text
from skcnn.metrics._theme import MUTED, REST, RIGHT, WRONG

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The grid is laid out in points, and then scaled as a whole, letters included, to the axes that it is drawn in: what
# fits at one scale fits at every other.
_FONT = 8.0
_LINE = 11.5
_PICTURE = 104.0
_GAP = 10.0
# Letters are set on whole pixels, which makes small ones wider than they measure.
_SPARE = 0.93
_NOTHING = {
    "worst_errors": "No sample is predicted wrong.",
    "confident_right": "No sample is predicted right.",
    "examples": "There is no sample.",
}


class _Place(NamedTuple):
    """Top left corner of a picture, in points."""

    x: float
    y: float


def draw_grid(
    rows: pd.DataFrame, pictures: list[np.ndarray | None], *, kind: str, name: str | None, ax: Axes | None
) -> Axes:
    """Draw the grid of a `PicturesDisplay`, and return the axes."""
    groups = _groups(rows, kind)
    headed = kind == "examples"
    n_lines = 2 if kind == "worst_errors" else 1
    widest = max(map(len, groups), default=1)
    side_by_side = min(max(1, 8 // widest), max(1, len(groups))) if headed else _columns(len(groups))
    group = _Place(widest * (_PICTURE + _GAP), (_LINE * 1.3 if headed else 0) + _PICTURE + n_lines * _LINE + _GAP)
    # Between classes there is more room than between the pictures of one.
    margin = 1.5 * _GAP if headed else 0
    n_lines_of_groups = -(-len(groups) // side_by_side)
    width = max(side_by_side * (group.x + margin) - margin - _GAP, 2 * _PICTURE)
    height = max(n_lines_of_groups * group.y - _GAP, _PICTURE / 2)
    ax, scale = _prepared(ax, width, height, name)
    write = _Writer(ax, scale)
    for number, members in enumerate(groups):
        down, across = divmod(number, side_by_side)
        x, y = across * (group.x + margin), -down * group.y
        if headed:
            write.left(x, y, group.x - _GAP, rows["true"].iloc[members[0]], weight="bold")
            y -= _LINE * 1.3
        for place, row in enumerate(members):
            corner = _Place(x + place * (_PICTURE + _GAP), y)
            _draw_picture(ax, write, corner, pictures[row], rows["reason"].iloc[row])
            _write_below(write, corner._replace(y=y - _PICTURE), rows.iloc[row], kind)
    if not groups:
        write.centred(width / 2, -height / 2, _NOTHING[kind], MUTED)
    # Pictures move the limits.
    ax.set(xlim=(0, width), ylim=(-height, 0), aspect="equal")
    return ax


def _groups(rows: pd.DataFrame, kind: str) -> list[list[int]]:
    """Return the positions of the rows that stay together: those of a class, or each for itself."""
    if kind != "examples":
        return [[row] for row in range(len(rows))]
    begins = rows["true"].ne(rows["true"].shift()).cumsum()
    return [list(positions) for positions in rows.groupby(begins.to_numpy(), sort=False).indices.values()]


def _columns(n_pictures: int) -> int:
    return max(1, n_pictures) if n_pictures <= 4 else 4 if n_pictures <= 16 else 8


def _prepared(ax: Axes | None, width: float, height: float, name: str | None) -> tuple[Axes, float]:
    """Return axes without a frame for so many points, and by how much these are scaled in them."""
    from matplotlib.figure import Figure

    if ax is None:
        title = 20 if name else 0
        ax = Figure(figsize=((width + 12) / 72, (height + title + 12) / 72), layout="constrained").subplots()
    ax.set(xlim=(0, width), ylim=(-height, 0), aspect="equal")
    ax.set_axis_off()
    if name:
        ax.set_title(name, parse_math=False)
    # Only now does the figure know how large the axes are.
    figure = ax.figure.figure
    figure.draw_without_rendering()
    return ax, ax.get_window_extent().width / figure.dpi * 72 / width


def _draw_picture(ax: Axes, write: _Writer, corner: _Place, picture: np.ndarray | None, reason: Any) -> None:
    if picture is None:
        from matplotlib.patches import Rectangle

        ax.add_patch(
            Rectangle(
                (corner.x, corner.y - _PICTURE), _PICTURE, _PICTURE, fill=False, edgecolor=REST, linewidth=write.scale
            )
        )
        lines = textwrap.wrap(f"No picture: {label_text(reason)}", 20)
        lines = lines if len(lines) <= 8 else [*lines[:7], "\u2026"]
        top = corner.y - (_PICTURE - _LINE * len(lines)) / 2
        for number, line in enumerate(lines):
            write.left(corner.x + 5, top - number * _LINE, _PICTURE - 10, line, MUTED)
        return
    height, width = np.array(picture.shape[:2]) / max(picture.shape[:2]) * _PICTURE
    left, top = corner.x + (_PICTURE - width) / 2, corner.y - (_PICTURE - height) / 2
    ax.imshow(picture, extent=(left, left + width, top - height, top))


def _write_below(write: _Writer, corner: _Place, row: pd.Series, kind: str) -> None:
    is_right = row["true"] == row["predicted"]
    color = RIGHT if is_right else WRONG
    room = _PICTURE
    if not np.isnan(row["predicted_score"]):
        number = figure_text(row["predicted_score"])
        write.right(corner.x + _PICTURE, corner.y, number, color)
        room -= width_of(number) + 4
    # Below the name of its class, a picture needs no second one.
    if not (kind == "examples" and is_right):
        write.left(corner.x, corner.y, room, row["predicted"], color)
    if kind == "worst_errors":
        before = width_of("true: ") + 1
        write.left(corner.x, corner.y - _LINE, 2 * before, "true: ")
        write.left(corner.x + before, corner.y - _LINE, _PICTURE - before, row["true"])


class _Writer:
    """Writes words at points of the grid, in letters of the grid's scale."""

    def __init__(self, ax: Axes, scale: float) -> None:
        self.ax, self.scale = ax, scale

    def left(self, x: float, y: float, room: float, label: Any, color: Any = None, weight: str = "normal") -> None:
        """Write a label from x on, shortened to the room that there is."""
        self._write(x, y, _fitting(label, room, weight), "left", color, weight)

    def right(self, x: float, y: float, text: str, color: Any) -> None:
        """Write a text that ends at x."""
        self._write(x, y, text, "right", color)

    def centred(self, x: float, y: float, text: str, color: Any) -> None:
        """Write a text with its middle at x."""
        self._write(x, y, text, "center", color)

    def _write(self, x: float, y: float, text: str, side: str, color: Any, weight: str = "normal") -> None:
        import matplotlib as mpl

        self.ax.text(
            x, y - 0.25 * _LINE - 0.5 * _FONT, text, ha=side, va="center_baseline", fontsize=_FONT * self.scale,
            fontweight=weight, color=mpl.rcParams["text.color"] if color is None else color, parse_math=False,
        )  # fmt: skip


def width_of(text: str, weight: str = "normal") -> float:
    """Return the width of a text in points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    with warnings.catch_warnings():
        # It is told when the text is drawn.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        return float(
            text_to_path.get_text_width_height_descent(text, FontProperties(size=_FONT, weight=weight), ismath=False)[0]
        )


def _fitting(label: Any, room: float, weight: str = "normal") -> str:
    """Return a label, shortened until it is no wider than the room."""
    text, room = label_text(label), _SPARE * room
    if width_of(text, weight) <= room:
        return text
    fits, too_wide = 1, 2 * len(text)
    while too_wide - fits > 1:
        columns = (fits + too_wide) // 2
        if width_of(label_text(label, columns), weight) <= room:
            fits = columns
        else:
            too_wide = columns
    return label_text(label, fits)
