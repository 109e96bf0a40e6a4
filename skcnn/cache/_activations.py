"""The cache of activations: large records, all of which are read again in every epoch."""

from __future__ import annotations

import mmap
import os
import tempfile
import threading
import warnings
import weakref
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np

from skcnn._files import nameless_file
from skcnn.cache._base import CacheInfo, CacheWarning
from skcnn.cache._process import ProcessCache
from skcnn.cache._room import available_memory, free_disk

#: Where the records of a reservation lie.
Place = Literal["memory", "disk", "nowhere"]

#: Most bytes that are taken where no bound is given: of memory, and of the disk.
MOST_MEMORY = 4 * 2**30
MOST_DISK = 32 * 2**30


class _Network:
    """Records of one network, and the room that is kept for those to come."""

    def __init__(self, n_values: int):
        self.n_values = n_values
        #: What there is, read-only.
        self.records: dict[bytes, np.ndarray] = {}
        #: Rows that were reserved, and not put yet.
        self.rooms: dict[bytes, np.ndarray] = {}
        #: Of both, what lies on the disk.
        self.on_disk: set[bytes] = set()
        #: What was to be reserved and found no room.
        self.refused: set[bytes] = set()
        self.n_bytes: Counter[str] = Counter()

    def has_place(self, digest: bytes) -> bool:
        """Tell whether a record is there, or room for it."""
        return digest in self.records or digest in self.rooms


class ActivationCache(ProcessCache):
    """Activations of images inside a network, in memory or in a temporary file, for as long as a process lives.

    What the frozen layers of a network give for an image takes 31 kB to 1 MB, and a training reads it in every epoch,
    fold and candidate. A cache that evicts single records would run most images through the network in every epoch. So
    space for all of them is reserved in advance (:meth:`reserve`), and none is evicted while the network is in use
    (:meth:`using`). Where there is no room for all, none is kept, and the network runs in every epoch.

    Parameters
    ----------
    max_bytes : int or None, default=None
        Maximum memory in bytes. None is a quarter of what is available at the time, 4 GiB at most: images, the network
        and its training need memory as well. Processes do not know of each other: give a bound where many of them train
        at once.
    max_disk_bytes : int or None, default=None
        Maximum size of temporary files in bytes. None is half of what is free at the time on the disk of ``folder``, 32
        GiB at most. 0 allows no files.
    folder : path-like or None, default=None
        Folder of temporary files, created at first use. None is the folder of the system for them
        (:func:`tempfile.gettempdir`); where that is kept in memory, name one on a disk.

    See Also
    --------
    MemoryCache : Smaller records, of which the least recently used are evicted one by one.
    activation_cache : The one of this process.

    Notes
    -----
    A file has no name by which others could find it, and is deleted when its network is evicted or its process ends,
    even if it is killed. Its place on the disk is taken before anything is written to it. Copies, pickles and forked
    processes begin with an empty cache that has the same parameters.

    Records are views of what the cache holds: a reference to one keeps the memory or the file of all that were reserved
    with it. :meth:`read` returns copies.

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.cache import ActivationCache
    >>> cache = ActivationCache(max_bytes=1000)
    >>> digests = [b"first image", b"second image"]
    >>> with cache.using("a network"):
    ...     place = cache.reserve("a network", digests, n_values=3)
    ...     cache.put_many("a network", digests, np.ones((2, 3), "float32"))
    ...     batch = cache.read("a network", digests)
    >>> place
    'memory'
    >>> batch.shape
    (2, 3)
    """

    def __init__(
        self,
        max_bytes: int | None = None,
        max_disk_bytes: int | None = None,
        folder: str | os.PathLike[str] | None = None,
    ):
        for name, value in (("max_bytes", max_bytes), ("max_disk_bytes", max_disk_bytes)):
            if value is not None and not _is_whole(value, 0):
                raise ValueError(f"{name}={value!r}; expected an int of at least 0, in bytes, or None")
        if folder is not None:
            if not isinstance(folder, (str, os.PathLike)) or isinstance(os.fspath(folder), bytes):
                raise TypeError(f"folder={folder!r}; expected the path of a folder, as a str or a Path, or None")
            if folder == "":
                raise ValueError("folder=''; expected the path of a folder, or None for the system's temporary folder")
        self.max_bytes = max_bytes
        self.max_disk_bytes = max_disk_bytes
        self.folder = folder
        self._begin()
        _caches.add(self)

    def _begin(self) -> None:
        """Be empty, and unlocked."""
        super().__init__()
        #: The least recently used first.
        self._networks: OrderedDict[str, _Network] = OrderedDict()
        self._in_use: Counter[str] = Counter()
        self._has_warned = False

    def __repr__(self) -> str:
        return (
            f"ActivationCache(max_bytes={self.max_bytes}, max_disk_bytes={self.max_disk_bytes}, folder={self.folder!r})"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.max_bytes, self.max_disk_bytes, self.folder)

    @contextmanager
    def using(self, network: str) -> Iterator[None]:
        """Keep what there is of a network, whatever others reserve, until the ``with`` block ends.

        Begin the block before :meth:`reserve`: between the two, another thread could let the network go. Blocks may be
        nested, and overlap in several threads.

        Parameters
        ----------
        network : str
            Fingerprint of the network.
        """
        with self._lock:
            in_use = self._in_use  # a child that is forked within the block starts its own count
            in_use[network] += 1
        try:
            yield
        finally:
            with self._lock:
                in_use[network] -= 1
                if not in_use[network]:
                    del in_use[network]

    def reserve(self, network: str, digests: Sequence[bytes], n_values: int) -> Place:
        """Keep room for the records of all these contents, or say that there is none.

        What already has its place keeps it and needs no more: the folds of a search add up to the images that there
        are. The others go to memory if all of them fit, else to a temporary file. If they fit into neither, the records
        of other networks that are not in use are evicted, the least recently used network first.

        Parameters
        ----------
        network : str
            Fingerprint of the network.
        digests : sequence of bytes
            Contents that will be put.
        n_values : int
            Numbers in a record, the same for all of a network.

        Returns
        -------
        {"memory", "disk", "nowhere"}
            "memory" if all will be there, "disk" if some or all will be in a file. With "nowhere", those that had no
            place before are not kept when they are put: they have to be computed in every epoch.

        Raises
        ------
        ValueError
            If ``n_values`` is not a positive int, or the network has records of another length.

        Warns
        -----
        CacheWarning
            Once, if it is "nowhere" because the folder cannot be written to or its disk is full.
        """
        if not _is_whole(n_values, 1):
            raise ValueError(f"n_values={n_values!r}; expected a positive int, the numbers in a record")
        with self._lock:
            held = self._of(network, n_values)
            new = [digest for digest in dict.fromkeys(digests) if not held.has_place(digest)]
            if new and not self._give_room(network, held, new):
                held.refused.update(new)
                return "nowhere"
            return "memory" if held.on_disk.isdisjoint(digests) else "disk"

    def _give_room(self, network: str, held: _Network, digests: list[bytes]) -> bool:
        """Make room for new records of a network; False where there is none. The lock is held."""
        complaint = ""
        for place, may_evict in _TRIES:
            try:
                rows = self._allot(network, place, (len(digests), held.n_values), may_evict)
            except MemoryError:
                continue
            except OSError as error:
                # As text: the error itself would keep this frame, and all records of the network, after they leave.
                complaint = self._complaint(error)
                continue
            if rows is not None:
                held.rooms.update(zip(digests, rows, strict=True))
                held.n_bytes[place] += rows.nbytes
                if place == "disk":
                    held.on_disk.update(digests)
                    self._has_warned = False
                return True
        if complaint and not self._has_warned:
            self._has_warned = True
            warnings.warn(CacheWarning(complaint), stacklevel=3)
        return False

    def _complaint(self, trouble: OSError) -> str:
        reason = trouble if trouble.filename else trouble.strerror or trouble
        other = "set another temporary folder (TMPDIR)" if self.folder is None else "give another folder"
        return f"Activations are not kept, and are computed in every epoch: {reason}. Make room, or {other}."

    def _of(self, network: str, n_values: int) -> _Network:
        """Return what there is of a network, which counts as a use; the lock is held."""
        held = self._networks.setdefault(network, _Network(int(n_values)))
        self._networks.move_to_end(network)
        if held.n_values != n_values:
            raise ValueError(
                f"Got records of {n_values:,} values for network {network!r}; expected {held.n_values:,}, as in the "
                "records that it has"
            )
        return held

    def _allot(self, network: str, place: str, shape: tuple[int, int], may_evict: bool) -> np.ndarray | None:
        """Return an array for records, None if it is beyond the bounds; the lock is held."""
        n_bytes = 4 * shape[0] * shape[1]
        bound = self._bound(place)
        idle = [
            (name, held.n_bytes[place])
            for name, held in self._networks.items()
            if may_evict and name != network and not self._in_use[name] and held.n_bytes[place]
        ]
        if self._held(place) + n_bytes - sum(size for _, size in idle) > bound:
            if place == "disk" and self.max_disk_bytes is None and bound < MOST_DISK:
                raise OSError(
                    f"{n_bytes:,} bytes are needed in {self._folder!r}, and only half of what is free on its disk is "
                    f"taken, {bound:,}"
                )
            return None
        while True:
            if self._held(place) + n_bytes <= bound:
                try:
                    return self._array(place, shape)
                except (MemoryError, OSError):
                    if not idle:
                        raise
            del self._networks[idle.pop(0)[0]]

    def _array(self, place: str, shape: tuple[int, int]) -> np.ndarray:
        if place == "memory":
            return np.empty(shape, np.float32)
        with nameless_file(self._folder, 4 * shape[0] * shape[1]) as file:
            # The map holds the file open, and the array the map.
            return np.frombuffer(mmap.mmap(file.fileno(), 0), np.float32).reshape(shape)

    @property
    def _folder(self) -> str:
        return os.path.abspath(os.path.expanduser(self.folder or tempfile.gettempdir()))

    def _held(self, place: str) -> int:
        return sum(held.n_bytes[place] for held in self._networks.values())

    def _bound(self, place: str) -> int:
        """Return how many bytes may be held in a place, now."""
        if place == "memory":
            if self.max_bytes is not None:
                return int(self.max_bytes)
            return min(MOST_MEMORY, (available_memory() + self._held(place)) // 4)
        if self.max_disk_bytes is not None:
            return int(self.max_disk_bytes)
        return min(MOST_DISK, (free_disk(self._folder) + self._held(place)) // 2)

    def missing(self, network: str, digests: Sequence[bytes]) -> list[bytes]:
        """Return those contents that have no record.

        Parameters
        ----------
        network : str
            Fingerprint of the network.
        digests : sequence of bytes
            Digests of the contents.

        Returns
        -------
        list of bytes
            Each once, in the order given.
        """
        with self._lock:
            held = self._networks.get(network)
            return [digest for digest in dict.fromkeys(digests) if held is None or digest not in held.records]

    def claim(self, network: str, digests: Sequence[bytes]) -> list[bytes]:
        """Return what is :meth:`missing`; nothing is leased, since extraction holds the lock of the network."""
        return self.missing(network, digests)

    def get_many(self, network: str, digests: Sequence[bytes]) -> Iterator[tuple[bytes, np.ndarray]]:
        """Yield the records that there are, as read-only views; the network counts as used."""
        yield from self._look_up(network, digests)

    def _look_up(self, network: str, digests: Sequence[bytes]) -> list[tuple[bytes, np.ndarray]]:
        with self._lock:
            held = self._networks.get(network)
            if held is None:
                return []
            self._networks.move_to_end(network)
            return [(digest, held.records[digest]) for digest in digests if digest in held.records]

    def read(self, network: str, digests: Sequence[bytes]) -> np.ndarray:
        """Return the records of a batch as one new array; the network counts as used.

        Parameters
        ----------
        network : str
            Fingerprint of the network.
        digests : sequence of bytes
            Digests of the contents, at least one, all of which have a record.

        Returns
        -------
        ndarray of shape (n_digests, n_values), float32

        Raises
        ------
        KeyError
            If some have none: :meth:`missing` says which.
        """
        found = self._look_up(network, digests)
        if not found or len(found) < len(digests):
            raise KeyError(
                f"Got {len(digests):,} contents, {len(digests) - len(found):,} of which have no record of network "
                f"{network!r}; expected at least one, and a record for each: compute what missing() returns"
            )
        return np.stack([record for _, record in found])

    def put_many(self, network: str, digests: Sequence[bytes], records: Iterable[np.ndarray]) -> None:
        """Keep records where room is reserved for them, and count one pass each.

        Others are kept in memory if there is space without evicting any, unless :meth:`reserve` has refused them. A
        record that is there stays as it is.

        Parameters
        ----------
        network : str
            Fingerprint of the network.
        digests : sequence of bytes
            Contents, one for each record.
        records : iterable of ndarray of shape (n_values,)
            Kept as float32 copies.

        Raises
        ------
        ValueError
            If a record has another length than those of its network.
        """
        given = dict(zip(digests, (np.ravel(record) for record in records), strict=True))
        lengths = {record.size for record in given.values()}
        if len(lengths) > 1:
            raise ValueError(f"Got records of {sorted(lengths)} values; expected records of the same length")
        with self._lock:
            self._passes += len(digests)
            if lengths:
                self._put(self._of(network, lengths.pop()), given)

    def _put(self, held: _Network, given: dict[bytes, np.ndarray]) -> None:
        """Keep what has room; the lock is held."""
        n_bytes = 4 * held.n_values
        free = self._bound("memory") - self._held("memory")
        for digest, record in given.items():
            if not held.has_place(digest) and digest not in held.refused and n_bytes <= free:
                held.rooms[digest] = np.empty(held.n_values, np.float32)
                held.n_bytes["memory"] += n_bytes
                free -= n_bytes
            if digest in held.rooms:
                row = held.rooms[digest]
                row[:] = record  # a copy, lest a record keep its whole batch alive
                held.records[digest] = held.rooms.pop(digest)
                row.flags.writeable = False

    def info(self) -> CacheInfo:
        """Return the current counts and sizes, as a :class:`CacheInfo`."""
        with self._lock:
            n_records = sum(len(held.records) for held in self._networks.values())
            try:
                most_disk = self._bound("disk")
            except OSError:
                most_disk = 0
            memory = (self._held("memory"), self._bound("memory"))
            return CacheInfo(self._passes, self._hits, n_records, *memory, self._held("disk"), most_disk)

    def clear(self) -> None:
        """Forget all records, reservations and digests, set the counts to zero, and remove the files."""
        with self._lock:
            self._networks.clear()
            self._has_warned = False
            self._forget()


#: Where reserve looks for room, in this order, and whether other networks have to leave for it: a file is read faster
#: than an activation is computed again.
_TRIES: tuple[tuple[Literal["memory", "disk"], bool], ...] = (
    ("memory", False),
    ("disk", False),
    ("memory", True),
    ("disk", True),
)


def _is_whole(value: object, least: int) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and int(value) >= least


_caches: weakref.WeakSet[ActivationCache] = weakref.WeakSet()
_registry_lock = threading.Lock()
_process_cache: ActivationCache | None = None


def activation_cache() -> ActivationCache:
    """Return the cache of activations of this process, with default bounds.

    Returns
    -------
    ActivationCache

    Examples
    --------
    >>> from skcnn.cache import activation_cache
    >>> activation_cache() is activation_cache()
    True
    """
    global _process_cache
    with _registry_lock:
        if _process_cache is None:
            _process_cache = ActivationCache()
        return _process_cache


def _after_fork() -> None:
    # The files are shared with the parent: a child that wrote to them would change the parent's records.
    global _registry_lock
    _registry_lock = threading.Lock()
    for cache in _caches:
        cache._begin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
