"""Rows of X become records: from the cache where it holds them, through the network where it does not."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs
from joblib.parallel import get_active_backend

from skcnn._keras import has_gpu
from skcnn._timing import count_images, timed, timed_items
from skcnn.cache import ActivationCache, FeatureCache, MemoryCache
from skcnn.engines import Plan, get_engine
from skcnn.feature_extraction._source_blocks import blocks_of
from skcnn.images import BadRow, HeldImages, Images, fetched_once, read_batches

_NO_RECORDS = np.empty((0, 0), np.float32)

#: Batches that a worker process is given at a time: enough to keep it busy, few enough to share the work evenly.
BATCHES_A_CHUNK = 8
#: Seconds between two looks at what another process has computed meanwhile.
PATIENCE = 0.05


class Part(NamedTuple):
    """Some rows of X: their records and, apart, rows that gave no image.

    ``records`` is (len(rows), n_values) or (1, n_values), the same for all; ``n_passes`` is how many images went
    through the network for them.
    """

    rows: list[int]
    records: np.ndarray
    bad: list[BadRow]
    n_passes: int


@dataclass(frozen=True)
class Extraction:
    """What is extracted, and how; it can be sent to another process.

    Parameters
    ----------
    plan : Plan
        What comes out for an image.
    engine : {"auto", "keras", "openvino"}
        What runs the network.
    folder : Path
        Where exported networks are kept.
    cache : MemoryCache, FeatureCache, ActivationCache or None
        Where records are looked up and kept.
    batch_size : int or None
        Images that go through the network together; None is what the engine likes.
    max_pixels : int or None
        Larger images are bad rows.
    stop_at_error : bool
        After the first bad row nothing is run any more, but all rows are decoded, so that every bad one is named.
    n_jobs : int or None
        Number of processes.
    """

    plan: Plan
    engine: str
    folder: Path
    cache: MemoryCache | FeatureCache | ActivationCache | None
    batch_size: int | None
    max_pixels: int | None
    stop_at_error: bool
    n_jobs: int | None


def extract(images: Images, job: Extraction) -> Iterator[Part]:
    """Yield the records of all rows, and the rows that gave no image, as they become known.

    An image that is there several times goes through the network once. A row of a source is read at most once, as is a
    URL, and the memory that is taken does not grow with their number; where several processes compute, the former is
    read twice.
    """
    in_blocks = images.reads_together and not isinstance(images, HeldImages)
    if in_blocks and not (_are_many(images, job) and _has_workers(job.n_jobs)):
        yield from _extract_in_blocks(images, job)
    elif job.cache is None:
        yield from _compute(images, range(len(images)), None, job, skip=False)
    else:
        with fetched_once(images) as images:  # for the digest, and for the pixels
            yield from _extract(images, job.cache.digests(images, range(len(images))), job, job.cache)


def _extract_in_blocks(images: Images, job: Extraction) -> Iterator[Part]:
    """Extract images block by block: each is read together, while the one before it is computed."""
    has_bad = False
    for block in blocks_of(images, job.cache):
        n_images = len(images) - block.start
        skip = has_bad and job.stop_at_error
        if job.cache is None or block.digests is None:
            parts = _compute_here(block.images, range(len(block.images)), None, job, skip, n_images)
        else:
            parts = _extract(block.images, block.digests, job, job.cache, skip=skip, n_images=n_images)
        for part in parts:
            has_bad = has_bad or bool(part.bad)
            bad = [one._replace(row=block.start + one.row) for one in part.bad]
            yield part._replace(rows=[block.start + row for row in part.rows], bad=bad)


def _extract(
    images: Images,
    digests_of_rows: Iterable[tuple[int, bytes | BadRow]],
    job: Extraction,
    cache: MemoryCache | FeatureCache | ActivationCache,
    *,
    skip: bool = False,
    n_images: int | None = None,
) -> Iterator[Part]:
    bad: list[BadRow] = []
    rows_of: dict[bytes, list[int]] = {}
    for row, digest in digests_of_rows:
        if isinstance(digest, BadRow):
            bad.append(digest)
        else:
            rows_of.setdefault(digest, []).append(row)
    yield Part([], _NO_RECORDS, bad, 0)

    n_hits = 0
    missing = dict.fromkeys(rows_of)
    for digest, record in timed_items("cache", cache.get_many(job.plan.fingerprint, list(rows_of))):
        del missing[digest]
        n_hits += len(rows_of[digest])
        yield Part(rows_of[digest], record[None], [], 0)

    digests = {rows_of[digest][0]: digest for digest in missing}
    skip = skip or (bool(bad) and job.stop_at_error)
    if isinstance(images, HeldImages):
        images.fetch(digests)  # those that were known by their stamps
        parts = _compute_here(images, list(digests), digests, job, skip, n_images)
    else:
        parts = _compute(images, list(digests), digests, job, skip=skip)
    for part in parts:
        # Each row stands for all that hold the same image.
        copies = [rows_of[digests[row]] for row in part.rows]
        rows = [row for same in copies for row in same]
        records = np.repeat(part.records, [len(same) for same in copies], axis=0)
        failed = [one._replace(row=row, path=images.path(row)) for one in part.bad for row in rows_of[digests[one.row]]]
        n_hits += len(rows) - part.n_passes
        yield Part(rows, records, failed, part.n_passes)
    cache.count_hits(n_hits)


def _compute(
    images: Images, rows: Sequence[int], digests: dict[int, bytes] | None, job: Extraction, *, skip: bool
) -> Iterator[Part]:
    """Compute the records of rows in this process, or in several."""
    n_rows = _chunk_size(job)
    if not _are_many(rows, job) or not _has_workers(job.n_jobs):
        yield from _compute_here(images, rows, digests, job, skip)
        return
    # Workers keep what they compute in a cache that they share with this process; what they send back is kept in
    # a cache of this process's own.
    shared = isinstance(job.cache, FeatureCache)
    # Which engine is settled here, for all of them, lest each of them measure and export.
    with timed("start"):
        engine = job.engine if skip else get_engine(job.plan, job.engine, job.folder, len(rows)).name
    remote = replace(job, engine=engine, cache=job.cache if shared else None)
    chunks = [rows[start : start + n_rows] for start in range(0, len(rows), n_rows)]
    lazily = getattr(get_active_backend()[0], "supports_return_generator", False)  # Dask and Ray do not
    parts = Parallel(n_jobs=job.n_jobs, return_as="generator" if lazily else "list")(
        delayed(_compute_chunk)(images.take(chunk), digests and [digests[row] for row in chunk], remote, skip)
        for chunk in chunks
    )
    for chunk, chunk_parts in zip(chunks, timed_items("workers", parts), strict=True):
        count_images("workers", len(chunk))
        for part in chunk_parts:
            local = [chunk[row] for row in part.rows]
            if not shared and job.cache is not None and digests is not None and local:
                with timed("cache"):
                    job.cache.put_many(job.plan.fingerprint, [digests[row] for row in local], part.records)
            yield part._replace(rows=local, bad=[bad._replace(row=chunk[bad.row]) for bad in part.bad])


def _chunk_size(job: Extraction) -> int:
    """Return how many rows a worker process is given at a time."""
    return BATCHES_A_CHUNK * (job.batch_size or 32)


def _are_many(rows: Sized, job: Extraction) -> bool:
    """Return whether there is work for several processes."""
    return len(rows) > _chunk_size(job)


def _has_workers(n_jobs: int | None) -> bool:
    """Return whether joblib has other processes that are worth a network each."""
    backend = get_active_backend()[0]
    if effective_n_jobs(n_jobs) == 1 or getattr(backend, "supports_sharedmem", False):
        return False  # one process, or threads of it: the network already uses all cores
    kind = type(backend).__name__
    if kind == "MultiprocessingBackend":
        raise RuntimeError(
            "n_jobs > 1 with joblib's backend 'multiprocessing' forks, after which Keras hangs: use 'loky', joblib's "
            "default."
        )
    # Processes of this machine would all load their network onto the same GPU.
    return kind != "LokyBackend" or not has_gpu()


def _compute_chunk(images: Images, digests: list[bytes] | None, job: Extraction, skip: bool) -> list[Part]:
    """Compute a piece of X, as a job for another process."""
    by_row = None if digests is None else dict(enumerate(digests))
    return list(_compute_here(images, range(len(images)), by_row, job, skip))


def _compute_here(
    images: Images,
    rows: Sequence[int],
    digests: dict[int, bytes] | None,
    job: Extraction,
    skip: bool,
    n_images: int | None = None,
) -> Iterator[Part]:
    """Compute the records of rows, but for those that another process computes or has computed meanwhile.

    ``n_images`` is how many are left to compute, if more than these rows.
    """
    cache, fingerprint = job.cache, job.plan.fingerprint
    n_images = n_images or len(rows)
    if cache is None or digests is None or skip:
        yield from _run(images, rows, job, n_images, skip)
        return
    with _SharedWork(cache, fingerprint, digests, job.batch_size or 32) as work:
        missing = list(rows)
        while missing:
            for part in _run(images, work.claim(missing), job, n_images, skip):
                work.settle(part)
                yield part
            found = work.look_up()
            yield from found
            # Who claimed these computes them still, or has ended without: they are claimed again.
            missing, n_images = work.elsewhere, 0
            if missing and not found:
                time.sleep(PATIENCE)


class _SharedWork:
    """Rows that this process computes while others compute the rest: claimed, then settled, or given back at the end.

    A round claims rows piece by piece (:meth:`claim`) and settles what was computed of them (:meth:`settle`). Rows that
    another process has claimed are ``elsewhere``; at the end of the round those that it has put meanwhile are
    looked up (:meth:`look_up`), and the rest is for the next round. Whatever is not settled when the block ends, also
    by an exception, is released, so that others may compute it.

    Parameters
    ----------
    cache : MemoryCache, FeatureCache or ActivationCache
        Where records are claimed and kept.
    network : str
        The fingerprint of the plan.
    digests : dict of int to bytes
        Contents of the rows.
    size : int
        Rows that are claimed together.

    Attributes
    ----------
    elsewhere : list of int
        Rows of this round that another process has claimed and for which there is no record yet.
    """

    def __init__(
        self, cache: MemoryCache | FeatureCache | ActivationCache, network: str, digests: dict[int, bytes], size: int
    ):
        self._cache, self._network, self._digests, self._size = cache, network, digests, size
        self._claimed: set[bytes] = set()
        self.elsewhere: list[int] = []

    def __enter__(self) -> _SharedWork:
        return self

    def __exit__(self, *error: object) -> None:
        self._cache.release(self._network, list(self._claimed))

    def claim(self, rows: Sequence[int]) -> Iterator[int]:
        """Begin a round: yield the rows that this process is to compute, in order."""
        self.elsewhere = []
        # Claimed as decoding goes on, so that processes at the same work share it, and one that dies holds little.
        for start in range(0, len(rows), self._size):
            piece = rows[start : start + self._size]
            mine = set(self._cache.claim(self._network, [self._digests[row] for row in piece]))
            self._claimed |= mine
            self.elsewhere += [row for row in piece if self._digests[row] not in mine]
            yield from (row for row in piece if self._digests[row] in mine)

    def settle(self, part: Part) -> None:
        """Put the records of rows that were claimed, and release those that gave no image."""
        done = [self._digests[row] for row in part.rows]
        if done:
            with timed("cache", len(done)):
                self._cache.put_many(self._network, done, part.records)
        given_up = [self._digests[bad.row] for bad in part.bad]
        self._cache.release(self._network, given_up)
        self._claimed.difference_update(done, given_up)

    def look_up(self) -> list[Part]:
        """End a round: return the records that others have put, whose rows are not ``elsewhere`` any more."""
        digests, rows = self._digests, self.elsewhere
        with timed("cache"):
            records = dict(self._cache.get_many(self._network, [digests[row] for row in rows]))
        self.elsewhere = [row for row in rows if digests[row] not in records]
        return [Part([row], records[digests[row]][None], [], 0) for row in rows if digests[row] in records]


def _run(images: Images, rows: Iterable[int], job: Extraction, n_images: int, skip: bool) -> Iterator[Part]:
    """Run rows through the network, decoding ahead of it; with ``skip``, only decode them."""
    plan = job.plan
    with timed("start"):
        engine = None if skip else get_engine(plan, job.engine, job.folder, n_images)
    batch_size = job.batch_size or (32 if engine is None else engine.batch_size)
    batches = read_batches(
        images, rows, plan.image_size, batch_size=batch_size, resize=plan.resize, max_pixels=job.max_pixels
    )
    # A batch is begun before the last one is waited for: no core idles at the end of a batch, and a GPU has the next
    # these pixels.
    begun: tuple[list[int], Callable[[], np.ndarray]] | None = None
    for batch in batches:
        if job.stop_at_error and batch.bad:
            engine = None
        ahead = None
        if engine is not None and batch.rows:
            with timed("network"):
                ahead = batch.rows, engine.start(batch.pixels)
        if begun is not None:
            yield _finished(*begun)
        begun = ahead
        if batch.bad:
            yield Part([], _NO_RECORDS, batch.bad, 0)
    if begun is not None:
        yield _finished(*begun)


def _finished(rows: list[int], records: Callable[[], np.ndarray]) -> Part:
    """Wait for the records of a batch."""
    with timed("network", len(rows)):
        return Part(rows, records(), [], len(rows))
