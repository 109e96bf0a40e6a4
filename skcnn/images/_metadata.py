"""Files without their metadata, for those whose metadata is broken and whose pixels are not."""

from __future__ import annotations

import struct
import zlib

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT = {b"tRNS"}

_JPEG_START, _JPEG_SCAN = b"\xff\xd8", 0xDA
_JFIF, _EXIF, _ADOBE, _LAST_APPLICATION, _COMMENT = 0xE0, 0xE1, 0xEE, 0xEF, 0xFE
_JFIF_BYTES = 14


def without_metadata(content: bytes) -> bytes | None:
    """Return a JPEG or PNG file with no more than what its pixels and its orientation need.

    Parameters
    ----------
    content : bytes
        The content of a file of any format.

    Returns
    -------
    bytes or None
        None if there is nothing to leave out, or the file is not JPEG or PNG.
    """
    if content.startswith(_PNG_SIGNATURE):
        kept = _png_kept(content)
    elif content.startswith(_JPEG_START):
        kept = _jpeg_kept(content)
    else:
        return None
    return None if len(kept) == len(content) else kept


def _png_kept(content: bytes) -> bytes:
    """Keep chunks whose names begin with a capital letter (PNG's sign of what cannot be left out), and orientation."""
    kept = [_PNG_SIGNATURE]
    at = len(_PNG_SIGNATURE)
    while at + 12 <= len(content):
        (n_bytes,) = struct.unpack_from(">I", content, at)
        chunk = content[at : at + 12 + n_bytes]
        name = chunk[4:8]
        # An Exif chunk with a wrong sum would be refused again.
        whole = len(chunk) == 12 + n_bytes and chunk[-4:] == struct.pack(">I", zlib.crc32(chunk[4:-4]))
        if name[:1].isupper() or name in _PNG_KEPT or (name == b"eXIf" and whole):
            kept.append(chunk)
        at += 12 + n_bytes
    return b"".join([*kept, content[at:]])


def _jpeg_kept(content: bytes) -> bytes:
    """Drop comments and applications' segments, but for those that name the colours (JFIF, Adobe) and Exif."""
    kept = [_JPEG_START]
    at = len(_JPEG_START)
    while at + 4 <= len(content) and content[at] == 0xFF and content[at + 1] != _JPEG_SCAN:
        marker, n_bytes = struct.unpack_from(">xBH", content, at)
        segment = content[at : at + 2 + n_bytes]
        if not _is_dropped(marker, segment):
            kept.append(segment)
        at += 2 + n_bytes
    return b"".join([*kept, content[at:]])


def _is_dropped(marker: int, segment: bytes) -> bool:
    if marker == _JFIF:
        return len(segment) < 4 + _JFIF_BYTES
    if marker == _EXIF:
        return segment[4:10] != b"Exif\x00\x00"
    return marker != _ADOBE and (_JFIF < marker <= _LAST_APPLICATION or marker == _COMMENT)
