"""Networks and weight files that travel inside a saved file, beside the estimators that they belong to.

An estimator that holds such things has two methods. ``__skcnn_pack__(members)`` puts them into ``members`` and returns
those of its attributes that are stored otherwise, as plain data that names a member. ``__skcnn_unpack__(members)``
returns the attributes as they were.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np


def packed(estimator: Any, members: dict[str, bytes], instead: Callable[[Any], Any] = lambda value: value) -> Any:
    """Return an estimator as it is stored; networks and weight files are put into ``members``.

    Parameters
    ----------
    estimator : estimator
        Whatever it holds is packed as well: steps, candidates, fitted copies. It is not changed.
    members : dict of str to bytes
        Members of the file by name; added to.
    instead : callable, optional
        From each value in it to the one that is stored in its place, which may be the same.

    Returns
    -------
    estimator
        A copy as far as something in it is stored otherwise; the rest is shared with the one given.

    Raises
    ------
    TypeError
        If part of it cannot be saved without code; the message says what to do instead.
    """
    return _Replacement(lambda value: type(value).__skcnn_pack__(value, members), instead).of(estimator)


def unpacked(estimator: Any, members: dict[str, bytes], instead: Callable[[Any], Any] = lambda value: value) -> Any:
    """Return the estimator that :func:`packed` was given, with what is in ``members``; ``instead`` is as there."""
    return _Replacement(lambda value: type(value).__skcnn_unpack__(value, members), instead).of(estimator)


class _Replacement:
    """A value with some of what is in it replaced; objects that it holds twice stay one object."""

    def __init__(self, attributes_of: Callable[[Any], dict[str, Any]], instead: Callable[[Any], Any]):
        self._attributes_of = attributes_of
        self._instead = instead
        # The originals as well, so that no other object gets their id.
        self._made: dict[int, tuple[Any, Any]] = {}

    def of(self, value: Any) -> Any:
        if id(value) not in self._made:
            self._made[id(value)] = value, value  # what holds itself ends here
            self._made[id(value)] = value, self._replaced(self._instead(value))
        return self._made[id(value)][1]

    def _replaced(self, value: Any) -> Any:
        if isinstance(value, dict):
            found = {key: self.of(item) for key, item in value.items()}
            if _is_same(found.values(), value.values()):
                return value
            changed = copy.copy(value)  # of its own type, such as Bunch
            dict.update(changed, found)
            return changed
        if type(value) in (list, tuple, set, frozenset):
            given = list(value)
            items = [self.of(item) for item in given]
            return value if _is_same(items, given) else type(value)(items)
        if isinstance(value, np.ndarray):
            return self._of_array(value) if value.dtype == object else value
        if not _may_hold_estimators(value):
            return value
        attributes = value.__dict__
        if hasattr(type(value), "__skcnn_pack__"):  # of the class: what a file sets on an object is never called
            attributes = {**attributes, **self._attributes_of(value)}
        attributes = {name: self.of(item) for name, item in attributes.items()}
        if attributes.keys() == value.__dict__.keys() and _is_same(attributes.values(), value.__dict__.values()):
            return value
        changed = object.__new__(type(value))
        changed.__dict__.update(attributes)
        return changed

    def _of_array(self, value: np.ndarray) -> np.ndarray:
        # The values of a masked array, too: the candidates of a search come in such.
        given = value.data if isinstance(value, np.ma.MaskedArray) else value
        items = [self.of(item) for item in given.flat]
        if _is_same(items, given.flat):
            return value
        changed = value.copy()
        target = changed.data if isinstance(changed, np.ma.MaskedArray) else changed
        for place, item in enumerate(items):
            target.flat[place] = item
        return changed


def _is_same(found: Any, given: Any) -> bool:
    return all(one is other for one, other in zip(found, given, strict=True))


def _may_hold_estimators(value: Any) -> bool:
    """Tell whether a value is an object with plain attributes, and of no library whose objects hold no estimators."""
    if isinstance(value, type) or not hasattr(value, "__dict__"):
        return False
    library = type(value).__module__.partition(".")[0]
    if callable(value) and library != "sklearn" and not hasattr(type(value), "get_params"):  # functions, networks
        return False
    return library not in ("builtins", "numpy", "pandas", "scipy", "keras")
