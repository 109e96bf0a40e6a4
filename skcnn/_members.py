"""Networks and weight files that travel inside a saved file, beside the estimators that they belong to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_members: ContextVar[dict[str, bytes] | None] = ContextVar("members", default=None)


@contextmanager
def packed_members(members: dict[str, bytes]) -> Iterator[dict[str, bytes]]:
    """Have estimators put networks and weight files that they were given into ``members``, or take them from there.

    Inside the block an estimator's state names such a member in place of the object or the path, so that what is
    stored beside the members is plain data.
    """
    token = _members.set(members)
    try:
        yield members
    finally:
        _members.reset(token)


def current_members() -> dict[str, bytes] | None:
    """Return the members of the block that this is called in; None outside of any, as in a pickle."""
    return _members.get()
