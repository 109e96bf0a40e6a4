"""Pairs of images that a command is given: a table with two columns of paths, and perhaps whether they are of one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from skcnn._files import check_regular
from skcnn._text import counted, printable_text

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


def read_pairs(path: str) -> pd.DataFrame:
    """Return a table of two columns of paths; relative ones start from the folder of the table.

    Raises
    ------
    ValueError
        If the table has other columns, or no row.
    """
    table = _read(path)
    if table.shape[1] != 2:
        raise ValueError(f"{path} has {counted(table.shape[1], 'column')}; expected two columns of paths.")
    return _resolved(table, path)


def read_labelled_pairs(path: str, label: str | None = None) -> tuple[pd.DataFrame, np.ndarray]:
    """Return a table of two columns of paths, and whether each pair is of one identity: 1 or 0, int.

    Parameters
    ----------
    path : str
        Of the table, with a third column of 1 and 0.
    label : str or None, default=None
        Name of that column; None is the last one.

    Raises
    ------
    ValueError
        If the table has other columns, no row, or other labels.
    """
    import numpy as np

    table = _read(path)
    names = list(table.columns)
    if len(names) != 3 or (label is not None and label not in names):
        raise ValueError(
            f"{path} has the columns {', '.join(map(repr, names))}; expected two columns of paths and a third with 1 "
            "(one person) or 0 (two), which --label-column names if it is not the last; or path and label."
        )
    label = names[-1] if label is None else label
    texts = table.pop(label)
    if len(bad := np.flatnonzero(~texts.isin(["0", "1"]))):
        raise ValueError(
            f"{path}: the column {label!r} has {printable_text(texts.iloc[bad[0]])!r} in row {bad[0] + 1}; expected 1 "
            "(one person) or 0 (two)."
        )
    return _resolved(table, path), texts.astype(int).to_numpy()


def _read(path: str) -> pd.DataFrame:
    import pandas as pd

    check_regular(path, "a CSV file")
    table = pd.read_csv(Path(path).expanduser(), dtype=str, keep_default_na=False, encoding_errors="surrogateescape")
    if table.empty:
        raise ValueError(f"{path} has no row; expected a pair of images per row.")
    return table.astype(object)


def _resolved(table: pd.DataFrame, path: str) -> pd.DataFrame:
    folder = Path(path).expanduser().parent
    return table.apply(lambda column: [name if "://" in name else str(folder / name) for name in column])
