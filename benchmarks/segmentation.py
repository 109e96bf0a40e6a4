"""Segmentation: what CNNSegmenter is worth on real images, and how long it takes.

    python benchmarks/segmentation.py pets --data pets370 --weights mobilenet.weights.h5 [--folds 5] [--breeds]
    python benchmarks/segmentation.py tiles --data pets370 --weights mobilenet.weights.h5

``pets`` reads ``images/``, ``masks/`` and ``index.csv`` (columns ``image_id``, ``breed``) and cross-validates with 5
folds: all of them, or the first ``--folds``; with ``--breeds`` no breed is in two folds. ``--set name=value`` changes a
parameter. Of each segmenter it prints the mean IoU of the pixels of a fold together, the same image by image, the F1 of
edges, seconds of fit and per image, and the peak of memory.

``tiles`` trains on the images as they are, puts many of them together to one of 4000 x 3000 pixels, and compares masks
made in windows of several sizes.

Without ``--weights`` the published weights are downloaded.
"""

from __future__ import annotations

import argparse
import ast
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.base import clone
from sklearn.model_selection import GroupKFold, KFold

from skcnn.datasets import load_mask_folder
from skcnn.images import as_masks
from skcnn.metrics import boundary_f1, mask_iou
from skcnn.segmentation import CNNSegmenter

#: Height and width of the large image.
LARGE = (3000, 4000)


def pets_of(data: Path) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Return images, masks and breeds."""
    X, y = load_mask_folder(data / "images", data / "masks")
    breed_of = pd.read_csv(data / "index.csv").set_index("image_id")["breed"]
    return X, y, breed_of[[Path(path).stem for path in y]].to_numpy()


def measure_pets(segmenter: CNNSegmenter, data: Path, n_folds: int, *, by_breed: bool) -> pd.DataFrame:
    """Return a row per fold, and the means."""
    X, y, breeds = pets_of(data)
    folds = GroupKFold(5).split(X, groups=breeds) if by_breed else KFold(5, shuffle=True, random_state=0).split(X)
    rows = []
    for train, test in list(folds)[:n_folds]:
        start = time.perf_counter()
        fitted = clone(segmenter).fit(X.iloc[train], y[train])
        seconds = time.perf_counter() - start
        start = time.perf_counter()
        found = fitted.predict(X.iloc[test])
        per_image = (time.perf_counter() - start) / len(test)
        rows.append(
            {
                "mean IoU": mask_iou(y[test], found),
                "per image": mask_iou(y[test], found, per_image=True),
                "edges": boundary_f1(y[test], found),
                "seconds of fit": seconds,
                "per image, seconds": per_image,
            }
        )
        print(pd.DataFrame(rows).tail(1).round(3).to_string(header=len(rows) == 1), flush=True)
    return pd.DataFrame(rows)


def constant_baselines(data: Path) -> dict[str, float]:
    """Return the mean IoU of all pixels as pet, and of the mean mask of the other folds."""
    y = pets_of(data)[1]
    masks = as_masks(y)
    labels = [masks.labels(row) for row in range(len(masks))]
    everywhere, mean_mask = [], []
    for train, test in KFold(5, shuffle=True, random_state=0).split(y):
        resized = [
            np.asarray(Image.fromarray(labels[row]).resize((224, 224), Image.Resampling.NEAREST)) for row in train
        ]
        mean = (np.mean(resized, axis=0) > 0.5).astype(np.uint8)
        true = [labels[row] for row in test]
        everywhere.append(mask_iou(true, [np.ones_like(mask) for mask in true]))
        sizes = [mask.shape[::-1] for mask in true]
        moved = [np.asarray(Image.fromarray(mean).resize(size, Image.Resampling.NEAREST)) for size in sizes]
        mean_mask.append(mask_iou(true, moved))
    return {"all pet": float(np.mean(everywhere)), "mean mask": float(np.mean(mean_mask))}


def measure_tiles(segmenter: CNNSegmenter, data: Path) -> pd.DataFrame:
    """Return how much masks of a large image differ by the size of windows, seconds and memory."""
    X, y, _ = pets_of(data)
    fitted = segmenter.fit(X.iloc[:300], y[:300])
    height, width = LARGE
    large = np.zeros((height, width, 3), np.uint8)
    generator, side = np.random.default_rng(0), 500
    for top in range(0, height, side):
        for left in range(0, width, side):
            with Image.open(X["path"].iloc[int(generator.integers(300, len(X)))]) as image:
                large[top : top + side, left : left + side] = np.asarray(image.convert("RGB").resize((side, side)))
    masks: dict[int, np.ndarray] = {}
    rows = []
    for tile in (512, 768, 1536):
        fitted.set_params(predict_size="original", tile_size=tile)
        start = time.perf_counter()
        masks[tile] = fitted.predict([large])[0]
        seconds = time.perf_counter() - start
        rows.append({"tile": tile, "seconds": seconds, "peak memory, GiB": peak_memory()})
    for row in rows:
        row["pixels unlike those of 1536"] = float((masks[int(row["tile"])] != masks[1536]).mean())
    return pd.DataFrame(rows)


def peak_memory() -> float:
    """Return the largest memory of this process so far, in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def given(text: str) -> tuple[str, Any]:
    """Return a parameter and its value from "name=value"."""
    name, _, value = text.partition("=")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("pets", "tiles", "constant"))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", default="pretrained", help="file of the network's weights")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--breeds", action="store_true", help="no breed is in two folds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", type=given, action="append", default=[], metavar="NAME=VALUE")
    options = parser.parse_args(arguments)
    if options.what == "constant":
        print(constant_baselines(options.data))
        return
    parameters = {"weights": options.weights, "random_state": options.seed, "verbose": 0, **dict(options.set)}
    segmenter = CNNSegmenter(**parameters)
    if options.what == "tiles":
        print(measure_tiles(segmenter, options.data).round(4).to_string(index=False))
        return
    table = measure_pets(segmenter, options.data, options.folds, by_breed=options.breeds)
    mean = table.mean().round(3).to_dict()
    print(dict(options.set), mean, f"standard deviation {table['mean IoU'].std(ddof=1):.3f}", flush=True)
    print(f"peak memory {peak_memory():.2f} GiB")


if __name__ == "__main__":
    main()
