"""What y may be: tables, arrays, dicts and detections of other libraries become the same arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from skcnn._labels import as_labels
from skcnn.boxes._arrays import BoxArrays
from skcnn.boxes._iou import COORDINATES

ACCEPTED = (
    "Accepted: one item per image, each a DataFrame with the columns label, xmin, ymin, xmax, ymax[, score], an array "
    "(k, 4) or (k, 5) whose fifth column is the label, a dict {'boxes', 'labels'[, 'scores']} or a "
    "supervision.Detections; or one box per image: a DataFrame or an array (n, 5|6) of these columns"
)

#: The label of boxes that come without one.
NO_LABEL = "object"


def box_arrays(y: Any) -> BoxArrays:
    """Return the boxes of y, whichever form it has, in arrays; looks at forms, not at values.

    Parameters
    ----------
    y : array-like of length n_images
        See :func:`as_boxes`.

    Returns
    -------
    BoxArrays

    Raises
    ------
    TypeError
        If an item of y is of another form; the message names the image and lists the forms.
    ValueError
        If an item has another shape, or lacks a column.

    Examples
    --------
    >>> from skcnn.boxes import box_arrays
    >>> arrays = box_arrays([[[0, 0, 10, 10]], []])
    >>> arrays.image, arrays.label, arrays.n_images
    (array([0]), array(['object'], dtype=object), 2)
    """
    if isinstance(y, BoxArrays):
        return y
    y = _as_pandas(y)
    if isinstance(y, pd.DataFrame):
        return _one_per_image(y)
    if isinstance(y, np.ndarray) and y.ndim == 2 and y.shape[1] in (5, 6) and y.dtype == object:
        return _one_per_image(pd.DataFrame(y, columns=["label", *COORDINATES, "score"][: y.shape[1]]))
    if (
        isinstance(y, (str, bytes, dict))
        or not hasattr(y, "__len__")
        or not hasattr(y, "__iter__")
        or _is_detections(y)
    ):
        raise TypeError(f"y is a {type(y).__name__}; expected one table of boxes per image. {ACCEPTED}.")
    if isinstance(y, np.ndarray) and y.ndim not in (1, 3):
        raise ValueError(f"y is an array of shape {y.shape} and dtype {y.dtype}. {ACCEPTED}.")
    items = list(y)
    return _of_tables(items) or _joined([_parts(item, row) for row, item in enumerate(items)])


_Parts = tuple[np.ndarray, np.ndarray, "np.ndarray | None"]


def _of_tables(items: list[Any]) -> BoxArrays | None:
    """Return the boxes of tables that all have the same columns at once, or None: there may be many thousand of them.

    What is wrong is left to those who look at the images one by one, and name them.
    """
    if not items or not all(isinstance(item, pd.DataFrame) for item in items):
        return None
    columns = items[0].columns
    if not all(columns.equals(item.columns) for item in items[1:]) or not columns.is_unique:
        return None
    counts = [len(item) for item in items]
    filled = [item for item in items if len(item)] or items[:1]
    try:
        label, xyxy, score = _parts_of_frame(pd.concat(filled, ignore_index=True), "y")
    except ValueError:
        return None
    return BoxArrays(np.repeat(np.arange(len(items)), counts), _composed(label), xyxy, score, len(items))


def _joined(parts: list[_Parts]) -> BoxArrays:
    counts = [len(label) for label, _, _ in parts]
    label = np.concatenate([np.empty(0, object), *(label for label, _, _ in parts)])
    xyxy = np.concatenate([np.empty((0, 4)), *(xyxy for _, xyxy, _ in parts)])
    score = None
    if any(score is not None for _, _, score in parts):
        score = np.concatenate(
            [np.full(count, np.nan) if part[2] is None else part[2] for count, part in zip(counts, parts, strict=True)]
        )
    return BoxArrays(np.repeat(np.arange(len(parts)), counts), _composed(label), xyxy, score, len(parts))


def _one_per_image(frame: pd.DataFrame) -> BoxArrays:
    """Return the boxes of a table with one row per image; a box of four NaN is none."""
    label, xyxy, score = _parts_of_frame(frame, "y")
    there = ~np.isnan(xyxy).all(axis=1)
    rows = np.flatnonzero(there)
    return BoxArrays(rows, _composed(label[rows]), xyxy[rows], None if score is None else score[rows], len(frame))


def _parts(item: Any, row: int) -> _Parts:
    item, where = _as_pandas(item), f"image {row} of y"
    if isinstance(item, pd.DataFrame):
        return _parts_of_frame(item, where)
    if isinstance(item, dict):
        return _parts_of_dict(item, where)
    if _is_detections(item):
        return _parts_of_detections(item, where)
    if item is None or isinstance(item, (str, bytes)) or np.isscalar(item):
        raise TypeError(f"{where} is {item!r}; an image without objects has an empty table. {ACCEPTED}.")
    return _parts_of_array(item, where)


def _parts_of_frame(frame: pd.DataFrame, where: str) -> _Parts:
    missing = [name for name in ("label", *COORDINATES) if name not in frame.columns]
    if missing:
        if frame.empty:
            return _no_boxes()
        raise ValueError(
            f"{where} has no column {', '.join(map(repr, missing))}; its columns are {list(frame.columns)}. {ACCEPTED}."
        )
    score = _numbers(frame["score"], f"the scores of {where}") if "score" in frame.columns else None
    columns = [_numbers(frame[name], f"the boxes of {where}") for name in COORDINATES]
    return _objects(frame["label"]), np.stack(columns, axis=1), score


def _parts_of_dict(item: dict[str, Any], where: str) -> _Parts:
    if "boxes" not in item or "labels" not in item:
        raise ValueError(f"{where} is a dict with the keys {list(item)}. {ACCEPTED}.")
    score = item.get("scores")
    return _same_length(
        _objects(as_plain(item["labels"])),
        _four_columns(as_plain(item["boxes"]), where),
        None if score is None else _numbers(as_plain(score), f"the scores of {where}"),
        where,
    )


def _parts_of_detections(item: Any, where: str) -> _Parts:
    xyxy = _four_columns(item.xyxy, where)
    names = (getattr(item, "data", None) or {}).get("class_name")
    label = names if names is not None and len(names) == len(xyxy) else getattr(item, "class_id", None)
    score = getattr(item, "confidence", None)
    return _same_length(
        _unnamed(len(xyxy)) if label is None else _objects(label),
        xyxy,
        None if score is None else _numbers(score, f"the scores of {where}"),
        where,
    )


def _parts_of_array(item: Any, where: str) -> _Parts:
    item = as_plain(item)
    try:
        array = np.asarray(item)
    except ValueError:
        raise ValueError(f"{where} is ragged: its boxes have different lengths. {ACCEPTED}.") from None
    if array.size == 0 and array.ndim <= 2:
        return _no_boxes()
    if array.ndim != 2 or array.shape[1] not in (4, 5, 6) or (array.shape[1] == 6 and array.dtype != object):
        raise ValueError(f"{where} has shape {array.shape} and dtype {array.dtype}. {ACCEPTED}.")
    if array.dtype == object and array.shape[1] > 4:
        # What np.asarray makes of tables: their columns, in their order.
        return _parts_of_frame(pd.DataFrame(array, columns=["label", *COORDINATES, "score"][: array.shape[1]]), where)
    xyxy = _numbers(array[:, :4], f"the boxes of {where}")
    return _unnamed(len(array)) if array.shape[1] == 4 else _class_numbers(array[:, 4]), xyxy, None


def _no_boxes() -> _Parts:
    return np.empty(0, object), np.empty((0, 4)), None


def _same_length(label: np.ndarray, xyxy: np.ndarray, score: np.ndarray | None, where: str) -> _Parts:
    lengths = {"boxes": len(xyxy), "labels": len(label)} | ({} if score is None else {"scores": len(score)})
    if len(set(lengths.values())) > 1:
        raise ValueError(f"{where} has {lengths}; expected one label (and score) per box.")
    return label, xyxy, score


def _four_columns(boxes: Any, where: str) -> np.ndarray:
    array = _numbers(boxes, f"the boxes of {where}")
    if array.size == 0:
        return np.empty((0, 4))
    if array.ndim != 2 or array.shape[1] != 4:
        raise ValueError(f"The boxes of {where} have shape {array.shape}; expected (k, 4): xmin, ymin, xmax, ymax.")
    return array


def _numbers(values: Any, what: str) -> np.ndarray:
    try:
        if isinstance(values, pd.Series):
            return np.asarray(values.to_numpy(dtype=float, na_value=np.nan))
        return np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what[0].upper()}{what[1:]} are not all numbers: {error}.") from None


def _objects(labels: Any) -> np.ndarray:
    """Return labels as a 1-D array of Python objects; missing ones, of whichever kind, are None."""
    values = labels.tolist() if hasattr(labels, "tolist") else list(labels)
    array = np.empty(len(values), object)
    array[:] = values
    array[pd.isna(array)] = None
    return array


def _class_numbers(values: np.ndarray) -> np.ndarray:
    """Return labels that share an array with coordinates: whole numbers are integers."""
    return _objects([int(value) if float(value).is_integer() else float(value) for value in values.tolist()])


def _unnamed(count: int) -> np.ndarray:
    return np.full(count, NO_LABEL, dtype=object)


def _composed(label: np.ndarray) -> np.ndarray:
    return as_labels(label) if len(label) else label


def _as_pandas(item: Any) -> Any:
    # polars and pyarrow.
    return item.to_pandas() if hasattr(item, "to_pandas") else item


def _is_detections(item: Any) -> bool:
    return hasattr(item, "xyxy")


def as_plain(values: Any) -> Any:
    """Return tensors of torch, also those that have a gradient or lie on a GPU, as what NumPy takes."""
    return values.detach().cpu() if hasattr(values, "detach") else values
