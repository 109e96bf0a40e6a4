"""Archives on the network: downloaded, checked, unpacked, and put into place in one step."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tarfile
import time
import warnings
from http.client import HTTPException
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from skcnn._files import temporary_folder

logger = logging.getLogger(__name__)

_CHUNK = 1 << 20  # bytes
_TIMEOUT = 60  # seconds without a byte, after which a connection counts as broken


class RemoteArchive(NamedTuple):
    """A tar archive on the network, and how to know that one has got it.

    Attributes
    ----------
    url : str
        Where it is.
    folder : str
        The one folder that all its members lie in.
    n_bytes : int
        Its size.
    sha256 : str
        The SHA-256 digest of its bytes, in hexadecimal.
    """

    url: str
    folder: str
    n_bytes: int
    sha256: str


def fetch_archive(remote: RemoteArchive, home: Path, *, n_retries: int = 3, delay: float = 1.0) -> Path:
    """Download and unpack an archive, so that its folder appears in ``home`` whole or not at all.

    Everything happens in a temporary folder beside the final one; the last step is a rename, which is atomic. Where two
    processes fetch at the same time, the second finds the folder of the first and leaves it.

    Parameters
    ----------
    remote : RemoteArchive
        What to fetch.
    home : Path
        An existing folder.
    n_retries : int, default=3
        Number of retries when the connection fails.
    delay : float, default=1.0
        Seconds between retries.

    Returns
    -------
    Path
        The folder, ``home / remote.folder``.

    Raises
    ------
    OSError
        If the download fails, is not the expected archive, or has members that must not be unpacked.
    """
    folder = home / remote.folder
    with temporary_folder(home, f"{remote.folder}.part-") as temporary:
        archive = temporary / "archive"
        _download(remote, archive, home, n_retries, delay)
        unpacked = temporary / "unpacked"
        _unpack(archive, unpacked, remote.folder)
        try:
            os.rename(unpacked / remote.folder, folder)
        except OSError:
            if not folder.is_dir():
                raise
    return folder


def _download(remote: RemoteArchive, archive: Path, home: Path, n_retries: int, delay: float) -> None:
    logger.info("Downloading %s (%.0f MB)", remote.url, remote.n_bytes / 1e6)
    for tries_left in range(n_retries, -1, -1):
        try:
            with urlopen(remote.url, timeout=_TIMEOUT) as response, open(archive, "wb") as file:
                shutil.copyfileobj(response, file, _CHUNK)
            if archive.stat().st_size < remote.n_bytes:  # urllib tells nothing when a connection ends early
                raise ConnectionError(f"it ended after {archive.stat().st_size:,} of {remote.n_bytes:,} bytes")
            break
        except (URLError, TimeoutError, ConnectionError, HTTPException) as error:  # a full disk is not tried again
            gone = isinstance(error, HTTPError) and error.code < 500
            if gone or not tries_left:
                raise OSError(
                    f"The download of {remote.url} failed: {error}. Try again, or fetch the file by other means and "
                    f"unpack it in {str(home)!r}."
                ) from error
            warnings.warn(f"The download of {remote.url} failed ({error}); trying again.", stacklevel=4)
            time.sleep(delay)
    with open(archive, "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 != remote.sha256:
        raise OSError(
            f"{remote.url} gave another file than expected: its SHA-256 digest is {sha256}, not {remote.sha256}. "
            "Nothing was kept. A proxy or a login page can be the cause; a newer skcnn may know the new digest."
        )


def _unpack(archive: Path, target: Path, folder: str) -> None:
    # The data filter of tarfile is in Python from 3.11.4: the members are checked here as well, before any is written.
    options: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    with tarfile.open(archive) as tar:
        members = tar.getmembers()
        for member in members:
            reason = _reason_to_refuse(member, folder)
            if reason:
                raise OSError(f"The archive was not unpacked: its member {member.name!r} {reason}.")
        tar.extractall(target, members=members, **options)


def _reason_to_refuse(member: tarfile.TarInfo, folder: str) -> str | None:
    path = PurePosixPath(member.name)
    if not (member.isreg() or member.isdir()):
        return "is a link or a device, not a file or folder"
    if path.is_absolute() or PureWindowsPath(member.name).drive or "\\" in member.name:
        return "is an absolute path or has a backslash"
    if ".." in path.parts:
        return "leads out of its folder"
    if path.parts[:1] != (folder,):
        return f"does not lie in the folder {folder!r}"
    return None
