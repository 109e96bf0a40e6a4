"""FaceRecognizer: which of many enrolled people an image shows, if any."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Iterable
from numbers import Integral
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.model_selection import BaseCrossValidator
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from skcnn._labels import as_label, as_labels
from skcnn.metric_learning._embedding import learns, vectors_of
from skcnn.metric_learning._gallery import Gallery, Store, StoredGallery, as_array
from skcnn.metric_learning._identities import IdentityEstimator, checked_identities
from skcnn.metric_learning._nearest import distances_to_images, distances_to_people, least, nearest_people
from skcnn.metric_learning._space import Space
from skcnn.metrics import threshold_at_far

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

METHODS = ("nearest", "mean", "knn")

_N_RESAMPLES = 1000


class Identification(NamedTuple):
    """The person in an image.

    Parameters
    ----------
    name : str or int
        The identity, or the name for unknown people.
    distance : float
        Distance to the nearest identity, even if that is too far away to be accepted.
    """

    name: Any
    distance: float


class FaceRecognizer(IdentityEstimator):
    """Recognize which of many enrolled identities an image shows, or that it shows none of them.

    An embedding gives each image a vector. The identity with the nearest enrolled vectors is predicted if its distance
    is at most a threshold, and ``unknown`` otherwise. ``fit`` learns the threshold for a given false accept rate on
    people that are held out: each person is unknown to the others once. After that, people can be added
    (:meth:`partial_fit`) and removed (:meth:`forget`) without another fit.

    Parameters
    ----------
    embedding : transformer
        From images to vectors: see :class:`FaceVerifier`.
    far : float, default=0.01
        False accept rate that the threshold is learned for: the fraction of the images of unknown people that are
        recognized as an enrolled person, in (0, 1). The actual rate grows with the number of enrolled people: fit again
        after many were added.
    unknown : str or int, default="unknown"
        The prediction for images of people who are not enrolled.
    method : {"nearest", "mean", "knn"}, default="nearest"
        What an image is compared with: the nearest of all enrolled images; the mean vector of each person; or the
        ``n_neighbors`` nearest images, which vote.
    n_neighbors : int, default=5
        Neighbours that vote, with ``method="knn"``, >= 1.
    threshold : float or None, default=None
        A fixed threshold of the distance, in place of a learned one.
    metric, center, whiten, n_components, mirror
        How vectors are compared: see :class:`FaceVerifier`.
    cv : int, splitter or None, default=None
        How people are held out to learn the threshold: see :class:`FaceVerifier`.
    store : path-like or None, default=None
        File for the enrolled vectors, an SQLite database. Changes are written before a call returns, and processes that
        share the file see each other's changes. ``fit`` starts a new one. None keeps the vectors in the estimator. A
        saved estimator includes neither the path of the store nor its content: set the path again by
        ``set_params(store=...)``.

    Attributes
    ----------
    classes_ : ndarray of shape (n_identities,)
        The enrolled identities, in the order in which they came.
    identities_ : ndarray of shape (n_templates,)
        The identity of each enrolled image.
    threshold_ : float
        Largest distance that is accepted.
    rates_ : Series
        The error rate at the threshold: "far" with an interval over people, and the number of images of unknown people
        ("n_unknown") that it is based on. Empty if the threshold is fixed.
    embedding_ : transformer
        The fitted embedding.
    center_ : ndarray of shape (n_dimensions,), float64
        What is subtracted from vectors.
    whitening_ : ndarray of shape (n_dimensions, n_components), float64, or None
        What centred vectors are multiplied by.

    Warns
    -----
    UserWarning
        If there are fewer than 1 / far images.

    See Also
    --------
    FaceVerifier : Verifies whether an image shows a given person.
    skcnn.metrics.identification_frame : Identification rates at given false accept rates.

    Notes
    -----
    An image is compared with all enrolled vectors, which is exact, and fast enough: see the times in
    ``benchmarks/README.md``.

    References
    ----------
    .. [1] P. J. Phillips, P. Grother and R. Micheals, "Evaluation methods in face recognition", in: Handbook of Face
       Recognition, Springer, 2011, section 21.3.

    Examples
    --------
    >>> from skcnn.datasets import load_digit_images
    >>> from skcnn.feature_extraction import BottleneckFeatures
    >>> from skcnn.metric_learning import FaceRecognizer
    >>> X, y = load_digit_images(return_X_y=True)
    >>> is_enrolled = y[:200] < 6
    >>> recognizer = FaceRecognizer(BottleneckFeatures("ResNet20"), far=0.1, whiten="lda")
    >>> recognizer.fit(X[:200][is_enrolled], y[:200][is_enrolled]).classes_.tolist()
    [0, 1, 2, 3, 4, 5]
    >>> recognizer.predict(X[260:266]).tolist(), y[260:266].tolist()
    ([4, 5, 'unknown', 'unknown', 'unknown', 'unknown'], [4, 5, 6, 7, 8, 9])
    >>> recognizer.forget(4).predict(X[260:261]).tolist()
    ['unknown']
    """

    _parameter_constraints = {  # noqa: RUF012  (scikit-learn's own form)
        **IdentityEstimator._parameter_constraints,
        "unknown": [str, Integral],
        "method": [StrOptions(set(METHODS))],
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "store": [str, os.PathLike, None],
    }

    _gallery: Gallery
    _rates: dict[str, float]

    def __init__(
        self,
        embedding: BaseEstimator,
        *,
        far: float = 0.01,
        unknown: str | int = "unknown",
        method: str = "nearest",
        n_neighbors: int = 5,
        threshold: float | None = None,
        metric: str = "cosine",
        center: bool = True,
        whiten: str | None = None,
        n_components: int | float | None = None,
        mirror: bool = False,
        cv: int | BaseCrossValidator | Iterable[tuple[np.ndarray, np.ndarray]] | None = None,
        store: str | os.PathLike[str] | None = None,
    ) -> None:
        self.embedding = embedding
        self.far = far
        self.unknown = unknown
        self.method = method
        self.n_neighbors = n_neighbors
        self.threshold = threshold
        self.metric = metric
        self.center = center
        self.whiten = whiten
        self.n_components = n_components
        self.mirror = mirror
        self.cv = cv
        self.store = store

    def fit(self, X: Any, y: Any) -> Self:
        """Learn embedding, space and threshold, and enrol only these images.

        Parameters
        ----------
        X : array-like of n_samples images
            In a form that the embedding takes.
        y : array-like of shape (n_samples,)
            Identities.

        Returns
        -------
        FaceRecognizer
            Itself.

        Raises
        ------
        ValueError
            If a parameter is invalid, shapes differ, there are too few identities, ``cv`` puts images of one person
            into different folds, or somebody is in the store.
        BadImageError
            If a row has no image.
        """
        self._validate_params()
        self.__dict__.pop("threshold_", None)
        self.__dict__.pop("_stored", None)
        vectors, codes, names = self._learn(X, y)
        self._check_names(names)
        threshold, self._rates = float(self.threshold or 0), {}
        if self.threshold is None:
            threshold, self._rates = self._learned_threshold(X, vectors, codes, names)
        self._begin()
        self.threshold_ = threshold
        self._enrolled().add(self._space.project(vectors).astype(np.float32), list(names[codes]))
        return self

    def partial_fit(self, X: Any, y: Any) -> Self:
        """Enrol more people, or more images of people. Space, threshold and predictions of other people do not change.

        Parameters
        ----------
        X : array-like of n_samples images
            In a form that the embedding takes.
        y : array-like of shape (n_samples,)
            Identities.

        Returns
        -------
        FaceRecognizer
            Itself.

        Raises
        ------
        ValueError
            If shapes differ; or before ``fit``, unless nothing is to be learned: with ``threshold`` given,
            ``center=False`` and ``whiten=None``.
        BadImageError
            If a row has no image.
        """
        self._validate_params()
        names, codes = checked_identities(X, y)
        self._check_names(names)
        projected = self._projected(X) if self.__sklearn_is_fitted__() else self._begun_with(X)
        self._enrolled().add(projected.astype(np.float32), list(names[codes]))
        return self

    def forget(self, identity: str | int) -> Self:
        """Remove an identity with all of its vectors, also from the store. Predictions of other people do not change.

        Parameters
        ----------
        identity : str or int
            Which one.

        Returns
        -------
        FaceRecognizer
            Itself.

        Raises
        ------
        ValueError
            If it is not enrolled.
        """
        check_is_fitted(self)
        if not self._enrolled().remove(as_label(identity)):
            raise ValueError(f"{identity!r} is not enrolled; expected one of classes_.")
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return who images are of.

        Parameters
        ----------
        X : array-like of n_samples images
            In a form that the embedding takes.

        Returns
        -------
        ndarray of shape (n_samples,)
            Identities, or ``unknown``.

        Raises
        ------
        ValueError
            If nobody is enrolled.
        BadImageError
            If a row has no image.
        """
        check_is_fitted(self)
        return as_array([name for name, _ in self._answers(self._projected(X))])

    def decision_function(self, X: Any) -> np.ndarray:
        """Return by how much the distance of each image to each identity is below the threshold.

        Parameters
        ----------
        X : array-like of n_samples images
            In a form that the embedding takes.

        Returns
        -------
        ndarray of shape (n_samples, n_identities), float32
            In the order of ``classes_``; at least 0 where an image would be accepted as this identity. With
            ``method="knn"`` of the nearest image of each identity, without the vote.

        Raises
        ------
        ValueError
            If nobody is enrolled.
        BadImageError
            If a row has no image.
        """
        check_is_fitted(self)
        parts = distances_to_people(self._somebody(), self._space, self._projected(X), self.method)
        return np.concatenate([self.threshold_ - part for _, part in parts])

    def who_is_it(self, image: Any) -> Identification:
        """Return who one image is of, and how far that person is.

        Parameters
        ----------
        image : image
            In a form that the embedding takes in a list.

        Returns
        -------
        Identification
            ``(name, distance)``; the name is ``unknown`` where the distance is above ``threshold_``.

        Raises
        ------
        ValueError
            If nobody is enrolled.
        BadImageError
            If there is no image.
        """
        check_is_fitted(self)
        projected = self._projected(np.asarray(image)[None] if isinstance(image, np.ndarray) else [image])
        (answer,) = self._answers(projected)
        return answer

    def kneighbors(
        self, X: Any, n_neighbors: int | None = None, return_distance: bool = True
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Return the nearest enrolled images, however far they are.

        Parameters
        ----------
        X : array-like of n_samples images
            In a form that the embedding takes.
        n_neighbors : int or None, default=None
            How many; None is the parameter of the estimator. At most as many as there are.
        return_distance : bool, default=True
            Whether to return distances as well.

        Returns
        -------
        distances : ndarray of shape (n_samples, n_neighbors), float32
            The nearest one first. Only with ``return_distance``.
        indices : ndarray of shape (n_samples, n_neighbors), int
            Places in ``identities_``.

        Raises
        ------
        ValueError
            If nobody is enrolled, or ``n_neighbors`` is out of range.
        BadImageError
            If a row has no image.
        """
        check_is_fitted(self)
        count = self.n_neighbors if n_neighbors is None else n_neighbors
        if not isinstance(count, Integral) or isinstance(count, bool) or count < 1:
            raise ValueError(f"n_neighbors={count!r}; expected an int >= 1")
        of_images = distances_to_images(self._somebody(), self._space, self._projected(X))
        parts = [least(part, int(count)) for part in of_images]
        distances, indices = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return (distances, indices) if return_distance else indices

    def score(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> float:
        """Return the accuracy, where the right answer for people who are not enrolled is ``unknown``.

        Parameters
        ----------
        X : array-like of n_samples images
            In a form that the embedding takes.
        y : array-like of shape (n_samples,)
            Identities, of people who are enrolled and of others.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of images.

        Returns
        -------
        float
            In [0, 1].

        Raises
        ------
        ValueError
            If shapes differ, or nobody is enrolled.
        BadImageError
            If a row has no image.
        """
        check_is_fitted(self)
        names, codes = checked_identities(X, y)
        expected = as_array([name if name in set(self.classes_.tolist()) else self.unknown for name in names.tolist()])
        right = [found == name for found, name in zip(self.predict(X).tolist(), expected[codes].tolist(), strict=True)]
        return float(np.average(right, weights=None if sample_weight is None else np.asarray(sample_weight)))

    @property
    def classes_(self) -> np.ndarray:
        """The enrolled identities, in the order in which they came."""
        check_is_fitted(self)
        return self._enrolled().names

    @property
    def identities_(self) -> np.ndarray:
        """The identity of each enrolled image."""
        check_is_fitted(self)
        gallery = self._enrolled()
        return gallery.names[gallery.codes]

    @property
    def rates_(self) -> pd.Series:
        """What is known of the threshold."""
        check_is_fitted(self)
        return pd.Series(self._rates, name="rates", dtype=float)

    def _check_names(self, names: np.ndarray) -> None:
        if as_labels([self.unknown])[0] in names.tolist():
            raise ValueError(
                f"y has the identity {self.unknown!r}, which is what unknown people are called; expected other names, "
                "or another unknown=."
            )

    def _begun_with(self, X: Any) -> np.ndarray:
        """Begin without a fit, where there is nothing to learn; return the projected vectors of images."""
        if self.threshold is None or self.center or self.whiten is not None or learns(self.embedding):
            raise ValueError(
                "partial_fit before fit: threshold, centre, whitening or embedding would have to be learned. Call fit "
                "first, or give threshold=, center=False, whiten=None and an embedding that needs no fit (a fitted one "
                "in a FrozenEstimator)."
            )
        self.embedding_ = self.embedding
        vectors = vectors_of(self.embedding_, X, mirror=self.mirror)
        self._take(Space(self.metric, np.zeros(vectors.shape[1]), None))
        self._begin()
        self.threshold_, self._rates = float(self.threshold), {}
        return self._space.project(vectors)

    def _learned_threshold(
        self, X: Any, vectors: np.ndarray, codes: np.ndarray, names: np.ndarray
    ) -> tuple[float, dict[str, float]]:
        """Return the threshold of the distance of people who are unknown to the others, and what is known of it."""
        distance, people = [], []
        for fold in self._folds(X, vectors, codes, names):
            others = Gallery(fold.others.astype(np.float32), list(fold.other_codes))
            for rows, part in distances_to_people(others, fold.space, fold.held_out, self.method):
                distance.append(part.min(axis=1))
                people.append(fold.held_out_codes[rows])
        nearest, person = np.concatenate(distance).astype(np.float64), np.concatenate(people)
        if self.far * len(nearest) < 1:
            warnings.warn(
                f"far={self.far:g} with {len(nearest):,} images of held-out people, fewer than 1 / far = "
                f"{1 / self.far:,.0f}: the threshold is where none of them is accepted. Give more images, or a larger "
                "far.",
                stacklevel=4,
            )
        threshold = -threshold_at_far(np.zeros(len(nearest), int), -nearest, far=self.far)
        if not np.isfinite(threshold):
            threshold = float(np.nextafter(np.float32(nearest.min()), np.float32(-np.inf)))
        _, person = np.unique(person, return_inverse=True)
        total, accepted = np.bincount(person), np.bincount(person, nearest <= threshold)
        drawn = np.random.default_rng(0).integers(len(total), size=(_N_RESAMPLES, len(total)))
        low, high = np.quantile(accepted[drawn].sum(axis=1) / total[drawn].sum(axis=1), [0.025, 0.975])
        rates = {"far": accepted.sum() / total.sum(), "far_low": low, "far_high": high, "n_unknown": len(nearest)}
        return threshold, {name: float(value) for name, value in rates.items()}

    def _answers(self, projected: np.ndarray) -> list[Identification]:
        """Return who is nearest, if near enough."""
        gallery = self._somebody()
        return [
            Identification(gallery.name(code) if distance <= self.threshold_ else self.unknown, distance)
            for code, distance in nearest_people(gallery, self._space, projected, self.method, int(self.n_neighbors))
        ]

    def _somebody(self) -> Gallery:
        gallery = self._enrolled()
        if not len(gallery):
            raise ValueError("Nobody is enrolled; expected at least one identity. Add some with partial_fit.")
        return gallery

    def _begin(self) -> None:
        """Begin with nobody enrolled."""
        self._gallery = Gallery()
        if self.store is not None:
            self._stored = StoredGallery(Store(self.store, self._fingerprint(), begin=True))

    def _enrolled(self) -> Gallery:
        """Return what is enrolled, with what other processes have changed."""
        if self.store is None:
            return self._gallery
        stored = self.__dict__.get("_stored")
        if stored is None or stored.store.path != os.fspath(self.store):
            stored = self._stored = StoredGallery(Store(self.store, self._fingerprint()))
        stored.refresh()
        return stored

    def _fingerprint(self) -> str:
        """Return a digest of the space that enrolled vectors are in."""
        digest = hashlib.blake2b(f"{self.metric} {bool(self.mirror)}".encode(), digest_size=16)
        for part in (self.center_, self.whitening_):
            digest.update(b"none" if part is None else np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for pickle and for a saved file: without the open store."""
        return {name: value for name, value in super().__getstate__().items() if name != "_stored"}

    def __sklearn_is_fitted__(self) -> bool:
        """Return whether there is a threshold, for scikit-learn."""
        return hasattr(self, "threshold_")
