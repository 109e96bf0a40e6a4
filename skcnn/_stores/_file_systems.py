"""The file systems of URLs: which one it is, what it is given, and how its methods are called."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import Any

Options = Mapping[str, Any]

#: Seconds that a store may be silent: while connecting, and between two pieces of a body.
TIMEOUT = 30.0
#: A try takes at most so many times that, however slowly a body trickles.
PATIENCE = 10


def is_url(path: str) -> bool:
    """Tell whether a path is a URL."""
    return "://" in path


def call(files: Any, method: str, *arguments: Any, limit: float | None = PATIENCE * TIMEOUT, **named: Any) -> Any:
    """Call a method of a file system, for at most so many seconds where it is asynchronous."""
    from fsspec.asyn import AsyncFileSystem, sync

    if not issubclass(type(files), AsyncFileSystem):  # a cache passes for the store that is behind it
        return getattr(files, method)(*arguments, **named)
    return sync(files.loop, getattr(files, f"_{method}"), *arguments, timeout=limit, **named)


def file_system(url: str, options: Options | None, timeout: float) -> tuple[Any, str]:
    """Return the file system of a URL, with our timeouts and without retries of its own, and the path within it."""
    try:
        import fsspec
    except ImportError:
        raise ImportError(f"{url} is a URL: `pip install 'skcnn[remote]'` to read URLs (fsspec)") from None
    given = dict(options or {})
    protocols = protocols_of(url)
    ours = {protocol: _defaults(protocol, timeout) for protocol in protocols}
    if len(protocols) == 1:
        named = _merged(ours[protocols[0]], given)
    else:  # filecache::s3://... and the like take the arguments of each by its name
        named = {**given, **{key: _merged(one, given.get(key, {})) for key, one in ours.items() if one}}
    files, path = fsspec.core.url_to_fs(url, **named)
    inner = files if len(protocols) == 1 else getattr(files, "fs", files)
    if type(inner).__module__.startswith("s3fs"):
        inner.retries = 1
    return files, path


def protocols_of(url: str) -> list[str]:
    """Return the protocols of a URL, the outermost first."""
    return [part.partition("://")[0] for part in url.split("::")]


def _defaults(protocol: str, timeout: float) -> dict[str, Any]:
    """Return timeouts, and one try, as the arguments of a file system, by the library that it is of."""
    import fsspec

    kind = fsspec.get_filesystem_class(protocol)
    libraries = {base.__module__.partition(".")[0] for base in kind.__mro__}
    connect = min(timeout, 10.0)
    if "s3fs" in libraries:
        # Botocore's pool would let ten wait at once. Whole objects are read in one request, without asking for their
        # size before.
        config = {
            "connect_timeout": connect,
            "read_timeout": timeout,
            "retries": {"total_max_attempts": 1},
            "max_pool_connections": 64,
        }
        newer = {"max_concurrency": 1} if "max_concurrency" in signature(kind.__init__).parameters else {}
        return {"config_kwargs": config, **newer}
    if "obstore" in libraries:
        seconds = {"connect_timeout": f"{connect}s", "read_timeout": f"{timeout}s", "timeout": f"{PATIENCE * timeout}s"}
        return {"client_options": seconds, "retry_config": {"max_retries": 0}}
    if protocol in ("http", "https"):
        from aiohttp import ClientTimeout

        limits = ClientTimeout(total=None, sock_connect=connect, sock_read=timeout)
        return {"client_kwargs": {"timeout": limits}}
    return {}


def _merged(ours: dict[str, Any], given: Options) -> dict[str, Any]:
    """Return arguments in which what is given wins, also within dicts."""
    both = {key: _merged(ours[key], given[key]) for key in ours if isinstance(given.get(key), Mapping)}
    return {**ours, **given, **both}


def url_of(pattern: str, path: str) -> str:
    """Return the URL of a path that a file system has found by a pattern."""
    if is_url(path):
        return path
    parts = pattern.split("::")
    place = next(number for number, part in enumerate(parts) if is_url(part))
    parts[place] = f"{parts[place].partition('://')[0]}://{path}"
    return "::".join(parts)


def missing_package(url: str, error: ImportError) -> str:
    """Return what to install."""
    if "skcnn[remote]" in str(error):
        return str(error)
    from fsspec.registry import known_implementations

    for protocol in protocols_of(url):
        package = known_implementations.get(protocol, {}).get("class", "").partition(".")[0]
        if package and package != "fsspec":
            return f"{protocol}:// needs {package}: `pip install {package}`"
    return f"{url.partition('://')[0]}:// needs more than is installed ({error}): `pip install 'skcnn[remote]'`"
