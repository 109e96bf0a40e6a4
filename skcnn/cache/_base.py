"""What the caches share: how records are looked up, claimed, put and counted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from skcnn.cache._content import FileKey, iter_digests
from skcnn.images import BadRow, Images

#: Of the outputs that make up a record, one after the other.
Shapes = tuple[tuple[int, ...], ...]


class CacheWarning(UserWarning):
    """A cache directory, or a temporary file, cannot be used or written; results are correct, but not cached."""


class CacheInfo(NamedTuple):
    """What ``info()`` of a cache returns.

    ``passes`` counts the images that went through a network, ``hits`` the rows that were served without;
    ``n_records`` and ``n_bytes`` are what is held now, ``max_bytes`` the most that will be. For a
    :class:`MemoryCache` they are of this process, for a :class:`FeatureCache` of all processes that ever used the
    directory. An :class:`ActivationCache` counts reserved bytes as held; its ``n_bytes`` and ``max_bytes`` are
    of memory, ``n_disk_bytes`` and ``max_disk_bytes`` of its temporary files.
    """

    passes: int
    hits: int
    n_records: int
    n_bytes: int
    max_bytes: int
    n_disk_bytes: int = 0
    max_disk_bytes: int = 0


class BaseCache(ABC):
    """A cache of records, by network and by the content of an image.

    A caller asks for the :meth:`digests` of the rows and looks them up (:meth:`get_many`). What is
    missing is claimed (:meth:`claim`), computed, and put (:meth:`put_many`), or released if it cannot be computed
    (:meth:`release`). In the end :meth:`count_hits` counts the rows that were served without a pass.
    """

    def digests(self, images: Images, rows: Iterable[int]) -> Iterator[tuple[int, bytes | BadRow]]:
        """Yield rows with the digests of their content, in the order given.

        Files are read and hashed in threads; one whose path, size and time of change are known is not read again,
        unless it changed less than 2 s before. Rows of a source are known by their stamps, and read otherwise. URLs are
        always read.

        Parameters
        ----------
        images : Images
            From :func:`skcnn.images.as_images`.
        rows : iterable of int
            Positions of the rows.

        Yields
        ------
        tuple of (int, bytes or BadRow)
            A row that cannot be read comes as a :class:`~skcnn.images.BadRow` that says why.
        """
        return iter_digests(images, rows, self._known, self._remember)

    @abstractmethod
    def _known(self, keys: Sequence[FileKey]) -> dict[FileKey, bytes]:
        """Return the digests of those files that are in the index."""

    @abstractmethod
    def _remember(self, learnt: Sequence[tuple[FileKey, bytes]]) -> None:
        """Add files and their digests to the index."""

    @abstractmethod
    def get_many(self, network: str, digests: Sequence[bytes]) -> Iterator[tuple[bytes, np.ndarray]]:
        """Yield the records that there are, which marks them as used; :meth:`count_hits` counts them.

        Parameters
        ----------
        network : str
            Fingerprint of the network.
        digests : sequence of bytes
            Digests of the contents.

        Yields
        ------
        tuple of (bytes, ndarray of shape (n_values,), float32)
            Digest and record, read-only, in the order asked for.
        """

    @abstractmethod
    def claim(self, network: str, digests: Sequence[bytes]) -> list[bytes]:
        """Return those contents that the caller is to compute: no record is there, and nobody else has claimed them.

        Each is to be put or released in the end. What others compute is not among them: look with :meth:`get_many` and
        claim again later.

        Parameters
        ----------
        network : str
            What the network is.
        digests : sequence of bytes
            Digests of the contents.

        Returns
        -------
        list of bytes
            Each once, in the order given.
        """

    @abstractmethod
    def put_many(self, network: str, digests: Sequence[bytes], records: Iterable[np.ndarray]) -> None:
        """Keep records, count one pass each and give up their claims.

        What is beyond the bounds of the cache is not kept.

        Parameters
        ----------
        network : str
            What the network is.
        digests : sequence of bytes
            Contents, one for each record.
        records : iterable of ndarray of shape (n_values,)
            Kept as float32 copies.
        """

    @abstractmethod
    def release(self, network: str, digests: Sequence[bytes]) -> None:
        """Give up what was claimed and will not be put: bad images, or after an exception.

        Parameters
        ----------
        network : str
            What the network is.
        digests : sequence of bytes
            Contents; those that are not claimed are passed over.
        """

    @abstractmethod
    def count_hits(self, n: int) -> None:
        """Count ``n`` rows that were served without a pass."""

    @abstractmethod
    def output_shapes(self, network: str) -> Shapes | None:
        """Return the shapes of the outputs that make up a record of ``network``, or None where they are not known."""

    @abstractmethod
    def set_output_shapes(self, network: str, shapes: Iterable[Iterable[int]]) -> None:
        """Keep the shapes of the outputs that make up a record, so that a full hit need not build the network."""

    @abstractmethod
    def info(self) -> CacheInfo:
        """Return the current counts and sizes, as a :class:`CacheInfo`."""

    @abstractmethod
    def clear(self) -> None:
        """Forget all records and digests and set the counts to zero."""


def as_shapes(shapes: Iterable[Iterable[int]]) -> Shapes:
    """Return shapes as tuples of Python's integers."""
    return tuple(tuple(int(side) for side in shape) for shape in shapes)
