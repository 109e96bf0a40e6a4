"""How an image becomes 8-bit RGB pixels of the size that a network wants."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from io import BytesIO

import numpy as np
from PIL import Image, ImageOps

from skcnn.images._memory import reserved
from skcnn.images._metadata import without_metadata

RESIZE_RULES = ("stretch", "crop", "pad")
"""What the parameter ``resize`` may be."""

#: A JPEG file is decoded smaller where what is left is still this many times the size wanted, so that the antialiased
#: resizing has the last word. It is what Pillow's ``Image.thumbnail`` does.
DRAFT_MARGIN = 2


FORMATS = (
    "AVIF", "BMP", "DIB", "GIF", "HEIF", "ICO", "JPEG", "JPEG2000", "MPO", "PCX", "PNG", "PPM", "QOI", "SGI", "TGA",
    "TIFF", "WEBP",
)  # fmt: skip
"""Pillow's names of the formats that are decoded. None of them starts a program (EPS starts Ghostscript) or only names
another file. AVIF and HEIF need a Pillow or a plug-in (``pillow-heif``) that has them."""

#: The brands by which HEIC and AVIF files name themselves, after a length and "ftyp".
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_AVIF_BRANDS = (b"avif", b"avis")

#: TIFF, PNG and PPM files of 16 bits per sample may come as mode "I", which holds 32-bit integers otherwise.
_SIXTEEN_BITS = ("PNG", "PPM")

#: Networks are run at no larger height or width: a tensor of more than 2^31 elements ends the process in some kernels.
MAX_SIDE = 4096

_ORIENTATION = 0x0112
_TRANSPOSED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode_bytes(content: bytes, max_pixels: int | None = None, size: tuple[int, int] | None = None) -> Image.Image:
    """Decode an encoded image to an upright RGB image.

    Parameters
    ----------
    content : bytes
        The content of the file, in one of ``FORMATS``.
    max_pixels : int or None, default=None
        Larger images are refused before they are decoded; None stands for Pillow's warning limit,
        ``PIL.Image.MAX_IMAGE_PIXELS``.
    size : tuple of (height, width) or None, default=None
        What the image will be resized to. A JPEG file of four times that size or more is then decoded at a half, a
        quarter or an eighth of its size, never at less than twice ``size``: the file holds the smaller sizes, which
        saves most of the time for large images. Pixels after resizing differ by one level of 255 on average, as between
        two decoders of JPEG.

    Returns
    -------
    PIL.Image.Image
        Mode RGB, EXIF orientation applied, the first frame of an animation.

    Raises
    ------
    ValueError
        If the image is too large.
    OSError
        If it cannot be decoded.
    """
    with decoded(content, max_pixels, size) as image:
        return image


@contextmanager
def decoded(
    content: bytes | Image.Image, max_pixels: int | None = None, size: tuple[int, int] | None = None
) -> Iterator[Image.Image]:
    """Give an upright RGB image for the time of a ``with`` block, within the memory that images may take together.

    Parameters
    ----------
    content : bytes or PIL image
        The caller's PIL image is loaded, and not changed otherwise.
    max_pixels, size
        What :func:`decode_bytes` takes.

    Yields
    ------
    PIL.Image.Image

    Raises
    ------
    ValueError
        If the image is too large.
    OSError
        If it cannot be decoded.
    """
    with _decoded(content, max_pixels, size, to_rgb) as image:
        yield image


@contextmanager
def decoded_as_stored(content: bytes | Image.Image, max_pixels: int | None = None) -> Iterator[Image.Image]:
    """Give an upright image as :func:`decoded` does, with the values that its pixels have in the file.

    A palette stays one, and numbers stay what they are: for masks.
    """
    with _decoded(content, max_pixels, None, lambda image: image) as image:
        yield image


@contextmanager
def _decoded(
    content: bytes | Image.Image,
    max_pixels: int | None,
    size: tuple[int, int] | None,
    converted: Callable[[Image.Image], Image.Image],
) -> Iterator[Image.Image]:
    if isinstance(content, bytes) and not content:
        raise ValueError("empty file")
    with _pillow_limit(max_pixels) as limit, ExitStack() as held:
        try:
            image = held.enter_context(_decoding(content, limit, size, converted))
        except (OSError, ValueError):
            # Whatever is broken in the metadata, the pixels may be good.
            bare = without_metadata(content) if isinstance(content, bytes) else None
            if bare is None:
                raise
            image = held.enter_context(_decoding(bare, limit, size, converted))
        yield image


@contextmanager
def _decoding(
    content: bytes | Image.Image,
    limit: int | None,
    size: tuple[int, int] | None,
    converted: Callable[[Image.Image], Image.Image],
) -> Iterator[Image.Image]:
    with plain_errors():
        image = open_image(content) if isinstance(content, bytes) else content
    width, height = image.size
    if limit is not None and width * height > limit:
        raise ValueError(
            f"{width} x {height} = {width * height} pixels, more than max_pixels={limit} (a guard against "
            "decompression bombs)"
        )
    if size is not None and image is not content:
        # Square, since the image may yet be turned. Formats other than JPEG take no notice.
        with plain_errors():
            image.draft(None, (DRAFT_MARGIN * max(size),) * 2)
    with reserved(image.width * image.height):
        with plain_errors():
            _load(image)
            result = converted(_upright(image))
        if image is not content:
            del image
        yield result


def open_image(content: bytes) -> Image.Image:
    try:
        return Image.open(BytesIO(content), formats=readable_formats())
    except Image.UnidentifiedImageError:
        raise OSError(_why_unknown(content)) from None
    except Image.DecompressionBombError as error:
        raise ValueError(str(error)) from None


def _why_unknown(content: bytes) -> str:
    brand = content[8:12] if content[4:8] == b"ftyp" else b""
    if brand in _HEIC_BRANDS and "HEIF" not in Image.OPEN:
        return "a HEIC image: `pip install 'skcnn[heif]'` to read it"
    if brand in _AVIF_BRANDS and "AVIF" not in Image.OPEN:
        return "an AVIF image: `pip install 'pillow>=11.3'` to read it"
    return "not an image of a known format such as JPEG, PNG, WebP, GIF, BMP or TIFF"


@contextmanager
def plain_errors() -> Iterator[None]:
    """Let nothing out but OSError, TypeError and ValueError: whatever a broken file does to a decoder."""
    try:
        yield
    except (OSError, TypeError, ValueError):
        raise
    except Exception as error:
        raise OSError(_reason(error)) from None


def readable_formats() -> list[str]:
    """Return those of ``FORMATS`` that Pillow can open here, with ``pillow-heif`` where that is installed."""
    Image.init()
    _register_heif()
    return [name for name in FORMATS if name in Image.OPEN]


@cache
def _register_heif() -> None:
    with suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()


#: Two threads that load one image at the same time spoil it; an image is in one of these by its identity.
_loading = [threading.Lock() for _ in range(64)]


def _load(image: Image.Image) -> None:
    with _loading[id(image) // 16 % len(_loading)]:
        try:
            image.load()
        except Exception:
            if _is_closed(image):
                raise OSError(
                    "the PIL image was closed before its pixels were read: call its load() inside the with block, or "
                    "give the path"
                ) from None
            if not _has_pixels(image):
                raise


def _is_closed(image: Image.Image) -> bool:
    file = getattr(image, "fp", image)
    return file is None or bool(getattr(file, "closed", False))


def _has_pixels(image: Image.Image) -> bool:
    # A TIFF file's pixels are there before its metadata is read, and broken metadata raises then. Loading it again does
    # nothing in that case, and raises in any other.
    if image.format != "TIFF" or getattr(image, "tile", True):
        return False
    try:
        image.load()
    except Exception:
        return False
    return True


def _reason(error: Exception) -> str:
    return f"broken image data ({type(error).__name__}: {error})"


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8, the one thing of the metadata that changes pixels; 1 where it is unknown."""
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:
        # Whatever is broken in the metadata, the pixels are good.
        return 1
    return orientation if isinstance(orientation, int) and orientation in _TRANSPOSED else 1


def _upright(image: Image.Image) -> Image.Image:
    method = _TRANSPOSED.get(orientation_of(image))
    return image if method is None else image.transpose(method)


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
        Of any mode: palette, CMYK and 16-bit included; 32-bit integers and floats in [0, 255].

    Returns
    -------
    PIL.Image.Image
        Mode RGB.
    """
    if image.mode == "RGB" and "transparency" not in image.info:
        return image.copy() if image.readonly else image
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in _SIXTEEN_BITS):
        samples = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
        return Image.fromarray((samples >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        return Image.fromarray(to_rgb_array(np.asarray(image)))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def to_rgb_array(pixels: np.ndarray) -> np.ndarray:
    """Return pixels (h, w), (h, w, 1), (h, w, 3) or (h, w, 4) as uint8 RGB."""
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] not in (1, 3, 4)) or pixels.size == 0:
        raise ValueError(f"an array of shape {pixels.shape} is not an image (height, width[, 1|3|4])")
    if pixels.dtype.kind not in "uifb":
        raise TypeError(f"an array of dtype {pixels.dtype} is not an image: uint8, or floats in [0, 255]")
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * 255
    elif pixels.dtype != np.uint8:
        check_range(pixels)
        pixels = np.rint(pixels).astype(np.uint8)
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        return np.asarray(to_rgb(Image.fromarray(np.ascontiguousarray(pixels), "RGBA")))
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))


def check_range(pixels: np.ndarray) -> None:
    """Refuse pixels that do not lie in [0, 255]."""
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
            f"pixels lie in [{low}, {high}] (dtype {pixels.dtype}), which looks scaled to [0, 1]; expected [0, "
            "255]. Multiply by 255, or give uint8 if the image is that dark."
        )


def resize_image(image: Image.Image, size: tuple[int, int], resize: str = "stretch") -> Image.Image:
    """Resize with Pillow's bilinear filter, which is antialiased when an image shrinks.

    Parameters
    ----------
    image : PIL.Image.Image
        Mode RGB.
    size : tuple of (height, width)
        In pixels.
    resize : {"stretch", "crop", "pad"}, default="stretch"
        How to handle other aspect ratios: ``"stretch"`` changes them, ``"crop"`` cuts out the centre,
        ``"pad"`` fits the whole image in and fills the rest with black.

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
        return _padded(image, target)
    raise ValueError(f"resize={resize!r}; expected {', '.join(map(repr, RESIZE_RULES))}")


def _padded(image: Image.Image, target: tuple[int, int]) -> Image.Image:
    (width, height), offset = padded_place(image.size, target)
    canvas = Image.new("RGB", target)
    canvas.paste(image.resize((width, height), Image.Resampling.BILINEAR), offset)
    return canvas


def padded_place(original: tuple[int, int], target: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the size to which an image is resized within a target, and its offset there; all as (width, height).

    As :func:`PIL.ImageOps.pad`, whose rounding leaves no pixel of a very narrow image.
    """
    width, height = target
    if original[0] * height > width * original[1]:
        height = max(1, round(original[1] / original[0] * width))
    else:
        width = max(1, round(original[0] / original[1] * height))
    return (width, height), (round((target[0] - width) * 0.5), round((target[1] - height) * 0.5))


def as_image_size(image_size: int | Sequence[int]) -> tuple[int, int]:
    """Return an image size, an int or ``(height, width)``, as a tuple; a ValueError where it is neither."""
    size = (image_size, image_size) if isinstance(image_size, (int, np.integer)) else image_size
    if (
        isinstance(size, (tuple, list))
        and len(size) == 2
        and all(
            isinstance(side, (int, np.integer)) and not isinstance(side, bool) and 0 < side <= MAX_SIDE for side in size
        )
    ):
        return int(size[0]), int(size[1])
    raise ValueError(
        f"image_size={image_size!r}; expected a positive int or (height, width), in pixels, each at most {MAX_SIDE:,}"
    )
