"""A saved file as members and a manifest of their digests, read within bounds."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO, Any

from skcnn._archives import DAMAGE, open_archive, read_member
from skcnn._files import check_regular
from skcnn.persistence._errors import ModelFileError

FORMAT = 1

STATE = "estimator.skops"
MANIFEST = "manifest.json"
#: What :class:`skcnn.programs.Program` reads.
PROGRAM = ("program/about.json", "program/network.xml", "program/network.onnx", "program/network.bin")
MAX_MEMBERS = 256
_MAX_MANIFEST = 64 * 2**10
#: Where members lie beside the state and the manifest, and how their names end.
_ENDINGS = {"networks": (".keras",), "weights": (".weights.h5", ".h5", ".hdf5")}


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Give a file that is open for reading, once it is known to be one."""
    try:
        check_regular(path, "a file that skcnn.save wrote")
    except OSError as error:
        raise ModelFileError(str(error)) from None
    if os.path.isdir(path):
        raise ModelFileError(f"{os.fspath(path)} is a folder; expected a file that skcnn.save wrote")
    with open(path, "rb") as file:
        yield file


#: No room for temporary files, too many open files, no memory: a whole file is not to blame for these.
_OF_THE_MACHINE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM})


@contextmanager
def blamed(path: str | os.PathLike[str], verdict: str) -> Iterator[None]:
    """Say of whatever is raised that the file is to blame for it."""
    try:
        yield
    except (ModelFileError, ImportError, Warning):  # the environment's, and those that the user turned into errors
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _OF_THE_MACHINE:
            raise
        reason = "it is nested too deep" if isinstance(error, RecursionError) else str(error) or type(error).__name__
        raise ModelFileError(f"{os.fspath(path)} {verdict}: {reason}") from error


def manifest_of(path: str | os.PathLike[str], file: IO[bytes]) -> dict[str, Any]:
    """Return the manifest of a file that is open, in a format that this version reads."""
    with blamed(path, f"is not a file that skcnn.save wrote{_hint(file)}"):
        with open_archive(file, max_members=MAX_MEMBERS + 1) as archive:
            manifest = json.loads(read_member(archive, MANIFEST, _MAX_MANIFEST))
        file_format = manifest["format"]
        if type(file_format) is not int or file_format < 1:
            raise ValueError(f"its manifest is malformed: it has format {file_format!r}")
        digests = manifest["sha256"]
        if not isinstance(digests, dict) or not all(isinstance(digest, str) for digest in digests.values()):
            raise ValueError("its manifest is malformed: it has no digests")
    if file_format > FORMAT:
        versions = manifest.get("versions")
        needed = versions.get("skcnn") if isinstance(versions, dict) else None
        raise ModelFileError(
            f"{os.fspath(path)} has format {file_format}, and this skcnn reads formats up to {FORMAT}: install "
            f"skcnn {needed or 'of a later version'} or later."
        )
    return dict(manifest)


def _hint(file: IO[bytes]) -> str:
    """Return what a file may be instead."""
    start = file.read(8)
    file.seek(0)
    if start == b"\x89HDF\r\n\x1a\n":
        return " but an HDF5 file of Keras (a network is given as backbone=, weights as weights=)"
    if start[:2] == b"PK" and zipfile.is_zipfile(file):
        with contextlib.suppress(*DAMAGE), zipfile.ZipFile(file) as archive:
            if "config.json" in archive.namelist():
                return " but a Keras model (it is given as backbone=)"
    return ""


def read_members(file: IO[bytes], manifest: dict[str, Any], wanted: Iterable[str] | None = None) -> dict[str, bytes]:
    """Return the members of a file by name: all but its program, or those that are wanted."""
    members = {}
    with open_archive(file, max_members=MAX_MEMBERS + 1) as archive:
        for name in manifest["sha256"]:
            _check_name(name)
        names = [name for name in manifest["sha256"] if name not in PROGRAM] if wanted is None else wanted
        for name in names:
            members[name] = read_member(archive, name)
            if hashlib.sha256(members[name]).hexdigest() != manifest["sha256"].get(name):
                raise ValueError(f"{name} does not match its digest")
    if wanted is None and STATE not in members:
        raise ValueError(f"it has no {STATE}")
    return members


def _check_name(name: str) -> None:
    """See that a member is called as save calls them: a folder, a digest, and an ending from a fixed list."""
    folder, _, last = name.rpartition("/")
    digest, dot, ending = last.partition(".")
    if name not in (STATE, *PROGRAM) and not (
        folder in _ENDINGS and dot + ending in _ENDINGS[folder] and re.fullmatch("[0-9a-f]{64}", digest)
    ):
        raise ValueError(f"it has a member {name!r}, which is not a name that skcnn.save gives")
