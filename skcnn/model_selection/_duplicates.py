"""Images that are in X more than once."""

from __future__ import annotations

import os
import warnings
from collections import defaultdict
from collections.abc import Iterator
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from sklearn.utils import check_consistent_length

from skcnn._labels import as_labels
from skcnn._progress import progress_bar
from skcnn.images import BadImageError, BadImageWarning, BadRow, Images, as_images, bad_rows_frame, map_images
from skcnn.model_selection._alignment import SIDE, aligned_similarity, box_blur

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_GREY = np.array([0.299, 0.587, 0.114], np.float32)
_COARSE = 8
_COARSE_SIMILARITY = 0.55
_MOST_PARTNERS = 100
_BLOCK = 2**23  # similarities held at a time: 32 MB
_PAIRS = 128  # pairs aligned at a time: their matrices stay in the processor's cache


class _Pair(NamedTuple):
    row_a: int
    row_b: int
    kind: str
    similarity: float
    mirrored: bool


def find_duplicates(
    X: Any,
    groups: ArrayLike | None = None,
    *,
    root: str | os.PathLike[str] | None = None,
    min_similarity: float = 0.75,
    max_pixels: int | None = None,
    on_error: Literal["raise", "skip"] = "raise",
    verbose: int | str = "auto",
) -> pd.DataFrame:
    """Find images that are in X twice: copied, re-encoded, resized, mirrored, slightly cropped or recoloured.

    A test set that shares images with the training set makes every metric too optimistic. Give the parts of the split
    as ``groups`` and look at the pairs across them; pairs within a group are copies in one part, or copies with two
    labels.

    Parameters
    ----------
    X : array-like of shape (n_samples,)
        Images: paths, arrays or whatever else :func:`skcnn.images.as_images` takes.
    groups : array-like of shape (n_samples,) or None, default=None
        What the rows belong to, such as "train" and "test", or their labels. It is written beside each pair and
        changes nothing else.
    root : path-like or None, default=None
        Folder or URL that relative paths start from; None is the current folder.
    min_similarity : float, default=0.75
        Pairs that are less alike are left out; in (0, 1]. Copies with JPEG quality 50, at half the size, mirrored, with
        5 % cut off each side, or all of these together, have 0.8 to 1; different images of flowers stay below 0.65.
        Lower it to see series of one scene as well. Drawings of one symbol, prints of one form or objects on a white
        background are more alike than that: raise it for these.
    max_pixels : int or None, default=None
        Larger images are bad rows; None stands for Pillow's warning limit.
    on_error : {"raise", "skip"}, default="raise"
        How to handle rows without an image: a :class:`BadImageError` that names them all, or a
        :class:`BadImageWarning`, and the others are compared.
    verbose : int or "auto", default="auto"
        Whether to show a progress bar. "auto" shows one in a terminal or a notebook where the job takes longer than 5
        seconds, 1 from the first image on, 0 never.

    Returns
    -------
    DataFrame
        A row for each pair, exact copies first, then the most alike:

        - ``row_a``, ``row_b`` (int): positions in X, ``row_a < row_b``;
        - ``path_a``, ``path_b``: as in X, None where X holds no paths;
        - ``group_a``, ``group_b``: only where ``groups`` is given;
        - ``kind``: "exact", the same bytes (of arrays: the same pixels), or "near";
        - ``similarity`` (float): correlation of the details after alignment, 1 for exact copies;
        - ``mirrored`` (bool): whether one of the two is flipped horizontally.

    Raises
    ------
    BadImageError
        If rows give no image and ``on_error="raise"``.
    ValueError
        If a parameter is out of its range, or ``groups`` is not of the length of X.

    Notes
    -----
    Each image is read and decoded once, to a grey thumbnail of 64 x 64 pixels; only this thumbnail and 64 numbers, 4 KB
    per image, are kept. Pairs that agree at 8 x 8 pixels (as they are or mirrored) are laid over each other by a
    stretch and a shift along each axis (Lucas and Kanade [1]_), and the details of what overlaps are correlated. The
    usual hash of the whole image changes with its frame, so that it finds few crops; ``benchmarks/duplicates.py``
    measures both.

    Not found: crops of a tenth or more at one side, rotations, and vertical flips. An image of a single colour has no
    details: only its exact copies are found. The 8 x 8 stage compares all pairs (100,000 images: 1e10 products of
    vectors of 64 numbers), and keeps at most 100 candidates per image: of hundreds of near copies of one image not
    every pair is reported, but each copy with some other. Of more than 100 exact copies, each is reported with the
    first copy in every group.

    References
    ----------
    .. [1] B. D. Lucas and T. Kanade, "An Iterative Image Registration Technique with an Application to Stereo Vision",
       IJCAI 1981.

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.datasets import load_digit_images
    >>> from skcnn.model_selection import find_duplicates
    >>> X = load_digit_images().data[:6]
    >>> X = np.concatenate([X, X[[0]], X[[1], :, ::-1]])  # row 6 is row 0 again, row 7 is row 1 mirrored
    >>> pairs = find_duplicates(X, groups=["train"] * 6 + ["test"] * 2)
    >>> pairs[["row_a", "row_b", "group_a", "group_b", "kind", "mirrored"]]
       row_a  row_b group_a group_b   kind  mirrored
    0      0      6   train    test  exact     False
    1      1      7   train    test   near      True
    """
    if not isinstance(min_similarity, Real) or not 0 < min_similarity <= 1:
        raise ValueError(f"min_similarity={min_similarity!r}; expected a number in (0, 1].")
    if on_error not in ("raise", "skip"):
        raise ValueError(f"on_error={on_error!r}; expected 'raise', 'skip'.")
    images = as_images(X, root=root)
    if groups is not None:
        groups = as_labels(groups)
        if groups.ndim != 1:
            raise ValueError(f"groups has shape {groups.shape}; expected one value per row of X.")
        check_consistent_length(images.items, groups)

    seen = _Seen.of(images, max_pixels, verbose)
    if seen.bad:
        _tell(bad_rows_frame(seen.bad), len(images), on_error)
    pairs = []
    for rows in seen.copies:
        anchors = _anchors(rows, groups)
        found = {(min(a, b), max(a, b)) for a in anchors for b in rows if a != b}
        pairs += [_Pair(a, b, "exact", 1.0, False) for a, b in found]
    for first, second, similarity, mirrored in _near(seen, min_similarity, verbose):
        pairs += [
            _Pair(min(a, b), max(a, b), "near", similarity, mirrored)
            for a in _anchors(seen.copies[first], groups)
            for b in _anchors(seen.copies[second], groups)
        ]
    return _frame(pairs, images, groups)


def _anchors(rows: list[int], groups: np.ndarray | None) -> list[int]:
    """Return the copies of one content to report pairs of: of very many, the first in each group."""
    if len(rows) <= _MOST_PARTNERS:
        return rows
    if groups is None:
        return rows[:1]
    first = pd.Series(groups[rows]).drop_duplicates().index
    return [rows[place] for place in first]


class _Seen(NamedTuple):
    """What is kept of the images, by content: rows that hold it, thumbnail and vector; and rows without an image."""

    copies: list[list[int]]
    thumbnails: np.ndarray  # (n_contents, SIDE, SIDE), uint8
    vectors: np.ndarray  # (n_contents, _COARSE, _COARSE), float32
    bad: list[BadRow]

    @classmethod
    def of(cls, images: Images, max_pixels: int | None, verbose: int | str) -> _Seen:
        def look(images: Images, row: int) -> tuple[bytes, np.ndarray]:
            image = Images([images.read(row)])  # read once for both
            return image.digest(0), image.decode(0, (SIDE, SIDE), max_pixels=max_pixels)

        copies: defaultdict[bytes, list[int]] = defaultdict(list)
        thumbnails = np.empty((len(images), SIDE, SIDE), np.uint8)
        vectors = np.empty((len(images), _COARSE, _COARSE), np.float32)
        bad = []
        rows = progress_bar(range(len(images)), title="reading", verbose=verbose)
        for row, found in map_images(look, images, rows, ahead=64):
            if isinstance(found, BadRow):
                bad.append(found._replace(path=images.path(row)))
                continue
            digest, pixels = found
            if digest not in copies:
                grey = pixels @ _GREY
                thumbnails[len(copies)] = np.rint(grey)
                vectors[len(copies)] = _vector(grey)
            copies[digest].append(row)
        return cls(list(copies.values()), thumbnails[: len(copies)], vectors[: len(copies)], bad)


def _vector(grey: np.ndarray) -> np.ndarray:
    """Return an image at 8 x 8, local means taken away, as a vector of length 1; 0 if it is plain."""
    width = SIDE // _COARSE
    coarse = grey.reshape(_COARSE, width, _COARSE, width).mean((1, 3))
    detail = coarse - box_blur(coarse[None], 3)[0]
    detail -= detail.mean()
    length = np.linalg.norm(detail)
    # Half a level of 255 everywhere is rounding.
    return detail / length if length > 0.5 * np.sqrt(detail.size) else np.zeros_like(detail)


def _near(seen: _Seen, min_similarity: float, verbose: int | str) -> Iterator[tuple[int, int, float, bool]]:
    """Yield pairs of contents that are alike, with their similarity and whether one is mirrored."""
    for candidates in _candidates(seen.vectors, verbose):
        best: dict[tuple[int, int], tuple[float, bool]] = {}
        for start in range(0, len(candidates), _PAIRS):
            a, b, mirrored = candidates[start : start + _PAIRS].T
            first, second = (seen.thumbnails[which].astype(np.float32) for which in (a, b))
            first = np.where(mirrored[:, None, None], first[:, :, ::-1], first)
            similarity = aligned_similarity(first, second)
            for place in np.flatnonzero(similarity >= min_similarity):
                pair, found = (int(a[place]), int(b[place])), (float(similarity[place]), bool(mirrored[place]))
                best[pair] = max(best.get(pair, found), found)
        for (one, other), (similarity_, mirrored_) in best.items():
            yield one, other, similarity_, mirrored_


def _candidates(vectors: np.ndarray, verbose: int | str) -> Iterator[np.ndarray]:
    """Yield pairs worth a closer look, block by block: (n, 3) of first, second, mirrored."""
    n_contents = len(vectors)
    plain, mirrored = (image.reshape(n_contents, _COARSE**2) for image in (vectors, vectors[:, :, ::-1]))
    block = max(1, _BLOCK // max(n_contents, 1))
    for start in progress_bar(range(0, n_contents, block), title="comparing", verbose=verbose):
        stop = min(start + block, n_contents)
        found = []
        for flag, first in enumerate((plain, mirrored)):
            similarity = first[start:stop] @ plain[start:].T
            # Each pair once: the partners of a row are those behind it.
            similarity[np.arange(len(similarity))[:, None] >= np.arange(similarity.shape[1])] = -1
            rows, columns = np.nonzero(similarity > _COARSE_SIMILARITY)
            for row in np.flatnonzero(np.bincount(rows, minlength=1) > _MOST_PARTNERS):
                near = np.argpartition(-similarity[row], _MOST_PARTNERS)[:_MOST_PARTNERS]
                others = rows != row
                rows = np.append(rows[others], np.full(len(near), row))
                columns = np.append(columns[others], near)
            found.append(np.column_stack([rows + start, columns + start, np.full(len(rows), flag)]))
        yield np.concatenate(found)


def _frame(pairs: list[_Pair], images: Images, groups: np.ndarray | None) -> pd.DataFrame:
    pairs = sorted(pairs, key=lambda pair: (pair.kind != "exact", -pair.similarity, pair.row_a, pair.row_b))
    frame = pd.DataFrame(pairs, columns=list(_Pair._fields))
    for place, row in enumerate(("row_a", "row_b")):
        letter = row[-1]
        paths = pd.Series([images.path(which) for which in frame[row]], index=frame.index, dtype=object)
        frame.insert(2 + place, f"path_{letter}", paths)
    if groups is not None:
        for place, row in enumerate(("row_a", "row_b")):
            frame.insert(4 + place, f"group_{row[-1]}", groups[frame[row].to_numpy(int)])
    return frame.astype({"row_a": "int64", "row_b": "int64", "similarity": "float64", "mirrored": bool})


def _tell(bad_rows: pd.DataFrame, n_rows: int, on_error: str) -> None:
    if on_error == "raise":
        raise BadImageError(bad_rows, n_rows, advice="Repair or drop these rows, or use on_error='skip'.")
    warnings.warn(BadImageWarning(bad_rows, n_rows, outcome="They were skipped."), stacklevel=3)
