"""Columns of data sets that Hugging Face's library ``datasets`` has loaded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from skcnn.images._paths import plain_row, read_path
from skcnn.images._source import ImageSource

if TYPE_CHECKING:
    from datasets import Dataset


class HuggingFaceImages(ImageSource):
    """Images of a data set of Hugging Face's library ``datasets``, as X.

    Encoded images are read from its memory-mapped files; its own decoder is not used.

    Parameters
    ----------
    dataset : datasets.Dataset
        One split, as ``datasets.load_dataset(..., split="train")`` returns it. Streams have no length and are refused.
    image : str, default="image"
        Name of the column with the images: of its type ``Image``, or of bytes, paths or dicts of both.
    label : str, default="label"
        Name of the column with the labels, for :meth:`labels`.

    Raises
    ------
    TypeError
        If it is not such a data set.
    ValueError
        If it has no such column.

    See Also
    --------
    skcnn.datasets.ParquetImages : The files of such a data set, without that library.

    Notes
    -----
    A column, ``dataset["image"]``, is accepted as X, too. But scikit-learn splits a column into lists of decoded
    images, whereas it splits a source into sources.

    Examples
    --------
    With a data set of the hub::

        dataset = datasets.load_dataset("cifar10", split="train")
        X = HuggingFaceImages(dataset, "img")
        y = X.labels()
    """

    def __init__(self, dataset: Dataset, image: str = "image", label: str = "label"):
        if not _is_of_hugging_face(dataset, "Dataset"):
            raise TypeError(
                f"dataset is a {type(dataset).__name__}; expected a datasets.Dataset: one split, and not a stream."
            )
        if image not in dataset.column_names:
            raise ValueError(f"image={image!r}; expected one of the columns {dataset.column_names}.")
        self.image, self.label = image, label
        self.dataset = _undecoded(dataset, image)
        self._fingerprint = getattr(dataset, "_fingerprint", None)

    def __len__(self) -> int:
        return len(self.dataset)

    def read_many(self, rows: Sequence[int] | np.ndarray) -> list[bytes | Exception]:
        """Return the encoded images of rows, or why there is none: see :class:`ImageSource`."""
        images: list[bytes | Exception] = []
        for item in self.dataset[np.asarray(rows, int).tolist()][self.image]:
            try:
                images.append(_encoded(plain_row(item)))
            except Exception as error:
                images.append(error)
        return images

    def stamp(self, row: int) -> str | None:
        """Return the fingerprint of the data set and the row."""
        return None if self._fingerprint is None else f"datasets {self._fingerprint} {self.image} {row}"

    def path(self, row: int) -> str:
        """Return column and row."""
        return f"{self.image}, row {row}"

    def read_labels(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return the labels of rows, as the column has them.

        Raises
        ------
        ValueError
            If there is no such column.
        """
        if self.label not in self.dataset.column_names:
            raise ValueError(f"label={self.label!r}; expected one of the columns {self.dataset.column_names}.")
        return np.array(self.dataset.select_columns([self.label])[np.asarray(rows, int).tolist()][self.label])


def _encoded(item: Any) -> bytes:
    """Return the encoded image that a row holds or names."""
    if item is None:
        raise ValueError("missing value")
    if isinstance(item, bytes):
        return item
    if isinstance(item, str):
        return read_path(item)
    raise TypeError(f"a {type(item).__name__}; expected an encoded image, a path, or a dict of both")


def as_hugging_face(X: Any) -> HuggingFaceImages | None:
    """Return a column of a data set as a source, and None for anything else.

    Raises
    ------
    TypeError
        If X is a whole data set.
    """
    if _is_of_hugging_face(X, "Dataset"):
        raise TypeError(
            f"X is a Dataset with the columns {X.column_names}; expected one column of images: choose it, X['image'], "
            "or skcnn.images.HuggingFaceImages(X, 'image')."
        )
    if _is_of_hugging_face(X, "Column") and _is_of_hugging_face(X.source, "Dataset"):
        return HuggingFaceImages(X.source, X.column_name)
    return None


def _is_of_hugging_face(X: Any, name: str) -> bool:
    return any(kind.__module__.split(".")[0] == "datasets" and kind.__name__ == name for kind in type(X).__mro__)


def _undecoded(dataset: Any, image: str) -> Any:
    """Return the data set with nothing but the bytes of images."""
    import datasets

    plain = dataset.with_format(None)
    is_image = isinstance(plain.features[image], datasets.Image)
    return plain.cast_column(image, datasets.Image(decode=False)) if is_image else plain
