"""Scorers of detectors and localizers by name, for cross-validation and searches."""

from __future__ import annotations

from typing import Any

from sklearn.metrics import make_scorer

from skcnn.metrics._average_precision import average_precision, average_recall
from skcnn.metrics._box_overlap import localization_accuracy, mean_iou
from skcnn.metrics._instance_precision import mask_average_precision

_SCORERS = {
    "average_precision": (average_precision, {}),
    "average_precision_50": (average_precision, {"iou": 0.5}),
    "average_precision_75": (average_precision, {"iou": 0.75}),
    "mask_average_precision": (mask_average_precision, {}),
    "mask_average_precision_50": (mask_average_precision, {"iou": 0.5}),
    "mask_average_precision_75": (mask_average_precision, {"iou": 0.75}),
    "average_recall": (average_recall, {}),
    "mean_iou": (mean_iou, {}),
    "localization_accuracy": (localization_accuracy, {}),
}


def box_scorers(*names: str) -> dict[str, Any]:
    """Return scorers of predicted boxes by their names, for ``scoring`` of scikit-learn.

    scikit-learn takes names of its own metrics only; those of boxes are given as scorers.

    Parameters
    ----------
    *names : str
        "average_precision" (COCO's AP), "average_precision_50", "average_precision_75"; of masks
        "mask_average_precision", "mask_average_precision_50", "mask_average_precision_75"; "average_recall", "mean_iou"
        or "localization_accuracy". None at all stands for the first three.

    Returns
    -------
    dict of str to scorer
        Made by :func:`sklearn.metrics.make_scorer`, for :func:`~sklearn.model_selection.cross_validate` as it is; of
        one name, ``box_scorers(name)[name]`` is what :func:`~sklearn.model_selection.cross_val_score` takes. Greater is
        better. A fold is scored as a whole.

    Raises
    ------
    ValueError
        If a name is not known.

    Examples
    --------
    >>> from skcnn.metrics import box_scorers
    >>> list(box_scorers("average_precision_50", "mean_iou"))
    ['average_precision_50', 'mean_iou']
    """
    unknown = [name for name in names if name not in _SCORERS]
    if unknown:
        raise ValueError(f"No scorer of boxes is called {unknown[0]!r}; known are {', '.join(map(repr, _SCORERS))}.")
    chosen = names or ("average_precision", "average_precision_50", "average_precision_75")
    return {name: make_scorer(function, **options) for name, (function, options) in _SCORERS.items() if name in chosen}
