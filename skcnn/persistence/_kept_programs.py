"""Programs of files that have none: made once, and kept in the user's cache folder."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platformdirs import user_cache_path

from skcnn import __version__
from skcnn._archives import DAMAGE, open_archive, read_member
from skcnn._files import replacing
from skcnn.persistence._members import PROGRAM

if TYPE_CHECKING:
    from skcnn.programs import Program


def has_kept_programs() -> bool:
    """Tell whether any program was kept, at no cost."""
    return (user_cache_path("skcnn") / "programs").is_dir()


def kept_program(manifest: dict[str, Any]) -> Program | None:
    """Return the program that was kept of a file; None if there is none that is whole and runs here."""
    from skcnn.programs import Program, ProgramError

    path = _place(manifest)
    if not os.path.isfile(path):
        return None
    with contextlib.suppress(OSError, ImportError, ProgramError, ValueError, KeyError, *DAMAGE):
        with open(path, "rb") as file, open_archive(file, max_members=len(PROGRAM)) as archive:
            members = {name: read_member(archive, name) for name in archive.namelist()}
        return Program(members)
    return None


def keep_program(manifest: dict[str, Any], members: dict[str, bytes]) -> None:
    """Keep a program, if there is room."""
    path = _place(manifest)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as unfinished, zipfile.ZipFile(unfinished, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)


def _place(manifest: dict[str, Any]) -> Path:
    """Return where the program of a file is kept: by its content, and the version that makes it."""
    made_of = json.dumps([manifest["sha256"], __version__], sort_keys=True)
    digest = hashlib.sha256(made_of.encode()).hexdigest()[:32]
    return user_cache_path("skcnn") / "programs" / f"{digest}.zip"
