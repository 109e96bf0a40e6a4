"""Images for checks."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image


def make_images(n_samples: int = 5, size: tuple[int, int] = (24, 20), seed: int = 0) -> np.ndarray:
    """Make images that differ: random colours, smoothly interpolated.

    Parameters
    ----------
    n_samples : int, default=5
        How many.
    size : tuple of (height, width), default=(24, 20)
        In pixels; not square, so that swapped axes are seen.
    seed : int, default=0
        Of the colours.

    Returns
    -------
    ndarray of shape (n_samples, height, width, 3), uint8
    """
    colours = np.random.default_rng(seed).integers(0, 256, (n_samples, 3, 4, 3), dtype=np.uint8)
    return np.stack([np.asarray(Image.fromarray(c).resize(size[::-1], Image.Resampling.BICUBIC)) for c in colours])


def encode(pixels: np.ndarray) -> bytes:
    """Return pixels as the bytes of a PNG file."""
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def close(a: Any, b: Any) -> None:
    """See that two arrays are the same but for the order in which a network sums."""
    # A network sums in another order for another batch size; a wrong image differs in the first digits.
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-4, atol=1e-5 * np.abs(np.asarray(b)).max())
