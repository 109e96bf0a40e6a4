"""A table with a column of paths and a column of labels."""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from skcnn._files import check_regular
from skcnn._labels import as_labels
from skcnn._text import listing, valid_text
from skcnn.datasets._folder import text_column
from skcnn.datasets._natural import natural_key


def load_image_table(
    csv: str | os.PathLike[str] | pd.DataFrame,
    *,
    path: str = "path",
    label: str | None = "label",
    root: str | os.PathLike[str] | None = None,
    return_X_y: bool = False,
) -> Any:
    """Load the paths and labels of images from a table.

    Parameters
    ----------
    csv : str, path-like or DataFrame
        A CSV file with a header line, as :func:`pandas.read_csv` reads it by default, or a table that was read by other
        means (another separator, Excel, Parquet, a database).

    path : str, default="path"
        Name of the column of paths or URLs.

    label : str or None, default="label"
        Name of the column of labels. None if there are none, for images that are yet to be classified.

    root : str or path-like or None, default=None
        Folder (or URL) that relative paths start from. None takes the folder of the CSV file, since tables commonly
        travel with their images; paths of a DataFrame then stay as they are.

    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    table : :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the following attributes.

        data : DataFrame of shape (n_samples, n_columns)
            All columns but that of the labels, in their order; the column of paths is resolved against ``root``. With
            columns beside the paths, give each its transformer in a :class:`~sklearn.compose.ColumnTransformer`;
            ``data[["path"]]`` is the images alone.
        target : ndarray of shape (n_samples,) or None
            The labels, as strings or numbers, whichever the table holds. Those of a CSV file are numbers only where the
            numbers are written the same way: "001" stays text. None if ``label`` is None.
        target_names : list or None
            The labels that occur, each once, in natural order ('2' before '10'). None if ``label`` is None or the
            labels are floating-point numbers.
        frame : DataFrame of shape (n_samples, n_columns + 1)
            ``data`` with the column of labels, in the order of the table.

    (data, target) : tuple if ``return_X_y=True``
        The DataFrame and the array described above.

    Raises
    ------
    FileNotFoundError
        If the CSV file does not exist, or none of the files in the table does.
    OSError
        If it is a pipe, a socket or a device.
    TypeError
        If ``csv`` is neither a path nor a DataFrame, or a path in the table is not a string or path-like.
    ValueError
        If the file is not a table, a column is not there, a path or label is missing, or the table has no rows.

    Warns
    -----
    UserWarning
        If a CSV file is not UTF-8 throughout: its paths are taken byte by byte, and labels are written with escapes.

    See Also
    --------
    load_image_folder : Images in one folder per class.

    Examples
    --------
    >>> import pandas as pd
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from skcnn.datasets import load_image_table
    >>> root = Path(tempfile.mkdtemp())
    >>> for name in ["1.png", "2.png"]:
    ...     Image.new("RGB", (8, 8)).save(root / name)
    >>> cells = pd.DataFrame({"path": ["1.png", "2.png"], "age": [31, 64], "label": ["healthy", "ill"]})
    >>> cells.to_csv(root / "cells.csv", index=False)
    >>> table = load_image_table(root / "cells.csv")
    >>> list(table.data.columns), table.target
    (['path', 'age'], array(['healthy', 'ill'], dtype='<U7'))
    >>> Path(table.data["path"][0]) == root / "1.png"
    True
    """
    if isinstance(csv, pd.DataFrame):
        frame, name = csv.copy(), "the DataFrame"
    elif isinstance(csv, (str, os.PathLike)):
        csv = os.path.expanduser(os.fspath(csv))
        frame, name = _read(csv, path, label), repr(csv)
        root = os.path.dirname(csv) if root is None else root
    else:
        raise TypeError(f"csv must be the path of a CSV file or a pandas DataFrame, got a {type(csv).__name__}.")

    columns = [path] if label is None else [path, label]
    _check_columns(frame, columns, name)
    for column in columns:
        _check_not_missing(frame[column], name)
    files = _resolve(frame[path], None if root is None else os.path.expanduser(os.fspath(root)))
    frame[path] = text_column(files).array
    if not any("://" in file or os.path.exists(file) for file in frame[path]):
        raise FileNotFoundError(
            f"None of the {len(frame)} files in {name} exists; the first would be {frame[path].iloc[0]!r} (searched "
            f"from {os.getcwd()!r}). Say with root= which folder the paths start from.{_windows_hint(frame[path])}"
        )

    target = target_names = None
    if label is not None:
        labels = frame[label].tolist()
        target = as_labels(np.array(labels) if isinstance(csv, pd.DataFrame) else _numbers_if_exact(labels))
        frame[label] = target
    if target is not None and target.dtype.kind != "f":
        in_text = target.dtype.kind == "U"
        target_names = sorted(np.unique(target).tolist(), key=natural_key if in_text else None)
    data = frame.drop(columns=columns[1:])
    return (data, target) if return_X_y else Bunch(data=data, target=target, target_names=target_names, frame=frame)


def _read(csv: str, path: str, label: str | None) -> pd.DataFrame:
    # Text, so that a file called 007 keeps its name; pandas leaves alone a column that is not there.
    check_regular(csv, "a CSV file")
    types = {path: str} if label is None else {path: str, label: str}
    try:
        try:
            return pd.read_csv(csv, dtype=types)
        except UnicodeDecodeError:
            with pd.option_context("mode.string_storage", "python"):
                frame = pd.read_csv(csv, dtype=types, encoding_errors="surrogateescape")
    except (pd.errors.EmptyDataError, pd.errors.ParserError) as error:
        raise ValueError(f"{csv!r} is not a CSV table with a header line: {str(error).rstrip('.')}.") from None
    warnings.warn(
        f"{csv!r} is not UTF-8 throughout. Its paths are taken byte by byte, and labels are written with escapes such "
        "as \\udce9. If the table is in another encoding, read it with pandas.read_csv(..., encoding=...) and give the "
        "DataFrame.",
        stacklevel=3,
    )
    return frame.rename(columns=valid_text)


def _numbers_if_exact(texts: list[str]) -> np.ndarray:
    """Return texts as integers, floats or booleans where these are written the same; "001" stays text."""
    for convert in (int, float, {"True": True, "False": False}.__getitem__):
        try:
            values = [convert(text) for text in texts]
        except (ValueError, KeyError):
            continue
        if all(str(value) == text for value, text in zip(values, texts, strict=True)):
            return np.array(values)
    return np.array(texts)


def _check_columns(frame: pd.DataFrame, columns: list[str], name: str) -> None:
    here = list(frame.columns)
    missing = [column for column in columns if column not in here]
    if missing:
        raise ValueError(
            f"There is no column {' and no column '.join(map(repr, missing))} in {name}; its columns are {here}. Name "
            "them with path= and label= (label=None if there are no labels). If the separator was not recognised, read "
            "the table with pandas.read_csv(..., sep=...) and give the DataFrame."
        )
    double = [column for column in columns if here.count(column) > 1]
    if double or len(set(columns)) < len(columns):
        raise ValueError(f"Paths and labels must be one column each, got {columns} of {name} with columns {here}.")
    if not len(frame):
        raise ValueError(f"There are no rows in {name}, only the columns {here}.")


def _check_not_missing(column: pd.Series, name: str, shown: int = 10) -> None:
    rows = np.flatnonzero(column.isna())
    if len(rows):
        raise ValueError(
            f"The column {column.name!r} of {name} has no value in {len(rows)} of {len(column)} rows: "
            f"{listing(map(str, rows), shown)} (the first is 0). Fill them in or drop them. pandas takes the texts "
            "'NA', 'None', 'null' and others for missing: if they are meant, read the table with "
            "pandas.read_csv(..., keep_default_na=False) and give the DataFrame."
        )


def _windows_hint(paths: pd.Series) -> str:
    if os.sep == "\\" or not paths.str.contains("\\", regex=False).any():
        return ""
    return (
        " The paths have backslashes, as Windows writes them: read the table with pandas.read_csv(...), replace them "
        "by frame['path'].str.replace('\\\\', '/') and give the DataFrame."
    )


def _resolve(column: pd.Series, root: str | None) -> list[str]:
    paths = []
    for row, value in enumerate(column):
        if not isinstance(value, (str, os.PathLike)):
            raise TypeError(
                f"The column {column.name!r} must hold paths as strings, got a {type(value).__name__} in row {row} "
                "(the first is 0)."
            )
        path = os.fspath(value)
        if root and "://" not in path and not os.path.isabs(path):
            path = f"{root.rstrip('/')}/{path}" if "://" in root else os.path.join(root, path)
        paths.append(path)
    return paths
