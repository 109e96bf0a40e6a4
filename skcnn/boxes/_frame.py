"""Boxes of all images in one table, a row per box."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from skcnn._text import counted, values_text
from skcnn.boxes._checks import check_boxes
from skcnn.boxes._forms import box_arrays
from skcnn.boxes._iou import COORDINATES
from skcnn.images import Images, as_images


def boxes_from_frame(
    annotations: pd.DataFrame, X: Any, *, image: str = "image", invalid: str = "raise", label: str = "label"
) -> np.ndarray:
    """Return the boxes of images from a table with one row per box.

    Parameters
    ----------
    annotations : DataFrame of shape (n_boxes, n_columns)
        With the columns ``xmin, ymin, xmax, ymax`` in pixels of the upright images (see :func:`as_boxes`), a column of
        labels, one that says which image a box is in, and perhaps ``score``. A row whose coordinates are all missing
        says that an image has no object. Rows of images that are not in X are left out: X may be one fold.
    X : array-like of length n_images
        The images (see :func:`skcnn.images.as_images`).
    image : str, default="image"
        Name of the column that says which image a box is in: the position in X (integers), or the path as in X. A path
        may lack folders at its front that X has, if what is left is the end of one path of X.
    invalid : {"raise", "clip", "drop"}, default="raise"
        How to handle boxes that cannot be right: see :func:`as_boxes`.
    label : str, default="label"
        Name of the column of labels.

    Returns
    -------
    ndarray of shape (n_images,), object
        One table per image of X: see :func:`as_boxes`. Images without a row have an empty table.

    Raises
    ------
    ValueError
        If a column is missing, no row belongs to an image of X, a path fits several images, or a box is invalid.

    See Also
    --------
    boxes_to_frame : The way back.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from skcnn.boxes import boxes_from_frame
    >>> X = np.zeros((2, 32, 32, 3), np.uint8)
    >>> annotations = pd.DataFrame(
    ...     {"image": [1, 1], "label": ["cat", "dog"], "xmin": [0, 4], "ymin": [0, 4], "xmax": [8, 32], "ymax": [8, 32]}
    ... )
    >>> y = boxes_from_frame(annotations, X)
    >>> [table["label"].tolist() for table in y]
    [[], ['cat', 'dog']]
    """
    missing = [name for name in (image, label, *COORDINATES) if name not in annotations.columns]
    if missing:
        raise ValueError(
            f"annotations has no column {', '.join(map(repr, missing))}; its columns are {list(annotations.columns)}. "
            "Name the columns of images and labels with image= and label=, and rename the others."
        )
    images = as_images(X)
    rows = _rows_of(annotations[image], images, image)
    columns = ["label", *COORDINATES, *(["score"] if "score" in annotations.columns else [])]
    frame = annotations.rename(columns={label: "label"})[columns]
    there = (rows >= 0) & ~frame[COORDINATES].isna().all(axis=1).to_numpy()
    order = np.flatnonzero(there)[np.argsort(rows[there], kind="stable")]
    arrays = box_arrays([frame.iloc[order]])._replace(image=rows[order], n_images=len(images))
    return check_boxes(arrays, images, invalid).tables()


def boxes_to_frame(y: Any, X: Any = None) -> pd.DataFrame:
    """Return the boxes of all images as one table with one row per box, for CSV files and databases.

    Parameters
    ----------
    y : array-like of length n_images
        Boxes: see :func:`as_boxes`.
    X : array-like of length n_images or None, default=None
        Images, whose paths name them. None, and images that are not in files, are named by their positions.

    Returns
    -------
    DataFrame of shape (n_boxes, 6 or 7)
        Columns ``image`` (path or position), ``label, xmin, ymin, xmax, ymax`` and, where y has scores, ``score``.
        Images without objects have no row: :func:`boxes_from_frame` knows them from X.

    Raises
    ------
    ValueError
        If y and X differ in length, or a box is invalid.

    Examples
    --------
    >>> from skcnn.boxes import boxes_to_frame
    >>> boxes_to_frame([[], [[0, 0, 8, 8]]])
       image   label  xmin  ymin  xmax  ymax
    0      1  object   0.0   0.0   8.0   8.0
    """
    arrays = check_boxes(box_arrays(y))
    names: list[Any] = list(range(arrays.n_images))
    if X is not None:
        images = as_images(X)
        if len(images) != arrays.n_images:
            raise ValueError(f"y has {arrays.n_images} tables and X has {counted(len(images), 'image')}.")
        names = [row if (path := images.path(row)) is None else path for row in names]
    frame = pd.DataFrame({"image": [names[row] for row in arrays.image], "label": arrays.label})
    for place, name in enumerate(COORDINATES):
        frame[name] = arrays.xyxy[:, place]
    if arrays.score is not None:
        frame["score"] = arrays.score
    return frame


def _rows_of(column: pd.Series, images: Images, name: str) -> np.ndarray:
    """Return for each annotation the position of its image in X, or -1."""
    if pd.api.types.is_numeric_dtype(column.dtype):
        rows = column.to_numpy(dtype=float, na_value=np.nan)
        bad = ~((rows >= 0) & (rows < len(images)) & (rows == np.floor(rows)))
        if bad.any():
            raise ValueError(
                f"The column {name!r} of annotations has {values_text(rows[bad])}; expected positions in X, which has "
                f"{counted(len(images), 'image')}, or paths."
            )
        return rows.astype(int)
    paths = [images.path(row) for row in range(len(images))]
    by_end = _Ends(paths)
    found = {value: by_end.find(str(value), name) for value in column.dropna().unique().tolist()}
    rows = np.array([-1 if pd.isna(value) else found[value] for value in column.tolist()], dtype=int)
    if len(rows) and (rows < 0).all():
        raise ValueError(
            f"No row of annotations belongs to an image of X: the column {name!r} has {values_text(list(found))}, and "
            f"the paths of X are {values_text(paths)}."
        )
    return rows


class _Ends:
    """Finds images by their path or by the end of it."""

    def __init__(self, paths: list[str | None]) -> None:
        self.whole = {path: row for row, path in enumerate(paths) if path is not None}
        self.by_name: dict[str, list[int]] = {}
        self.paths = ["" if path is None else f"/{path.replace(chr(92), '/')}" for path in paths]
        for row, path in enumerate(self.paths):
            self.by_name.setdefault(path.rpartition("/")[2], []).append(row)

    def find(self, path: str, column: str) -> int:
        """Return the position of the image, or -1."""
        if path in self.whole:
            return self.whole[path]
        end = f"/{path.replace(chr(92), '/').removeprefix('./')}"
        rows = [row for row in self.by_name.get(end.rpartition("/")[2], []) if self.paths[row].endswith(end)]
        if len(rows) > 1:
            raise ValueError(
                f"{path!r} in the column {column!r} of annotations is the end of {len(rows)} paths of X, such as "
                f"{self.paths[rows[0]][1:]!r} and {self.paths[rows[1]][1:]!r}; write more of the path."
            )
        return rows[0] if rows else -1
