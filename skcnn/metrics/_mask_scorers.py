"""Scorers of segmenters by name, for cross-validation and searches."""

from __future__ import annotations

from typing import Any

from sklearn.metrics import make_scorer

from skcnn.metrics._mask_tables import boundary_f1, mask_dice, mask_iou, pixel_accuracy

_SCORERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "mask_iou": (mask_iou, {}),
    "mask_iou_per_image": (mask_iou, {"per_image": True}),
    "mask_dice": (mask_dice, {}),
    "pixel_accuracy": (pixel_accuracy, {}),
    "boundary_f1": (boundary_f1, {}),
}


def mask_scorers(*names: str) -> dict[str, Any]:
    """Return scorers of predicted masks by their names, for ``scoring`` of scikit-learn.

    Parameters
    ----------
    *names : str
        "mask_iou" (of all pixels of a fold together), "mask_iou_per_image", "mask_dice", "pixel_accuracy" or
        "boundary_f1". None at all stands for all of them.

    Returns
    -------
    dict of str to scorer
        Made by :func:`sklearn.metrics.make_scorer`, for :func:`~sklearn.model_selection.cross_validate` as it is.
        Greater is better. Where pixels are colours, give ``as_masks(y, colors=...)`` as y.

    Raises
    ------
    ValueError
        If a name is not known.

    Examples
    --------
    >>> from skcnn.metrics import mask_scorers
    >>> list(mask_scorers("mask_iou", "boundary_f1"))
    ['mask_iou', 'boundary_f1']
    """
    unknown = [name for name in names if name not in _SCORERS]
    if unknown:
        raise ValueError(f"No scorer of masks is called {unknown[0]!r}; known are {', '.join(map(repr, _SCORERS))}.")
    chosen = names or tuple(_SCORERS)
    return {name: make_scorer(function, **options) for name, (function, options) in _SCORERS.items() if name in chosen}
