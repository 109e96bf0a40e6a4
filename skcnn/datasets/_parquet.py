"""Images in Parquet files, in Hugging Face's layout."""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from skcnn._stores import Options, in_pool, is_url
from skcnn._text import values_text
from skcnn.datasets._shard_files import (
    Pattern,
    Shard,
    all_or_error,
    find_shards,
    is_settled,
    look_at,
    look_at_all,
    open_shard,
    stamp_of,
)
from skcnn.datasets._shards import as_label_array
from skcnn.images import ImageSource, as_images

if TYPE_CHECKING:
    import pyarrow as pa

#: Bytes of decompressed row groups that a process keeps, since the next rows are often in the same one.
MAX_KEPT = 2**28

#: Bytes that are fetched at least, of a file in a store.
_FOOTER = 2**16


class _Groups:
    """The row groups that were read last: column by group."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._columns: OrderedDict[int, pa.Array] = OrderedDict()

    def get(self, group: int) -> pa.Array | None:
        with self._lock:
            if group in self._columns:
                self._columns.move_to_end(group)
            return self._columns.get(group)

    def put(self, group: int, column: pa.Array) -> None:
        with self._lock:
            self._columns[group] = column
            # The last one is kept, however large it is.
            while len(self._columns) > 1 and sum(one.nbytes for one in self._columns.values()) > MAX_KEPT:
                self._columns.popitem(last=False)


class ParquetImages(ImageSource):
    """Images in a column of Parquet files, as X.

    The column holds encoded images (binary), or structs of ``{"bytes", "path"}``, as in Hugging Face's data sets.

    Parameters
    ----------
    pattern : str, path-like or sequence of these
        Paths or patterns of the files, such as ``"data/train-*.parquet"``; the matches of a pattern are taken in
        natural order.
    image : str, default="image"
        Name of the column with the images.
    label : str, default="label"
        Name of the column with the labels, for :meth:`labels`.
    storage_options : dict or None, default=None
        Arguments of fsspec's file system if the pattern is a URL, such as ``"s3://bucket/train-*.parquet"`` (extra
        ``remote``): ``{"key": ..., "secret": ...}``. None: what the environment and fsspec's own files say.

    Attributes
    ----------
    shards : list of Shard
        Path, size in bytes and time of change in ns of each file; of URLs, what the store says of changes.
    target_names : list of str or None
        Names of the classes, if the files say that the labels are numbers of named classes (Hugging Face's
        ``ClassLabel``).

    Raises
    ------
    FileNotFoundError
        If a pattern matches no file.
    ValueError
        If a file is not a Parquet file, or has no such column.

    See Also
    --------
    write_tfrecords : Makes shards in which each row can be read alone: ``write_tfrecords(X, X.labels(), "shards/")``.
    skcnn.images.HuggingFaceImages : A data set that the library ``datasets`` has loaded.
    skcnn.images.ImageSource : What all sources can do.

    Notes
    -----
    Parquet files are read by whole row groups: rows that are requested together are sorted by group, and the last
    groups are kept, up to 256 MiB. Reading rows in order, as extraction does, reads each group once. Training in random
    order would read a group for each image, so write TFRecord shards first.

    Checksums of pages are verified if a file has them.

    Examples
    --------
    >>> import io, tempfile
    >>> import pandas as pd
    >>> from PIL import Image
    >>> from skcnn.datasets import ParquetImages
    >>> file = io.BytesIO()
    >>> Image.new("RGB", (8, 8)).save(file, "PNG")
    >>> path = tempfile.mkdtemp() + "/train.parquet"
    >>> image = {"bytes": file.getvalue(), "path": "a.png"}
    >>> pd.DataFrame({"image": [image] * 3, "label": ["a", "b", "a"]}).to_parquet(path)
    >>> source = ParquetImages(path)
    >>> source, source[1:].labels().tolist()
    (<ParquetImages of 3 images>, ['b', 'a'])
    """

    def __init__(
        self, pattern: Pattern, *, image: str = "image", label: str = "label", storage_options: Options | None = None
    ):
        self.image, self.label = image, label
        self.storage_options = None if storage_options is None else dict(storage_options)
        self.shards = look_at_all(find_shards(pattern, storage_options), storage_options)
        self._opened_at = time.time_ns()
        self.target_names: list[str] | None = None
        #: File and number within it of each row group, and the first row of each.
        self._groups: list[tuple[int, int]] = []
        n_rows = []
        for number, file in enumerate(all_or_error(in_pool(self._file, self.shards))):
            self._check_column("image", image, file)
            self.target_names = self.target_names or _class_names(file, label)
            for group in range(file.num_row_groups):
                self._groups.append((number, group))
                n_rows.append(file.metadata.row_group(group).num_rows)
        self._starts = np.cumsum([0, *n_rows])
        files = np.array([number for number, _ in self._groups], int)
        self._first_rows = self._starts[np.searchsorted(files, np.arange(len(self.shards)))]

    def __len__(self) -> int:
        return int(self._starts[-1])

    def open(self) -> object:
        """Return what holds the row groups that are read."""
        return _Groups()

    def read_many(self, rows: Sequence[int] | np.ndarray) -> list[bytes | Exception]:
        """Return the encoded images of rows, or why there is none: see :class:`skcnn.images.ImageSource`."""
        images: dict[int, bytes | Exception] = {}
        for group, members in self._by_group(rows):
            try:
                column = self._column(group)
            except Exception as error:  # what a damaged file does to the reader
                images.update(dict.fromkeys(members, ValueError(f"the row group cannot be read: {error}")))
                continue
            for row in members:
                try:
                    content = as_images([column[row - int(self._starts[group])].as_py()]).read(0)
                    images[row] = content if isinstance(content, bytes) else TypeError("expected an encoded image")
                except Exception as error:
                    images[row] = error
        return [images[int(row)] for row in rows]

    def read_labels(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return the labels of rows, as the column has them.

        Raises
        ------
        ValueError
            If there is no such column.
        """
        labels: dict[int, Any] = {}
        for group, members in self._by_group(rows):
            number, local = self._groups[group]
            file = self._file(self.shards[number])
            self._check_column("label", self.label, file)
            values = file.read_row_group(local, columns=[self.label]).column(self.label).to_pylist()
            labels.update((row, values[row - int(self._starts[group])]) for row in members)
        return as_label_array([labels[int(row)] for row in rows])

    def stamp(self, row: int) -> str | None:
        """Return file, its size and time of change, and row; None where it had just changed when it was opened."""
        shard, local = self._place(row)
        return f"{stamp_of(shard)} {local}" if is_settled(shard, self._opened_at) else None

    def path(self, row: int) -> str:
        """Return file and row."""
        shard, local = self._place(row)
        return f"{shard.path}, row {local}"

    def _place(self, row: int) -> tuple[Shard, int]:
        """Return the file of a row, and its position within that."""
        number = self._groups[int(np.searchsorted(self._starts, row, side="right")) - 1][0]
        return self.shards[number], int(row - self._first_rows[number])

    def _by_group(self, rows: Sequence[int] | np.ndarray) -> list[tuple[int, list[int]]]:
        """Return rows, each once, by their row group."""
        wanted = np.unique(np.asarray(rows, int))
        groups = np.searchsorted(self._starts, wanted, side="right") - 1
        return [(int(group), wanted[groups == group].tolist()) for group in np.unique(groups)]

    def _column(self, group: int) -> pa.Array:
        held: _Groups = self.opened
        column = held.get(group)
        if column is None:
            number, local = self._groups[group]
            shard = self.shards[number]
            if look_at(shard.path, self.storage_options) != shard:
                raise OSError("the file has changed since it was opened: open it again")
            column = self._file(shard).read_row_group(local, columns=[self.image]).column(self.image)
            held.put(group, column)
        return column

    def _file(self, shard: Shard) -> Any:
        import pyarrow as pa
        import pyarrow.parquet

        try:
            # Of a file in a store, what of a row group is needed is fetched at once, and the footer before.
            source: Any = shard.path
            if is_url(shard.path):
                source = open_shard(shard, self.storage_options, buffer_size=_FOOTER)
            return pyarrow.parquet.ParquetFile(source, page_checksum_verification=True, pre_buffer=is_url(shard.path))
        except pa.ArrowInvalid as error:
            raise ValueError(f"{shard.path} cannot be read; expected a Parquet file ({error}).") from None

    def _check_column(self, parameter: str, name: str, file: Any) -> None:
        if name not in file.schema_arrow.names:
            columns = values_text(file.schema_arrow.names, 10)
            raise ValueError(f"{parameter}={name!r}; expected one of the columns of the files, {columns}.")


def _class_names(file: Any, label: str) -> list[str] | None:
    """Return the names of a ``ClassLabel`` that Hugging Face's library has written down, or None."""
    try:
        described = json.loads(file.schema_arrow.metadata[b"huggingface"])
        return [str(name) for name in described["info"]["features"][label]["names"]]
    except (KeyError, TypeError, ValueError):
        return None
