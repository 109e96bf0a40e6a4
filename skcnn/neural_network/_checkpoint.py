"""Checkpoints: a run saves its state atomically after every epoch, and resumes from it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from skcnn._files import check_regular, replacing
from skcnn.images import Images
from skcnn.neural_network._training import Progress

FORMAT = 1
_LISTS = ("base", "head", "optimizer", "best_base", "best_head")


class CheckpointError(ValueError):
    """A checkpoint is damaged, or belongs to another run."""


class Checkpoint:
    """The file of one run in a folder of checkpoints; each run of a search has its own there.

    Parameters
    ----------
    folder : path-like
        Created if it does not exist.
    run_id : str
        Digest of the parameters and the data of the run.
    """

    def __init__(self, folder: str | os.PathLike[str], run_id: str):
        self.run_id = run_id
        self.path = Path(folder).expanduser() / f"{run_id[:24]}.npz"

    def load(self) -> Progress | None:
        """Return the saved state of the run, or None if there is none.

        Raises
        ------
        CheckpointError
            If the file is damaged, or belongs to another run.
        """
        try:
            check_regular(self.path, "a checkpoint")
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CheckpointError(f"checkpoint={str(self.path.parent)!r}: {error}. Give another folder.") from None
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as archive:
                state = json.loads(str(archive["state"]))
                if state["format"] != FORMAT or state["run_id"] != self.run_id:
                    raise CheckpointError(
                        f"{self.path} is the checkpoint of another run, or of another version of skcnn: give another "
                        "folder as checkpoint=, or delete the file to begin anew."
                    )
                lists: dict[str, Any] = {
                    name: [archive[f"{name}_{index}"] for index in range(state["lengths"][name])] for name in _LISTS
                }
                return Progress(**lists, **state["progress"])
        except (KeyError, TypeError, ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            if isinstance(error, CheckpointError):
                raise
            raise CheckpointError(f"The checkpoint {self.path} is damaged: {error}. Delete it to begin anew.") from None

    def save(self, progress: Progress) -> None:
        """Save the state of the run."""
        state = {
            "format": FORMAT,
            "run_id": self.run_id,
            "lengths": {name: len(getattr(progress, name)) for name in _LISTS},
            "progress": {
                "history": progress.history,
                "phase": progress.phase,
                "epoch": progress.epoch,
                "finished": progress.finished,
            },
        }
        arrays = {f"{name}_{index}": value for name in _LISTS for index, value in enumerate(getattr(progress, name))}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # An open file: to a path NumPy would add an ending.
        with replacing(self.path) as unfinished, open(unfinished, "wb") as file:
            np.savez(file, state=np.array(json.dumps(state)), **arrays)


def run_identity(parameters: list[Any], images: Images, *arrays: np.ndarray) -> str:
    """Return the fingerprint of a run: a digest of its parameters, images and other arrays.

    A file counts by its path, size and time of change: reading all of them again would take as long as an epoch.
    """
    digest = hashlib.sha256(json.dumps(parameters, default=str).encode())
    for array in arrays:
        digest.update(f"{array.shape} {array.dtype.str}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    for row in range(len(images)):
        try:
            digest.update(_row_identity(images, row))
        except (ValueError, TypeError, OSError) as error:  # no image, which on_error="nan" leaves out
            digest.update(type(error).__name__.encode())
    return digest.hexdigest()


def _row_identity(images: Images, row: int) -> bytes:
    path = images.path(row)
    if path is None:
        return images.digest(row)
    if "://" in path:
        return path.encode()
    status = os.stat(path)
    return f"{os.path.abspath(path)} {status.st_size} {status.st_mtime_ns}".encode()
