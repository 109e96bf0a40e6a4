"""Progress bars: for a person who waits, and not for a log file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

#: Seconds that a job takes before ``verbose="auto"`` shows a bar.
PATIENCE = 5


def progress_bar(
    rows: Iterable[Any] | None = None,
    *,
    total: int | None = None,
    title: str,
    verbose: int | str,
    unit: str = "image",
) -> Any:
    """Return a progress bar of tqdm, over rows or to be updated by hand.

    Parameters
    ----------
    rows : iterable or None, default=None
        What to iterate over.
    total : int or None, default=None
        Number of rows; None is the length of ``rows``.
    title : str
        What is being done.
    verbose : int or "auto"
        0 shows none, and 1 one from the first row on. "auto" shows one in a terminal or a notebook where the job takes
        longer than 5 seconds.
    unit : str, default="image"
        What a row is.

    Returns
    -------
    tqdm.tqdm
        Its ``update`` does nothing where no bar is shown.
    """
    from tqdm.auto import tqdm

    if verbose == "auto":
        # tqdm's None is: in a terminal only. In notebooks it always shows a bar.
        return tqdm(rows, total=total, desc=title, unit=unit, delay=PATIENCE, disable=None)
    return tqdm(rows, total=total, desc=title, unit=unit, disable=not verbose)
