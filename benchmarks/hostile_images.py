"""What broken and hostile images do: each is refused with the documented error, or read; nothing else happens.

    python benchmarks/hostile_images.py

Prints a row per kind of attack: how many were tried, and what came of them.
"""

from __future__ import annotations

import io
import random
import struct
import sys
import warnings
import zlib

import numpy as np
from _hostile import Outcomes, main
from PIL import Image

from skcnn.images import check_images, decode_bytes

#: What :func:`skcnn.images.decode_bytes` documents.
DOCUMENTED = (OSError, ValueError)

FORMATS = {
    "JPEG": {}, "PNG": {}, "GIF": {}, "WEBP": {}, "TIFF": {}, "BMP": {}, "PPM": {}, "TGA": {}, "PCX": {}, "SGI": {},
    "ICO": {}, "JPEG2000": {},
}  # fmt: skip


def _encoded(pixels: np.ndarray, format: str, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format, **options)
    return buffer.getvalue()


def mutated_images(outcomes: Outcomes) -> None:
    """Images of twelve formats with bytes changed, cut off or repeated."""
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    for format, options in FORMATS.items():
        whole = _encoded(pixels, format, **options)
        draw = random.Random(format)
        for attempt in range(50):
            content = bytearray(whole)
            # Half of the changes are made to the header, where they do most.
            end = min(len(content), 200) if attempt % 2 else len(content)
            for _ in range(draw.choice([1, 2, 8, 64])):
                content[draw.randrange(end)] = draw.randrange(256)
            if attempt % 5 == 0:
                content = content[: draw.randrange(len(content))]
            if attempt % 7 == 0:
                content *= 2
            outcomes.of(lambda content=content: decode_bytes(bytes(content)), DOCUMENTED)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _png(width: int, height: int, data: bytes, *extra: bytes) -> bytes:
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _bombs() -> dict[str, bytes]:
    one = np.zeros((1, 1, 3), np.uint8)
    packed = zlib.compress(bytes(64 << 20))
    files = {}
    for side in (15_000, 30_000, 65_535, 2**31 - 1):
        files[f"PNG of {side} x {side}"] = _png(side, side, packed)
    for text in (b"zTXt", b"iTXt", b"iCCP"):
        marks = b"\1\0\0\0" if text == b"iTXt" else b""
        files[f"PNG with {text.decode()} of 64 MB"] = _png(
            1, 1, zlib.compress(bytes(4)), _chunk(text, b"k\0" + marks + b"\0" + packed)
        )
    files["PNG of one pixel with 64 MB of data"] = _png(1, 1, packed)
    for side in (40_000, 2**31 - 1):
        bmp = bytearray(_encoded(one, "BMP"))
        bmp[18:26] = struct.pack("<ii", side, side)
        files[f"BMP of {side} x {side}"] = bytes(bmp)
        files[f"PPM of {side} x {side}"] = b"P6 %d %d 255\n\0" % (side, side)
        gif = bytearray(_encoded(one, "GIF"))
        gif[6:10] = struct.pack("<HH", min(side, 65_535), min(side, 65_535))
        files[f"GIF of {min(side, 65_535)} x {min(side, 65_535)}"] = bytes(gif)
    jpeg = bytearray(_encoded(one, "JPEG"))
    at = jpeg.index(b"\xff\xc0")
    jpeg[at + 5 : at + 9] = b"\xff\xff\xff\xff"
    files["JPEG of 65535 x 65535"] = bytes(jpeg)
    return files


def _others() -> dict[str, bytes]:
    return {
        "empty": b"",
        "one byte": b"\xff",
        "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n(%pipe%touch x) (w) file\n",
        "EPS behind a DOS header": b"\xc5\xd0\xd3\xc6" + bytes(60),
        "PDF": b"%PDF-1.4\n1 0 obj\n",
        "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>",
        "SVG with an entity": b"<!DOCTYPE s [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><svg>&x;</svg>",
        "HTML": b"<!doctype html><title>404</title>",
        "WMF": b"\xd7\xcd\xc6\x9a" + bytes(80),
        "EMF": b"\1\0\0\0" + bytes(36) + b" EMF" + bytes(80),
        "FITS": b"SIMPLE  =                    T" + bytes(2850),
        "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(100),
        "GRIB": b"GRIB" + bytes(100),
        "BUFR": b"BUFR" + bytes(100),
        "MPEG": b"\0\0\1\xb3" + bytes(100),
        "IM": b"Image type: RGB image\r\nImage size (x*y): 2*2\r\n\x1a" + bytes(500),
        "FLI": bytes(4) + b"\x11\xaf" + bytes(200),
        "XPM": b"/* XPM */\nstatic char *x[] = {\n",
        "XBM": b"#define a_width 9999999\n#define a_height 9999999\n",
        "PSD": b"8BPS\0\1" + bytes(100),
        "DDS": b"DDS |\0\0\0" + bytes(200),
        "BLP": b"BLP2" + bytes(200),
        "FTEX": b"FTEX" + bytes(100),
        "CUR": b"\0\0\2\0\1\0" + bytes(100),
        "ICNS": b"icns" + b"\x7f\xff\xff\xff" + bytes(100),
        "GBR": struct.pack(">IIIII", 28, 2, 9, 9, 1) + b"GIMP" + bytes(100),
        "ZIP": b"PK\3\4" + bytes(100),
        "pickle": b"\x80\x04\x95" + bytes(100),
        "ELF": b"\x7fELF" + bytes(100),
        "shell script": b"#!/bin/sh\ntouch x\n",
    }  # fmt: skip


def bombs_and_odd_formats(outcomes: Outcomes) -> None:
    """Decompression bombs, and files of other formats named .jpg."""
    for content in [*_bombs().values(), *_others().values()]:
        outcomes.of(lambda content=content: decode_bytes(content), DOCUMENTED)
        # As a row of a table: a line of the frame of bad rows, or an image.
        assert len(check_images([content])) <= 1


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # Pillow's, about what the files hold
    sys.exit(main([mutated_images, bombs_and_odd_formats]))
