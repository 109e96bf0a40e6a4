"""Checkpoints: a run saves its state atomically after every epoch, and resumes from it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
import zlib
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np

from skcnn._files import check_regular, replacing
from skcnn._training._devices import scaling_of_runs
from skcnn._training._graphs import Weights
from skcnn._training._runs import Progress
from skcnn.cache import FeatureCache, MemoryCache
from skcnn.images import BadRow, Images

FORMAT = 2


class CheckpointError(ValueError):
    """A checkpoint is damaged, or belongs to another run."""


def check_resumable(checkpoint: Any, random_state: Any) -> None:
    """Raise an error unless a run with a checkpoint has a seed, by which it is known again."""
    if not isinstance(random_state, Integral):
        raise ValueError(
            f"checkpoint={checkpoint!r} with random_state={random_state!r}; resuming requires an integer random_state."
        )


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
                        "folder as checkpoint=, or delete the file to start again."
                    )
                lists = {
                    name: [archive[f"{name}/{index}"] for index in range(length)]
                    for name, length in state["lengths"].items()
                }
                return Progress(
                    weights=_group(lists, "weights"),
                    best=_group(lists, "best"),
                    optimizer=lists["optimizer"],
                    **state["progress"],
                )
        except (KeyError, TypeError, ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            if isinstance(error, CheckpointError):
                raise
            raise CheckpointError(
                f"The checkpoint {self.path} is damaged: {error}. Delete it to start again."
            ) from None

    def save(self, progress: Progress) -> None:
        """Save the state of the run."""
        lists = {
            "optimizer": progress.optimizer,
            **{f"weights/{name}": values for name, values in progress.weights.items()},
            **{f"best/{name}": values for name, values in progress.best.items()},
        }
        state = {
            "format": FORMAT,
            "run_id": self.run_id,
            "lengths": {name: len(values) for name, values in lists.items()},
            "progress": {
                "history": progress.history,
                "phase": progress.phase,
                "epoch": progress.epoch,
                "finished": progress.finished,
            },
        }
        arrays: dict[str, Any] = {
            f"{name}/{index}": value for name, values in lists.items() for index, value in enumerate(values)
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # An open file: to a path NumPy would add an ending.
        with replacing(self.path) as unfinished, open(unfinished, "wb") as file:
            np.savez(file, state=np.array(json.dumps(state)), **arrays)


def _group(lists: dict[str, list[np.ndarray]], kind: str) -> Weights:
    """Return the groups of weights of one kind."""
    start = f"{kind}/"
    return {name.removeprefix(start): values for name, values in lists.items() if name.startswith(start)}


def run_identity(
    parameters: list[Any], images: Images, *arrays: np.ndarray, cache: MemoryCache | FeatureCache | None = None
) -> str:
    """Return the fingerprint of a run: a digest of its parameters, images and other arrays.

    With a cache an image counts by its content, whose digest the cache knows. Without, a file counts by its path, size
    and time of change: reading all of them again would take as long as an epoch.
    """
    if (scaling := scaling_of_runs()) != 1:
        parameters = [*parameters, ["scaling", scaling]]
    digest = hashlib.sha256(json.dumps(parameters, default=str).encode())
    for array in arrays:
        digest.update(f"{array.shape} {array.dtype.str}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    if cache is not None:
        for _, content in cache.digests(images, range(len(images))):
            digest.update(b"no image" if isinstance(content, BadRow) else content)
        return digest.hexdigest()
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
