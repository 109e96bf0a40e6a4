"""Many images in few files: where each lies, and reading those that lie together at once."""

from __future__ import annotations

import glob
import os
import time
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple

import numpy as np

from skcnn.datasets._natural import natural_key
from skcnn.images import BadImageError, BadRow, ImageSource, bad_rows_frame

Pattern = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

#: Images that lie this close, in bytes, are read in one go, up to so many bytes.
MAX_GAP = 2**14
MAX_READ = 2**23

#: A shard that changed this lately, in ns, may change again within one tick of its clock, unseen.
_SETTLED_NS = 2 * 10**9


class Places(NamedTuple):
    """Where the images of a shard lie: offsets and bytes, and of rows without an image the reason."""

    offsets: np.ndarray
    sizes: np.ndarray
    reasons: dict[int, str]


class Shard(NamedTuple):
    """A file as it was when its images were looked up: absolute path, bytes, time of change in ns."""

    path: str
    size: int
    mtime_ns: int


def find_shards(pattern: Pattern) -> list[str]:
    """Return the absolute paths of the files that match a pattern or several, each in natural order.

    Raises
    ------
    FileNotFoundError
        If a pattern matches no file.
    """
    patterns = [pattern] if isinstance(pattern, (str, os.PathLike)) else list(pattern)
    found = []
    for one in patterns:
        name = os.path.expanduser(os.fspath(one))
        paths = [name] if os.path.isfile(name) else glob.glob(name, recursive=True)
        files = sorted((path for path in paths if os.path.isfile(path)), key=natural_key)
        if not files:
            raise FileNotFoundError(
                f"pattern={os.fspath(one)!r}; expected the path of a shard or a pattern such as 'train-*', and no file "
                f"matches (relative paths start from {os.getcwd()})."
            )
        found += [os.path.abspath(path) for path in files]
    if not found:
        raise FileNotFoundError(f"pattern={pattern!r}; expected at least one path or pattern.")
    return found


class ShardedImages(ImageSource):
    """What sources in files share that can be read from any offset: an index of places, made when it is opened.

    Parameters
    ----------
    pattern : str, path-like or sequence of these
        See :func:`find_shards`.
    """

    def __init__(self, pattern: Pattern):
        self.shards = [look_at(path) for path in find_shards(pattern)]
        self._opened_at = time.time_ns()
        places = [self._index(shard) for shard in self.shards]
        self._starts = np.cumsum([0, *(len(one.offsets) for one in places)])
        self._offsets = np.concatenate([one.offsets for one in places]).astype(np.int64)
        self._sizes = np.concatenate([one.sizes for one in places]).astype(np.int64)
        #: Of rows that have no image, as was found when they were looked up.
        self._reasons = {
            int(start) + row: reason
            for start, one in zip(self._starts, places, strict=False)
            for row, reason in one.reasons.items()
        }

    @abstractmethod
    def _index(self, shard: Shard) -> Places:
        """Return where the images of a shard lie."""

    @abstractmethod
    def _image(self, content: bytes, row: int) -> bytes:
        """Return the encoded image in what lies at the place of a row; raise what is wrong with it."""

    def __len__(self) -> int:
        return len(self._offsets)

    def read_many(self, rows: Sequence[int] | np.ndarray) -> list[bytes | Exception]:
        """Return the encoded images of rows, or why there is none: see :class:`skcnn.images.ImageSource`."""
        images: dict[int, bytes | Exception] = {}
        for row, content in self._contents(rows):
            try:
                if isinstance(content, Exception):
                    raise content
                images[row] = self._image(content, row)
            except Exception as error:
                images[row] = error
        return [images[int(row)] for row in rows]

    def stamp(self, row: int) -> str | None:
        """Return shard, its size and time of change, and offset; None where it had just changed when it was opened."""
        shard = self.shards[self._shard_of(row)]
        if row in self._reasons or not is_settled(shard, self._opened_at):
            return None
        return f"{shard.path} {shard.size} {shard.mtime_ns} {self._offsets[row]}"

    def path(self, row: int) -> str:
        """Return shard and offset."""
        return f"{self.shards[self._shard_of(row)].path}, offset {self._offsets[row]}"

    def _shard_of(self, row: int) -> int:
        return int(np.searchsorted(self._starts, row, side="right")) - 1

    def _contents(self, rows: Sequence[int] | np.ndarray) -> Iterator[tuple[int, bytes | Exception]]:
        """Yield each row once with what lies at its place; those that lie together are read together."""
        rows = np.unique(np.asarray(rows, int))
        shards = np.searchsorted(self._starts, rows, side="right") - 1
        for number in np.unique(shards):
            yield from self._contents_of(self.shards[number], rows[shards == number])

    def _contents_of(self, shard: Shard, rows: np.ndarray) -> Iterator[tuple[int, bytes | Exception]]:
        for row in rows:
            if int(row) in self._reasons:
                yield int(row), ValueError(self._reasons[int(row)])
        whole = [int(row) for row in rows if int(row) not in self._reasons]
        whole.sort(key=lambda row: self._offsets[row])
        try:
            with open(shard.path, "rb", buffering=0) as file:
                status = os.fstat(file.fileno())
                if (status.st_size, status.st_mtime_ns) != shard[1:]:
                    raise OSError("the shard has changed since it was opened: open it again")
                for together in self._runs(whole):
                    yield from self._read_together(file, together)
        except OSError as error:
            reason = OSError(error.strerror or str(error))
            yield from ((row, reason) for row in whole)

    def _runs(self, rows: list[int]) -> Iterator[list[int]]:
        """Yield rows of a shard, ordered by offset, in groups that lie close to each other."""
        together: list[int] = []
        start = end = 0
        for row in rows:
            offset, size = int(self._offsets[row]), int(self._sizes[row])
            if together and (offset - end > MAX_GAP or offset + size - start > MAX_READ):
                yield together
                together = []
            if not together:
                start = offset
            together.append(row)
            end = offset + size
        if together:
            yield together

    def _read_together(self, file: BinaryIO, rows: list[int]) -> Iterator[tuple[int, bytes]]:
        start = int(self._offsets[rows[0]])
        end = int(max(self._offsets[row] + self._sizes[row] for row in rows))
        content = memoryview(read_at(file, start, end - start))
        for row in rows:
            at = int(self._offsets[row]) - start
            yield row, bytes(content[at : at + int(self._sizes[row])])

    def _parsed_labels(self, rows: Sequence[int] | np.ndarray, parsed: dict[int, object]) -> np.ndarray:
        """Return labels as an array of numbers or text; raise where some are exceptions."""
        bad = [
            BadRow(place, self.path(int(row)), str(parsed[int(row)]))
            for place, row in enumerate(rows)
            if isinstance(parsed[int(row)], Exception)
        ]
        if bad:
            raise BadImageError(
                bad_rows_frame(bad),
                len(rows),
                "Labels are in the same records. Leave out these rows, X, _ = skcnn.images.drop_bad_images(X), and ask "
                "for X.labels() then.",
            )
        return as_label_array([parsed[int(row)] for row in rows])


def as_label_array(labels: Sequence[object]) -> np.ndarray:
    """Return labels as an array: (n,), or (n, k) where each is a list of k; text and missing ones as objects stay."""
    if any(label is None for label in labels):
        array = np.empty(len(labels), object)
        array[:] = list(labels)
        return array
    return np.array(list(labels))


def is_settled(shard: Shard, opened_at: int) -> bool:
    """Return whether a file, opened at a time in ns, had not changed just before."""
    return shard.mtime_ns + _SETTLED_NS <= opened_at


def look_at(path: str) -> Shard:
    """Return a file as it is now."""
    status = os.stat(path)
    return Shard(path, status.st_size, status.st_mtime_ns)


def read_at(file: BinaryIO, offset: int, n_bytes: int) -> bytes:
    """Return bytes at an offset; fewer at the end of the file."""
    file.seek(offset)
    pieces = []
    while n_bytes > 0 and (piece := file.read(n_bytes)):
        pieces.append(piece)
        n_bytes -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
