"""What masks may be: images whose pixels are labels, in files, arrays, palettes, colours or segments of COCO."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from skcnn._text import counted
from skcnn.images._bad_rows import BadRow, bad_rows_frame, describe_bad_rows
from skcnn.images._coco_masks import CocoSegments
from skcnn.images._decode import decoded_as_stored, plain_errors
from skcnn.images._geometry import image_sizes
from skcnn.images._input import Images, as_images
from skcnn.images._reading import map_ahead
from skcnn.images._source import ImageSource

if TYPE_CHECKING:
    import pandas as pd

#: The label of pixels that do not count, neither in training nor in metrics.
IGNORED = 255

#: How JPEG files begin.
_JPEG = b"\xff\xd8\xff"

#: A colour as one number.
_RED, _GREEN = 2**16, 2**8

#: Labels by class: ``{1: (128, 0, 0)}``, or colours in the order of classes.
Colors = Mapping[int, int | Sequence[int]] | Sequence[int | Sequence[int]]

ACCEPTED = (
    "Accepted: an array (n, height, width) of whole numbers; or a list, 1-D array, Series or one-column DataFrame of "
    "paths, encoded bytes, PIL images or arrays (height, width), whose pixels are labels: 0 to 254, and 255 where they "
    "do not count"
)


class BadMaskError(ValueError):
    """Some rows of y have no mask; ``bad_rows`` is a DataFrame of all of them: ``row``, ``path``, ``reason``."""

    def __init__(self, bad_rows: pd.DataFrame, n_rows: int):
        self.bad_rows, self.n_rows = bad_rows, n_rows
        super().__init__(
            f"{describe_bad_rows(bad_rows, n_rows, 'mask')}\n"
            "Repair these masks of y, or leave out their rows of X and y."
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.bad_rows, self.n_rows)

    def for_command(self, options: Mapping[str, Any]) -> str:
        """Return the message in the words of a command, whatever its options."""
        reasons = [
            reason.replace("give colors={class: (red, green, blue), ...}", "give the colour of each with --colors")
            .replace("which colors= does not have", "which --colors does not have")
            .replace("colors= has colours", "--colors has colours")
            for reason in self.bad_rows["reason"]
        ]
        advice = "Repair or remove them."
        if any("which --colors does not have" in reason for reason in reasons):
            advice += (
                " If these values are meant, give each class its own with --colors, or leave it out if they are labels."
            )
        if options.get("class_names") and any("but classes are" in reason for reason in reasons):
            advice += " If these labels are meant, give each class a name with --class-names, from 0 on."
        return f"{describe_bad_rows(self.bad_rows.assign(reason=reasons), self.n_rows, 'mask')}\n{advice}"


class Masks:
    """The rows of y, each of which can be decoded to labels. Made by :func:`as_masks`.

    Parameters
    ----------
    images : Images
        The rows, as images.
    table : _LabelTable or None
        From what is stored to labels.
    """

    def __init__(self, images: Images, table: _LabelTable | None = None):
        self._images, self._table = images, table

    def __len__(self) -> int:
        return len(self._images)

    @property
    def shape(self) -> tuple[int]:
        """Number of masks, in a tuple: scikit-learn takes masks as it takes arrays."""
        return (len(self),)

    def __getitem__(self, rows: Any) -> Masks:
        """Return the masks at rows, which NumPy can index with, as new Masks."""
        return self.take(np.atleast_1d(np.arange(len(self))[rows]).tolist())

    def take(self, rows: Sequence[int]) -> Masks:
        """Return the masks at ``rows`` as new Masks."""
        return Masks(self._images.take(rows), self._table)

    def path(self, row: int) -> str | None:
        """Return the path of a row, or None where the row holds the mask itself."""
        return self._images.path(row)

    def digest(self, row: int) -> bytes:
        """Return a digest of a row and of the table of colours: rows with the same digest have the same labels."""
        item = self._item(row)
        content = repr(item).encode() if isinstance(item, CocoSegments) else self._images.digest(row)
        return hashlib.blake2b(content + repr(self._table).encode(), digest_size=32).digest()

    def _item(self, row: int) -> Any:
        """Return what was given as a row; None where a source reads it."""
        return None if isinstance(self._images.items, ImageSource) else self._images.items[row]

    def labels(self, row: int, *, max_pixels: int | None = None) -> np.ndarray:
        """Return the labels of a row, upright.

        Parameters
        ----------
        row : int
            Position in y.
        max_pixels : int or None, default=None
            Larger masks are refused; None stands for Pillow's own limit.

        Returns
        -------
        ndarray of shape (height, width), uint8
            Numbers of classes, and 255 for pixels that do not count.

        Raises
        ------
        OSError
            If the row cannot be read; the message is the reason alone.
        TypeError
            If the row is of another type.
        ValueError
            If the row is missing, or its pixels are not labels.
        """
        item = self._item(row)
        if isinstance(item, CocoSegments):
            return item.labels()
        content = item if isinstance(item, Image.Image) else self._images.read(row)
        if isinstance(content, np.ndarray):
            return self._labels_of(content)
        if content[:3] == _JPEG if isinstance(content, bytes) else content.format == "JPEG":
            raise ValueError("a JPEG file, which changes labels; expected a lossless format, such as PNG")
        with decoded_as_stored(content, max_pixels) as image, plain_errors():
            return self._labels_of(self._stored(image))

    def _stored(self, image: Image.Image) -> np.ndarray:
        """Return what is stored per pixel: a number, or a colour where the table has colours."""
        has_colors = self._table is not None and self._table.is_rgb
        if image.mode == "P" and not has_colors:
            return np.asarray(image)  # the indices, whatever the colours of the palette
        if image.mode in ("P", "RGBA", "LA", "PA", "CMYK"):
            image = image.convert("RGB")
        return np.asarray(image)

    def _labels_of(self, stored: np.ndarray) -> np.ndarray:
        if stored.ndim == 3 and stored.shape[2] == 1:
            stored = stored[..., 0]
        if stored.ndim == 3 and stored.shape[2] in (3, 4):
            if self._table is None or not self._table.is_rgb:
                raise ValueError("pixels are colours; give colors={class: (red, green, blue), ...}")
            return self._table.of_colors(stored[..., :3])
        if stored.ndim != 2 or not stored.size:
            raise ValueError(f"an array of shape {stored.shape} is not a mask; expected (height, width)")
        if stored.dtype.kind == "f" and (stored == np.rint(stored)).all():
            stored = stored.astype(np.int64)
        if stored.dtype.kind not in "uib":
            raise ValueError(f"an array of dtype {stored.dtype} is not a mask; expected whole numbers")
        if stored.dtype != np.uint8:
            low, high = int(stored.min()), int(stored.max())
            if low < 0 or high > IGNORED:
                raise ValueError(f"label {low if low < 0 else high}; expected 0 to 254, or 255 for pixels to ignore")
            stored = stored.astype(np.uint8)
        if self._table is None:
            return stored
        if self._table.is_rgb:
            raise ValueError("pixels are numbers, and colors= has colours; expected pixels that are colours")
        return self._table.of_numbers(stored)


class _LabelTable:
    """From colours, or numbers, to labels."""

    def __init__(self, colors: Colors):
        pairs = list(colors.items() if isinstance(colors, Mapping) else enumerate(colors))
        self.is_rgb = any(np.ndim(color) for _, color in pairs)
        codes = []
        for label, color in pairs:
            values = np.ravel(color)
            is_color = np.ndim(color) == self.is_rgb and len(values) == (3 if self.is_rgb else 1)
            if not is_color or values.dtype.kind not in "ui" or values.min() < 0 or values.max() > 255:
                raise ValueError(
                    f"colors has {color!r} for class {label!r}; expected (red, green, blue) for all classes, each from "
                    "0 to 255, or a whole number for all"
                )
            if not isinstance(label, (int, np.integer)) or not 0 <= label <= IGNORED:
                raise ValueError(f"colors has the class {label!r}; expected 0 to 254, or 255 for pixels to ignore")
            codes.append(self._code(values) if self.is_rgb else int(values[0]))
        if not codes or len(set(codes)) < len(codes):
            raise ValueError(f"colors={colors!r}; expected at least one class, each with a colour of its own")
        order = np.argsort(codes)
        self._codes = np.array(codes)[order]
        self._labels = np.array([int(label) for label, _ in pairs], np.uint8)[order]

    def __repr__(self) -> str:
        return f"{self.is_rgb} {self._codes.tolist()} {self._labels.tolist()}"

    def of_colors(self, pixels: np.ndarray) -> np.ndarray:
        """Return the labels of colours (height, width, 3)."""
        codes = self._code(np.moveaxis(pixels.astype(np.int64), -1, 0))
        return self._found(codes, lambda code: (code // _RED, code // _GREEN % 256, code % 256))

    def of_numbers(self, numbers: np.ndarray) -> np.ndarray:
        """Return the labels of numbers (height, width)."""
        return self._found(numbers, int)

    def _found(self, codes: np.ndarray, written: Any) -> np.ndarray:
        places = np.minimum(np.searchsorted(self._codes, codes), len(self._codes) - 1)
        unknown = self._codes[places] != codes
        if unknown.any():
            value = written(int(codes[unknown][0]))
            raise ValueError(
                f"{'colour' if self.is_rgb else 'value'} {value} in {counted(int(unknown.sum()), 'pixel')}, which "
                "colors= does not have"
            )
        return self._labels[places]

    @staticmethod
    def _code(color: Any) -> Any:
        red, green, blue = color
        return red * _RED + green * _GREEN + blue


def as_masks(y: Any, *, colors: Colors | None = None, root: str | os.PathLike[str] | None = None) -> Masks:
    """Return whatever y is as :class:`Masks`. Decodes nothing.

    Parameters
    ----------
    y : array-like
        An array (n, height, width) of whole numbers; or a list, 1-D array, Series or one-column DataFrame of paths,
        encoded ``bytes``, PIL images, arrays (height, width) of any sizes, ``{"bytes", "path"}`` dicts, or
        :class:`CocoSegments`. Pixels are labels: 0 to 254, and 255 where they do not count. Of an image with a palette,
        they are the indices.
    colors : mapping or sequence or None, default=None
        Where pixels are something else: the colour of each class, such as ``{0: (0, 0, 0), 1: (128, 0, 0)}``, or the
        number, such as ``{0: 0, 1: 255}`` for masks of black and white. The class 255 stands for pixels to ignore. None
        takes numbers as they are.
    root : path-like or None, default=None
        Folder or URL that relative paths start from; None is the current folder.

    Returns
    -------
    Masks

    Raises
    ------
    TypeError
        If y is of another type; the message lists the accepted forms.
    ValueError
        If y has another shape, or ``colors`` is not a table of colours.

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.images import as_masks
    >>> stored = np.zeros((1, 2, 3), np.uint8)
    >>> stored[0, :, 1:] = 255
    >>> as_masks(stored, colors={0: 0, 1: 255}).labels(0)
    array([[0, 1, 1],
           [0, 1, 1]], dtype=uint8)
    """
    if isinstance(y, Masks):
        return y
    table = None if colors is None else _LabelTable(colors)
    if isinstance(y, np.ndarray) and y.dtype.kind in "uibf":
        if y.ndim not in (3, 4) or 0 in y.shape[1:]:
            raise ValueError(f"y has shape {y.shape} and dtype {y.dtype}. {ACCEPTED}.")
        return Masks(Images(list(y)), table)
    try:
        images = as_images(y, root=root)
    except (TypeError, ValueError):
        shape = f" of shape {y.shape} and dtype {y.dtype}" if isinstance(y, np.ndarray) else ""
        raise TypeError(f"y is a {type(y).__name__}{shape}, which is not a sequence of masks. {ACCEPTED}.") from None
    if isinstance(images.items, np.ndarray):
        images = Images(list(images.items), images.root)
    return Masks(images, table)


def read_masks(
    masks: Masks,
    sizes: np.ndarray,
    *,
    n_classes: int | None = None,
    max_pixels: int | None = None,
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the labels of all rows, checked, in order; decoded in threads ahead of the caller.

    Parameters
    ----------
    masks : Masks
        From :func:`as_masks`.
    sizes : ndarray of shape (n_masks, 2), int
        Height and width that each mask has to have: those of its image, upright.
    n_classes : int or None, default=None
        Labels are 0 to ``n_classes - 1``, and 255. None allows all.
    max_pixels : int or None, default=None
        Larger masks are refused.

    Yields
    ------
    row : int
    labels : ndarray of shape (height, width), uint8

    Raises
    ------
    BadMaskError
        At the end, if rows have no mask, one of another size, or other labels; it names all of them.
    """
    bad: list[BadRow] = []

    def read(row: int) -> np.ndarray:
        labels = masks.labels(row, max_pixels=max_pixels)
        height, width = (int(side) for side in sizes[row])
        if labels.shape != (height, width):
            turned = (
                " If it was drawn on the image as it is stored, not as its EXIF orientation turns it, use "
                "skcnn.images.upright_mask."
                if labels.shape == (width, height)
                else ""
            )
            raise ValueError(
                f"{labels.shape[0]} x {labels.shape[1]} pixels, but the image has {height} x {width}.{turned}"
            )
        if n_classes is not None:
            check_labels(labels, n_classes)
        return labels

    for row, labels in map_ahead(read, range(len(masks)), 32):
        if isinstance(labels, BadRow):
            bad.append(labels._replace(path=masks.path(row)))
        elif not bad:
            yield row, labels
    if bad:
        raise BadMaskError(bad_rows_frame(bad), len(masks))


def check_labels(labels: np.ndarray, n_classes: int) -> None:
    """See that labels (height, width) are numbers of classes, or 255; raise ValueError if not."""
    wrong = labels[(labels >= n_classes) & (labels != IGNORED)]
    if wrong.size:
        raise ValueError(f"label {int(wrong[0])}, but classes are 0..{n_classes - 1}")


def check_masks(
    X: Any,
    y: Any,
    *,
    colors: Colors | None = None,
    n_classes: int | None = None,
    root: str | os.PathLike[str] | None = None,
) -> pd.DataFrame:
    """Decode every mask and list the rows whose mask does not fit its image.

    Parameters
    ----------
    X : array-like of n_images images
        See :func:`as_images`.
    y : array-like of length n_images
        Masks: see :func:`as_masks`.
    colors : mapping or sequence or None, default=None
        Colours of the classes: see :func:`as_masks`.
    n_classes : int or None, default=None
        Number of classes: larger labels, but 255, are wrong. None allows all.
    root : path-like or None, default=None
        Folder or URL that relative paths of X and y start from.

    Returns
    -------
    pandas.DataFrame
        One line for each bad row: ``row`` (position in y), ``path`` (None where y holds no paths), ``reason``. Empty
        where every mask fits.

    Raises
    ------
    BadImageError
        If rows of X have no image.
    ValueError
        If X and y differ in length.

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.images import check_masks
    >>> X, y = np.zeros((2, 8, 8, 3), np.uint8), np.zeros((2, 8, 8), np.uint8)
    >>> y[1, 3, 4] = 7
    >>> check_masks(X, y, n_classes=3)[["row", "reason"]]
       row                         reason
    0    1  label 7, but classes are 0..2
    """
    images, masks = as_images(X, root=root), as_masks(y, colors=colors, root=root)
    check_mask_lengths(images, masks)
    try:
        for _ in read_masks(masks, image_sizes(images), n_classes=n_classes):
            pass
    except BadMaskError as error:
        return error.bad_rows
    return bad_rows_frame([])


def check_mask_lengths(images: Images, masks: Masks) -> None:
    """See that there is a mask per image; raise ValueError if not."""
    if len(images) != len(masks):
        raise ValueError(
            f"X has {counted(len(images), 'image')}, and y {counted(len(masks), 'mask')}; expected one per image."
        )
