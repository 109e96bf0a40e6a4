"""What verifier and recognizer share: the embedding, the space learned of it, and folds of people."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import GroupKFold, check_cv
from sklearn.utils import Tags, column_or_1d
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

from skcnn._labels import as_labels
from skcnn.metric_learning._embedding import fitted, learns, vectors_of
from skcnn.metric_learning._space import METRICS, WHITENINGS, Space, learn_space


class Fold(NamedTuple):
    """Vectors of people in a space that was learned of others.

    Parameters
    ----------
    space : Space
        Learned of ``others``.
    held_out, others : ndarray of shape (n, n_components)
        Projected vectors.
    held_out_rows : ndarray of shape (n,), int
        Which samples were held out.
    held_out_codes, other_codes : ndarray of shape (n,), int
        Their identities.
    """

    space: Space
    held_out: np.ndarray
    held_out_rows: np.ndarray
    held_out_codes: np.ndarray
    others: np.ndarray
    other_codes: np.ndarray


class IdentityEstimator(ClassifierMixin, BaseEstimator):
    """Base of estimators that compare images by the vectors of an embedding.

    A subclass spells out the parameters, and learns a threshold of the distances.
    """

    _parameter_constraints = {  # noqa: RUF012  (scikit-learn's own form)
        "embedding": [HasMethods(["transform"])],
        "far": [Interval(Real, 0, 1, closed="neither")],
        "threshold": [Real, None],
        "metric": [StrOptions(set(METRICS))],
        "center": ["boolean"],
        "whiten": [StrOptions(set(WHITENINGS)), None],
        "n_components": [Interval(Integral, 1, None, closed="left"), Interval(Real, 0, 1, closed="neither"), None],
        "mirror": ["boolean"],
        "cv": ["cv_object"],
        "random_state": ["random_state"],
    }

    embedding_: Any
    center_: np.ndarray
    whitening_: np.ndarray | None
    threshold_: float

    @property
    def _space(self) -> Space:
        return Space(self.metric, self.center_, self.whitening_)

    def _learn(self, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Fit embedding and space on identities; return vectors, codes and names of the identities."""
        names, codes = checked_identities(X, y)
        if self.whiten != "pca" and isinstance(self.n_components, Real) and not isinstance(self.n_components, Integral):
            raise ValueError(
                f"n_components={self.n_components!r} with whiten={self.whiten!r}; expected a number of components. A "
                "fraction of the variance needs whiten='pca'."
            )
        self.embedding_ = fitted(self.embedding, X, names[codes])
        vectors = vectors_of(self.embedding_, X, mirror=self.mirror)
        self._take(self._learned_space(vectors, codes))
        return vectors, codes, names

    def _take(self, space: Space) -> None:
        self.center_, self.whitening_ = space.center, space.whitening

    def _learned_space(self, vectors: np.ndarray, codes: np.ndarray) -> Space:
        return learn_space(
            vectors,
            pd.factorize(codes)[0],
            metric=self.metric,
            center=self.center,
            whiten=self.whiten,
            n_components=self.n_components,
        )

    def _folds(self, X: Any, vectors: np.ndarray, codes: np.ndarray, names: np.ndarray) -> Iterator[Fold]:
        """Yield the vectors of people in spaces that were learned of others, until each person was held out."""
        for others, held_out in self._splits(X, codes, names):
            found = vectors
            if learns(self.embedding):
                embedding = fitted(self.embedding, rows_of(X, others), names[codes[others]])
                found = vectors_of(embedding, X, mirror=self.mirror)
            space = self._learned_space(found[others], codes[others])
            projected = space.project(found)
            yield Fold(space, projected[held_out], held_out, codes[held_out], projected[others], codes[others])

    def _splits(self, X: Any, codes: np.ndarray, names: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        if len(names) < 4:
            raise ValueError(
                f"y has {len(names)} identities; at least 4 are needed to learn a threshold from people that are held "
                "out. Give more, or a fixed threshold=."
            )
        splitter = self.cv
        if splitter is None:
            splitter = self._default_splitter(codes, len(names))
        elif isinstance(splitter, Integral):
            splitter = folds_of_people(int(splitter), len(names))
        for others, held_out in check_cv(splitter).split(np.zeros(len(codes)), codes, groups=codes):
            if len(both := np.intersect1d(codes[others], codes[held_out])):
                raise ValueError(
                    f"cv={self.cv!r} puts images of {names[both[0]].item()!r} on both sides of a split; expected a "
                    "splitter by groups, such as GroupKFold or LeavePGroupsOut, whose groups are the identities."
                )
            yield others, held_out

    def _default_splitter(self, codes: np.ndarray, n_identities: int) -> Any:
        """Return what ``cv=None`` stands for, as scikit-learn's ``check_cv`` takes it."""
        return folds_of_people(5, n_identities)

    def _projected(self, X: Any) -> np.ndarray:
        """Return the projected vectors of images, (n, n_components)."""
        return self._space.project(vectors_of(self.embedding_, X, mirror=self.mirror))

    def __sklearn_tags__(self) -> Tags:
        """Return scikit-learn's tags of the estimator."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        tags.input_tags.string = True
        tags.non_deterministic = False
        return tags


def folds_of_people(n_splits: int, n_identities: int) -> GroupKFold:
    """Return folds of people: two per fold at least, which make the impostor pairs."""
    return GroupKFold(min(n_splits, n_identities // 2))


def checked_identities(X: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the sorted names of the identities, and the code of each sample."""
    if y is None:
        raise ValueError("This estimator requires y to be passed, but the target y is None; expected identities.")
    labels = as_labels(y)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = column_or_1d(labels, warn=True)
    if labels.ndim != 1 or len(labels) != len(X):
        raise ValueError(f"y has shape {labels.shape}; expected ({len(X)},), one identity per image of X.")
    if not len(labels):
        raise ValueError("X holds no images: Found array with 0 sample(s), while a minimum of 1 is required.")
    codes, names = pd.factorize(labels, sort=True)
    if (codes < 0).any():
        raise ValueError(f"y[{int(np.argmin(codes))}] is NaN or missing; expected an identity for each image.")
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise ValueError(f"y[{int(np.argmin(np.isfinite(labels)))}] is infinity; expected an identity for each image.")
    # Not scikit-learn's check, which takes many people with one image each for a regression.
    if labels.dtype.kind == "f" and (labels != np.round(labels)).any():
        raise ValueError("Unknown label type: y has numbers that are not whole; expected identities.")
    return np.asarray(names), codes


def rows_of(X: Any, rows: np.ndarray) -> Any:
    """Return samples of X in its own form."""
    if hasattr(X, "iloc"):
        return X.iloc[rows]
    if isinstance(X, np.ndarray):
        return X[rows]
    if hasattr(X, "take"):
        return X.take([int(row) for row in rows])
    return [X[int(row)] for row in rows]
