"""The data sets and networks of the evidence scripts: folders of images, and weights, that the command line names."""

from __future__ import annotations

import argparse
import io
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

#: Training and test images of CIFAR-10 where a network takes them at 224 x 224.
CIFAR_ROWS = (10_000, 5_000)

DATA = ("flowers5", "caltech30", "pets370 species", "pets370 breed", "CIFAR-10", "CIFAR-10 whole")
NETWORKS = ("MobileNetV2", "MobileNet", "MobileNet 0.25", "SqueezeNet", "ResNet20")


@dataclass
class Images:
    """Images and their classes.

    Attributes
    ----------
    X : list of str, or ndarray of shape (n, height, width, 3), uint8
    y : ndarray of shape (n,)
    n_train : int or None
        The first rows are the official training set; None where there is no official split.
    """

    X: Any
    y: np.ndarray
    n_train: int | None = None

    def folds(self, n_folds: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return rows to train on and to test on: the official split, or stratified folds, shuffled with seed 0."""
        from sklearn.model_selection import StratifiedKFold

        if self.n_train is not None:
            return [(np.arange(self.n_train), np.arange(self.n_train, len(self.y)))]
        return list(StratifiedKFold(n_folds, shuffle=True, random_state=0).split(self.y, self.y))

    def take(self, rows: np.ndarray) -> Any:
        """Return the images of these rows."""
        return self.X[rows] if isinstance(self.X, np.ndarray) else [self.X[row] for row in rows]


def load_images(name: str, data: Path, *, only_y: bool = False) -> Images:
    """Load one of ``DATA`` from a folder that has ``flowers5/``, ``caltech30/``, ``pets370/`` and ``cifar10/``.

    Images of files are loaded as their paths; ``only_y`` decodes none of the others either.
    """
    if name.startswith("pets370"):
        index = pd.read_csv(data / "pets370" / "index.csv")
        files = [str(data / "pets370" / "images" / f"{one}.jpg") for one in index["image_id"]]
        return Images(files, index[name.split()[1]].to_numpy(str))
    if name.startswith("CIFAR-10"):
        rows = None if "whole" in name else CIFAR_ROWS
        return cifar_images(data / "cifar10" / "cifar10_jpeg.npz", rows, only_y=only_y)
    from skcnn.datasets import load_image_folder

    dataset = load_image_folder(data / name)
    return Images(list(dataset.data["path"]), np.asarray(dataset.target, str))


def cifar_images(path: Path, rows: tuple[int, int] | None, *, only_y: bool = False) -> Images:
    """Return CIFAR-10: the first rows of either part, which lie in a fixed random order."""
    X, y = [], []
    with np.load(path) as archive:
        for part, count in zip(("train", "test"), rows or (None, None), strict=True):
            y.append(archive[f"{part}_y"][:count])
            if not only_y:
                held, starts = archive[f"{part}_jpeg"].tobytes(), archive[f"{part}_offset"].astype(int)
                pairs = itertools.pairwise(starts[: len(y[-1]) + 1])
                X += [np.asarray(Image.open(io.BytesIO(held[low:high])).convert("RGB")) for low, high in pairs]
    return Images(None if only_y else np.stack(X), np.concatenate(y).astype(np.int64), len(y[0]))


def network(name: str, weights: Path, built: Path) -> dict[str, Any]:
    """Return the parameters ``backbone`` and ``weights`` of one of ``NETWORKS``.

    Parameters
    ----------
    name : str
    weights : Path
        Folder of weight files. A network whose file is not there has the weights that Keras downloads.
    built : Path
        Folder for networks that Keras has no name for: pixels in [0, 255] go in.
    """
    files = {
        "MobileNetV2": "mobilenet_v2_1.0_224.weights.h5",
        "MobileNet": "mobilenet_v1_1.0_224_f16.weights.h5",
    }
    if name == "ResNet20":
        return {"backbone": name, "weights": "cifar10"}
    if name in files:
        path = weights / files[name]
        return {"backbone": name, "weights": str(path) if path.exists() else "pretrained"}
    path = built / f"{name.replace(' ', '_')}.keras"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        {"MobileNet 0.25": _small_mobilenet, "SqueezeNet": _squeezenet}[name](weights).save(path)
    return {"backbone": str(path), "weights": "pretrained"}


def _small_mobilenet(weights: Path) -> Any:
    import keras

    pixels = keras.Input((224, 224, 3))
    scaled = keras.layers.Rescaling(1 / 127.5, -1)(pixels)
    whole = keras.applications.MobileNet(
        alpha=0.25, weights=str(weights / "mobilenet_v1_0.25_224_keras.weights.h5"), input_shape=(224, 224, 3)
    )
    base = keras.applications.MobileNet(alpha=0.25, weights=None, include_top=False, input_tensor=scaled)
    for layer in base.layers:
        if layer.weights:
            layer.set_weights(whole.get_layer(layer.name).get_weights())
    return base


def _squeezenet(weights: Path) -> Any:
    import keras

    whole = keras.models.load_model(weights / "squeezenet_v1.0_imagenet.keras")
    return keras.Model(whole.inputs, whole.get_layer("fire9_concat").output)


def add_folders(parser: argparse.ArgumentParser) -> None:
    """Add what every evidence script is given: where data, weights and the cache are."""
    parser.add_argument("data", type=Path, help="folder that has flowers5/, caltech30/, pets370/ and cifar10/")
    parser.add_argument("--weights", type=Path, default=Path("weights"), help="folder of the networks' weights")
    parser.add_argument("--cache", type=Path, default=Path("evidence-cache"), help="folder for features (resumed)")
    parser.add_argument("--minutes", type=float, help="begin no row after so many minutes; the next call goes on")
