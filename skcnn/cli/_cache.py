"""``skcnn cache``: describe, empty or verify a cache directory."""

from __future__ import annotations

import argparse
from typing import Any

from skcnn._text import counted
from skcnn.cli._common import add_command


def add_to(commands: Any) -> None:
    cache = add_command(
        commands,
        "cache",
        run,
        "describe, empty or verify a cache directory",
        epilog="info prints the size and the passes saved; clear removes all records and frees the space; verify\n"
        "checks every record, removes bad ones and then exits with 1. Other processes may be using the directory.",
    )
    cache.add_argument("action", choices=["info", "clear", "verify"])
    cache.add_argument("directory", help="a directory made by --cache or BottleneckFeatures(cache=DIRECTORY)")


def run(options: argparse.Namespace) -> None:
    import warnings

    from skcnn.cache import CacheWarning, FeatureCache

    cache = FeatureCache(options.directory)
    if not cache.exists():
        raise FileNotFoundError(f"{options.directory} is not a cache directory of skcnn; expected one made by --cache")
    if options.action == "verify":
        result = cache.verify()
        if result.damage:
            raise OSError(f"the cache {options.directory} is damaged ({result.damage}); remove the directory")
        if result.n_bad:
            raise OSError(f"bad entries removed: {result.n_bad:,}; valid: {counted(result.n_records, 'record')}")
        print(f"{counted(result.n_records, 'record')}, all valid")
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error", CacheWarning)  # there is nothing to go on with here
        info = cache.info()
    if options.action == "clear":
        cache.clear()
        print(f"Removed {counted(info.n_records, 'record')}, {_megabytes(info.n_bytes)}")
    else:
        print(
            f"{counted(info.n_records, 'record')}, {_megabytes(info.n_bytes)}\n"
            f"{info.passes:,} passes of an image through a network\n"
            f"{info.hits:,} rows served from the cache"
        )


def _megabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:,.1f} MB"
