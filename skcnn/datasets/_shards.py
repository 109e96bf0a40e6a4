"""Many images in few files: where each lies, and reading those that lie together at once."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from skcnn._stores import Options, fetch, in_pool, is_url
from skcnn.datasets._shard_files import (
    Pattern,
    Shard,
    all_or_error,
    find_shards,
    is_settled,
    look_at,
    look_at_all,
    open_shard,
    read_at,
    stamp_of,
)
from skcnn.images import BadImageError, BadRow, ImageSource, bad_rows_frame

#: Images that lie this close, in bytes, are read in one go, up to so many bytes.
MAX_GAP = 2**14
MAX_READ = 2**23


class Places(NamedTuple):
    """Where the images of a shard lie: offsets and bytes, and of rows without an image the reason."""

    offsets: np.ndarray
    sizes: np.ndarray
    reasons: dict[int, str]


class ShardedImages(ImageSource):
    """What sources in files share that can be read from any offset: an index of places, made when it is opened.

    Parameters
    ----------
    pattern : str, path-like or sequence of these
        See :func:`find_shards`.
    storage_options : mapping or None
        Arguments of the file system of shards behind URLs.
    """

    def __init__(self, pattern: Pattern, storage_options: Options | None):
        self.storage_options = None if storage_options is None else dict(storage_options)
        self.shards = look_at_all(find_shards(pattern, storage_options), storage_options)
        self._opened_at = time.time_ns()
        if any(map(self._is_in_store, range(len(self.shards)))):
            places = all_or_error(in_pool(self._index, self.shards))
        else:
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
        """Return shard, its size and time of change, and offset; None where it had just changed when it was opened.

        In a store the ETag, or what else tells of changes, takes the place of the time.
        """
        shard = self.shards[self._shard_of(row)]
        if row in self._reasons or not is_settled(shard, self._opened_at):
            return None
        return f"{stamp_of(shard)} {self._offsets[row]}"

    def path(self, row: int) -> str:
        """Return shard and offset."""
        return f"{self.shards[self._shard_of(row)].path}, offset {self._offsets[row]}"

    def _is_in_store(self, number: int) -> bool:
        return is_url(self.shards[number].path)

    def _shard_of(self, row: int) -> int:
        return int(np.searchsorted(self._starts, row, side="right")) - 1

    def _contents(self, rows: Sequence[int] | np.ndarray) -> Iterator[tuple[int, bytes | Exception]]:
        """Yield each row once with what lies at its place; those that lie together are read together."""
        rows = np.unique(np.asarray(rows, int))
        shards = np.searchsorted(self._starts, rows, side="right") - 1
        in_stores: dict[int, list[int]] = {}
        for number in np.unique(shards).tolist():
            whole = []
            for row in rows[shards == number].tolist():
                if row in self._reasons:
                    yield row, ValueError(self._reasons[row])
                else:
                    whole.append(row)
            whole.sort(key=lambda row: self._offsets[row])
            if self._is_in_store(number):
                in_stores[number] = whole
            else:
                yield from self._contents_of(self.shards[number], whole)
        yield from self._fetched(in_stores)

    def _contents_of(self, shard: Shard, rows: list[int]) -> Iterator[tuple[int, bytes | Exception]]:
        try:
            with open_shard(shard) as file:
                self._check(shard)
                for together in self._runs(rows):
                    start, end = self._span(together)
                    yield from self._taken_apart(read_at(file, start, end - start), together)
        except OSError as error:
            reason = OSError(error.strerror or str(error))
            yield from ((row, reason) for row in rows)

    def _fetched(self, rows_of: dict[int, list[int]]) -> Iterator[tuple[int, bytes | Exception]]:
        """Yield rows of shards in stores: all that is needed is asked for at once."""
        runs = [(number, together) for number, rows in rows_of.items() for together in self._runs(rows)]

        def ask(job: tuple[int, list[int] | None]) -> bytes:
            number, together = job
            shard = self.shards[number]
            if together is None:
                self._check(shard)
                return b""
            start, end = self._span(together)
            return fetch(shard.path, self.storage_options, start=start, stop=end)

        answers = in_pool(ask, [*((number, None) for number in rows_of), *runs])
        checked = dict(zip(rows_of, answers, strict=False))
        for (number, together), content in zip(runs, answers[len(rows_of) :], strict=True):
            wrong = checked[number] if isinstance(checked[number], Exception) else content
            if isinstance(wrong, Exception):
                yield from ((row, wrong) for row in together)
            else:
                yield from self._taken_apart(wrong, together)

    def _check(self, shard: Shard) -> None:
        if look_at(shard.path, self.storage_options) != shard:
            raise OSError("the shard has changed since it was opened: open it again")

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

    def _span(self, rows: list[int]) -> tuple[int, int]:
        """Return where rows that lie together begin and end."""
        return int(self._offsets[rows[0]]), int(max(self._offsets[row] + self._sizes[row] for row in rows))

    def _taken_apart(self, content: bytes, rows: list[int]) -> Iterator[tuple[int, bytes]]:
        view, start = memoryview(content), int(self._offsets[rows[0]])
        for row in rows:
            at = int(self._offsets[row]) - start
            yield row, bytes(view[at : at + int(self._sizes[row])])

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
