"""Why a request gets no prediction."""

from __future__ import annotations


class RequestError(Exception):
    """A request is answered with a status and a reason.

    Parameters
    ----------
    status : int
        Of HTTP.
    message : str
        For the client.
    retry_after : int or None, default=None
        Seconds after which to try again.
    """

    def __init__(self, status: int, message: str, retry_after: int | None = None):
        super().__init__(message)
        self.status, self.retry_after = status, retry_after


def busy(what: str, retry_after: int = 1) -> RequestError:
    """Return the error of a server that has as much to do as it takes on."""
    return RequestError(503, f"{what}; try again in {retry_after} s.", retry_after)
