"""The content of the HTML page of a map."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from skcnn._page.page import render
from skcnn._plot.theme import class_colors
from skcnn._plot.thumbnails import data_uri
from skcnn._text import counted, file_text, label_text, printable_text

MAX_POINTS = 10_000
"""So many images are drawn: browsers still scroll them without a wait."""

_LEAST_HEIGHT = 2 / 3
"""Height of the map in widths. It is at most 1, so that the map can be seen as a whole."""

_SIZE = 56 / 760
"""Side of a thumbnail, as a fraction of the map's width on a desktop: what a page that runs no script shows."""


def render_map(
    points: pd.DataFrame,
    images: list[np.ndarray | None],
    codes: np.ndarray,
    classes: list[str],
    *,
    legend_title: str,
    description: str | None,
    name: str | None,
) -> str:
    """Return the HTML of a map: of what an ImageMapDisplay has, and the class of each image."""
    paths, reasons = points["path"].tolist(), points["reason"].tolist()
    with_place = np.flatnonzero(points["x"].notna())
    drawn = _drawn(with_place, points["spacing"].to_numpy())
    left, top, width, height = _place(points["x"].to_numpy(), points["y"].to_numpy(), with_place)
    spacing = points["spacing"].to_numpy() / width
    return render(
        "skcnn.inspection",
        "map.html",
        script="map.js",
        name=name,
        n_images=len(points),
        description=description,
        kind_of_label=legend_title,
        notes=_notes(points, len(with_place), len(drawn)),
        ratio=f"{width / height:.4f}",
        sections={},
        legend=_legend(classes, codes[with_place]),
        points=[
            {
                "left": f"{100 * left[row]:.2f}",
                "top": f"{100 * top[row]:.2f}",
                "code": int(codes[row]) if len(classes) else 0,
                "label": classes[codes[row]] if codes[row] >= 0 else "",
                "file": _file(paths[row], row, reasons[row]),
                "image": _image(images[row]),
                # Finite, for the page; as large as makes no difference.
                "spacing": f"{min(spacing[row], 9):.5f}",
                "is_dot": not spacing[row] >= _SIZE,
            }
            for row in drawn
        ],
    )


def _drawn(rows: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Return the rows to draw."""
    pictured = rows[~np.isnan(spacing[rows])]
    rest = rows[np.isnan(spacing[rows])]
    room = max(MAX_POINTS - len(pictured), 0)
    if len(rest) > room:
        rest = np.sort(np.random.default_rng(0).permutation(rest)[:room])
    return np.concatenate([rest, pictured])


def _place(x: np.ndarray, y: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Return positions from the left and from the top as fractions, and width and height in units of coordinates."""
    middle = [(axis[rows].min() + axis[rows].max()) / 2 for axis in (x, y)]
    across, up = np.ptp(x[rows]), np.ptp(y[rows])
    width = max(across, up) or 1.0
    height = max(up, _LEAST_HEIGHT * width)
    return (x - middle[0]) / width + 0.5, 0.5 - (y - middle[1]) / height, width, height


def _legend(classes: list[str], codes: np.ndarray) -> list[dict[str, Any]]:
    entries = [
        {"code": code, "color": css, "label": label, "count": int((codes == code).sum())}
        for code, (label, (_, css)) in enumerate(zip(classes, class_colors(len(classes)), strict=True))
    ]
    without = int((codes < 0).sum())
    if entries and without:
        entries.append({"code": -1, "color": "var(--rest)", "label": "no label", "count": without})
    return entries


def _notes(points: pd.DataFrame, n_placed: int, n_drawn: int) -> list[str]:
    notes = []
    if missing := len(points) - n_placed:
        notes.append(f"{counted(missing, 'image')} without coordinates {_is_or_are(missing)} not drawn.")
    if n_drawn < n_placed:
        notes.append(f"{n_drawn:,} of {counted(n_placed, 'image')} are drawn, a random sample.")
    if unread := int(points["reason"].notna().sum()):
        notes.append(f"{counted(unread, 'image')} could not be read and {_is_or_are(unread)} shown as dots.")
    return notes


def _is_or_are(count: int) -> str:
    return "is" if count == 1 else "are"


def _file(path: Any, row: int, reason: Any) -> str:
    file = file_text(path) if path is not None else f"row {row}"
    # The reason for a missing image ends with a folder, which the page must not disclose.
    return f"{file} (not readable: {printable_text(reason).split(' (relative to')[0]})" if reason else label_text(file)


def _image(image: np.ndarray | None) -> dict[str, Any] | None:
    if image is None:
        return None
    height, width = image.shape[:2]
    return {"uri": data_uri(image), "width": width, "height": height}
