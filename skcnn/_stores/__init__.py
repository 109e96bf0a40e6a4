"""Files behind URLs, by fsspec: with timeouts, one layer of retries, and threads that wait for many of them at once.

Of what a store does wrong, some may pass (no answer in time, a connection that breaks, a body that is cut, an error of
the server): this is tried again. The rest (no such file, no permission) is not. The file systems' own retries are off
where they can be, so that three tries are three.
"""

from skcnn._stores._file_systems import TIMEOUT, Options, is_url
from skcnn._stores._files import RemoteFile, fetch, find, look_at, make_folder, names_in, open_url, store
from skcnn._stores._pool import N_THREADS, in_pool

__all__ = [
    "N_THREADS",
    "TIMEOUT",
    "Options",
    "RemoteFile",
    "fetch",
    "find",
    "in_pool",
    "is_url",
    "look_at",
    "make_folder",
    "names_in",
    "open_url",
    "store",
]
