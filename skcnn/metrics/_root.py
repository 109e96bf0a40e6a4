"""The folder that an estimator reads relative paths from."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from sklearn.frozen import FrozenEstimator


def root_of(estimator: Any) -> str | None:
    """Return the folder that an estimator reads relative paths from; None where it has none, or several."""
    roots = set(_roots_of(estimator))
    return roots.pop() if len(roots) == 1 else None


def _roots_of(estimator: Any) -> Iterator[str]:
    if isinstance(estimator, FrozenEstimator):  # It shows none of the parameters of what it holds.
        estimator = estimator.estimator
    given = estimator.get_params() if hasattr(estimator, "get_params") else {}
    for name, value in given.items():
        if isinstance(value, FrozenEstimator):
            yield from _roots_of(value)
        elif name.split("__")[-1] == "root" and value is not None:
            yield os.fspath(value)
