"""How a segmenter is trained: on masks, and the classes in them."""

from __future__ import annotations

from abc import abstractmethod
from numbers import Integral
from typing import Any, Self

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from skcnn._training import Inputs, MapEstimator, Read
from skcnn.images import IGNORED, as_image_size, as_masks, check_mask_lengths, fetched_once, image_sizes
from skcnn.segmentation._examples import Targets, changes_of, example_reader


class BaseSegmenter(MapEstimator):
    """Base of an estimator that learns masks with a head on the maps of a pretrained network.

    A subclass also defines which maps the head takes, and the weights of classes.
    """

    _parameter_constraints = {  # noqa: RUF012  (scikit-learn's own form)
        **MapEstimator._parameter_constraints,
        "n_classes": [Interval(Integral, 2, 255, closed="both"), None],
        "colors": "no_validation",  # checked by as_masks
    }

    #: Strides of the maps that the head takes.
    _maps: tuple[int, ...]

    def fit(self, X: Any, y: Any) -> Self:
        """Train the head, and the unfrozen layers of the network if ``epochs`` > 0.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.
        y : array-like of length n_samples
            Masks of the sizes of the images: see :func:`skcnn.images.as_masks`. Pixels labelled 255 are ignored.

        Returns
        -------
        self : estimator

        Raises
        ------
        BadImageError
            If rows have no image.
        BadMaskError
            If rows have no mask, one of another size than the image, or labels that are not classes; it names all of
            them.
        CheckpointError
            If the checkpoint is damaged, or belongs to another run.
        TypeError
            If a parameter, X or y has the wrong type.
        ValueError
            If a parameter is invalid, y has less than two classes, or the loss becomes infinite.
        """
        with fetched_once(self._check_input(X, reset=True)) as images:
            self.__dict__.pop("_token", None)  # a fit that fails leaves nothing to predict with
            phases = self._phases()
            masks = as_masks(y, colors=self.colors, root=self.root)
            check_mask_lengths(images, masks)
            self._seed = int(check_random_state(self.random_state).randint(2**31 - 1))
            self.image_size_ = self._fitted_size()
            targets = Targets(
                masks, image_sizes(images), self.image_size_, self.resize, self.n_classes, self.max_pixels
            )
            self._learn_classes(targets)
            self._maps = self._chosen_strides(self._strides())
            self._learn(images, targets, phases)
        return self

    @property
    def model_(self) -> Any:
        """A plain Keras model with the trained weights, from raw pixels to logits of the classes of each pixel."""
        check_is_fitted(self)
        return self._design().plain_model(self._weights)

    @abstractmethod
    def _chosen_strides(self, available: tuple[int, ...]) -> tuple[int, ...]:
        """Return the strides of the maps that the head takes, of those that the network has."""

    @abstractmethod
    def _learn_class_weight(self, n_pixels: np.ndarray) -> None:
        """Learn how much each class counts, of the number of its pixels, (n_classes,)."""

    def _learn_classes(self, targets: Targets) -> None:
        self.classes_ = targets.classes
        if len(self.classes_) < 2:
            black_and_white = (
                " Masks of black and white have the labels 0 and 255, and 255 does not count: give "
                "colors={0: 0, 1: 255}."
                if targets.n_pixels[IGNORED]
                else ""
            )
            raise ValueError(
                f"y has the classes {self.classes_.tolist()}; expected at least two, or n_classes=.{black_and_white}"
            )
        self._learn_class_weight(targets.n_pixels[self.classes_])

    def _map_strides(self) -> tuple[int, ...]:
        return self._maps

    def _fitted_size(self) -> tuple[int, int]:
        return self._backbone().image_size if self.image_size is None else as_image_size(self.image_size)

    def _example_reader(self, inputs: Inputs, targets: Targets) -> Read:
        return example_reader(inputs, targets)

    def _drawn_change(self) -> Any | None:
        is_drawn = self.augmentation is not None and self.augmentation_views is None
        return changes_of(self.augmentation) if is_drawn else None
