"""Segmentation: what CNNSegmenter is worth on real images, and how long it takes.

    python benchmarks/segmentation.py pets --data pets370 --weights mobilenet.weights.h5 [--folds 5] [--breeds]
    python benchmarks/segmentation.py tiles --data pets370 --weights mobilenet.weights.h5

``pets`` reads ``images/``, ``masks/`` and ``index.csv`` (columns ``image_id``, ``breed``) and cross-validates with 5
folds: all of them, or the first ``--folds``; with ``--breeds`` no breed is in two folds. ``--set name=value`` changes a
parameter. Of each segmenter it prints the mean IoU of the pixels of a fold together, the same image by image, the F1 of
edges, seconds of fit (those of all cores beside them) and per image, and the peak of memory.

``tiles`` puts many images together to one of 4000 x 3000 pixels, predicts it in windows of several sizes, and compares
masks of a quarter of it with those of a single window.

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
from skcnn.segmentation._windows import windows_of

#: Height and width of the large image, the side of the images that it is made of, and sides of windows.
LARGE, SIDE, TILES = (3000, 4000), 500, (768, 1024)

#: Images that are trained on before; the large image is made of the others.
N_TRAINED = 300


def pets_of(data: Path) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Return images, masks and breeds."""
    X, y = load_mask_folder(data / "images", data / "masks")
    breed_of = pd.read_csv(data / "index.csv", dtype=str).set_index("image_id")["breed"]
    return X, y, breed_of[[Path(path).stem for path in y]].to_numpy()


def measure_pets(segmenter: CNNSegmenter, data: Path, n_folds: int, *, by_breed: bool) -> pd.DataFrame:
    """Return a row per fold, and the means."""
    X, y, breeds = pets_of(data)
    folds = GroupKFold(5).split(X, groups=breeds) if by_breed else KFold(5, shuffle=True, random_state=0).split(X)
    rows = []
    for train, test in list(folds)[:n_folds]:
        start, work = time.perf_counter(), time.process_time()
        fitted = clone(segmenter).fit(X.iloc[train], y[train])
        seconds, work = time.perf_counter() - start, time.process_time() - work
        start = time.perf_counter()
        found = fitted.predict(X.iloc[test])
        per_image = (time.perf_counter() - start) / len(test)
        rows.append(
            {
                "mean IoU": mask_iou(y[test], found),
                "per image": mask_iou(y[test], found, per_image=True),
                "edges": boundary_f1(y[test], found),
                "seconds of fit": seconds,
                "of processors": work,
                "seconds per image": per_image,
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
    """Return seconds and memory for a large image, and how masks of one of half the size differ from one window's."""
    X, y, _ = pets_of(data)
    fitted = segmenter.fit(X.iloc[:N_TRAINED], y[:N_TRAINED]).set_params(predict_size="original")
    large = collage(X["path"].iloc[N_TRAINED:].tolist())
    half = large[: LARGE[0] // 2, : LARGE[1] // 2]
    rows = []
    for tile in TILES:
        fitted.set_params(tile_size=tile)
        start = time.perf_counter()
        fitted.predict([large])
        seconds = time.perf_counter() - start
        rows.append({"tile": tile, "seconds": seconds, "peak memory, GiB": peak_memory()})
    in_tiles = [fitted.set_params(tile_size=tile).predict([half])[0] for tile in TILES]
    whole = fitted.set_params(tile_size=-(-max(half.shape[:2]) // 32) * 32).predict([half])[0]
    for row, mask in zip(rows, in_tiles, strict=True):
        near = near_seams(half.shape[:2], int(row["tile"]))
        row["other pixels than in one window"] = float((mask != whole).mean())
        row["within 16 pixels of a seam"] = float((mask != whole)[near].mean()) if near.any() else 0.0
    return pd.DataFrame(rows)


def collage(paths: list[str]) -> np.ndarray:
    """Return a large image that is made of others."""
    height, width = LARGE
    pixels, generator = np.zeros((height, width, 3), np.uint8), np.random.default_rng(0)
    for top in range(0, height, SIDE):
        for left in range(0, width, SIDE):
            with Image.open(paths[int(generator.integers(len(paths)))]) as image:
                pixels[top : top + SIDE, left : left + SIDE] = np.asarray(image.convert("RGB").resize((SIDE, SIDE)))
    return pixels


def near_seams(size: tuple[int, int], tile: int) -> np.ndarray:
    """Return which pixels of an image lie within 16 of a seam of windows, as they overlap by default."""
    near = np.zeros(size, bool)
    for window in windows_of(size, (tile, tile), tile // 4):
        top, left = window.rows.start, window.columns.start
        near[max(0, top - 16) : top + 16 if top else 0] = True
        near[:, max(0, left - 16) : left + 16 if left else 0] = True
    return near


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
