"""Images behind URLs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from skcnn._stores import N_THREADS, TIMEOUT, Options, in_pool, is_url
from skcnn.images._paths import read_url
from skcnn.images._source import ImageSource

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class RemoteImages(ImageSource):
    """Images in object stores and on web servers, as X: one URL per image.

    URLs are accepted as X without it, too. It is for what URLs alone cannot say: credentials, time limits, and
    versions by which caches recognise images.

    Parameters
    ----------
    urls : array-like of shape (n_samples,)
        Such as ``"s3://bucket/a.jpg"`` or ``"https://example.org/a.jpg"``: any URL that fsspec reads (extra
        ``remote``; it names the package to install for the protocol of a URL, such as ``s3fs`` for ``s3://``).
    storage_options : dict or None, default=None
        Arguments of fsspec's file system, such as ``{"key": ..., "secret": ...}`` or ``{"endpoint_url": ...}``. They
        are pickled with the source for worker processes. None: what the environment and fsspec's own configuration
        files say.
    n_threads : int, default=32
        Images that are fetched at once, 1 to 64. They wait for the store and take next to no processor time: more of
        them help where the store is slow to answer.
    timeout : float, default=30.0
        Seconds that the store may be silent: while connecting, and between two pieces of an image. An image may take
        ten times as long.
    versions : array-like of shape (n_samples,) or None, default=None
        For each URL a value that changes with its image, such as the ETag or the time of change in the listing of a
        bucket. With it, caches recognise an image that they have seen; without it, every image is fetched to identify
        it.

    Raises
    ------
    TypeError
        If ``urls`` is a single URL.
    ValueError
        If a value of ``urls`` is not a URL, or a parameter is out of range.

    See Also
    --------
    skcnn.datasets.TFRecordImages, skcnn.datasets.TarImages, skcnn.datasets.ParquetImages : Images in shards, which may
        be in an object store as well, and need a fraction of the requests.

    Notes
    -----
    What may pass is tried three times, with pauses at random between: no answer in time, a connection that breaks, a
    body that is shorter than the store has declared, and errors of the server (status 429 and from 500 on). A refused
    or missing image is not tried again. Whatever remains is the reason of that row.

    For ``s3://`` and ``https://`` this is the only layer of retries. The file systems of other stores may have their
    own, within the time limit.

    Examples
    --------
    >>> import fsspec
    >>> import numpy as np
    >>> from PIL import Image
    >>> from skcnn.images import RemoteImages, check_images
    >>> for number in range(3):
    ...     with fsspec.open(f"memory://bucket/{number}.png", "wb") as file:
    ...         Image.new("RGB", (8, 8)).save(file, "PNG")
    >>> X = RemoteImages([f"memory://bucket/{number}.png" for number in range(4)])
    >>> X, X[1:].shape
    (<RemoteImages of 4 images>, (3,))
    >>> print(check_images(X).to_string(index=False))
     row                  path                      reason
       3 memory://bucket/3.png the store has no such file
    """

    def __init__(
        self,
        urls: ArrayLike,
        *,
        storage_options: Options | None = None,
        n_threads: int = N_THREADS,
        timeout: float = TIMEOUT,
        versions: ArrayLike | None = None,
    ):
        if isinstance(urls, (str, bytes, os.PathLike)):
            raise TypeError(f"urls is a single {type(urls).__name__}; expected a list of URLs.")
        self.urls = _as_urls(urls)
        if isinstance(n_threads, bool) or not isinstance(n_threads, (int, np.integer)) or not 1 <= n_threads <= 64:
            raise ValueError(f"n_threads={n_threads!r}; expected an int from 1 to 64.")
        if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 < timeout < float("inf"):
            raise ValueError(f"timeout={timeout!r}; expected a positive number of seconds.")
        self.storage_options = None if storage_options is None else dict(storage_options)
        self.n_threads, self.timeout = int(n_threads), float(timeout)
        self.versions = None if versions is None else [str(version) for version in np.asarray(versions).tolist()]
        if self.versions is not None and len(self.versions) != len(self.urls):
            raise ValueError(f"{len(self.versions)} versions for {len(self.urls)} URLs; expected one per URL.")

    def __len__(self) -> int:
        return len(self.urls)

    def __reduce__(self) -> tuple[Any, ...]:
        if self._whole is None:
            return super().__reduce__()
        # A worker needs the URLs of its rows, and not those of all.
        versions = None if self.versions is None else [self.versions[row] for row in self._rows]
        urls = [self.urls[row] for row in self._rows]
        return _restored, (urls, self.storage_options, self.n_threads, self.timeout, versions)

    def read_many(self, rows: Sequence[int] | np.ndarray) -> list[bytes | Exception]:
        """Return the encoded images of rows, or why there is none: see :class:`ImageSource`."""

        def read(url: str) -> bytes:
            return read_url(url, self.storage_options, self.timeout)

        return in_pool(read, [self.urls[int(row)] for row in rows], self.n_threads)

    def stamp(self, row: int) -> str | None:
        """Return URL and version of a row; None without versions."""
        return None if self.versions is None else f"{self.urls[row]} {self.versions[row]}"

    def path(self, row: int) -> str:
        """Return the URL of a row."""
        return self.urls[row]


def _restored(
    urls: list[str], options: Options | None, n_threads: int, timeout: float, versions: list[str] | None
) -> RemoteImages:
    return RemoteImages(urls, storage_options=options, n_threads=n_threads, timeout=timeout, versions=versions)


def _as_urls(urls: Any) -> list[str]:
    if not isinstance(urls, Iterable):
        raise TypeError(f"urls is a {type(urls).__name__}; expected a list of URLs.")
    found = [os.fspath(url) if isinstance(url, os.PathLike) else url for url in urls]
    for row, url in enumerate(found):
        if not isinstance(url, str) or not is_url(url):
            raise ValueError(
                f"urls has {url!r} in row {row}; expected URLs, such as 's3://bucket/a.jpg'. A list of paths and URLs "
                "is accepted as X as it is."
            )
    return [str(url) for url in found]
