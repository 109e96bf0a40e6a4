"""True and predicted boxes of the same images, checked: what every metric of boxes is worked out from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from skcnn._labels import as_label
from skcnn._text import counted
from skcnn.boxes import BoxArrays, box_arrays, check_boxes, sorted_labels

if TYPE_CHECKING:
    from collections.abc import Sequence


class BoxPredictions(NamedTuple):
    """True and predicted boxes; labels are numbers, positions in ``classes``."""

    true: BoxArrays
    predicted: BoxArrays
    score: np.ndarray
    classes: list[Any]

    @classmethod
    def from_arrays(
        cls, y_true: Any, y_pred: Any, *, classes: Sequence[Any] | None = None, scored: bool = True
    ) -> BoxPredictions:
        """Check boxes; predicted ones need scores if ``scored``, and else have 1 where they have none."""
        true = check_boxes(box_arrays(y_true), name="y_true", classes=classes)
        predicted = check_boxes(box_arrays(y_pred), name="y_pred", classes=classes)
        if true.n_images != predicted.n_images:
            raise ValueError(
                f"y_true has boxes of {counted(true.n_images, 'image')} and y_pred of "
                f"{counted(predicted.n_images, 'image')}; expected the same images in the same order."
            )
        if scored and predicted.score is None and len(predicted.image):
            raise ValueError(
                "y_pred has no scores; expected a column 'score', by which boxes are ranked. Predictions of a detector "
                "have it."
            )
        score = np.ones(len(predicted.image)) if predicted.score is None else predicted.score
        if classes is None:
            found = sorted_labels(np.concatenate([true.label, predicted.label]))
        else:
            found = [as_label(label) for label in classes]
        number_of = {label: number for number, label in enumerate(found)}
        true, predicted = (
            boxes._replace(label=np.array([number_of[label] for label in boxes.label], dtype=int))
            for boxes in (true, predicted)
        )
        return cls(true, predicted, score, found)

    @classmethod
    def from_estimator(cls, estimator: Any, X: Any, y: Any, *, classes: Sequence[Any] | None = None) -> BoxPredictions:
        """Predict, and check boxes."""
        if not hasattr(estimator, "predict"):
            raise TypeError(f"{type(estimator).__name__} has no predict; expected a fitted detector.")
        return cls.from_arrays(y, estimator.predict(X), classes=classes)

    @property
    def n_images(self) -> int:
        """Number of images, those without boxes included."""
        return self.true.n_images
