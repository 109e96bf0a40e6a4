"""What X may be, and how a picture becomes pixels.

One rule serves every estimator of skcnn: :func:`as_images` takes whatever a person has (arrays, paths, URLs, encoded
bytes, PIL images, a column of a frame) and :class:`Images` decodes any row of it to 8-bit RGB of the size that a
network wants. :func:`read_batches` does so in threads, ahead of the network, so that memory is flat however long X is.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from PIL import Image, ImageOps

Resize = Literal["stretch", "crop", "pad"]
RESIZE_RULES: tuple[str, ...] = ("stretch", "crop", "pad")

ACCEPTED = (
    "Accepted: an array (n, height, width) or (n, height, width, 1|3|4) of uint8 or of floats in [0, 255]; or a list, "
    "1-D array, Series or one-column DataFrame of paths, URLs, encoded bytes, PIL images or arrays"
)


class BadRow(NamedTuple):
    """A row that gives no picture: its position in X, its path (or None) and what is wrong with it."""

    row: int
    path: str | None
    reason: str


class BadImageError(ValueError):
    """Some rows of X give no picture; ``bad_rows`` is a DataFrame of all of them: ``row``, ``path``, ``reason``."""

    def __init__(self, bad_rows: pd.DataFrame, n_rows: int):
        self.bad_rows, self.n_rows = bad_rows, n_rows
        super().__init__(
            f"{_describe(bad_rows, n_rows)}\nRepair or drop these rows, or use on_error='nan' to get rows of NaN. "
            "skcnn.images.check_images(X) gives them as a DataFrame."
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.bad_rows, self.n_rows)


class BadImageWarning(UserWarning):
    """Some rows of X gave no picture and were filled with NaN; ``bad_rows`` is a DataFrame of all of them."""

    def __init__(self, bad_rows: pd.DataFrame, n_rows: int):
        self.bad_rows, self.n_rows = bad_rows, n_rows
        super().__init__(f"{_describe(bad_rows, n_rows)}\nTheir features are NaN.")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.bad_rows, self.n_rows)


def _describe(bad_rows: pd.DataFrame, n_rows: int, shown: int = 20) -> str:
    lines = [f"{len(bad_rows)} of {n_rows} images cannot be used:"]
    for row, path, reason in bad_rows.head(shown).itertuples(index=False):
        lines.append(f"  row {row}: {path + ': ' if isinstance(path, str) else ''}{reason}")
    if len(bad_rows) > shown:
        lines.append(f"  ... and {len(bad_rows) - shown} more (all in the attribute bad_rows)")
    return "\n".join(lines)


def bad_rows_frame(bad_rows: Sequence[BadRow]) -> pd.DataFrame:
    """Return bad rows as a DataFrame (``row`` int64, ``path``, ``reason``), in the order of X."""
    frame = pd.DataFrame(sorted(bad_rows), columns=list(BadRow._fields))
    return frame.astype({"row": "int64", "path": object, "reason": object})


class Images:
    """The rows of X, each of which can be read (its content) or decoded (its pixels). Made by :func:`as_images`.

    Parameters
    ----------
    items : ndarray or list
        A numeric array whose first axis runs over the pictures, or one object a picture.
    root : str or None
        Folder or URL that relative paths start from.
    """

    def __init__(self, items: np.ndarray | list[Any], root: str | None = None):
        self.items, self.root = items, root

    def __len__(self) -> int:
        return len(self.items)

    def take(self, rows: Sequence[int]) -> Images:
        """Return the pictures at ``rows`` as Images of their own."""
        if isinstance(self.items, np.ndarray):
            return Images(self.items[list(rows)], self.root)
        return Images([self.items[row] for row in rows], self.root)

    def path(self, row: int) -> str | None:
        """Return the path or URL of a row, or None where the row holds the picture itself."""
        item = self.items[row]
        if not isinstance(item, (str, os.PathLike)):
            return None
        path = os.fspath(item)
        if self.root is None or "://" in path or os.path.isabs(path):
            return str(path)
        return f"{self.root.rstrip('/')}/{path}" if "://" in self.root else os.path.join(self.root, path)

    def read(self, row: int) -> bytes | np.ndarray:
        """Return the content of a row: encoded bytes, or an array of pixels.

        Raises
        ------
        ValueError, TypeError, OSError
            If the row is missing, of another type, or cannot be read; the message is the reason alone.
        """
        item = self.items[row]
        if isinstance(item, np.ndarray):
            return item
        if isinstance(item, Image.Image):
            return np.asarray(to_rgb(item))
        if isinstance(item, (bytes, bytearray, memoryview)):
            return bytes(item)
        path = self.path(row)
        if path == "" or (path is None and _is_missing(item)):
            raise ValueError("missing value")
        if path is None:
            raise TypeError(f"a {type(item).__name__} is not a picture. {ACCEPTED}")
        if "://" in path:
            return _read_url(path)
        try:
            with open(path, "rb") as file:
                return file.read()
        except FileNotFoundError:
            hint = "" if os.path.isabs(path) else f" (relative to {os.getcwd()}; root= names another folder)"
            raise FileNotFoundError(f"no such file{hint}") from None
        except OSError as error:
            raise OSError(error.strerror or str(error)) from None

    def decode(
        self, row: int, size: tuple[int, int], *, resize: str = "stretch", max_pixels: int | None = None
    ) -> np.ndarray:
        """Return the pixels of a row, resized.

        Parameters
        ----------
        row : int
            Position in X.
        size : tuple of (height, width)
            In pixels.
        resize : {"stretch", "crop", "pad"}, default="stretch"
            See :func:`resize_image`.
        max_pixels : int or None, default=None
            Larger pictures are refused; None stands for Pillow's own limit.

        Returns
        -------
        ndarray of shape (height, width, 3), uint8

        Raises
        ------
        ValueError, TypeError, OSError
            If there is no picture; the message is the reason alone.
        """
        content = self.read(row)
        if isinstance(content, np.ndarray):
            image = Image.fromarray(_to_rgb_array(content))
        else:
            image = decode_bytes(content, max_pixels)
        return np.asarray(resize_image(image, size, resize))


def as_images(X: Any, *, root: str | os.PathLike[str] | None = None) -> Images:
    """Return whatever X is as :class:`Images`. Looks at types and shapes; reads and decodes nothing.

    Parameters
    ----------
    X : array-like
        An array ``(n, height, width)`` or ``(n, height, width, 1|3|4)`` of uint8 or of floats in [0, 255] (rounded to
        8 bits); or a list, 1-D or ``(n, 1)`` array, Series or one-column DataFrame (pandas or polars) of paths
        (``str`` or ``Path``), fsspec URLs (extra ``remote``), encoded ``bytes``, PIL images or arrays of any sizes.
    root : path-like or None, default=None
        Folder or URL that relative paths start from; None is the current folder.

    Returns
    -------
    Images

    Raises
    ------
    TypeError, ValueError
        If X is none of these; the message says what was given and what is accepted.
    """
    root = None if root is None else os.fspath(root)
    if isinstance(X, Images):
        return X
    if isinstance(X, (str, bytes, os.PathLike, Image.Image)):
        raise TypeError(f"X is a single {type(X).__name__}: put it in a list, [X]. {ACCEPTED}.")
    if isinstance(X, np.ndarray):
        return Images(_check_array(X), root)
    if hasattr(X, "columns"):
        if len(X.columns) != 1:
            raise ValueError(
                f"X has {len(X.columns)} columns ({', '.join(map(str, X.columns))}), and one column of pictures is "
                "wanted: choose it, X[['path']], or use a ColumnTransformer."
            )
        return Images(list(X[X.columns[0]]), root)
    if hasattr(X, "__array__") and not hasattr(X, "dtype"):
        return as_images(np.asarray(X), root=root)
    if hasattr(X, "shape") and len(X.shape) != 1:
        # Tensors of any framework; sparse matrices end up in the message of _check_array.
        return Images(_check_array(np.asarray(X)), root)
    if not hasattr(X, "__iter__") or isinstance(X, (dict, set)):
        raise TypeError(f"X is a {type(X).__name__}. {ACCEPTED}.")
    items = list(X)
    if items and all(isinstance(item, (list, tuple)) for item in items):
        # A list of lists: the (n, 1) table that scikit-learn tools make of strings, or nested numbers.
        if all(len(item) == 1 for item in items):
            return Images([item[0] for item in items], root)
        return Images(_check_array(np.asarray(items)), root)
    if items and all(isinstance(item, (int, float, np.number)) and not _is_missing(item) for item in items):
        raise TypeError(f"X is a sequence of numbers. {ACCEPTED}.")
    return Images(items, root)


def _check_array(X: np.ndarray) -> np.ndarray | list[Any]:
    if X.dtype.kind == "S":
        raise TypeError(
            "X is an array of fixed-size bytes ('S'), which loses trailing zero bytes: give encoded pictures as a list "
            f"or as an object array, and paths as str. {ACCEPTED}."
        )
    if X.dtype.kind in "OUT":
        if X.ndim == 1 or (X.ndim == 2 and X.shape[1] == 1):
            return list(X.ravel())
        raise ValueError(f"X is an array of shape {X.shape} and dtype {X.dtype}. {ACCEPTED}.")
    if X.dtype.kind not in "uifb":
        raise TypeError(f"X is an array of dtype {X.dtype}. {ACCEPTED}.")
    if X.ndim == 3 and X.shape[2] in (3, 4) and min(X.shape[:2]) > 4:
        raise ValueError(
            f"X has shape {X.shape}, which looks like one picture (height, width, channels): use X[np.newaxis]. "
            f"{ACCEPTED}."
        )
    if X.ndim not in (3, 4) or (X.ndim == 4 and X.shape[3] not in (1, 3, 4)) or 0 in X.shape[1:]:
        hint = " Channels come last." if X.ndim == 4 and X.shape[1] in (1, 3, 4) else ""
        raise ValueError(f"X has shape {X.shape} and dtype {X.dtype}.{hint} {ACCEPTED}.")
    _check_range(X)
    return X


def _check_range(pixels: np.ndarray) -> None:
    if pixels.dtype == np.uint8 or pixels.dtype == bool or pixels.size == 0:
        return
    low, high = pixels.min(), pixels.max()
    if not (low >= 0 and high <= 255):  # written so that NaN is refused as well
        raise ValueError(
            f"pixels lie in [{low}, {high}] (dtype {pixels.dtype}), not in [0, 255]. Give 8-bit values or floats in "
            "[0, 255]: the network's own preprocessing is applied to these, so undo any other scaling."
        )
    if pixels.dtype.kind == "f" and 0 < high <= 1:
        raise ValueError(
            f"pixels lie in [{low}, {high}] (dtype {pixels.dtype}), which looks scaled to [0, 1], where [0, 255] is "
            "wanted: multiply by 255. (Really that dark? Give uint8.)"
        )


def _to_rgb_array(pixels: np.ndarray) -> np.ndarray:
    """Return pixels (h, w), (h, w, 1), (h, w, 3) or (h, w, 4) as uint8 RGB."""
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] not in (1, 3, 4)) or pixels.size == 0:
        raise ValueError(f"an array of shape {pixels.shape} is not a picture (height, width[, 1|3|4])")
    if pixels.dtype.kind not in "uifb":
        raise TypeError(f"an array of dtype {pixels.dtype} is not a picture: uint8, or floats in [0, 255]")
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * 255
    elif pixels.dtype != np.uint8:
        _check_range(pixels)
        pixels = np.rint(pixels).astype(np.uint8)
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        return np.asarray(to_rgb(Image.fromarray(np.ascontiguousarray(pixels), "RGBA")))
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))


def _is_missing(item: object) -> bool:
    return item is None or bool(np.isscalar(item) and pd.isna(item)) or item is pd.NA or item is pd.NaT


def _read_url(url: str) -> bytes:
    try:
        import fsspec
    except ImportError:
        raise ImportError(f"{url} is a URL: `pip install 'skcnn[remote]'` to read URLs (fsspec)") from None
    try:
        with fsspec.open(url, "rb") as file:
            return bytes(file.read())
    except ImportError as error:  # fsspec's own backends: s3fs, gcsfs, aiohttp
        raise ImportError(f"fsspec cannot read {url.split('://')[0]}:// here: {error}") from None


def decode_bytes(content: bytes, max_pixels: int | None = None) -> Image.Image:
    """Decode an encoded picture (any format that Pillow reads) to an upright RGB image.

    Parameters
    ----------
    content : bytes
        The content of the file.
    max_pixels : int or None, default=None
        Larger pictures are refused before they are decoded; None stands for Pillow's warning limit,
        ``PIL.Image.MAX_IMAGE_PIXELS``.

    Returns
    -------
    PIL.Image.Image
        Mode RGB, EXIF orientation applied, the first frame of an animation.

    Raises
    ------
    ValueError
        If the picture is too large.
    OSError
        If it cannot be decoded.
    """
    if not content:
        raise ValueError("empty file")
    with _pillow_limit(max_pixels) as limit:
        try:
            image = Image.open(BytesIO(content))
        except Image.UnidentifiedImageError:
            raise OSError("not a picture in a format that Pillow reads") from None
        width, height = image.size
        if limit is not None and width * height > limit:
            raise ValueError(
                f"{width} x {height} = {width * height} pixels, more than max_pixels={limit} (a guard against "
                "decompression bombs)"
            )
        return to_rgb(ImageOps.exif_transpose(image))


_limit_lock = threading.Lock()
_limits_raised: list[int] = []
_pillow_default: list[int | None] = []


@contextmanager
def _pillow_limit(max_pixels: int | None) -> Iterator[int | None]:
    # Pillow has one limit for the whole process. It is only ever raised, and put back when the last thread leaves.
    with _limit_lock:
        limit = _pillow_default[0] if _pillow_default else Image.MAX_IMAGE_PIXELS
        raised = max_pixels is not None and limit is not None and max_pixels > limit
        if raised:
            if not _limits_raised:
                _pillow_default[:] = [limit]
            _limits_raised.append(max_pixels)  # type: ignore[arg-type]
            Image.MAX_IMAGE_PIXELS = max(_limits_raised)
    try:
        yield limit if max_pixels is None else max_pixels
    finally:
        if raised:
            with _limit_lock:
                _limits_raised.remove(max_pixels)  # type: ignore[arg-type]
                Image.MAX_IMAGE_PIXELS = max(_limits_raised, default=limit)
                if not _limits_raised:
                    _pillow_default.clear()


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert an image of any mode to 8-bit RGB: transparency over white, 16-bit samples by their high byte.

    Parameters
    ----------
    image : PIL.Image.Image
        Of any mode, palette, CMYK, 16-bit and float (in [0, 255]) included.

    Returns
    -------
    PIL.Image.Image
        Mode RGB.
    """
    if image.mode == "RGB" and "transparency" not in image.info:
        return image.copy() if image.readonly else image
    if image.mode.startswith("I"):
        samples = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
        return Image.fromarray((samples >> 8).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        return Image.fromarray(_to_rgb_array(np.asarray(image)))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def resize_image(image: Image.Image, size: tuple[int, int], resize: str = "stretch") -> Image.Image:
    """Resize with Pillow's bilinear filter, which is antialiased when a picture shrinks.

    Parameters
    ----------
    image : PIL.Image.Image
        Mode RGB.
    size : tuple of (height, width)
        In pixels.
    resize : {"stretch", "crop", "pad"}, default="stretch"
        What becomes of another aspect ratio: ``"stretch"`` changes it, ``"crop"`` cuts the middle out,
        ``"pad"`` fits the whole picture in and fills the rest with black.

    Returns
    -------
    PIL.Image.Image
    """
    target = (size[1], size[0])
    if image.size == target:
        return image
    if resize == "stretch":
        return image.resize(target, Image.Resampling.BILINEAR)
    if resize == "crop":
        return ImageOps.fit(image, target, Image.Resampling.BILINEAR)
    if resize == "pad":
        return ImageOps.pad(image, target, Image.Resampling.BILINEAR)
    raise ValueError(f"resize={resize!r}; accepted: {', '.join(map(repr, RESIZE_RULES))}")


class Batch(NamedTuple):
    """Rows of X that were decoded, their pixels (n, height, width, 3) uint8, and rows that gave none."""

    rows: list[int]
    pixels: np.ndarray
    bad: list[BadRow]


def map_ahead(function: Callable[[int], Any], rows: Sequence[int], ahead: int) -> Iterator[tuple[int, Any]]:
    """Yield ``(row, function(row))`` in order, computed in threads and at most ``ahead`` rows ahead.

    An exception becomes the value, as a :class:`BadRow` without its path. There is a thread a core: Pillow, hashing
    and reading files all release the interpreter's lock.
    """

    def guarded(row: int) -> Any:
        try:
            return function(row)
        except Exception as error:
            # Whatever a broken file does to a decoder, it is that row's own trouble, and it is told with the row.
            return BadRow(row, None, str(error) or type(error).__name__)

    with ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="skcnn-images") as pool:
        pending: deque[tuple[int, Future[Any]]] = deque()
        try:
            for row in rows:
                pending.append((row, pool.submit(guarded, row)))
                if len(pending) >= ahead:
                    first, future = pending.popleft()
                    yield first, future.result()
            while pending:
                first, future = pending.popleft()
                yield first, future.result()
        finally:
            for _, future in pending:
                future.cancel()


def read_batches(
    images: Images,
    rows: Sequence[int],
    size: tuple[int, int],
    *,
    batch_size: int = 32,
    resize: str = "stretch",
    max_pixels: int | None = None,
) -> Iterator[Batch]:
    """Decode rows in threads, two batches ahead of the caller, in order.

    Parameters
    ----------
    images : Images
        From :func:`as_images`.
    rows : sequence of int
        The rows wanted.
    size : tuple of (height, width)
        In pixels.
    batch_size : int, default=32
        Rows a batch; a row without a picture leaves its batch smaller.
    resize, max_pixels
        See :meth:`Images.decode`.

    Yields
    ------
    Batch
    """
    good: list[int] = []
    bad: list[BadRow] = []
    pixels = np.empty((batch_size, *size, 3), np.uint8)
    decoded = map_ahead(
        lambda row: images.decode(row, size, resize=resize, max_pixels=max_pixels), rows, 2 * batch_size
    )
    for row, value in decoded:
        if isinstance(value, BadRow):
            bad.append(value._replace(path=images.path(row)))
        else:
            pixels[len(good)] = value
            good.append(row)
        if len(good) + len(bad) == batch_size:
            yield Batch(good, pixels[: len(good)], bad)
            # A new buffer: the engine may still be reading the last one.
            good, bad, pixels = [], [], np.empty_like(pixels)
    if good or bad:
        yield Batch(good, pixels[: len(good)], bad)


def check_images(X: Any, *, root: str | os.PathLike[str] | None = None, max_pixels: int | None = None) -> pd.DataFrame:
    """Decode every row of X and tell which give no picture.

    Parameters
    ----------
    X : array-like
        See :func:`as_images`.
    root : path-like or None, default=None
        Folder or URL that relative paths start from.
    max_pixels : int or None, default=None
        Larger pictures are bad rows; None stands for Pillow's warning limit.

    Returns
    -------
    pandas.DataFrame
        One line for each bad row: ``row`` (position in X), ``path`` (None where X holds no paths), ``reason``.
        Empty where every row is a picture.

    Examples
    --------
    >>> from skcnn.images import check_images
    >>> check_images(["no-such-file.png", b"not a picture"])[["row", "path"]]
       row              path
    0    0  no-such-file.png
    1    1              None
    """
    images = as_images(X, root=root)
    # Decoded whole, resized to next to nothing: a file can be cut off at its very end.
    batches = read_batches(images, range(len(images)), (8, 8), max_pixels=max_pixels)
    return bad_rows_frame([bad for batch in batches for bad in batch.bad])


def as_image_size(image_size: int | Sequence[int]) -> tuple[int, int]:
    """Return an image size, an int or ``(height, width)``, as a tuple; a ValueError where it is neither."""
    size = (image_size, image_size) if isinstance(image_size, (int, np.integer)) else image_size
    if (
        isinstance(size, (tuple, list))
        and len(size) == 2
        and all(isinstance(side, (int, np.integer)) and not isinstance(side, bool) and side > 0 for side in size)
    ):
        return int(size[0]), int(size[1])
    raise ValueError(f"image_size={image_size!r}; accepted: a positive int or (height, width), in pixels")
