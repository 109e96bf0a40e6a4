"""Images that are not in memory: the base class for shards, databases and other storage."""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from typing import Any, ClassVar

import numpy as np

#: Guards the opening of sources: an object with a lock of its own could not be pickled.
_opening = threading.RLock()


class ImageSource(ABC):
    """A sequence of images that are stored elsewhere, such as in shards or in a database, and read when needed.

    Every estimator takes a source as X. It has the ``shape`` and the indexing of an array of shape ``(n_samples,)``, so
    that :class:`~sklearn.model_selection.KFold`, ``train_test_split`` and similar tools split it without reading an
    image. Pickling stores its attributes and its rows, but no images, so that worker processes read the images
    themselves.

    A subclass must define :meth:`__len__` and :meth:`read_many`. It should define :meth:`stamp` if the storage has a
    value that changes with an image, and may define :meth:`path`, :meth:`read_labels` and :meth:`open`. It need not
    handle slices: a slice calls these methods on the whole source, with the row numbers of the whole source.

    See Also
    --------
    skcnn.datasets.TFRecordImages, skcnn.datasets.TarImages, skcnn.datasets.ParquetImages : Images in shards.
    skcnn.datasets.QueryImages : Images in a database.
    RemoteImages : Images in an object store, one object per image.

    Notes
    -----
    Methods are called by several threads at once. Attributes are pickled, so connections and similar objects should be
    returned by :meth:`open`, which is called once per process that reads images.

    Examples
    --------
    >>> from io import BytesIO
    >>> from PIL import Image
    >>> from skcnn.images import ImageSource, check_images
    >>> class Squares(ImageSource):
    ...     def __len__(self):
    ...         return 4
    ...
    ...     def read_many(self, rows):
    ...         contents = []
    ...         for row in rows:
    ...             file = BytesIO()
    ...             Image.new("RGB", (8, 8), (60 * row, 0, 0)).save(file, "PNG")
    ...             contents.append(file.getvalue() if row else OSError("not to be found"))
    ...         return contents
    >>> X = Squares()
    >>> X.shape, X[1:].shape, X[[True, False, False, True]]
    ((4,), (3,), <Squares of 2 images>)
    >>> check_images(X)["reason"].tolist()
    ['not to be found']
    """

    _whole: ImageSource | None = None
    _rows: np.ndarray
    _opened: tuple[int, Any] | None = None
    _of_rows: ClassVar[tuple[str, ...]] = ("__len__", "read_many", "stamp", "path", "read_labels")

    def __init_subclass__(cls, **arguments: Any) -> None:
        """Let slices of the subclass call what it writes, with the rows of the whole source."""
        super().__init_subclass__(**arguments)
        for name in cls._of_rows:
            if name in cls.__dict__:
                setattr(cls, name, _for_slices(cls.__dict__[name]))

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of images."""

    @abstractmethod
    def read_many(self, rows: Sequence[int] | np.ndarray) -> Sequence[bytes | Exception]:
        """Return the content of rows.

        Parameters
        ----------
        rows : sequence or ndarray of int
            Positions, in any order.

        Returns
        -------
        sequence of bytes or Exception
            For each row the encoded image, such as the content of a JPEG file, or an exception that explains why there
            is none. If this method raises an exception, it applies to all rows of the call.
        """

    def stamp(self, row: int) -> str | None:
        """Return a value that changes when the image of a row changes, and is quick to look up.

        With it, caches recognise an image that they have seen, and do not read it again.

        Parameters
        ----------
        row : int
            Position of the image.

        Returns
        -------
        str or None
            Different for each image, and also different from those of other sources: the path of a shard with its size,
            time of change and an offset, or a URL with its ETag. None: the image is read to identify it.
        """
        return None

    def path(self, row: int) -> str | None:
        """Return the name of a row in errors and tables, or None; it is never used to open anything."""
        return None

    def read_labels(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return the labels of rows.

        Parameters
        ----------
        rows : sequence or ndarray of int
            Positions, in any order.

        Returns
        -------
        ndarray of shape (n_rows,)
        """
        raise TypeError(f"{type(self).__name__} holds no labels; pass y itself.")

    def open(self) -> object:
        """Return a connection, or another object that cannot be pickled; it is available as :attr:`opened`."""
        return None

    @property
    def opened(self) -> Any:
        """The object that :meth:`open` returned; it is called once per process, and again after a fork."""
        whole = self if self._whole is None else self._whole
        with _opening:
            if whole._opened is None or whole._opened[0] != os.getpid():
                whole._opened = os.getpid(), whole.open()
            return whole._opened[1]

    def labels(self) -> np.ndarray:
        """Return the labels of all images, in their order: the y of this X.

        Returns
        -------
        ndarray of shape (n_samples,)

        Raises
        ------
        TypeError
            If the source holds no labels.
        """
        return self.read_labels(np.arange(len(self)))

    @property
    def shape(self) -> tuple[int]:
        """Number of images, in a tuple, as scikit-learn expects it of arrays."""
        return (len(self),)

    @property
    def ndim(self) -> int:
        """Number of dimensions, 1."""
        return 1

    def read(self, row: int) -> bytes:
        """Return the content of a row.

        Raises
        ------
        Exception
            The reason, if there is none.
        """
        content = self.read_or_reasons([row])[0]
        if isinstance(content, Exception):
            raise content
        return content

    def read_or_reasons(self, rows: Sequence[int]) -> list[bytes | Exception]:
        """Return the content of rows, or the reason why a row has none, as :meth:`read_many` returns them, but checked.

        Raises
        ------
        TypeError
            If :meth:`read_many` returns something else.
        """
        if not len(rows):
            return []
        try:
            contents = list(self.read_many(rows))
        except Exception as error:
            # A database that is not there is the reason of every row.
            return [error] * len(rows)
        name = f"{type(self).__name__}.read_many"
        if len(contents) != len(rows):
            raise TypeError(f"{name} returned {len(contents)} values for {len(rows)} rows; expected one per row.")
        for place, content in enumerate(contents):
            if content is None:
                contents[place] = ValueError("missing value")
            elif isinstance(content, (bytearray, memoryview)):
                contents[place] = bytes(content)
            elif not isinstance(content, (bytes, Exception)):
                raise TypeError(f"{name} returned a {type(content).__name__}; expected bytes or an exception per row.")
        return contents

    def is_same(self, other: ImageSource) -> bool:
        """Return whether another source has the same rows of the same whole source."""
        whole = self if self._whole is None else self._whole
        if whole is not (other if other._whole is None else other._whole):
            return False
        return bool(np.array_equal(_rows_of(self), _rows_of(other)))

    def __getitem__(self, rows: Any) -> Any:
        """Return the images at rows, which NumPy can index with, as a source of the same type; one row as its bytes."""
        if isinstance(rows, tuple) and len(rows) == 2 and rows[1] is Ellipsis:
            rows = rows[0]  # as scikit-learn indexes arrays
        if isinstance(rows, slice):
            chosen = np.arange(*rows.indices(len(self)))  # not as many as there are images
        else:
            is_empty = isinstance(rows, Sequence) and not len(rows)
            chosen = np.arange(len(self))[np.empty(0, int) if is_empty else np.asarray(rows)]
        if np.ndim(chosen) == 0:
            return self.read(int(chosen))
        if np.ndim(chosen) != 1:
            raise IndexError(f"Got an index of shape {np.shape(chosen)}; expected one dimension, as images have.")
        if self._whole is None:
            return _sliced(self, chosen)
        return _sliced(self._whole, self._rows[chosen])

    def __iter__(self) -> Iterator[bytes]:
        return (self.read(row) for row in range(len(self)))

    def __getattr__(self, name: str) -> Any:
        # Only what is not found: a slice has no attributes of its own.
        whole = self.__dict__.get("_whole")
        if whole is None or name.startswith("__"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(whole, name)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        raise TypeError(
            f"{type(self).__name__} is not an array; expected an estimator of images, such as "
            "skcnn.feature_extraction.BottleneckFeatures, to read it."
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self):,} image{'' if len(self) == 1 else 's'}>"

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_opened"}

    def __reduce__(self) -> tuple[Any, ...]:
        if self._whole is not None:
            return _sliced, (self._whole, self._rows)
        return _restored, (type(self), self.__getstate__())


def _for_slices(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method that a slice calls of the whole source, with the rows of that."""
    if hasattr(method, "__wrapped_for_slices__"):
        return method

    @wraps(method)
    def of_rows(self: ImageSource, *rows: Any) -> Any:
        whole = self._whole
        if whole is None:
            return method(self, *rows)
        if not rows:  # __len__
            return len(self._rows)
        chosen = self._rows[rows[0] if np.ndim(rows[0]) == 0 else np.asarray(rows[0], int)]
        return method(whole, int(chosen) if np.ndim(chosen) == 0 else chosen)

    of_rows.__wrapped_for_slices__ = True  # type: ignore[attr-defined]
    return of_rows


def _rows_of(source: ImageSource) -> np.ndarray:
    return np.arange(len(source)) if source._whole is None else source._rows


def _sliced(whole: ImageSource, rows: np.ndarray) -> ImageSource:
    """Return rows of a whole source as a source of its type."""
    source = object.__new__(type(whole))
    source._whole, source._rows = whole, rows
    return source


def _restored(kind: type[ImageSource], state: dict[str, Any]) -> ImageSource:
    """Return a source from its attributes; it is opened when it is read."""
    source = object.__new__(kind)
    source.__dict__.update(state)
    return source
