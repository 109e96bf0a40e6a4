"""What goes wrong with a store: what may pass is tried again, and the rest is said in plain words."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TypeVar

from skcnn._stores._file_systems import PATIENCE, missing_package

Result = TypeVar("Result")

#: How often something is tried that may pass.
TRIES = 3
#: Seconds; the mean pause before the second try is half of it, and doubles.
BACKOFF = 0.5

#: What aiohttp and botocore raise where a connection breaks or stays silent, besides the errors of Python.
_PASSING = frozenset(
    {"ClientPayloadError", "ClientConnectionError", "ConnectionError", "HTTPClientError", "IncompleteReadError"}
)


class CutError(OSError):
    """Fewer bytes came than were asked for."""


class StatusError(OSError):
    """A store answers with a status that is not one of success."""

    def __init__(self, status: int):
        super().__init__(f"status {status}")
        self.status = status


def tried(url: str, call: Callable[[], Result], timeout: float) -> Result:
    """Call something up to three times, as long as what is wrong may pass."""
    for n_tries in range(1, TRIES + 1):
        try:
            return call()
        except ImportError as error:
            raise ImportError(missing_package(url, error)) from None
        except Exception as error:
            known = _of_python(error)
            if n_tries == TRIES or not _may_pass(known):
                raise _plain(known, n_tries, timeout) from None
        # At random, so that many who failed together do not come back together.
        time.sleep(random.uniform(0, BACKOFF * 2 ** (n_tries - 1)))
    raise AssertionError("the last try returns or raises")


def _of_python(error: Exception) -> Exception:
    """Return an error of obstore, whose text alone says what it is, as one of Python; others as they are."""
    if not type(error).__module__.startswith("obstore"):
        return error
    text = str(error)
    if found := re.search(r"status code: ([45]\d\d)", text):
        return StatusError(int(found[1]))
    if "Timeout" in text or "TimedOut" in text:
        return TimeoutError()
    if "response body error" in text:
        return CutError()
    if "HTTP error" in text:
        return ConnectionError("nothing could be sent, or nothing came")
    return error


def _status_of(error: BaseException | None) -> int | None:
    """Return the HTTP status that an error is about, by any of the libraries."""
    while error is not None and not _is_of_connection(error):
        response = getattr(error, "response", None)
        if isinstance(response, Mapping):
            return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)) or None
        for name in ("status", "status_code", "code"):
            value = getattr(error, name, None)
            if isinstance(value, int) and 400 <= value < 600:
                return value
        error = error.__cause__
    return None


def _may_pass(error: Exception) -> bool:
    """Tell whether another try may succeed."""
    if (status := _status_of(error)) is not None:
        return status >= 500 or status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
    if isinstance(error, (TimeoutError, ConnectionError, CutError, EOFError)):
        return True
    return _is_of_connection(error)


def _is_of_connection(error: BaseException) -> bool:
    """Tell whether a library says that a connection broke or stayed silent."""
    return any(kind.__name__ in _PASSING for kind in type(error).__mro__)


def _plain(error: Exception, n_tries: int, timeout: float) -> Exception:
    """Return an error as an OSError whose message is the reason alone."""
    tried = f" ({n_tries} tries)" if n_tries > 1 else ""
    status = _status_of(error)
    if isinstance(error, FileNotFoundError) or status == HTTPStatus.NOT_FOUND:
        what = "bucket" if "bucket" in str(error).lower() and "does not exist" in str(error) else "file"
        return FileNotFoundError(f"the store has no such {what}")
    if isinstance(error, PermissionError) or status in (HTTPStatus.FORBIDDEN, HTTPStatus.UNAUTHORIZED):
        code = "" if status is None else f" ({status})"
        return PermissionError(f"the store refuses access{code}: check the credentials")
    if status is not None:
        phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else "unknown"
        return OSError(f"the store answers {status} {phrase}{tried}")
    if type(error).__name__ == "FSTimeoutError" and type(error.__cause__) in (TimeoutError, type(None)):
        return TimeoutError(f"it did not come within {PATIENCE * timeout:g} s{tried}")
    if isinstance(error, TimeoutError) or "Timeout" in type(error).__name__:
        return TimeoutError(f"the store is silent for {timeout:g} s{tried}")
    if isinstance(error, CutError) or type(error).__name__ in ("ClientPayloadError", "IncompleteReadError"):
        return CutError(f"the body is shorter than declared{tried}")
    if isinstance(error, ConnectionError) or _may_pass(error):
        return ConnectionError(f"the connection fails: {str(error) or type(error).__name__}{tried}")
    if isinstance(error, (OSError, ValueError)):
        return error
    return OSError(f"{type(error).__name__}: {error}")  # each file system has errors of its own
