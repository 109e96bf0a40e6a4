"""Writes images and labels to TFRecord files."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from skcnn._files import replacing
from skcnn._labels import as_labels
from skcnn.datasets._tfrecord_format import Values, example, masked_crc, record
from skcnn.images import BadImageError, BadRow, HeldImages, Images, ImageSource, as_images, bad_rows_frame, map_ahead

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_MANIFEST = "manifest.json"
#: Pixels of a side to which nothing is shrunk.
_ANY_SIZE = 2**30


def write_tfrecords(
    X: Any,
    y: ArrayLike | None,
    out: str | os.PathLike[str],
    images_per_shard: int = 1000,
    *,
    root: str | os.PathLike[str] | None = None,
) -> list[str]:
    """Write images and their labels to TFRecord files, which :class:`TFRecordImages` and ``tf.data`` read.

    The bytes of files and encoded images are written unchanged; arrays and PIL images are written as PNG, without loss.
    A shard appears only when it is complete. After an interruption, call it again with the same data: existing shards
    are kept.

    Parameters
    ----------
    X : array-like of n_samples images
        See :func:`skcnn.images.as_images`. Also a source, such as :class:`ParquetImages`.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs), or None
        Labels: integers (kept as int64), text, or other numbers (kept as float32). None writes none.
    out : path-like
        Folder for the shards and a ``manifest.json``, which identifies their data; created if it does not exist. Shards
        are named ``images-00000-of-00010.tfrecord``.
    images_per_shard : int, default=1000
        Images per shard: some 100 MB of camera images. Larger shards mean fewer files; smaller shards are distributed
        more evenly among workers.
    root : path-like or None, default=None
        Folder or URL that relative paths start from; None is the current folder.

    Returns
    -------
    list of str
        Paths of the shards, in the order of X.

    Raises
    ------
    skcnn.images.BadImageError
        If rows cannot be read; shards without such rows are written. Images are not decoded: to find those that cannot
        be decoded, call :func:`skcnn.images.drop_bad_images` first.
    ImportError
        If ``google-crc32c`` is not installed; it comes with the extra ``tfrecord``.
    TypeError
        If X holds no images.
    ValueError
        If y has another length or holds something else, or if ``out`` holds shards of other data.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from skcnn.datasets import load_digit_images, write_tfrecords
    >>> X, y = load_digit_images(return_X_y=True)
    >>> [Path(shard).name for shard in write_tfrecords(X[:5], y[:5], tempfile.mkdtemp(), images_per_shard=3)]
    ['images-00000-of-00002.tfrecord', 'images-00001-of-00002.tfrecord']
    """
    if (
        isinstance(images_per_shard, bool)
        or not isinstance(images_per_shard, (int, np.integer))
        or images_per_shard < 1
    ):
        raise ValueError(f"images_per_shard={images_per_shard!r}; expected a positive int.")
    masked_crc(b"")
    images = as_images(X, root=root)
    labels = None if y is None else _as_values(y, len(images))
    folder = Path(out).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    n_shards = -(-len(images) // images_per_shard)
    shards = [folder / f"images-{number:05}-of-{n_shards:05}.tfrecord" for number in range(n_shards)]
    _begin(folder, images, labels, int(images_per_shard))
    bad: list[BadRow] = []
    for number, shard in enumerate(shards):
        if shard.exists():
            continue
        rows = range(number * images_per_shard, min((number + 1) * images_per_shard, len(images)))
        contents, missing = _encoded(images, rows)
        bad += missing
        if not missing:
            with replacing(shard) as unfinished, open(unfinished, "wb") as file:
                for row, content in zip(rows, contents, strict=True):
                    label: dict[str, Values] = {} if labels is None else {"label": labels[row]}
                    file.write(record(example({**label, "image": [content]})))
    if bad:
        raise BadImageError(
            bad_rows_frame(bad),
            len(images),
            "Shards without these rows are written. Repair these files and call it again, or leave the rows out, "
            "X, y = skcnn.images.drop_bad_images(X, y), and write to another folder.",
        )
    return [str(shard) for shard in shards]


def _begin(folder: Path, images: Images, labels: list[Values] | None, images_per_shard: int) -> None:
    """Write down which data the shards are of; raise where there are shards of other data."""
    manifest = {
        "images": len(images),
        "images_per_shard": images_per_shard,
        "data": _fingerprint(images, labels),
    }
    path = folder / _MANIFEST
    try:
        before = json.loads(path.read_text())
    except FileNotFoundError:
        before = None
    except ValueError:
        before = {}
    if before == manifest:
        return
    if before is not None or any(folder.glob("*.tfrecord")):
        raise ValueError(
            f"out={str(folder)!r} holds shards of other images, labels or images_per_shard; expected an empty folder, "
            "or that of a call with the same arguments, which is then resumed. Give another folder, or remove this one."
        )
    with replacing(path) as unfinished:
        unfinished.write_text(json.dumps(manifest, indent=1) + "\n")


def _fingerprint(images: Images, labels: list[Values] | None) -> str:
    """Return by what a set of rows is known: paths or stamps, or contents that are in memory; and labels."""
    digest = hashlib.blake2b(digest_size=16)
    for row in range(len(images)):
        name = images.items.stamp(row) if isinstance(images.items, ImageSource) else None
        name = images.path(row) if name is None else name
        if name is None and not isinstance(images.items, ImageSource):
            try:
                name = images.digest(row).hex()
            except (OSError, TypeError, ValueError) as error:
                name = str(error)  # a bad row, which is named when it is read
        digest.update(f"{name}\n".encode("utf-8", "surrogateescape"))
        if labels is not None:
            digest.update(repr(np.asarray(labels[row]).tolist()).encode())
    return digest.hexdigest()


def _as_values(y: ArrayLike, n_samples: int) -> list[Values]:
    """Return labels as features of an Example."""
    labels = np.asarray(as_labels(y) if np.ndim(y) == 1 else y)
    if labels.ndim not in (1, 2) or len(labels) != n_samples:
        raise ValueError(f"y has shape {labels.shape} for {n_samples:,} images; expected one label per image.")
    if labels.dtype.kind in "iubf":
        return list(labels.reshape(n_samples, -1))
    if not all(isinstance(label, str) for label in labels.ravel()):
        raise ValueError(f"y holds labels of dtype {labels.dtype}; expected integers, floats or text.")
    return [[str(label).encode() for label in row] for row in labels.reshape(n_samples, -1)]


def _encoded(images: Images, rows: Sequence[int]) -> tuple[list[bytes], list[BadRow]]:
    """Return the encoded images of rows, read in threads, and rows that cannot be read."""
    if images.reads_together:
        images = held = HeldImages(images)
        held.fetch(rows)

    def encode(row: int) -> bytes:
        content = images.read(row)
        if isinstance(content, np.ndarray):
            file = BytesIO()
            Image.fromarray(images.thumbnail(row, _ANY_SIZE)).save(file, "PNG")
            return file.getvalue()
        if not content:
            raise ValueError("empty file")
        return content

    encoded, bad = [], []
    for row, content in map_ahead(encode, rows, 64):
        if isinstance(content, BadRow):
            bad.append(content._replace(path=images.path(row)))
        else:
            encoded.append(content)
    return encoded, bad
