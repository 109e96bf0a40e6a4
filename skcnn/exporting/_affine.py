"""Affine maps: what scaling, projections and linear classifiers are. A chain of them is one of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Affine(NamedTuple):
    """The map ``x @ matrix + offset``.

    Parameters
    ----------
    matrix : ndarray of shape (n_in, n_out), dtype float64
    offset : ndarray of shape (n_out,), dtype float64
    """

    matrix: np.ndarray
    offset: np.ndarray

    def after(self, first: Affine | None) -> Affine:
        """Return the map that applies ``first``, and then this one."""
        if first is None:
            return self
        return Affine(first.matrix @ self.matrix, first.offset @ self.matrix + self.offset)


def per_feature(factor: Any, offset: Any, n_features: int) -> Affine:
    """Return the map ``x * factor + offset``; both are a number or one number per feature."""
    return Affine(
        np.diag(np.broadcast_to(np.asarray(factor, np.float64), n_features)),
        np.array(np.broadcast_to(np.asarray(offset, np.float64), n_features)),
    )


def selection(chosen: np.ndarray, n_features: int) -> Affine:
    """Return the map that keeps the features of these numbers."""
    return Affine(np.eye(n_features)[:, chosen], np.zeros(len(chosen)))


def linear(coef: np.ndarray, intercept: Any) -> Affine:
    """Return the map of scikit-learn's ``coef_`` (n_out, n_in) or (n_in,), and ``intercept_``."""
    matrix = np.atleast_2d(np.asarray(coef, np.float64)).T
    return Affine(matrix, np.array(np.broadcast_to(np.asarray(intercept, np.float64), matrix.shape[1])))


def transformer_as_affine(transformer: Any, n_features: int) -> Affine | None:
    """Return what a fitted transformer of scikit-learn does to features; None if it is not affine, or not known here.

    Parameters
    ----------
    transformer : estimator
        Fitted.
    n_features : int
        How many features it takes.
    """
    from sklearn.decomposition import PCA, TruncatedSVD
    from sklearn.feature_selection import SelectorMixin
    from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

    kind = type(transformer)
    if isinstance(transformer, SelectorMixin):
        return selection(np.flatnonzero(transformer.get_support()), n_features)
    if kind is StandardScaler:
        scale = 1.0 if transformer.scale_ is None else transformer.scale_
        mean = 0.0 if transformer.mean_ is None or not transformer.with_mean else transformer.mean_
        return per_feature(1 / np.asarray(scale), -np.asarray(mean) / scale, n_features)
    if kind is RobustScaler:
        scale = transformer.scale_ if transformer.with_scaling else 1.0
        centre = transformer.center_ if transformer.with_centering else 0.0
        return per_feature(1 / np.asarray(scale), -np.asarray(centre) / scale, n_features)
    if kind is MinMaxScaler and not transformer.clip:
        return per_feature(transformer.scale_, transformer.min_, n_features)
    if kind is MaxAbsScaler:
        return per_feature(1 / transformer.scale_, 0.0, n_features)
    if kind is PCA:
        components = transformer.components_.astype(np.float64)
        if transformer.whiten:
            floor = np.finfo(transformer.explained_variance_.dtype).eps
            components = components / np.sqrt(np.maximum(transformer.explained_variance_, floor))[:, np.newaxis]
        return linear(components, -components @ transformer.mean_)
    if kind is TruncatedSVD:
        return linear(transformer.components_, 0.0)
    return None
