"""The parts of an extraction: what they are called, where they lie, and reading them."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from skcnn._files import replacing, write_reserved
from skcnn._stores import Options, fetch, is_url, look_at, make_folder, names_in, open_url, store
from skcnn.distributed._shuffled import Block, ShuffledFeatures, mask_of

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from numpy.typing import ArrayLike

MANIFEST = "manifest.json"
#: Under which key the schema of a part says what it is.
METADATA = b"skcnn"
#: Bytes that are fetched at least, of a part whose columns are not all read.
_FOOTER = 2**16

#: Features that are read at once in random order, in bytes: a group of rows of a part. A store answers the request for
#: so much about as fast as that for a single row.
BLOCK_BYTES = 2**20


class Part(NamedTuple):
    """Rows of X that make up a file."""

    name: str
    start: int
    stop: int


def parts_of(manifest: dict[str, Any]) -> list[Part]:
    """Return the parts of an extraction, in the order of X."""
    n_rows, rows_per_part = manifest["rows"], manifest["rows_per_part"]
    n_parts = -(-n_rows // rows_per_part)
    return [
        Part(f"part-{number:05}-of-{n_parts:05}.parquet", start, min(start + rows_per_part, n_rows))
        for number, start in enumerate(range(0, n_rows, rows_per_part))
    ]


def rows_per_block(n_features: int) -> int:
    """Return how many rows of a part can be read alone."""
    return max(1, BLOCK_BYTES // (4 * n_features))


def part_names(manifest: dict[str, Any]) -> list[str]:
    """Return the names of the files of an extraction."""
    return [part.name for part in parts_of(manifest)]


class Folder:
    """A folder of parts, or a URL: names in it, reading, and writing a file whole or not at all.

    Parameters
    ----------
    path : path-like
        Of this machine, or a URL for fsspec.
    options : mapping or None, default=None
        Arguments of the file system of a URL.
    """

    def __init__(self, path: str | os.PathLike[str], options: Options | None = None):
        self.path, self.options = os.fspath(path), options
        self._is_url = is_url(self.path)
        if options is not None and not self._is_url:
            raise ValueError(f"storage_options are given for {self.path!r}; expected a URL, such as 's3://bucket/f'.")
        if not self._is_url:
            self.path = os.path.abspath(os.path.expanduser(self.path))

    def full(self, name: str) -> str:
        """Return the path of a file."""
        return f"{self.path.rstrip('/')}/{name}" if self._is_url else os.path.join(self.path, name)

    def make(self) -> None:
        """Make the folder."""
        if self._is_url:
            with self._named(self.path):
                make_folder(self.path, self.options)
        else:
            os.makedirs(self.path, exist_ok=True)

    def names(self) -> set[str]:
        """Return the names of the files in it."""
        if self._is_url:
            with self._named(self.path):
                return names_in(self.path, self.options)
        return set(os.listdir(self.path)) if os.path.isdir(self.path) else set()

    def has(self, name: str) -> bool:
        """Tell whether there is a file of this name."""
        if not self._is_url:
            return os.path.exists(self.full(name))
        try:
            look_at(self.full(name), self.options)
        except FileNotFoundError:
            return False
        return True

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        if self._is_url:
            with self._named(self.full(name)):
                return fetch(self.full(name), self.options)
        return Path(self.full(name)).read_bytes()

    def open(self, name: str) -> Any:
        """Return what PyArrow can read some columns of: a path, or a file of which only these are fetched."""
        if self._is_url:
            with self._named(self.full(name)):
                return open_url(self.full(name), self.options, buffer_size=_FOOTER)
        return self.full(name)

    def write(self, name: str, content: bytes) -> None:
        """Write a file."""
        if self._is_url:
            with self._named(self.full(name)):
                store(self.full(name), content, self.options)
            return
        with replacing(self.full(name)) as unfinished:
            unfinished.write_bytes(content)

    def manifest(self) -> dict[str, Any] | None:
        """Return what the manifest says, None where there is none; an empty dict where it is damaged."""
        try:
            manifest = json.loads(self.read(MANIFEST))
        except FileNotFoundError:
            return None
        except ValueError:
            return {}
        return manifest if isinstance(manifest, dict) else {}

    @contextmanager
    def _named(self, url: str) -> Iterator[None]:
        """Have errors say which file or folder they are about."""
        try:
            yield
        except OSError as error:
            raise type(error)(f"{url}: {error}") from None


class FeatureParts:
    """Features in the parts that :func:`extract_parts` wrote; made by :func:`load_features`.

    Parameters
    ----------
    folder : str
        Folder or URL of the parts.
    manifest : dict
        The content of ``manifest.json``.
    storage_options : mapping or None, default=None
        Arguments of the file system of a URL.

    Attributes
    ----------
    shape : tuple of (int, int)
        Number of samples and of features.
    feature_names : list of str
        Names of the features, as the transformer has them.
    has_labels : bool
        Whether there are labels.
    """

    def __init__(self, folder: str, manifest: dict[str, Any], storage_options: Options | None = None):
        self._folder, self._manifest = Folder(folder, storage_options), manifest
        self.has_labels: bool = manifest["has_labels"]
        self.feature_names: list[str] = []
        if self._names:
            self.feature_names = self._described(self._file(self._names[0]))["features"]
        self.shape = int(manifest["rows"]), len(self.feature_names)

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"<FeatureParts of {self.shape[0]:,} x {self.shape[1]:,} in {len(self._names):,} parts>"

    def batches(self) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """Yield features and labels part by part, in the order of X: for ``partial_fit``.

        Yields
        ------
        X : ndarray of shape (n_rows, n_features), float32
        y : ndarray of shape (n_rows,) or None

        Raises
        ------
        ValueError
            If a part is damaged, or belongs to another extraction.
        """
        for name in self._names:
            table = self._read(name)
            yield _matrix(table, self.shape[1]), _labels_of(table) if self.has_labels else None

    def shuffled(
        self, *, rows: ArrayLike | None = None, random_state: int | None = None, buffer_bytes: int = 2**26
    ) -> ShuffledFeatures:
        """Return batches in random order, another one each time that they are iterated over: for ``fit_batches``.

        Blocks of about 1 MiB of features are drawn from all parts until a buffer is full, and their rows are mixed: a
        batch has rows of the classes of some sixty blocks, although parts of a folder are ordered by class.

        Parameters
        ----------
        rows : array-like of shape (n_samples,), dtype bool, or of row numbers, or None, default=None
            Which rows to take: a mask, or numbers such as a fold has. None takes all.
        random_state : int or None, default=None
            Seed of the order. An int makes it repeatable.
        buffer_bytes : int, default=67,108,864
            Features that are in memory at a time, and so in a batch, in bytes; at least one block. More of them mix
            better.

        Returns
        -------
        ShuffledFeatures
            Iterated over, it yields X, of shape (n_rows, n_features) and float32, and y of shape (n_rows,), or None
            without labels.

        Raises
        ------
        ValueError
            If a parameter is invalid; when it is iterated over, if a part is damaged.

        References
        ----------
        L. Xu et al., "In-database machine learning with CorgiPile: stochastic gradient descent without full data
        shuffle", SIGMOD 2022, section 4: blocks in random order, rows mixed within a buffer.
        """
        if isinstance(buffer_bytes, bool) or not isinstance(buffer_bytes, (int, np.integer)) or buffer_bytes < 1:
            raise ValueError(f"buffer_bytes={buffer_bytes!r}; expected a positive int.")
        blocks = self._blocks()
        most = max((block.stop - block.start for block in blocks), default=1)
        return ShuffledFeatures(
            self._read_groups,
            blocks,
            mask=mask_of(rows, len(self)),
            n_blocks=max(1, int(buffer_bytes) // max(1, 4 * self.shape[1] * most)),
            random_state=random_state,
        )

    def labels(self) -> np.ndarray:
        """Return the labels of all samples.

        Returns
        -------
        ndarray of shape (n_samples,)

        Raises
        ------
        ValueError
            If there are none, or a part is damaged.
        """
        if not self.has_labels:
            raise ValueError("The parts hold no labels; expected y in extract_parts(X, transformer, out, y=y).")
        return np.concatenate([_labels_of(self._read(name, ["label"])) for name in self._names])

    def paths(self) -> np.ndarray:
        """Return the paths of all samples: an object array of shape (n_samples,), None where there is none."""
        columns = [self._read(name, ["path"]).column("path").to_pylist() for name in self._names]
        return np.array([path for column in columns for path in column], dtype=object)

    def to_numpy(self, out: str | os.PathLike[str] | None = None) -> np.ndarray:
        """Return the features of all samples as one array.

        Parameters
        ----------
        out : path-like or None, default=None
            A ``.npy`` file to copy them to, which is then memory-mapped: for more features than fit in memory. None
            returns an array in memory.

        Returns
        -------
        ndarray of shape (n_samples, n_features), float32
            With ``out``, the file, memory-mapped and read-only.

        Raises
        ------
        OSError
            If the disk has no room for ``out``.
        ValueError
            If a part is damaged, or ``out`` is not the path of a ``.npy`` file in a folder that exists.
        """
        if out is None:
            return np.concatenate([X for X, _ in self.batches()])
        path = Path(out)
        if path.suffix != ".npy" or not path.parent.is_dir():
            raise ValueError(f"out={str(path)!r}; expected the path of a .npy file, in a folder that exists.")
        head = io.BytesIO()
        np.lib.format.write_array_header_1_0(head, {"descr": "<f4", "fortran_order": False, "shape": self.shape})
        with replacing(path, durable=False) as unfinished:
            write_reserved(unfinished, head.getvalue(), 4 * self.shape[0] * self.shape[1], path)
            with open(unfinished, "r+b") as file:
                file.seek(len(head.getvalue()))
                for X, _ in self.batches():
                    file.write(np.ascontiguousarray(X, "<f4").data)
        return np.load(path, mmap_mode="r")

    @property
    def _names(self) -> list[str]:
        return part_names(self._manifest)

    def _blocks(self) -> list[Block]:
        """Return all groups of rows of all parts: all but the last part have as many as the first."""
        parts, blocks = parts_of(self._manifest), []
        groups: list[int] = []
        for number, part in enumerate(parts):
            if number in (0, len(parts) - 1):
                with self._reading(part.name):
                    metadata = self._file(part.name).metadata
                    groups = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
            starts = np.cumsum([part.start, *groups]).tolist()
            blocks += [Block(part.name, group, *starts[group : group + 2]) for group in range(len(groups))]
        return blocks

    def _read_groups(self, name: str, groups: list[int]) -> list[tuple[np.ndarray, np.ndarray | None]]:
        """Return features and labels of groups of rows of a part."""
        columns = ["features", "label"] if self.has_labels else ["features"]
        with self._reading(name):
            file = self._file(name)
            self._check_described(name, file)
            tables = [file.read_row_group(group, columns=columns) for group in groups]
        return [(_matrix(one, self.shape[1]), _labels_of(one) if self.has_labels else None) for one in tables]

    def _file(self, name: str, *, is_whole: bool = False) -> pq.ParquetFile:
        """Return a part, fetched as a whole by one request to a store, or opened to read some of it."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        source = pa.BufferReader(self._folder.read(name)) if is_whole else self._folder.open(name)
        return pq.ParquetFile(source, page_checksum_verification=True, pre_buffer=not is_whole)

    def _described(self, file: pq.ParquetFile) -> dict[str, Any]:
        described: dict[str, Any] = json.loads(file.schema_arrow.metadata[METADATA])
        return described

    def _read(self, name: str, columns: list[str] | None = None) -> pa.Table:
        with self._reading(name):
            file = self._file(name, is_whole=columns is None)
            self._check_described(name, file)
            return file.read(columns)

    @contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        """Name the part in errors of what reads it."""
        import pyarrow as pa

        try:
            yield
        except _ForeignPartError:
            raise
        except (OSError, KeyError, TypeError, ValueError, pa.ArrowException) as error:
            raise ValueError(
                f"{self._folder.full(name)} cannot be read ({error}); expected a part that extract_parts has written. "
                "Remove it and call extract_parts again."
            ) from None

    def _check_described(self, name: str, file: pq.ParquetFile) -> None:
        if self._described(file)["fingerprint"] != self._manifest["fingerprint"]:
            raise _ForeignPartError(
                f"{self._folder.full(name)} is of another extraction than {MANIFEST}. Remove it and call extract_parts "
                "again."
            )


class _ForeignPartError(ValueError):
    """A part is of another extraction."""


def load_features(path: str | os.PathLike[str], *, storage_options: Options | None = None) -> FeatureParts:
    """Return the features that :func:`extract_parts` wrote; only the manifest is read at first.

    Parameters
    ----------
    path : path-like
        Folder, or URL for fsspec (extra ``remote``), of the parts.
    storage_options : dict or None, default=None
        Arguments of fsspec's file system if ``path`` is a URL, such as ``{"key": ..., "secret": ...}``. None: what the
        environment and fsspec's own configuration files say.

    Returns
    -------
    FeatureParts

    Raises
    ------
    FileNotFoundError
        If the folder holds no extraction.
    ImportError
        If ``path`` is a URL, and what reads it is not installed; the message says what to install.
    OSError
        If a store does not answer, or refuses access.
    ValueError
        If parts are missing, because the extraction is not finished.

    Examples
    --------
    >>> import tempfile
    >>> from skcnn.datasets import load_digit_images
    >>> from skcnn.distributed import extract_parts, load_features
    >>> from skcnn.ensemble import BaggedSGDClassifier
    >>> from skcnn.feature_extraction import BottleneckFeatures
    >>> X, y = load_digit_images(return_X_y=True)
    >>> out = tempfile.mkdtemp()
    >>> _ = extract_parts(X[:100], BottleneckFeatures("ResNet20", verbose=0), out, y=y[:100], rows_per_part=50)
    >>> features = load_features(out)
    >>> features
    <FeatureParts of 100 x 64 in 2 parts>
    >>> classifier = BaggedSGDClassifier(random_state=0).fit_batches(features.shuffled(random_state=0))
    """
    folder = Folder(path, storage_options)
    if (manifest := folder.manifest()) is None:
        raise FileNotFoundError(f"path={str(path)!r}; expected a folder that extract_parts has written to.")
    names = part_names(manifest)
    if missing := sorted(set(names) - folder.names()):
        raise ValueError(
            f"{len(missing):,} of {len(names):,} parts are missing in {str(path)!r}, such as {missing[0]}: the "
            "extraction has not ended. Call extract_parts (or skcnn extract) again, which writes what is missing."
        )
    return FeatureParts(folder.path, manifest, storage_options)


def _matrix(table: pa.Table, n_features: int) -> np.ndarray:
    column = table.column("features").combine_chunks()
    values = column.flatten().to_numpy(zero_copy_only=False)
    return np.asarray(values, np.float32).reshape(len(column), n_features)


def _labels_of(table: pa.Table) -> np.ndarray:
    labels = table.column("label")
    return np.array(labels.to_pylist()) if len(labels) else np.empty(0)
