"""The tasks of peers.py: which images are trained on and tested, and what predictions are worth."""

from __future__ import annotations

import hashlib
import shutil
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

#: Probabilities below are taken for it, so that one image alone does not make a log-loss infinite.
LEAST = 1e-7


@dataclass(frozen=True)
class Task(ABC):
    """What is common to tasks: a fixed split, drawn once, whatever the seed of a run."""

    name: str
    kind: str
    default: tuple[int, int]

    def lay_out(
        self, data: Path, folder: Path, train: int | None, test: int | None, classes: int | None = None
    ) -> dict[str, Any]:
        """Copy the images into ``folder/train`` and ``folder/test``; return sizes, and a digest of their names."""
        sizes = {"train": train or self.default[0], "test": test or self.default[1]}
        parts = self.parts_of(data, sizes["train"], sizes["test"], classes)
        for part, names in parts.items():
            self.copy(data, folder / part, names)
        listed = "\n".join(f"{part} {name}" for part, names in parts.items() for name in names)
        return {
            **{part: len(names) for part, names in parts.items()},
            "digest": hashlib.sha256(listed.encode()).hexdigest()[:16],
        }

    @abstractmethod
    def parts_of(self, data: Path, train: int, test: int, classes: int | None) -> dict[str, list[str]]:
        """Return the names of the images to train on and to test."""

    @abstractmethod
    def copy(self, data: Path, folder: Path, names: Sequence[str]) -> None:
        """Write a part of the data."""

    @abstractmethod
    def score(self, folder: Path, paths: Sequence[str], predicted: np.ndarray) -> dict[str, Any]:
        """Return metrics of predictions."""


def drawn(names: Sequence[str], train: int, test: int) -> tuple[list[str], list[str]]:
    """Draw names for both parts."""
    order = np.random.default_rng(0).permutation(sorted(names))
    return sorted(map(str, order[:train])), sorted(map(str, order[train : train + test]))


class Classification(Task):
    """One folder per class; as many images of each."""

    def parts_of(self, data: Path, train: int, test: int, classes: int | None) -> dict[str, list[str]]:
        """Draw images of each class."""
        parts: dict[str, list[str]] = {"train": [], "test": []}
        for folder in sorted(path for path in data.iterdir() if path.is_dir())[:classes]:
            names = [f"{folder.name}/{path.name}" for path in folder.glob("*.jpg")]
            for part, some in zip(parts, drawn(names, train, test), strict=True):
                parts[part] += some
        return parts

    def copy(self, data: Path, folder: Path, names: Sequence[str]) -> None:
        """Copy images into folders per class."""
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(data / name, folder / name)

    def score(self, folder: Path, paths: Sequence[str], predicted: np.ndarray) -> dict[str, Any]:
        """Return accuracy and log-loss, and which images are wrong."""
        labels = np.array([Path(path).parent.name for path in paths])
        found = {str(Path(path).relative_to(folder / "test")) for path in paths}
        expected = {str(path.relative_to(folder / "test")) for path in (folder / "test").glob("*/*")}
        if found != expected:
            raise ValueError(f"Got predictions for {len(found)} images; expected {len(expected)}")
        order = np.argsort(paths)
        true = np.searchsorted(np.unique(labels), labels)[order]
        predicted = np.asarray(predicted, float)[order]
        losses = -np.log(np.maximum(predicted[np.arange(len(true)), true], LEAST))
        right = predicted.argmax(axis=1) == true
        return {
            "accuracy": float(right.mean()),
            "log_loss": float(losses.mean()),
            "log_loss_error": float(losses.std(ddof=1) / np.sqrt(len(losses))),
            "wrong": np.flatnonzero(~right).tolist(),
        }


class Segmentation(Task):
    """Images and masks in two folders."""

    def parts_of(self, data: Path, train: int, test: int, classes: int | None) -> dict[str, list[str]]:
        """Draw images."""
        names = drawn([path.stem for path in (data / "images").iterdir()], train, test)
        return dict(zip(("train", "test"), names, strict=True))

    def copy(self, data: Path, folder: Path, names: Sequence[str]) -> None:
        """Copy images and masks."""
        for kind in ("images", "masks"):
            (folder / kind).mkdir(parents=True)
            for name in names:
                (path,) = (data / kind).glob(f"{name}.*")
                shutil.copy(path, folder / kind)

    def score(self, folder: Path, paths: Sequence[str], predicted: np.ndarray) -> dict[str, Any]:
        """Return the mean IoU of all pixels of the test images."""
        from skcnn.metrics import mask_iou

        true = [str(next((folder / "test" / "masks").glob(f"{Path(path).stem}.*"))) for path in paths]
        return {"mean_iou": mask_iou(true, list(predicted))}


class Detection(Task):
    """A folder of Pascal VOC: a part of its two lists of images."""

    def parts_of(self, data: Path, train: int, test: int, classes: int | None) -> dict[str, list[str]]:
        """Draw images of each list."""
        lists = {"train": ("trainval", train), "test": ("test", test)}
        folder = data / "ImageSets" / "Main"
        return {part: drawn((folder / f"{name}.txt").read_text().split(), n, 0)[0] for part, (name, n) in lists.items()}

    def copy(self, data: Path, folder: Path, names: Sequence[str]) -> None:
        """Copy images and annotations."""
        for kind, ending in (("JPEGImages", "jpg"), ("Annotations", "xml")):
            (folder / kind).mkdir(parents=True)
            for name in names:
                shutil.copy(data / kind / f"{name}.{ending}", folder / kind)

    def score(self, folder: Path, paths: Sequence[str], predicted: np.ndarray) -> dict[str, Any]:
        """Return average precision, as COCO defines it."""
        from skcnn.datasets import load_voc
        from skcnn.metrics import average_precision

        X, y = load_voc(folder / "test", invalid="clip")
        found = {Path(path).name: boxes for path, boxes in zip(paths, predicted, strict=True)}
        boxes = [found[Path(path).name] for path in X["path"]]
        return {"ap50": average_precision(y, boxes, iou=0.5), "ap": average_precision(y, boxes)}


TASKS: dict[str, Task] = {
    "flowers5": Classification("flowers5", "classify", (20, 40)),
    "caltech30": Classification("caltech30", "classify", (10, 10)),
    "pets370": Segmentation("pets370", "segment", (24, 24)),
    "bccd": Detection("bccd", "detect", (60, 72)),
}
