"""FaceVerifier: whether two images are of the same person."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.model_selection import BaseCrossValidator, LeavePGroupsOut
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skcnn._labels import as_label, as_labels
from skcnn._text import values_text
from skcnn.metric_learning._embedding import learns, vectors_of
from skcnn.metric_learning._gallery import Gallery
from skcnn.metric_learning._identities import IdentityEstimator, checked_identities
from skcnn.metric_learning._pairs import MAX_PAIRS, columns_of, distinct, is_table_of_pairs, pairs_of
from skcnn.metrics import threshold_at_far, verification_rates

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class FaceVerifier(IdentityEstimator):
    """Verify whether two images are of the same identity: the same person, or the same of anything that has identities.

    An embedding gives each image a vector. Two images are accepted as the same identity if the distance between their
    vectors is at most a threshold. ``fit`` learns the threshold for a given false accept rate, on people that neither
    the embedding nor the whitening was fitted on, so that the rate holds for new people.

    Parameters
    ----------
    embedding : transformer
        From images to vectors: :class:`~skcnn.feature_extraction.BottleneckFeatures`, a pipeline of pixels and
        :class:`~sklearn.decomposition.PCA` (eigenfaces), or any other. ``fit`` on identities fits a clone of it, unless
        it is stateless or in a :class:`sklearn.frozen.FrozenEstimator`; ``fit`` on pairs does not fit it.
    far : float, default=1e-3
        False accept rate that the threshold is learned for: the fraction of pairs of different people that are
        accepted, in (0, 1). At least 1 / far impostor pairs are needed to measure such a rate.
    threshold : float or None, default=None
        A fixed threshold of the distance, such as the 0.7 of the literature, in place of a learned one.
    metric : {"cosine", "euclidean"}, default="cosine"
        ``"cosine"`` is 1 - the cosine of the angle between two vectors, in [0, 2].
    center : bool, default=True
        Whether the mean vector of the images of ``fit`` is subtracted. Features of a network that was trained for
        another task have a large mean, which makes all faces similar.
    whiten : {"lda", "pca"} or None, default=None
        ``"lda"`` scales directions so that images of one person vary equally in all of them: features that vary between
        images of one person get less weight. It needs identities, at least about 20 of them. ``"pca"`` scales to equal
        variance.
    n_components : int, float or None, default=None
        Directions to keep when whitening: with ``"lda"``, those in which people differ most, relative to the variation
        between images of one person. None keeps all directions, which is better for new people if ``fit`` has few
        people. A float in (0, 1) is a fraction of the variance, with ``"pca"``.
    mirror : bool, default=False
        Whether the vector of an image is the mean of its own vector and that of its mirror image. This needs a second
        pass through the embedding, and gives fewer errors.
    cv : int, splitter or None, default=None
        How people are held out to learn the threshold. With None, they are divided into ten groups, and each two groups
        are held out in turn. So all impostor pairs are used, which a low rate needs, and only the centre and the
        whitening, which are quick to fit, are fitted 45 times. If the embedding itself is fitted, or if there are more
        than two million pairs, 5 folds of people are used instead. An int is a number of folds. A group splitter gets
        the identities as groups.
    random_state : int, RandomState instance or None, default=None
        Seed of the pairs that are drawn if there are more than two million.

    Attributes
    ----------
    threshold_ : float
        Largest distance that is accepted.
    rates_ : Series
        The error rates at the threshold, for people that were held out: "far" and "frr" (fraction of the genuine pairs
        that are rejected), with intervals over people, and the numbers of pairs, "n_impostor" and "n_genuine". After
        ``fit`` on pairs there are no intervals, because the identities of the images are not known.
    embedding_ : transformer
        The fitted embedding.
    center_ : ndarray of shape (n_dimensions,), float64
        What is subtracted from vectors.
    whitening_ : ndarray of shape (n_dimensions, n_components), float64, or None
        What centred vectors are multiplied by.
    classes_ : ndarray of shape (2,)
        0 (two identities) and 1 (the same identity).
    enrolled_ : ndarray of shape (n_identities,)
        Identities that :meth:`verify` knows.

    Warns
    -----
    UserWarning
        If there are fewer than 1 / far impostor pairs.

    See Also
    --------
    FaceRecognizer : Finds the person in an image among many people.
    skcnn.metrics.verification_frame : Equal error rate, and true accept rates at false accept rates.

    Notes
    -----
    A threshold that is chosen on the people that a model was fitted on is far too large for new people: whitening by
    LDA, for instance, brings the images of each of these people together, but not those of others. So people are held
    out, and pairs are made of those who are held out together; a pair of images counts once. To cross-validate a
    verifier, also hold out people: ``GroupKFold``, with the identities as groups.

    References
    ----------
    .. [1] F. Schroff, D. Kalenichenko and J. Philbin, "FaceNet: a unified embedding for face recognition and
       clustering", CVPR 2015, section 4.
    .. [2] P. N. Belhumeur, J. P. Hespanha and D. J. Kriegman, "Eigenfaces vs. Fisherfaces: recognition using class
       specific linear projection", PAMI 19, 1997.

    Examples
    --------
    >>> from skcnn.datasets import load_digit_images
    >>> from skcnn.feature_extraction import BottleneckFeatures
    >>> from skcnn.metric_learning import FaceVerifier
    >>> X, y = load_digit_images(return_X_y=True)
    >>> verifier = FaceVerifier(BottleneckFeatures("ResNet20"), far=0.01, whiten="lda").fit(X[:200], y[:200])
    >>> sorted(verifier.enroll(X[200:240], y[200:240]).enrolled_.tolist())
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    >>> verifier.verify(X[250], y[250]), verifier.verify(X[250], 9)
    (True, False)
    """

    def __init__(
        self,
        embedding: BaseEstimator,
        *,
        far: float = 1e-3,
        threshold: float | None = None,
        metric: str = "cosine",
        center: bool = True,
        whiten: str | None = None,
        n_components: int | float | None = None,
        mirror: bool = False,
        cv: int | BaseCrossValidator | Iterable[tuple[np.ndarray, np.ndarray]] | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.embedding = embedding
        self.far = far
        self.threshold = threshold
        self.metric = metric
        self.center = center
        self.whiten = whiten
        self.n_components = n_components
        self.mirror = mirror
        self.cv = cv
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> Self:
        """Learn embedding, space and threshold from identities, or centre and threshold from pairs.

        Parameters
        ----------
        X : array-like of n_samples images, or DataFrame of shape (n_pairs, 2)
            Images, in a form that the embedding takes; or pairs: a table of two columns of images, an object array of
            shape (n_pairs, 2), or a list of tuples.
        y : array-like of shape (n_samples,) or (n_pairs,)
            Identities; or for pairs, 1 if both images are of the same identity, and 0 otherwise.

        Returns
        -------
        FaceVerifier
            Itself. Nobody is enrolled.

        Raises
        ------
        ValueError
            If a parameter is invalid, shapes differ, there are too few identities, or ``cv`` puts images of one person
            into different folds.
        BadImageError
            If a row has no image.
        """
        self._validate_params()
        self.__dict__.pop("threshold_", None)
        if is_table_of_pairs(X):
            is_same, distance, people = self._of_pairs(X, y)
        else:
            is_same, distance, people = self._of_identities(X, y)
        self.threshold_ = self._threshold(is_same, distance)
        if len(is_same):
            rates = verification_rates(is_same, -distance, -self.threshold_, people=people, random_state=0).iloc[0]
            self._rates = {name: float(value) for name, value in rates.items()}
        else:
            self._rates = {}
        self.classes_ = np.array([0, 1])
        self._gallery = Gallery()
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """Return how far the distance of each pair is below the threshold.

        Parameters
        ----------
        X : DataFrame of shape (n_pairs, 2)
            Pairs of images: see :meth:`fit`.

        Returns
        -------
        ndarray of shape (n_pairs,), float64
            At least 0 where a pair is accepted. The distance is ``threshold_`` minus this.

        Raises
        ------
        ValueError
            If X is not pairs, or a row gives no vector.
        BadImageError
            If a row has no image.
        """
        check_is_fitted(self)
        first, second = self._vectors_of_pairs(X)
        return np.asarray(self.threshold_ - self._space.distances(first, second))

    def predict(self, X: Any) -> np.ndarray:
        """Return whether both images of each pair are of the same identity.

        Parameters
        ----------
        X : DataFrame of shape (n_pairs, 2)
            Pairs of images: see :meth:`fit`.

        Returns
        -------
        ndarray of shape (n_pairs,), int
            1 or 0.

        Raises
        ------
        ValueError
            If X is not pairs, or a row gives no vector.
        BadImageError
            If a row has no image.
        """
        return (self.decision_function(X) >= 0).astype(int)

    def score(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> float:
        """Return the accuracy: the fraction of pairs that are accepted or rejected rightly.

        Parameters
        ----------
        X : DataFrame of shape (n_pairs, 2), or array-like of n_samples images
            Pairs, or images of which all pairs are made.
        y : array-like of shape (n_pairs,) or (n_samples,)
            1 and 0, or identities.
        sample_weight : array-like of shape (n_pairs,) or None, default=None
            Weights of pairs.

        Returns
        -------
        float
            In [0, 1]. Of all pairs of images most are of two people: see :func:`skcnn.metrics.verification_frame` for
            both kinds of errors.

        Raises
        ------
        ValueError
            If shapes differ, or weights are given for images.
        """
        check_is_fitted(self)
        if is_table_of_pairs(X):
            right = self.predict(X) == _checked_same(y, len(columns_of(X)[0]))
            return float(np.average(right, weights=None if sample_weight is None else np.asarray(sample_weight)))
        if sample_weight is not None:
            raise ValueError("sample_weight is of pairs, and X holds images; expected None, or pairs as X.")
        _, codes = checked_identities(X, y)
        pairs, is_same = pairs_of(codes, check_random_state(self.random_state))
        projected = self._projected(X)
        distance = self._space.distances(projected[pairs[:, 0]], projected[pairs[:, 1]])
        return float(np.mean((distance <= self.threshold_) == is_same))

    def enroll(self, X: Any, y: Any) -> Self:
        """Enrol images of people, for :meth:`verify`; more images of a person add to those that are there.

        Parameters
        ----------
        X : array-like of n_samples images
            In a form that the embedding takes.
        y : array-like of shape (n_samples,)
            Identities.

        Returns
        -------
        FaceVerifier
            Itself.

        Raises
        ------
        ValueError
            If shapes differ.
        BadImageError
            If a row has no image.
        """
        check_is_fitted(self)
        names, codes = checked_identities(X, y)
        self._gallery.add(self._projected(X).astype(np.float32), list(names[codes]))
        return self

    def forget(self, identity: str | int) -> Self:
        """Remove an enrolled identity with all of its vectors.

        Parameters
        ----------
        identity : str or int
            Which one.

        Returns
        -------
        FaceVerifier
            Itself.

        Raises
        ------
        ValueError
            If it is not enrolled.
        """
        check_is_fitted(self)
        if not self._gallery.remove(as_label(identity)):
            raise ValueError(f"{identity!r} is not enrolled; expected one of enrolled_.")
        return self

    def verify(self, image: Any, identity: str | int) -> bool:
        """Return whether an image is of an enrolled identity: whether the nearest of its enrolled images is accepted.

        Parameters
        ----------
        image : image
            In a form that the embedding takes in a list.
        identity : str or int
            Who it is said to be.

        Returns
        -------
        bool
            Whether the distance to the nearest enrolled image of this identity is at most ``threshold_``. With k
            enrolled images there are k chances to be accepted: an impostor has up to k times the false accept rate.

        Raises
        ------
        ValueError
            If the identity is not enrolled.
        BadImageError
            If there is no image.
        """
        check_is_fitted(self)
        enrolled = self._gallery.of(as_label(identity))
        if not len(enrolled):
            raise ValueError(f"{identity!r} is not enrolled; expected one of enrolled_. Add it with enroll.")
        projected = self._projected(np.asarray(image)[None] if isinstance(image, np.ndarray) else [image])
        return bool(self._space.all_distances(projected, enrolled).min() <= self.threshold_)

    @property
    def enrolled_(self) -> np.ndarray:
        """Identities that are enrolled, in the order in which they came."""
        check_is_fitted(self)
        return self._gallery.names

    @property
    def rates_(self) -> pd.Series:
        """What is known of the errors at the threshold."""
        check_is_fitted(self)
        return pd.Series(self._rates, name="rates", dtype=float)

    def _of_pairs(self, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray, None]:
        """Learn the centre of the images of pairs, and return their distances."""
        if self.whiten is not None:
            raise ValueError(
                f"whiten={self.whiten!r} with pairs of images; expected whiten=None, or images and their identities: "
                "whitening and threshold must not be learned of the same people, and of pairs it is not known who it "
                "is."
            )
        first, second = columns_of(X)
        is_same = _checked_same(y, len(first)).astype(bool)
        self.embedding_ = self.embedding
        images, numbers = distinct([*first, *second])
        vectors = vectors_of(self.embedding_, images, mirror=self.mirror)
        self._take(self._learned_space(vectors, np.arange(len(images))))
        projected = self._space.project(vectors)[numbers]
        return is_same, self._space.distances(projected[: len(first)], projected[len(first) :]), None

    def _of_identities(self, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Learn the space, and return the distances of pairs of people that were held out, and who they are."""
        vectors, codes, names = self._learn(X, y)
        if self.threshold is not None and len(names) < 4:
            return np.empty(0, bool), np.empty(0), np.empty((0, 2), int)
        generator = check_random_state(self.random_state)
        parts = []
        for fold in self._folds(X, vectors, codes, names):
            pairs, same = pairs_of(fold.held_out_codes, generator)
            first, second = pairs.T
            rows = np.sort(fold.held_out_rows[pairs], axis=1)
            distance = fold.space.distances(fold.held_out[first], fold.held_out[second])
            parts.append((rows[:, 0] * len(codes) + rows[:, 1], same, distance, fold.held_out_codes[pairs]))
        pair, is_same, distance, people = (np.concatenate(part) for part in zip(*parts, strict=True))
        # Some were held out together more than once.
        _, once = np.unique(pair, return_index=True)
        return is_same[once], distance[once], people[once]

    def _default_splitter(self, codes: np.ndarray, n_identities: int) -> Any:
        if learns(self.embedding) or len(codes) * (len(codes) - 1) // 2 > MAX_PAIRS:
            return super()._default_splitter(codes, n_identities)
        return LeavePGroupsOut(2).split(codes, groups=codes % min(10, n_identities))

    def _threshold(self, is_same: np.ndarray, distance: np.ndarray) -> float:
        """Return the threshold of the distance, and warn where there are too few pairs to learn it."""
        if self.threshold is not None:
            return float(self.threshold)
        n_impostors = int((~is_same).sum())
        if not n_impostors:
            raise ValueError(
                "There are no pairs of two identities; expected some, of which a fraction far is accepted. For pairs y "
                "is 0 there; with cv, each fold needs two identities."
            )
        if self.far * n_impostors < 1:
            warnings.warn(
                f"far={self.far:g} with {n_impostors:,} impostor pairs, fewer than 1 / far = {1 / self.far:,.0f}: the "
                "threshold is where none of them is accepted. Give more people, or a larger far.",
                stacklevel=3,
            )
        threshold = -threshold_at_far(is_same, -distance, far=self.far)
        if np.isfinite(threshold):
            return threshold
        # The nearest of all are impostors: below them.
        return float(np.nextafter(distance.min(), -np.inf))

    def _vectors_of_pairs(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        first, second = columns_of(X)
        images, numbers = distinct([*first, *second])
        projected = self._projected(images)[numbers]
        return projected[: len(first)], projected[len(first) :]

    def __sklearn_is_fitted__(self) -> bool:
        """Return whether there is a threshold, for scikit-learn."""
        return hasattr(self, "threshold_")


def _checked_same(y: Any, n_pairs: int) -> np.ndarray:
    labels = as_labels(y)
    if labels.shape != (n_pairs,):
        raise ValueError(f"y has shape {labels.shape}; expected ({n_pairs},), 1 or 0 per pair.")
    if labels.dtype.kind not in "biuf" or not np.isin(labels, (0, 1)).all():
        values = values_text(pd.unique(labels))
        raise ValueError(f"y has the values {values}; expected 1 (the same identity) and 0 (two).")
    return labels.astype(int)
