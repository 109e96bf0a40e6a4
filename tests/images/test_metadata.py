"""Metadata never costs pixels: whatever is broken in it, a good image is read, and turned where it says so."""

import io
import random
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from skcnn.images import decode_bytes

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
JUNK = [random.Random(0).randbytes(n_bytes) for n_bytes in (0, 1, 7, 40)]

JPEG_HEADS = [
    b"",
    b"JFIF\0",
    b"Exif\0\0",
    b"Exif\0\0MM\0*",
    b"ICC_PROFILE\0",
    b"ICC_PROFILE\0\x01\x01",
    b"Photoshop 3.0\0",
    b"Photoshop 3.0\x008BIM\x03\xed\0\0\0\0\0\x02a",
    b"MPF\0",
    b"MPF\0II*\0\x08\0\0\0\x01\0",
    b"http://ns.adobe.com/xap/1.0/\0<x",
]
PNG_NAMES = [
    b"iCCP", b"gAMA", b"sRGB", b"pHYs", b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"acTL", b"cHRM", b"tIME", b"fcTL", b"prVt",
]  # fmt: skip
PNG_BODIES = [b"", b"a", b"ab\0", b"ab\0\1", b"ab\0\0\0\0\0", b"MM\0*" + JUNK[3], *JUNK]


def encoded(format: str, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, format, **options)
    return buffer.getvalue()


def jpeg_with(*segments: tuple[int, bytes]) -> bytes:
    content = encoded("JPEG")
    added = b"".join(struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data for marker, data in segments)
    return content[:2] + added + content[2:]


def chunk(name: bytes, data: bytes, crc: int | None = None) -> bytes:
    return (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data) if crc is None else crc)
    )


def png_with(*chunks: bytes, before_pixels: bool = True) -> bytes:
    content = encoded("PNG")
    at = 8 + 25 if before_pixels else len(content) - 12
    return content[:at] + b"".join(chunks) + content[at:]


def webp_with(name: bytes, data: bytes, flag: int) -> bytes:
    pixels = encoded("WEBP", lossless=True)[12:]
    size = struct.pack("<I", 31)[:3] + struct.pack("<I", 23)[:3]
    header = b"VP8X" + struct.pack("<I", 10) + bytes([flag, 0, 0, 0]) + size
    added = name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
    payload = b"WEBP" + header + (added + pixels if name == b"ICCP" else pixels + added)
    return b"RIFF" + struct.pack("<I", len(payload)) + payload


def assert_same_pixels(content: bytes, expected: np.ndarray, what: object) -> None:
    np.testing.assert_array_equal(np.asarray(decode_bytes(content)), expected, err_msg=repr(what))


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # of Pillow, about the metadata
@pytest.mark.parametrize("marker", [*range(0xE0, 0xEE), 0xEF, 0xFE], ids=hex)
def test_jpeg_with_broken_segments(marker):
    expected = np.asarray(Image.open(io.BytesIO(encoded("JPEG"))))
    for head in JPEG_HEADS:
        for junk in JUNK:
            assert_same_pixels(jpeg_with((marker, head + junk)), expected, (head, junk))


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("name", PNG_NAMES)
def test_png_with_broken_chunks(name):
    for body in PNG_BODIES:
        for before_pixels in (True, False):
            content = png_with(chunk(name, body), before_pixels=before_pixels)
            assert_same_pixels(content, PIXELS, (body, before_pixels))
    assert_same_pixels(png_with(chunk(name, b"abc\0", crc=1)), PIXELS, "wrong sum")


@pytest.mark.parametrize("name", [b"zTXt", b"iTXt", b"iCCP"])
def test_png_whose_text_would_become_large(name):
    packed = zlib.compress(bytes(70 << 20))
    assert_same_pixels(png_with(chunk(name, b"k\0" + b"\1\0\0\0" * (name == b"iTXt") + b"\0" + packed)), PIXELS, name)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize(("name", "flag"), [(b"EXIF", 8), (b"ICCP", 32), (b"XMP ", 4)])
def test_webp_with_broken_chunks(name, flag):
    for data in [*JUNK, b"Exif\0\0", b"Exif\0\0MM\0*\0\0", b"II*\0\xff\xff\xff\xff"]:
        assert_same_pixels(webp_with(name, data, flag), PIXELS, data)


def turned_exif() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif.tobytes()


def test_an_image_with_a_broken_profile_is_still_turned():
    jpeg = jpeg_with((0xE2, b"ICC_PROFILE\0"), (0xE1, turned_exif()))
    whole = np.asarray(Image.open(io.BytesIO(encoded("JPEG"))))
    assert_same_pixels(jpeg, np.rot90(whole, -1), "JPEG")
    png = png_with(chunk(b"iCCP", b"a"), chunk(b"eXIf", turned_exif().removeprefix(b"Exif\0\0")))
    assert_same_pixels(png, np.rot90(PIXELS, -1), "PNG")


def test_transparency_is_kept():
    image = Image.fromarray(PIXELS)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", transparency=tuple(PIXELS[0, 0].tolist()))
    content = buffer.getvalue()
    expected = PIXELS.copy()
    expected[0, 0] = 255
    assert_same_pixels(content[:33] + chunk(b"iCCP", b"a") + content[33:], expected, "tRNS")


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_what_is_cut_off_stays_refused(format):
    content = jpeg_with((0xE2, b"x")) if format == "JPEG" else png_with(chunk(b"tEXt", b"a\0b"))
    for n_bytes in (40, len(content) // 2, len(content) - 40):
        with pytest.raises(OSError, match=r"(?i)image|truncated|broken"):
            decode_bytes(content[:n_bytes])


def test_without_metadata_of_other_files_is_nothing():
    from skcnn.images._metadata import without_metadata

    for content in (b"", b"GIF89a", b"\xff\xd8", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", encoded("BMP")):
        assert without_metadata(content) is None
