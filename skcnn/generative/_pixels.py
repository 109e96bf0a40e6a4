"""Images as a GAN sees them: of one size, grey or in colour, with values in [-1, 1]."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from skcnn._training import decoded_images, image_reader, report_bad_rows, undecodable
from skcnn.images import Images, ImageSource, as_image_size

#: Height and width of images that do not say it themselves.
OPEN_SIZE = (64, 64)
#: Images whose pixels take no more bytes are decoded once; those of larger sets again in every epoch.
MAX_DECODED_BYTES = 2**30

#: Of red, green and blue in the grey level that people see (ITU-R BT.601), as in Pillow.
_LUMINANCE = (0.299, 0.587, 0.114)


def shapes_of(images: Images) -> set[tuple[int, ...]] | None:
    """Return the shapes of images that are arrays; None where some are something else."""
    if isinstance(images.items, np.ndarray):
        return {images.items.shape[1:]}
    if isinstance(images.items, ImageSource):
        return None  # encoded, whatever is in it
    arrays = [item for item in images.items if isinstance(item, np.ndarray) and item.ndim in (2, 3)]
    return {item.shape for item in arrays} if len(arrays) == len(images.items) else None


def size_of(images: Images) -> tuple[int, int]:
    """Return height and width of arrays that all have the same, else :data:`OPEN_SIZE`."""
    sizes = {shape[:2] for shape in shapes_of(images) or ()}
    return as_image_size(sizes.pop()) if len(sizes) == 1 else OPEN_SIZE


def are_grey(images: Images) -> bool:
    """Tell whether all images are arrays without colours."""
    shapes = shapes_of(images)
    return shapes is not None and all(len(shape) == 2 or shape[2] == 1 for shape in shapes)


def reader_of(
    images: Images, size: tuple[int, int], resize: str, max_pixels: int | None
) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from rows to pixels, uint8 (n, height, width, 3); raise an error if rows have no image."""
    if len(images) * 3 * size[0] * size[1] > MAX_DECODED_BYTES:
        bad = undecodable(images, resize, max_pixels)
        read = image_reader(images, size, resize, max_pixels)
    else:
        pixels, bad = decoded_images(images, size, resize, max_pixels)

        def read(rows: np.ndarray) -> np.ndarray:
            return pixels[rows]

    if bad:
        report_bad_rows(bad, len(images), "raise")
    return read


def levels_of(pixels: np.ndarray, n_channels: int) -> np.ndarray:
    """Return pixels, uint8 (n, height, width, 3), as a network takes them: float32 in [-1, 1], with their channels."""
    scaled = pixels.astype(np.float32) / np.float32(127.5) - np.float32(1)
    return scaled if n_channels == 3 else (scaled @ np.array(_LUMINANCE, np.float32))[..., np.newaxis]


def images_of_pixels(pixels: np.ndarray, n_channels: int) -> np.ndarray:
    """Return pixels, uint8 (n, height, width, 3), in the form of generated images: without colours where grey."""
    if n_channels == 3:
        return pixels
    return np.rint(pixels.astype(np.float32) @ np.array(_LUMINANCE, np.float32)).astype(np.uint8)
