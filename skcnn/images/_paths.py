"""Reading what a path or a URL names."""

from __future__ import annotations

import os
import stat
from typing import Any

from skcnn._stores import TIMEOUT, Options, fetch, is_url

#: Larger files are not read: no image that the limit on pixels lets through is that large.
MAX_FILE_BYTES = 2**30


def read_path(path: str) -> bytes:
    """Return the content of a file or of a URL.

    Raises
    ------
    OSError
        If it cannot be read; the message is the reason alone.
    ValueError
        If it is too large for an image.
    """
    if is_url(path):
        return read_url(path)
    try:
        # A pipe or a device among the images: to read it may never end.
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
            raise OSError("not a regular file")
        if (n_bytes := status.st_size) > MAX_FILE_BYTES:
            raise ValueError(f"a file of {n_bytes:,} bytes; at most {MAX_FILE_BYTES:,} are read as one image")
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        hint = "" if os.path.isabs(path) else f" (relative to {os.getcwd()}; root= names another folder)"
        raise FileNotFoundError(f"no such file{hint}") from None
    except OSError as error:
        raise OSError(error.strerror or str(error)) from None


def plain_row(item: Any) -> Any:
    """Return what a ``{"bytes", "path"}`` dict holds, and anything else as it is."""
    if isinstance(item, dict) and item.keys() <= {"bytes", "path"} and item:
        content = item.get("bytes")
        return item.get("path") if content is None else content
    return item


def read_url(url: str, options: Options | None = None, timeout: float = TIMEOUT) -> bytes:
    """Return the content of a URL: see :func:`skcnn._stores.fetch`.

    Raises
    ------
    OSError
        If it cannot be read; the message is the reason alone.
    """
    try:
        return fetch(url, options, timeout=timeout)
    except ImportError as error:  # what fsspec needs for such a URL
        raise OSError(str(error)) from None
