"""Which row goes into which part: sizes reached, classes in the same proportions, groups whole."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from sklearn.model_selection import train_test_split


def allot_rows(
    codes: np.ndarray, counts: Mapping[str, int], names: np.ndarray | None, random: np.random.RandomState
) -> np.ndarray:
    """Return the number of each row's part; sizes are exact.

    Parameters
    ----------
    codes : ndarray of shape (n_rows,), int
        The class of each row; all 0 where classes do not count.
    counts : dict of str to int
        Rows of each part; their sum is n_rows.
    names : ndarray of shape (n_classes,) or None
        Names of the classes, None where classes do not count.
    random : RandomState

    Returns
    -------
    ndarray of shape (n_rows,), int
    """
    if names is not None:
        _check_enough(np.bincount(codes), names, counts, "rows")
        for name, size in counts.items():
            if size < len(names):
                raise ValueError(
                    f"{name} would have {size:,} of {len(codes):,} rows, fewer than its {len(names):,} classes. "
                    "Give other sizes, or set stratify=False."
                )
    part = np.zeros(len(codes), np.int64)
    left = np.arange(len(codes))
    for number, size in list(enumerate(counts.values()))[1:]:
        left, taken = train_test_split(
            left, test_size=size, random_state=random, stratify=None if names is None else codes[left]
        )
        part[taken] = number
    return part


def allot_groups(
    codes: np.ndarray,
    counts: Mapping[str, int],
    names: np.ndarray | None,
    groups: np.ndarray,
    random: np.random.RandomState,
) -> np.ndarray:
    """Return the number of each row's part; all rows of a group have the same, and sizes are approximate.

    As in scikit-learn's StratifiedGroupKFold the groups are placed one by one, large ones first, since small ones can
    even out what large ones leave. A group goes where it most lowers the squared distance of each part's class counts
    from those wanted, in units of those wanted.

    Parameters
    ----------
    codes, counts, names, random
        Class codes, sizes of the parts, names of the classes and the generator: see :func:`allot_rows`.
    groups : ndarray of shape (n_rows,), int
        The group of each row, numbered from 0.

    Returns
    -------
    ndarray of shape (n_rows,), int
    """
    n_groups, n_classes = groups.max() + 1, codes.max() + 1
    if n_groups < len(counts):
        raise ValueError(f"There are {n_groups} groups for {len(counts)} parts ({', '.join(counts)}).")
    held = np.zeros((n_groups, n_classes))
    np.add.at(held, (groups, codes), 1)
    if names is not None:
        _check_enough((held > 0).sum(axis=0), names, counts, "groups")
    fractions = np.array(list(counts.values())) / len(codes)
    wanted = fractions[:, None] * held.sum(axis=0)
    missing = wanted.copy()
    part_of_group = np.full(n_groups, -1)
    shuffled = random.permutation(n_groups)
    order = shuffled[np.argsort(-held[shuffled].sum(axis=1), kind="stable")]
    empty = set(range(len(counts)))
    for place, group in enumerate(order):
        cost = (held[group] * (held[group] - 2 * missing) / wanted).sum(axis=1)
        if n_groups - place <= len(empty):  # the last groups go where there is none yet
            cost[[number for number in range(len(counts)) if number not in empty]] = np.inf
        chosen = int(np.argmin(cost))
        part_of_group[group] = chosen
        missing[chosen] -= held[group]
        empty.discard(chosen)
    return part_of_group[groups]


def _check_enough(available: np.ndarray, names: np.ndarray, counts: Mapping[str, int], what: str) -> None:
    rare = names[available < len(counts)]
    if len(rare):
        raise ValueError(
            f"Each of the {len(counts)} parts ({', '.join(counts)}) needs every class, but fewer {what} than that "
            f"contain {', '.join(repr(name) for name in rare[:5].tolist())}{' and others' if len(rare) > 5 else ''}. "
            "Get more of them, leave these classes out, or set stratify=False."
        )
