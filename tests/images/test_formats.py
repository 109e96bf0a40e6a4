"""One road for every form of X: the same pixels, whatever the format and however the image is given."""

import io
import re
import subprocess
import warnings
from pathlib import Path

import numpy as np
import PIL
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from skcnn.images import FORMATS, as_image_size, as_images, check_images, decode_bytes, readable_formats, resize_image

#: How to write each format so that no pixel changes, or a way that changes them (the file is the truth then).
LOSSLESS = {
    "PNG": {}, "TIFF": {}, "BMP": {}, "PPM": {}, "TGA": {}, "PCX": {}, "SGI": {}, "WEBP": {"lossless": True},
}  # fmt: skip
LOSSY = ["JPEG", "GIF"]
PILLOW = int(PIL.__version__.split(".")[0])
if PILLOW < 12:  # which cannot read the narrow PCX images that it writes
    del LOSSLESS["PCX"]
TURNED_FORMATS = ["PNG", "TIFF", "WEBP", "JPEG"]


def encoded(image: Image.Image, format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def forms(content: bytes, folder: Path) -> dict[str, object]:
    """One encoded image in every form that may hold it."""
    path = folder / "image"
    path.write_bytes(content)
    return {
        "path": str(path),
        "Path": path,
        "bytes": content,
        "bytearray": bytearray(content),
        "memoryview": memoryview(content),
        "dict of bytes": {"bytes": content, "path": "elsewhere.png"},
        "dict of a path": {"bytes": None, "path": str(path)},
        "PIL image": Image.open(io.BytesIO(content)),
        "loaded PIL image": loaded(content),
    }


def loaded(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


@given(
    pixels=arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))),
    format=st.sampled_from([*LOSSLESS, *LOSSY]),
    orientation=st.sampled_from([None, *range(1, 9), 0, 9, 65535]),
    rule=st.sampled_from(["stretch", "crop", "pad"]),
)
@settings(max_examples=150, deadline=None)
def test_pixels_are_the_same_in_every_form(tmp_path_factory, pixels, format, orientation, rule):
    options = dict(LOSSLESS.get(format, {}))
    if orientation is not None and format in TURNED_FORMATS:
        options["exif"] = Image.Exif()
        options["exif"][0x0112] = orientation
    content = encoded(Image.fromarray(pixels), format, **options)
    whole = np.asarray(decode_bytes(content))
    if format in LOSSLESS and "exif" not in options:
        np.testing.assert_array_equal(whole, pixels)
    expected = np.asarray(resize_image(Image.fromarray(whole), (5, 7), rule))
    for name, item in forms(content, tmp_path_factory.mktemp("x")).items():
        actual = as_images([item]).decode(0, (5, 7), resize=rule)
        np.testing.assert_array_equal(actual, expected, err_msg=f"{format} as {name}")
        thumbnail = as_images([item]).thumbnail(0, 100)
        np.testing.assert_array_equal(thumbnail, whole, err_msg=f"thumbnail of {format} as {name}")
    np.testing.assert_array_equal(as_images([whole]).decode(0, (5, 7), resize=rule), expected)


def turn(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Return pixels as EXIF's definition of each orientation says: where row 0 and column 0 of the file are."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
def test_orientation_is_applied_to_files_and_to_PIL_images(format, orientation, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(Image.fromarray(pixels), format, exif=exif, **LOSSLESS[format])
    expected = turn(pixels, orientation)
    for name, item in forms(content, tmp_path).items():
        actual = as_images([item]).decode(0, expected.shape[:2])
        np.testing.assert_array_equal(actual, expected, err_msg=name)


def test_a_PIL_image_is_not_changed():
    exif = Image.Exif()
    exif[0x0112] = 6
    image = loaded(encoded(Image.new("RGB", (30, 20), "red"), "PNG", exif=exif))
    assert as_images([image]).decode(0, (30, 20)).shape == (30, 20, 3)
    assert image.size == (30, 20)
    assert image.getexif()[0x0112] == 6


LEVELS = np.tile(np.arange(0, 256, 4, dtype=np.int32), (64, 1))


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_numbers_of_32_bits_are_levels_from_0_to_255(dtype, tmp_path):
    image = Image.fromarray(LEVELS.astype(dtype))
    assert image.mode in ("I", "F")
    expected = np.repeat(LEVELS.astype(np.uint8)[..., None], 3, axis=2)
    for name, item in {**forms(encoded(image, "TIFF"), tmp_path), "in memory": image}.items():
        np.testing.assert_array_equal(as_images([item]).decode(0, (64, 64)), expected, err_msg=name)


@pytest.mark.parametrize("format", ["PNG", "TIFF", *(["PPM"] if PILLOW >= 11 else [])])
def test_numbers_of_16_bits_give_their_high_byte(format, tmp_path):
    image = Image.fromarray((LEVELS * 256 + 7).astype(np.uint16))
    expected = np.repeat(LEVELS.astype(np.uint8)[..., None], 3, axis=2)
    for name, item in forms(encoded(image, format), tmp_path).items():
        np.testing.assert_array_equal(as_images([item]).decode(0, (64, 64)), expected, err_msg=name)


def test_levels_above_255_are_refused():
    (bad,) = check_images([Image.fromarray(LEVELS * 4)]).reason
    assert "[0, 1008]" in bad
    assert "not in [0, 255]" in bad


@pytest.mark.parametrize(("width", "height"), [(1, 500), (500, 1), (2, 4000), (1, 1)])
def test_padding_leaves_a_narrow_image_at_least_a_pixel(width, height):
    padded = np.asarray(resize_image(Image.new("RGB", (width, height), "white"), (32, 32), "pad"))
    assert (padded == 255).any()


def test_a_closed_PIL_image_says_so(tmp_path):
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        pass
    (reason,) = check_images([image]).reason
    assert "was closed before its pixels were read" in reason


# --- what is not an image


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
NO_IMAGES = {
    "EPS": POSTSCRIPT,
    "PDF": b"%PDF-1.4\n",
    "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "WMF": b"\xd7\xcd\xc6\x9a" + bytes(80),
    "FITS": b"SIMPLE  =                    T" + bytes(200),
    "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(100),
    "GRIB": b"GRIB" + bytes(100),
    "MPEG": b"\x00\x00\x01\xb3" + bytes(100),
    "IM": b"Image type: RGB image\r\nImage size (x*y): 2*2\r\n" + bytes(500),
    "CUR": b"\0\0\2\0\1\0" + bytes(100),
    "ZIP": b"PK\3\4" + bytes(100),
}


@pytest.mark.parametrize("name", NO_IMAGES)
def test_formats_that_are_not_on_the_list_are_refused_and_start_no_program(name, tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a program was started")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    path = tmp_path / "image.jpg"
    path.write_bytes(NO_IMAGES[name])
    for item in (str(path), NO_IMAGES[name]):
        (reason,) = check_images([item]).reason
        assert "not an image of a known format" in reason


@pytest.mark.parametrize(
    ("brand", "format", "hint"),
    [
        (b"heic", "HEIF", r"a HEIC image: `pip install 'skcnn\[heif\]'` to read it"),
        (b"mif1", "HEIF", r"a HEIC image: `pip install 'skcnn\[heif\]'` to read it"),
        (b"avif", "AVIF", "an AVIF image: `pip install 'pillow>=11.3'` to read it"),
        (b"isom", "HEIF", "not an image of a known format"),  # a film
    ],
)
def test_what_reads_heic_and_avif_is_named(brand, format, hint, monkeypatch):
    readable_formats()  # what is installed is registered once
    monkeypatch.delitem(Image.OPEN, format, raising=False)
    content = b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1" + brand + b"\0\0\0\x08mdat"
    (reason,) = check_images([content]).reason
    assert re.search(hint, reason)
    monkeypatch.setitem(Image.OPEN, format, Image.OPEN["JPEG"])  # a broken file is not for want of a plug-in
    (reason,) = check_images([content]).reason
    assert "not an image of a known format" in reason


def test_formats_are_names_of_pillow():
    assert not {"EPS", "PDF", "WMF", "FITS", "GRIB", "BUFR", "HDF5", "MPEG", "IM"} & set(FORMATS)
    assert set(readable_formats()) <= set(FORMATS)
    assert {"JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"} <= set(readable_formats())


def test_a_file_too_large_is_refused_by_its_size(tmp_path):
    path = tmp_path / "large.jpg"
    with open(path, "wb") as file:
        file.truncate(4 << 30)  # takes no room
    (reason,) = check_images([path]).reason
    assert "4,294,967,296 bytes; at most 1,073,741,824" in reason


@pytest.mark.parametrize("size", [4097, 20_000, (10, 2**31), (2**40, 10)])
def test_an_image_size_that_ends_the_process_is_refused(size):
    with pytest.raises(ValueError, match="each at most 4,096"):
        as_image_size(size)


def test_a_bomb_is_refused_by_what_it_declares():
    bomb = bytearray(encoded(Image.new("RGB", (1, 1)), "BMP"))
    bomb[18:26] = (40_000).to_bytes(4, "little") * 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (reason,) = check_images([bytes(bomb)]).reason
    assert "decompression bomb" in reason
