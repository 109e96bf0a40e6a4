"""A warning where a network of small inputs gets large images."""

from __future__ import annotations

import warnings
from contextlib import suppress

import numpy as np
from PIL import Image

from skcnn._text import counted
from skcnn.images._decode import open_image
from skcnn.images._input import Images
from skcnn.images._source import ImageSource

_LOOKED_AT = 16
#: Networks whose inputs are larger than this see what people see.
_SMALL = 64
#: Images whose shorter side is less than this have few details to lose.
_LARGE = 128


def warn_if_shrunk(images: Images, size: tuple[int, int], network: str) -> None:
    """Warn where images are much larger than the input of a network that was made for thumbnails.

    Reads the sizes of a few images: nothing is decoded, no URL is fetched and no source is read.

    Parameters
    ----------
    images : Images
        From :func:`as_images`.
    size : tuple of (height, width)
        Size in pixels that they are resized to.
    network : str
        What the message calls the network.

    Warns
    -----
    UserWarning
        If inputs have at most 64 pixels, and the median of the shorter sides is at least 128 and 4 times that.
    """
    if max(size) > _SMALL or not len(images):
        return
    rows = np.unique(np.linspace(0, len(images) - 1, _LOOKED_AT).astype(int)).tolist()
    sizes = [found for row in rows if (found := _size(images, row)) is not None]
    if not sizes:
        return
    height, width = (int(side) for side in np.median(sizes, axis=0))
    if min(height, width) >= max(_LARGE, 4 * max(size)):
        warnings.warn(
            f"{network} sees images at {size[0]} x {size[1]} pixels, and these have {height} x {width} (median of "
            f"{counted(len(sizes), 'image')}): details are lost. Use a network of larger inputs, such as MobileNetV2, "
            f"or ask for this size (image_size={size[0] if size[0] == size[1] else size}) if it is what you want.",
            UserWarning,
            stacklevel=3,
        )


def _size(images: Images, row: int) -> tuple[int, int] | None:
    """Return height and width by the head of a file; None for a URL or a source, and for a row without an image."""
    if isinstance(images.items, ImageSource):
        return None  # which would read the whole image
    path = images.path(row)
    if path is not None and "://" in path:
        return None
    with suppress(Exception):  # bad rows are reported when they are decoded
        content = images.items[row] if isinstance(images.items[row], Image.Image) else images.read(row)
        if isinstance(content, np.ndarray):
            return int(content.shape[0]), int(content.shape[1])
        if isinstance(content, Image.Image):
            return content.height, content.width
        with open_image(content) as image:
            return image.height, image.width
    return None
