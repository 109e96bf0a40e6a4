"""Boxes drawn into the pixels of an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from skcnn._text import label_text

#: A line is one pixel wide per so many of the longer side of the image.
_PIXELS_PER_LINE = 160
_SMALLEST_FONT = 10


def with_boxes(image: np.ndarray, xyxy: np.ndarray, colors: Sequence[str], labels: Sequence[Any]) -> np.ndarray:
    """Return an image with boxes drawn on it, later ones on top, and labels where there is room for them.

    Parameters
    ----------
    image : ndarray of shape (height, width, 3), uint8
    xyxy : ndarray of shape (n_boxes, 4)
        ``xmin, ymin, xmax, ymax`` in pixels of the image; what lies outside is drawn at the edge.
    colors : sequence of str, of length n_boxes
    labels : sequence, of length n_boxes
        An empty text is not drawn.

    Returns
    -------
    ndarray of shape (height, width, 3), uint8
    """
    canvas = Image.fromarray(image)
    draw = ImageDraw.Draw(canvas)
    width = max(1, round(max(image.shape[:2]) / _PIXELS_PER_LINE))
    font = ImageFont.load_default(max(_SMALLEST_FONT, 4 * width))
    edges = np.array([image.shape[1] - 1, image.shape[0] - 1] * 2)
    for box, color, label in zip(np.clip(xyxy, 0, edges), colors, labels, strict=True):
        xmin, ymin, xmax, ymax = map(float, box)
        draw.rectangle((xmin, ymin, max(xmax, xmin), max(ymax, ymin)), outline=color, width=width)
        text = label_text(label)
        # The font that comes with Pillow knows Latin letters alone.
        if not text or not text.isascii():
            continue
        _, _, right, bottom = font.getbbox(text)
        if right + 2 * width + 1 <= xmax - xmin and bottom + 2 * width + 1 <= ymax - ymin:
            draw.text((xmin + width + 1, ymin + width), text, fill=color, font=font)
    return np.asarray(canvas)
