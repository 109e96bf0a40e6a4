"""Bodies of requests: read within limits, and split into images. Paths and URLs in them are never opened."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from skcnn.serving._errors import RequestError, busy
from skcnn.serving._limits import Limits

EXPECTED = (
    'expected multipart/form-data with one file per image, application/json {"images": [base64, ...]}, or one image as '
    "the body (a content type of image/*)"
)


class Sent(NamedTuple):
    """An image that a client sent: its encoded bytes, and what the client calls it (never opened)."""

    content: bytes
    name: str | None = None


class Held:
    """Bytes of bodies that a server holds at the same time.

    Parameters
    ----------
    max_held : int
        At most so many.
    """

    def __init__(self, max_held: int):
        self.n_bytes, self._max = 0, max_held
        self._lock = threading.Lock()

    @contextmanager
    def share(self) -> Iterator[Share]:
        """Give a request's share, which is given back at the end of the block."""
        share = Share(self)
        try:
            yield share
        finally:
            with self._lock:
                self.n_bytes -= share.n_bytes

    def take(self, n_bytes: int) -> None:
        """Take so many bytes, or raise the error of a busy server."""
        with self._lock:
            if self.n_bytes + n_bytes > self._max:
                raise busy("The server holds as many bodies as it can")
            self.n_bytes += n_bytes


class Share:
    """What one request has of :class:`Held`."""

    def __init__(self, held: Held):
        self.n_bytes, self._held = 0, held

    def add(self, n_bytes: int) -> None:
        """Take so many bytes more, or raise the error of a busy server."""
        self._held.take(n_bytes)
        self.n_bytes += n_bytes


async def read_body(request: Request, limits: Limits, share: Share) -> bytes:
    """Return a body, whose bytes are counted as they arrive.

    Raises
    ------
    RequestError
        413 if it is too long, 408 if it takes too long, 503 if the server holds too many, 400 if it is cut.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limits.max_body:
        raise _too_long(limits)
    chunks: list[bytes] = []
    n_bytes = 0
    try:
        async with asyncio.timeout(limits.body_timeout):
            async for chunk in request.stream():
                n_bytes += len(chunk)
                if n_bytes > limits.max_body:
                    raise _too_long(limits)
                share.add(len(chunk))
                chunks.append(chunk)
    except TimeoutError:
        raise RequestError(408, f"The body did not arrive within {limits.body_timeout:g} s.") from None
    except ClientDisconnect:
        raise RequestError(400, "The body was cut off.") from None
    return b"".join(chunks)


def _too_long(limits: Limits) -> RequestError:
    return RequestError(413, f"The body has more than {limits.max_body:,} bytes; send fewer or smaller images.")


def images_of(content_type: str, body: bytes, limits: Limits) -> list[Sent]:
    """Return the images of a body.

    Raises
    ------
    RequestError
        400 if it is malformed, 413 if it has too many, 415 if it is of another type.
    """
    kind, options = parse_options_header(content_type)
    if kind == b"multipart/form-data":
        images = _files(body, options.get(b"boundary", b""), limits)
    elif kind == b"application/json":
        images = _from_json(body, limits)
    elif kind.startswith(b"image/") or kind == b"application/octet-stream":
        images = [Sent(body)]
    else:
        # curl says so of whatever --data sends; and clients that say nothing send one image, most often.
        is_form = kind in (b"", b"application/x-www-form-urlencoded")
        hint = " If the body is one image, say so: -H 'Content-Type: image/jpeg' in curl." if is_form else ""
        raise RequestError(415, f"Got the content type {content_type[:100]!r}; {EXPECTED}.{hint}")
    if not images or not all(image.content for image in images):
        raise RequestError(400, f"Got {'an empty image' if images else 'no image'}; {EXPECTED}.")
    return images


def check_count(n_images: int, limits: Limits) -> None:
    """Raise 413 if a request has too many images."""
    if n_images > limits.max_images:
        raise RequestError(413, f"Got more than {limits.max_images} images; send them in several requests.")


def _files(body: bytes, boundary: bytes, limits: Limits) -> list[Sent]:
    parts = _Parts(limits)
    try:
        if not boundary:
            raise FormParserError("it has no boundary")
        parser = MultipartParser(boundary, parts.callbacks())
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise RequestError(400, f"The multipart body is malformed: {error}") from None
    if not parts.is_whole:
        raise RequestError(400, "The multipart body ends before its last boundary.")
    return parts.images


class _Parts:
    """The parts of a multipart body, as its parser finds them."""

    def __init__(self, limits: Limits):
        self.images: list[Sent] = []
        self.is_whole = False
        self._limits, self._n_parts = limits, 0
        self._field, self._value = bytearray(), bytearray()
        self._content: list[bytes] = []
        self._name: str | None = None

    def callbacks(self) -> Any:
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._field.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_part_data": lambda data, start, end: self._content.append(data[start:end]),
            "on_part_end": self._end,
            "on_end": lambda: setattr(self, "is_whole", True),
        }

    def _begin(self) -> None:
        self._content, self._name = [], None
        self._n_parts += 1
        check_count(self._n_parts, self._limits)

    def _end_header(self) -> None:
        if bytes(self._field).lower() == b"content-disposition":
            _, options = parse_options_header(bytes(self._value))
            self._name = options.get(b"filename", b"").decode("utf-8", "replace")[:255] or None
        self._field, self._value = bytearray(), bytearray()

    def _end(self) -> None:
        self.images.append(Sent(b"".join(self._content), self._name))


def read_json(body: bytes) -> Any:
    """Return what JSON says.

    Raises
    ------
    RequestError
        400 if it is malformed.
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deep" if isinstance(error, RecursionError) else error
        raise RequestError(400, f"The body is not JSON: {reason}.") from None


def _from_json(body: bytes, limits: Limits) -> list[Sent]:
    values = read_json(body)
    if not isinstance(values, dict) or not isinstance(values.get("images"), list) or len(values) != 1:
        raise RequestError(400, f"Got other JSON; {EXPECTED}.")
    return decoded_texts(values["images"], limits)


def decoded_texts(texts: list[Any], limits: Limits) -> list[Sent]:
    """Return the images of a list of base64.

    Raises
    ------
    RequestError
        400 if one of them is not base64, 413 if they are too many.
    """
    check_count(len(texts), limits)
    images = []
    for number, text in enumerate(texts):
        try:
            if not isinstance(text, str):
                raise TypeError
            images.append(Sent(base64.b64decode(text, validate=True)))
        except (TypeError, ValueError, binascii.Error):
            raise RequestError(400, f"Image {number} is not base64; no path and no URL is opened.") from None
    return images
