"""How the pixels of an image moved: from the file to the upright image, and from there to the size of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from skcnn.images._bad_rows import BadImageError, BadRow, bad_rows_frame
from skcnn.images._decode import RESIZE_RULES, padded_place
from skcnn.images._input import Images, as_images
from skcnn.images._reading import map_images

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class Geometry(NamedTuple):
    """Where the pixels of an upright image are after :func:`resize_image`: ``new = scale * old + offset``.

    Attributes
    ----------
    original : tuple of (height, width)
        Size of the upright image, in pixels.
    size : tuple of (height, width)
        Size after resizing.
    scale : tuple of (float, float)
        Along height and width.
    offset : tuple of (float, float)
        Along height and width, in pixels of the resized image: positive where black was added, negative where the
        image was cut.

    Examples
    --------
    >>> from skcnn.images import Geometry
    >>> geometry = Geometry.of_resize((100, 200), (50, 50), "pad")
    >>> geometry.forth([[0, 0, 200, 100]])
    array([[ 0., 12., 50., 37.]])
    >>> geometry.back(geometry.forth([[20, 10, 60, 30]]))
    array([[20., 10., 60., 30.]])
    """

    original: tuple[int, int]
    size: tuple[int, int]
    scale: tuple[float, float]
    offset: tuple[float, float]

    @classmethod
    def of_resize(cls, original: tuple[int, int], size: tuple[int, int], resize: str = "stretch") -> Geometry:
        """Return what :func:`resize_image` does to the pixels of an image.

        Parameters
        ----------
        original, size : tuple of (height, width)
            Of the upright image, and what it is resized to, in pixels.
        resize : {"stretch", "crop", "pad"}, default="stretch"
            How other aspect ratios are handled: see :func:`resize_image`.

        Returns
        -------
        Geometry

        Raises
        ------
        ValueError
            If ``resize`` is unknown.
        """
        (height, width), (new_height, new_width) = original, size
        if resize == "stretch":
            scale, offset = (new_height / height, new_width / width), (0.0, 0.0)
        elif resize == "crop":
            # As PIL.ImageOps.fit cuts: the middle, to fractions of a pixel.
            kept_width = min(width, height * new_width / new_height)
            kept_height = min(height, width * new_height / new_width)
            scale = new_height / kept_height, new_width / kept_width
            offset = -(height - kept_height) / 2 * scale[0], -(width - kept_width) / 2 * scale[1]
        elif resize == "pad":
            placed, at = padded_place((width, height), (new_width, new_height))
            scale, offset = (placed[1] / height, placed[0] / width), (float(at[1]), float(at[0]))
        else:
            raise ValueError(f"resize={resize!r}; expected {', '.join(map(repr, RESIZE_RULES))}")
        return cls(original, size, scale, offset)

    def forth(self, boxes: ArrayLike) -> np.ndarray:
        """Return boxes of the upright image where they are in the resized one.

        Parameters
        ----------
        boxes : array-like of shape (n_boxes, 4)
            ``xmin, ymin, xmax, ymax`` in pixels of the upright image.

        Returns
        -------
        ndarray of shape (n_boxes, 4), float64
            In pixels of the resized image; what was cut from it lies outside.
        """
        return _four_columns(boxes) * self._both(self.scale) + self._both(self.offset)

    def back(self, boxes: ArrayLike) -> np.ndarray:
        """Return boxes of the resized image where they are in the upright one.

        Parameters
        ----------
        boxes : array-like of shape (n_boxes, 4)
            ``xmin, ymin, xmax, ymax`` in pixels of the resized image.

        Returns
        -------
        ndarray of shape (n_boxes, 4), float64
            In pixels of the upright image, not cut at its edges.
        """
        return (_four_columns(boxes) - self._both(self.offset)) / self._both(self.scale)

    def forth_mask(self, mask: np.ndarray, fill: int = 255) -> np.ndarray:
        """Return the mask of the resized image: of each of its pixels the label where its middle was.

        Parameters
        ----------
        mask : ndarray of shape (height, width) or (height, width, ...)
            Of the upright image.
        fill : int, default=255
            Label of pixels that were added to the image: 255 are pixels to ignore.

        Returns
        -------
        ndarray of shape (new_height, new_width) or (new_height, new_width, ...)
            Of the dtype of ``mask``.

        Raises
        ------
        ValueError
            If the mask has another size than the upright image.
        """
        # In the middle between two pixels the later one is taken, and by back_mask the earlier one: there and back they
        # are the same.
        places = [
            np.floor(_rounded((np.arange(side) + 0.5 - offset) / scale)).astype(int)
            for side, scale, offset in zip(self.size, self.scale, self.offset, strict=True)
        ]
        return _taken(mask, places, self.original, fill)

    def back_mask(self, mask: np.ndarray, fill: int = 255) -> np.ndarray:
        """Return the mask of the upright image: of each of its pixels the label where its middle is now.

        Parameters
        ----------
        mask : ndarray of shape (new_height, new_width) or (new_height, new_width, ...)
            Of the resized image.
        fill : int, default=255
            Label of pixels that were cut from the image.

        Returns
        -------
        ndarray of shape (height, width) or (height, width, ...)
            Of the dtype of ``mask``.

        Raises
        ------
        ValueError
            If the mask has another size than the resized image.

        Examples
        --------
        >>> import numpy as np
        >>> from skcnn.images import Geometry
        >>> geometry = Geometry.of_resize((2, 4), (2, 2), "crop")
        >>> geometry.back_mask(np.array([[0, 1], [1, 0]], np.uint8))
        array([[255,   0,   1, 255],
               [255,   1,   0, 255]], dtype=uint8)
        """
        places = [
            np.ceil(_rounded((np.arange(side) + 0.5) * scale + offset)).astype(int) - 1
            for side, scale, offset in zip(self.original, self.scale, self.offset, strict=True)
        ]
        return _taken(mask, places, self.size, fill)

    def _both(self, along: tuple[float, float]) -> np.ndarray:
        return np.array([along[1], along[0], along[1], along[0]])


def upright_boxes(boxes: ArrayLike, orientation: int, stored: tuple[int, int]) -> np.ndarray:
    """Return boxes of an image as it is stored where they are in the upright image.

    Some tools for annotation take no notice of the EXIF orientation of an image; all of skcnn does.

    Parameters
    ----------
    boxes : array-like of shape (n_boxes, 4)
        ``xmin, ymin, xmax, ymax`` in pixels of the image as it is stored.
    orientation : int
        EXIF orientation (tag 0x0112), 1 to 8.
    stored : tuple of (height, width)
        Size of the image as it is stored, in pixels.

    Returns
    -------
    ndarray of shape (n_boxes, 4), float64
        In pixels of the upright image.

    Raises
    ------
    ValueError
        If ``orientation`` is not one of the eight.

    Examples
    --------
    >>> from skcnn.images import upright_boxes
    >>> upright_boxes([[0, 0, 10, 20]], 6, (100, 200))  # the camera was held upright: a turn to the right
    array([[ 80.,   0., 100.,  10.]])
    """
    if orientation not in range(1, 9):
        raise ValueError(f"orientation={orientation!r}; expected a whole number from 1 to 8.")
    height, width = stored
    left, top, right, bottom = _four_columns(boxes).T
    if orientation in (2, 3, 7, 8):
        left, right = width - right, width - left
    if orientation in (3, 4, 6, 7):
        top, bottom = height - bottom, height - top
    if orientation >= 5:
        left, top, right, bottom = top, left, bottom, right
    return np.stack([left, top, right, bottom], axis=1)


def upright_mask(mask: ArrayLike, orientation: int) -> np.ndarray:
    """Return the mask of an image as it is stored as that of the upright image.

    Some tools for annotation take no notice of the EXIF orientation of an image; all of skcnn does.

    Parameters
    ----------
    mask : array-like of shape (height, width)
        Labels of the pixels of the image as it is stored.
    orientation : int
        EXIF orientation (tag 0x0112), 1 to 8.

    Returns
    -------
    ndarray of shape (height, width), or (width, height) if ``orientation`` >= 5
        Labels of the upright image.

    Raises
    ------
    ValueError
        If ``orientation`` is not one of the eight.

    Examples
    --------
    >>> from skcnn.images import upright_mask
    >>> upright_mask([[1, 2], [3, 4]], 6)  # a turn to the right
    array([[3, 1],
           [4, 2]])
    """
    if orientation not in range(1, 9):
        raise ValueError(f"orientation={orientation!r}; expected a whole number from 1 to 8.")
    labels = np.asarray(mask)
    if orientation in (2, 3, 7, 8):
        labels = labels[:, ::-1]
    if orientation in (3, 4, 6, 7):
        labels = labels[::-1]
    return np.ascontiguousarray(np.swapaxes(labels, 0, 1) if orientation >= 5 else labels)


def image_sizes(X: Any) -> np.ndarray:
    """Return the sizes of images as they are upright. Files are not decoded.

    Parameters
    ----------
    X : array-like of n_images images
        See :func:`as_images`.

    Returns
    -------
    ndarray of shape (n_images, 2), int
        Height and width, in pixels.

    Raises
    ------
    BadImageError
        If a row gives no image; ``bad_rows`` lists all of them.

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.images import image_sizes
    >>> image_sizes(np.zeros((2, 24, 32, 3), np.uint8))
    array([[24, 32],
           [24, 32]])
    """
    images = as_images(X)
    if isinstance(images.items, np.ndarray):
        return np.tile(np.array(images.items.shape[1:3], dtype=int), (len(images), 1))
    sizes, bad = np.zeros((len(images), 2), int), []
    for row, size in map_images(Images.size, images, range(len(images)), 64):
        if isinstance(size, BadRow):
            bad.append(size._replace(path=images.path(row)))
        else:
            sizes[row] = size
    if bad:
        raise BadImageError(bad_rows_frame(bad), len(images))
    return sizes


def _four_columns(boxes: ArrayLike) -> np.ndarray:
    array = np.asarray(boxes, dtype=float)
    return array.reshape(-1, 4) if array.size == 0 else array


def _rounded(places: np.ndarray) -> np.ndarray:
    """Return places without what rounding adds to whole numbers."""
    return np.round(places, 9)


def _taken(mask: np.ndarray, places: list[np.ndarray], size: tuple[int, int], fill: int) -> np.ndarray:
    """Return the pixels of a mask at rows and columns; ``fill`` where these are outside."""
    if mask.shape[:2] != tuple(size):
        raise ValueError(f"The mask has {mask.shape[0]} x {mask.shape[1]} pixels; expected {size[0]} x {size[1]}.")
    inside = [(place >= 0) & (place < side) for place, side in zip(places, size, strict=True)]
    rows, columns = (place[there] for place, there in zip(places, inside, strict=True))
    found = np.full((*map(len, places), *mask.shape[2:]), fill, mask.dtype)
    found[np.ix_(*inside)] = mask[np.ix_(rows, columns)]
    return found
