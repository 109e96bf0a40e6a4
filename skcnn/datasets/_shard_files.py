"""Files with many images, on this machine or in a store: finding them, and reading them at any position."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Sequence
from typing import BinaryIO, NamedTuple, TypeVar, cast

from skcnn._stores import Options, find, in_pool, is_url, open_url
from skcnn._stores import look_at as look_at_url
from skcnn.datasets._natural import natural_key

Result = TypeVar("Result")

Pattern = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

#: A shard that changed this lately, in ns, may change again within one tick of its clock, unseen.
_SETTLED_NS = 2 * 10**9


class Shard(NamedTuple):
    """A file as it was when its images were looked up: absolute path, bytes, time of change in ns.

    In a store: URL, bytes, 0, and its ETag, or whatever else the store says that changes with a file.
    """

    path: str
    size: int
    mtime_ns: int
    version: str = ""


def find_shards(pattern: Pattern, options: Options | None = None) -> list[str]:
    """Return the absolute paths, or URLs, of the files that match a pattern or several, each in natural order.

    Raises
    ------
    FileNotFoundError
        If a pattern matches no file.
    """
    patterns = [pattern] if isinstance(pattern, (str, os.PathLike)) else list(pattern)
    found = []
    for one in patterns:
        name = os.path.expanduser(os.fspath(one))
        if is_url(name):
            files = sorted(_found_in_store(name, options), key=natural_key)
        else:
            paths = [name] if os.path.isfile(name) else glob.glob(name, recursive=True)
            files = [os.path.abspath(path) for path in sorted(paths, key=natural_key) if os.path.isfile(path)]
        if not files:
            where = "" if is_url(name) else f" (relative paths start from {os.getcwd()})"
            raise FileNotFoundError(
                f"pattern={os.fspath(one)!r}; expected the path of a shard or a pattern such as 'train-*', and no file "
                f"matches{where}."
            )
        found += files
    if not found:
        raise FileNotFoundError(f"pattern={pattern!r}; expected at least one path or pattern.")
    return found


def _found_in_store(pattern: str, options: Options | None) -> list[str]:
    try:
        return find(pattern, options)
    except OSError as error:
        raise type(error)(f"pattern={pattern!r} cannot be looked up: {error}") from None


def look_at(path: str, options: Options | None = None) -> Shard:
    """Return a file as it is now."""
    if is_url(path):
        found = look_at_url(path, options)
        return Shard(path, found.size, 0, found.version)
    status = os.stat(path)
    return Shard(path, status.st_size, status.st_mtime_ns)


def is_settled(shard: Shard, opened_at: int) -> bool:
    """Return whether a file, opened at a time in ns, had not changed just before; in a store, whether that is known."""
    if is_url(shard.path):
        return bool(shard.version)
    return shard.mtime_ns + _SETTLED_NS <= opened_at


def stamp_of(shard: Shard) -> str:
    """Return path, size and time of change, or version, as a stamp begins."""
    return f"{shard.path} {shard.size} {shard.version or shard.mtime_ns}"


def open_shard(shard: Shard, options: Options | None = None, *, buffer_size: int = 2**20) -> BinaryIO:
    """Open a shard for reading; in a store at least ``buffer_size`` bytes are fetched at once."""
    if is_url(shard.path):
        return cast("BinaryIO", open_url(shard.path, options, size=shard.size, buffer_size=buffer_size))
    return cast("BinaryIO", open(shard.path, "rb", buffering=0))


def read_at(file: BinaryIO, offset: int, n_bytes: int) -> bytes:
    """Return bytes at an offset; fewer at the end of the file."""
    file.seek(offset)
    pieces = []
    while n_bytes > 0 and (piece := file.read(n_bytes)):
        pieces.append(piece)
        n_bytes -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def all_or_error(results: Iterable[Result | Exception]) -> list[Result]:
    """Return results; raise the first one that is an exception."""
    found = []
    for result in results:
        if isinstance(result, Exception):
            raise result
        found.append(result)
    return found


def look_at_all(paths: Sequence[str], options: Options | None) -> list[Shard]:
    """Return files as they are now; those in stores are asked for at once."""
    return all_or_error(in_pool(lambda path: look_at(path, options), paths))
