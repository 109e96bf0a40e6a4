"""The format of TFRecord files, and of the ``tf.train.Example`` messages in them, without TensorFlow.

A record is its length (uint64), a masked CRC-32C of that, its bytes, and a masked CRC-32C of these. A message of
Protocol Buffers is a sequence of fields: a number that names field and type, then a value.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

import numpy as np

#: Bytes before and behind the content of a record.
HEAD, FOOT = 12, 4

Values = list[bytes] | np.ndarray


def record(content: bytes) -> bytes:
    """Return a record with this content."""
    length = struct.pack("<Q", len(content))
    return b"".join([length, struct.pack("<I", masked_crc(length)), content, struct.pack("<I", masked_crc(content))])


def length_of(head: bytes) -> int | None:
    """Return the length in the first 12 bytes of a record; None if they are damaged."""
    if len(head) < HEAD or struct.unpack_from("<I", head, 8)[0] != masked_crc(head[:8]):
        return None
    return int(struct.unpack_from("<Q", head)[0])


def masked_crc(content: bytes) -> int:
    """Return the CRC-32C of bytes, rotated and shifted as the format has it.

    Raises
    ------
    ImportError
        If ``google-crc32c`` is not installed; it comes with the extra ``tfrecord``.
    """
    try:
        import google_crc32c
    except ImportError:
        raise ImportError(
            "TFRecord files need google-crc32c: `pip install 'skcnn[tfrecord]'` to read and write them."
        ) from None
    crc = google_crc32c.value(content)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def example(features: dict[str, Values]) -> bytes:
    """Return a ``tf.train.Example``: bytes as they are, integers as int64, other numbers as float32."""
    entries = []
    for name, values in features.items():
        if isinstance(values, list):
            kind, content = 1, b"".join(_delimited(1, value) for value in values)
        elif values.dtype.kind in "iub":
            kind, content = 3, _delimited(1, b"".join(_varint(int(value) & (2**64 - 1)) for value in values))
        else:
            kind, content = 2, _delimited(1, values.astype("<f4").tobytes())
        entries.append(_delimited(1, _delimited(1, name.encode()) + _delimited(2, _delimited(kind, content))))
    return _delimited(1, b"".join(entries))


def features_of(content: bytes) -> dict[str, Values]:
    """Return the features of a ``tf.train.Example``.

    Raises
    ------
    ValueError
        If the bytes are another message, or none.
    """
    features: dict[str, Values] = {}
    try:
        for _, entries in _fields(memoryview(content)):
            for _, entry in _fields(_message(entries)):
                pair = dict(_fields(_message(entry)))
                features[str(_message(pair[1]), "utf-8")] = _values(_message(pair[2]) if 2 in pair else memoryview(b""))
    except (KeyError, IndexError, TypeError, UnicodeDecodeError, struct.error):
        raise ValueError("the record is not a tf.train.Example") from None
    return features


def _values(feature: memoryview) -> Values:
    for kind, content in _fields(feature):
        values = list(_fields(_message(content)))
        if kind == 1:
            return [bytes(_message(value)) for _, value in values]
        # Numbers come packed, or one by one.
        if kind == 2:
            floats = [value if isinstance(value, memoryview) else struct.pack("<I", value) for _, value in values]
            return np.frombuffer(b"".join(floats), "<f4")
        numbers: list[int] = []
        for _, value in values:
            numbers += _varints(value) if isinstance(value, memoryview) else [value]
        return np.array(numbers, np.uint64).astype(np.int64)
    return []


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield the fields of a message, by number."""
    at = 0
    while at < len(message):
        key, at = _read_varint(message, at)
        kind = key & 7
        if kind == 0:
            value, at = _read_varint(message, at)
            yield key >> 3, value
            continue
        if kind not in (1, 2, 5):
            raise TypeError
        length = 8 if kind == 1 else 4
        if kind == 2:
            length, at = _read_varint(message, at)
        if at + length > len(message):
            raise IndexError
        part = message[at : at + length]
        yield key >> 3, part if kind == 2 else int.from_bytes(part, "little")
        at += length


def _message(value: int | memoryview) -> memoryview:
    if not isinstance(value, memoryview):
        raise TypeError
    return value


def _read_varint(content: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value & (2**64 - 1), at
        shift += 7
        if shift > 63:
            raise IndexError


def _varints(packed: memoryview) -> list[int]:
    values, at = [], 0
    while at < len(packed):
        value, at = _read_varint(packed, at)
        values.append(value)
    return values


def _varint(value: int) -> bytes:
    pieces = bytearray()
    while value > 0x7F:
        pieces.append(value & 0x7F | 0x80)
        value >>= 7
    pieces.append(value)
    return bytes(pieces)


def _delimited(number: int, content: bytes | Sequence[int]) -> bytes:
    content = bytes(content)
    return _varint(number << 3 | 2) + _varint(len(content)) + content
