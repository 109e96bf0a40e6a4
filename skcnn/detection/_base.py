"""What estimators share that learn boxes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skcnn._training import Inputs, MapEstimator, Read
from skcnn.boxes import BoxArrays, box_arrays, check_boxes, sorted_labels
from skcnn.detection._changes import changes_of
from skcnn.detection._examples import Objects, example_reader
from skcnn.images import as_image_size, fetched_once, image_sizes


class BaseBoxNetwork(MapEstimator):
    """Base of estimators that learn boxes with a head on the maps of a pretrained network.

    A subclass says in addition which array the loss takes for the boxes of an image.
    """

    #: Fraction of images that are put together of parts of four, in training.
    _mosaic = 0.0

    def fit(self, X: Any, y: Any) -> Self:
        """Train the head, and the open layers of the network if ``epochs`` > 0.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.
        y : array-like of length n_samples
            Boxes: see :func:`skcnn.boxes.as_boxes`.

        Returns
        -------
        self : estimator

        Raises
        ------
        BadImageError
            If rows have no image.
        CheckpointError
            If the checkpoint is damaged, or belongs to another run.
        TypeError
            If a parameter, X or y has the wrong type.
        ValueError
            If a parameter or a box is invalid, there is no box at all, or the loss becomes infinite.
        """
        with fetched_once(self._check_input(X, reset=True)) as images:
            self.__dict__.pop("_token", None)  # a fit that fails leaves nothing to predict with
            phases = self._phases()
            boxes = self._check_boxes(check_boxes(box_arrays(y), images))
            labels = sorted_labels(boxes.label)
            if not labels:
                raise ValueError("y has no boxes; expected at least one to train on.")
            self._seed = int(check_random_state(self.random_state).randint(2**31 - 1))
            self.classes_ = np.array(labels, dtype=object)
            sizes = image_sizes(images)
            self.image_size_ = self._fitted_size(sizes)
            objects = self._objects(boxes, sizes)
            self._learn_form(objects)
            self._learn(images, objects, phases)
        return self

    @property
    def model_(self) -> Any:
        """A plain Keras model with the trained weights, from raw pixels to the outputs of the head."""
        check_is_fitted(self)
        return self._design().plain_model(self._weights)

    def _check_boxes(self, boxes: BoxArrays) -> BoxArrays:
        """Return the boxes of y, or raise an error where an image has more than can be learned."""
        return boxes

    def _default_size(self, sizes: np.ndarray, own: tuple[int, int]) -> tuple[int, int]:
        """Return the size that images are resized to if the parameter is None: by their sizes, or the network's own."""
        return own

    def _learn_form(self, objects: Objects) -> None:
        """Learn of the boxes what decides the form of the head."""

    @abstractmethod
    def _encoder(self) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        """Return the function from boxes (k, 4) of the resized image and their classes (k,) to what the loss takes."""

    def _fitted_size(self, sizes: np.ndarray) -> tuple[int, int]:
        if self.image_size is not None:
            return as_image_size(self.image_size)
        backbone = self._backbone()
        network = backbone.network
        if network is not None and None not in network.input_shape[1:3]:
            return backbone.image_size
        return self._default_size(sizes, backbone.image_size)

    def _objects(self, boxes: BoxArrays, sizes: np.ndarray) -> Objects:
        """Return boxes where they are in the resized images, and their classes as numbers."""
        xyxy = np.empty_like(boxes.xyxy)
        for size in np.unique(sizes, axis=0):
            rows = (sizes[boxes.image] == size).all(axis=1)
            xyxy[rows] = self._geometry(size).forth(boxes.xyxy[rows])
        objects = Objects.inside(boxes._replace(xyxy=xyxy), self.classes_.tolist(), self.image_size_)
        if not len(objects.codes):
            raise ValueError(
                f"resize={self.resize!r} cuts off all boxes of y; expected at least one to train on. Give 'stretch' or "
                "'pad'."
            )
        return objects

    def _example_reader(self, inputs: Inputs, targets: Objects) -> Read:
        return example_reader(inputs, targets, self._encoder())

    def _drawn_change(self) -> Any | None:
        augmentation = self.augmentation if self.augmentation_views is None else None
        return changes_of(augmentation, self._mosaic) if augmentation is not None or self._mosaic else None
