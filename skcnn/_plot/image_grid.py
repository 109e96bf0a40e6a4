"""A grid of images with words beside them, in which nothing is cut and nothing overlaps."""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from skcnn._plot.theme import MUTED, REST, new_axes
from skcnn._text import label_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The grid is laid out in points, and then scaled as a whole, letters included, to the axes that it is drawn in: what
# fits at one scale fits at every other.
_FONT = 8.0
_LINE = 11.5
_TITLE = 15.0
_IMAGE = 104.0
_GAP = 10.0
# Letters are set on whole pixels, which makes small ones wider than they measure.
_SPARE = 0.93


class Line(NamedTuple):
    """A line below an image: a label, shortened where need be, and what stands before it and at the line's end."""

    label: Any = ""
    before: str = ""
    end: str = ""
    color: Any = None


class Cell(NamedTuple):
    """An image (height, width, 3) uint8, or the reason why there is none, and the lines below."""

    image: np.ndarray | None
    reason: str | None = None
    lines: Sequence[Line] = ()


class Group(NamedTuple):
    """Images that stay together, and the label above them."""

    cells: Sequence[Cell]
    title: Any = None


def draw_grid(groups: Sequence[Group], *, nothing: str, name: str | None, ax: Axes | None) -> Axes:
    """Draw groups of images, and return the axes.

    Parameters
    ----------
    groups : sequence of Group
        Line by line.
    nothing : str
        What is written where there is no group.
    name : str or None
        Title.
    ax : matplotlib Axes or None
        Where to draw. None makes a new figure by pyplot, as large as the grid.
    """
    widest = max((len(group.cells) for group in groups), default=1)
    side_by_side = min(max(1, _columns(sum(len(group.cells) for group in groups)) // widest), max(1, len(groups)))
    n_lines = max((len(cell.lines) for group in groups for cell in group.cells), default=0)
    title = _TITLE if any(group.title is not None for group in groups) else 0.0
    # Between groups there is more room than between the images of one.
    step_right = widest * (_IMAGE + _GAP) + (_GAP if widest > 1 else 0)
    step_down = title + _IMAGE + n_lines * _LINE + _GAP
    width = max(side_by_side * step_right - _GAP - (_GAP if widest > 1 else 0), 2 * _IMAGE)
    height = max(-(-len(groups) // side_by_side) * step_down - _GAP, _IMAGE / 2)
    ax, scale = _prepared(ax, width, height, name)
    draw = _Drawer(ax, scale)
    for number, group in enumerate(groups):
        down, across = divmod(number, side_by_side)
        x, y = across * step_right, -down * step_down
        if group.title is not None:
            draw.label(x, y, widest * (_IMAGE + _GAP) - _GAP, group.title, weight="bold")
        for place, cell in enumerate(group.cells):
            draw.cell(x + place * (_IMAGE + _GAP), y - title, cell)
    if not groups:
        draw.text(width / 2, -height / 2, nothing, "center", MUTED)
    # Images move the limits.
    ax.set(xlim=(0, width), ylim=(-height, 0), aspect="equal")
    return ax


def _columns(n_images: int) -> int:
    return n_images if n_images <= 4 else 4 if n_images <= 16 else 8


def _prepared(ax: Axes | None, width: float, height: float, name: str | None) -> tuple[Axes, float]:
    """Return axes without a frame for so many points, and by how much these are scaled in them."""
    if ax is None:
        title = 20 if name else 0
        ax = new_axes((width + 12) / 72, (height + title + 12) / 72)
    ax.set(xlim=(0, width), ylim=(-height, 0), aspect="equal")
    ax.set_axis_off()
    if name:
        ax.set_title(name, parse_math=False)
    # Only now does the figure know how large the axes are.
    figure = ax.figure.figure
    figure.draw_without_rendering()
    return ax, ax.get_window_extent().width / figure.dpi * 72 / width


class _Drawer:
    """Puts images and words at points of the grid, letters in its scale."""

    def __init__(self, ax: Axes, scale: float) -> None:
        self.ax, self.scale = ax, scale

    def cell(self, x: float, y: float, cell: Cell) -> None:
        """Draw an image, or an empty frame, and the lines below."""
        if cell.image is None:
            self._empty_frame(x, y, cell.reason)
        else:
            height, width = np.array(cell.image.shape[:2]) / max(cell.image.shape[:2]) * _IMAGE
            left, top = x + (_IMAGE - width) / 2, y - (_IMAGE - height) / 2
            self.ax.imshow(cell.image, extent=(left, left + width, top - height, top))
        for number, line in enumerate(cell.lines):
            self._line(x, y - _IMAGE - number * _LINE, line)

    def label(self, x: float, y: float, room: float, label: Any, color: Any = None, weight: str = "normal") -> None:
        """Write a label from x on, shortened to the room that there is."""
        self.text(x, y, _fitting(label, room, weight), "left", color, weight)

    def text(self, x: float, y: float, text: str, side: str, color: Any = None, weight: str = "normal") -> None:
        """Write a text below y, with this side of it at x."""
        import matplotlib as mpl

        self.ax.text(
            x, y - 0.25 * _LINE - 0.5 * _FONT, text, ha=side, va="center_baseline", fontsize=_FONT * self.scale,
            fontweight=weight, color=mpl.rcParams["text.color"] if color is None else color, parse_math=False,
        )  # fmt: skip

    def _line(self, x: float, y: float, line: Line) -> None:
        room = _IMAGE
        if line.end:
            self.text(x + _IMAGE, y, line.end, "right", line.color)
            room -= _width(line.end) + 4
        if line.before:
            before = _width(line.before) + 1
            self.text(x, y, line.before, "left", line.color)
            x, room = x + before, room - before
        if line.label != "":
            self.label(x, y, room, line.label, line.color)

    def _empty_frame(self, x: float, y: float, reason: Any) -> None:
        from matplotlib.patches import Rectangle

        frame = Rectangle((x, y - _IMAGE), _IMAGE, _IMAGE, fill=False, edgecolor=REST, linewidth=self.scale)
        self.ax.add_patch(frame)
        lines = textwrap.wrap(f"No image: {label_text(reason)}", 20)
        lines = lines if len(lines) <= 8 else [*lines[:7], "\u2026"]
        top = y - (_IMAGE - _LINE * len(lines)) / 2
        for number, line in enumerate(lines):
            self.label(x + 5, top - number * _LINE, _IMAGE - 10, line, MUTED)


def _width(text: str, weight: str = "normal") -> float:
    """Return the width of a text in points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(size=_FONT, weight=weight)
    with warnings.catch_warnings():
        # The warning comes when the text is drawn.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        return float(text_to_path.get_text_width_height_descent(text, font, ismath=False)[0])


def _fitting(label: Any, room: float, weight: str = "normal") -> str:
    """Return a label, shortened until it is no wider than the room."""
    text, room = label_text(label), _SPARE * room
    if _width(text, weight) <= room:
        return text
    fits, too_wide = 1, 2 * len(text)
    while too_wide - fits > 1:
        columns = (fits + too_wide) // 2
        if _width(label_text(label, columns), weight) <= room:
            fits = columns
        else:
            too_wide = columns
    return label_text(label, fits)
