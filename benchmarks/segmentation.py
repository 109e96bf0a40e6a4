"""Segmentation: what CNNSegmenter and InstanceSegmenter are worth on real images, and how long they take.

    python benchmarks/segmentation.py pets --data pets370 --weights mobilenet.weights.h5 [--folds 5] [--breeds]
    python benchmarks/segmentation.py tiles --data pets370 --weights mobilenet.weights.h5
    python benchmarks/segmentation.py instances --data pets370 --weights mobilenet.weights.h5 [--margins 0.0 0.1 0.2]

``pets`` reads ``images/``, ``masks/`` and ``index.csv`` (columns ``image_id``, ``breed``) and cross-validates with 5
folds: all of them, or the first ``--folds``; with ``--breeds`` no breed is in two folds. ``--set name=value`` changes a
parameter. Of each segmenter it prints the mean IoU of the pixels of a fold together, the same image by image, the F1 of
edges, seconds of fit (those of all cores beside them) and per image, and the peak of memory.

``tiles`` puts many images together to one of 4000 x 3000 pixels, predicts it in windows of several sizes, and compares
masks of a quarter of it with those of a single window.

``instances`` puts two pets in each image, one of them cut out and laid over the image of the other, trains on pets of
four folds and measures those of the fifth: average precision of boxes and of masks, also with the true boxes given.
With ``--margins`` the segmenter is trained once per margin, on the same detector. Of a parameter, ``--set`` takes the
name with ``detector__`` or ``segmenter__`` before it.

Without ``--weights`` the published weights are downloaded.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _reports import add_parameters
from PIL import Image
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GroupKFold, KFold

from skcnn.boxes import as_instances
from skcnn.datasets import load_mask_folder
from skcnn.detection import CNNDetector
from skcnn.images import as_masks
from skcnn.metrics import InstanceDisplay, average_precision, boundary_f1, mask_average_precision, mask_iou
from skcnn.segmentation import CNNSegmenter, InstanceSegmenter
from skcnn.segmentation._windows import windows_of

#: Height and width of the large image, the side of the images that it is made of, and sides of windows.
LARGE, SIDE, TILES = (3000, 4000), 500, (768, 1024)

#: Images that are trained on before; the large image is made of the others.
N_TRAINED = 300

#: Images of two pets that are trained on and measured, the longer side of each, and how much of a pet may be hidden.
N_COMPOSED, COMPOSED_SIDE, HIDDEN = (250, 100), 288, 0.3

#: Parts of an InstanceSegmenter that fit the time of a benchmark: a crop is small, and needs few pixels.
PARTS: dict[str, Any] = {"segmenter__image_size": 128, "segmenter__head_epochs": 8}


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


def pets_in_twos(X: pd.DataFrame, y: np.ndarray, n_images: int, seed: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Return images of two pets each, and boxes with masks; labels are species."""
    species = pd.read_csv(Path(X["path"].iloc[0]).parents[1] / "index.csv", dtype=str).set_index("image_id")["species"]
    generator = np.random.default_rng(seed)
    images, tables = [], []
    while len(images) < n_images:
        below, above = generator.choice(len(X), 2, replace=False)
        pixels, first = pet_of(X["path"].iloc[below], y[below], COMPOSED_SIDE)
        shorter = min(first.shape)
        other, second = pet_of(X["path"].iloc[above], y[above], int(generator.uniform(0.5, 0.9) * shorter), cut=True)
        room = np.array(first.shape) - second.shape
        for _ in range(20):
            top, left = (int(generator.integers(side + 1)) for side in room)
            place = slice(top, top + second.shape[0]), slice(left, left + second.shape[1])
            laid = np.zeros(first.shape, bool)
            laid[place] = second
            if (first & laid).sum() <= HIDDEN * first.sum():
                break
        else:
            continue  # there is no room beside the first one
        pixels[place][second] = other[second]
        images.append(pixels)
        masks = [first & ~laid, laid]
        labels = [species[Path(X["path"].iloc[row]).stem] for row in (below, above)]
        rows = [[label, *box_of(mask)] for label, mask in zip(labels, masks, strict=True)]
        tables.append(pd.DataFrame(rows, columns=["label", "xmin", "ymin", "xmax", "ymax"]).assign(mask=masks))
    return images, as_instances(tables, images)


def pet_of(path: str, mask_path: str, side: int, *, cut: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels and the mask of a pet, or of its box alone, resized to a longer side."""
    with Image.open(path) as image, Image.open(mask_path) as mask:
        pixels, inside = image.convert("RGB"), Image.fromarray(np.asarray(mask).astype(np.uint8))
    if cut:
        xmin, ymin, xmax, ymax = box_of(np.asarray(inside) > 0)
        pixels, inside = pixels.crop((xmin, ymin, xmax, ymax)), inside.crop((xmin, ymin, xmax, ymax))
    scale = side / max(pixels.size)
    size = max(1, round(pixels.width * scale)), max(1, round(pixels.height * scale))
    return np.array(pixels.resize(size)), np.array(inside.resize(size, Image.Resampling.NEAREST)) > 0


def box_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Return the least box around a mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def measure_instances(
    instances: InstanceSegmenter, data: Path, margins: list[float], seed: int, figure: Path | None
) -> pd.DataFrame:
    """Return a row per way to find masks: average precision of boxes and masks."""
    X, y, _ = pets_of(data)
    train, test = next(iter(KFold(5, shuffle=True, random_state=0).split(X)))
    X_train, y_train = pets_in_twos(X.iloc[train], y[train], N_COMPOSED[0], seed)
    X_test, y_test = pets_in_twos(X.iloc[test], y[test], N_COMPOSED[1], seed)
    start = time.perf_counter()
    detector = FrozenEstimator(clone(instances.detector).fit(X_train, y_train))
    print(f"detector fitted in {time.perf_counter() - start:.0f} seconds", flush=True)
    boxes = detector.predict(X_test)
    rows = [
        scores_of(y_test, filled(boxes)) | {"masks": "boxes, filled"},
        scores_of(y_test, filled(y_test)) | {"masks": "true boxes, filled"},
    ]
    for margin in margins:
        start = time.perf_counter()
        fitted = clone(instances).set_params(detector=detector, margin=margin).fit(X_train, y_train)
        seconds = time.perf_counter() - start
        start = time.perf_counter()
        found = fitted.predict(X_test)
        per_image = (time.perf_counter() - start) / len(X_test)
        given_boxes = fitted.predict_masks(X_test, [table.assign(score=1.0) for table in y_test])
        rows.append(
            scores_of(y_test, found)
            | {"masks": f"margin={margin}", "seconds of fit": seconds, "seconds per image": per_image}
        )
        rows.append(scores_of(y_test, given_boxes) | {"masks": f"margin={margin}, true boxes"})
        print(pd.DataFrame(rows[-2:]).round(3).to_string(header=False), flush=True)
    if figure is not None:
        InstanceDisplay.from_predictions(y_test, found, X=X_test).plot().figure_.savefig(figure, dpi=100)
    return pd.DataFrame(rows).set_index("masks")


def filled(tables: Any) -> list[pd.DataFrame]:
    """Return boxes whose masks are all of their pixels."""
    return [
        table.assign(
            score=table.get("score", 1.0),
            mask=[
                np.ones((int(np.ceil(ymax)) - int(ymin), int(np.ceil(xmax)) - int(xmin)), bool)
                for xmin, ymin, xmax, ymax in table[["xmin", "ymin", "xmax", "ymax"]].itertuples(index=False)
            ],
        )
        for table in tables
    ]


def scores_of(y_true: Any, y_pred: Any) -> dict[str, Any]:
    """Return average precision of boxes and of masks."""
    return {
        "box AP": average_precision(y_true, y_pred),
        "box AP50": average_precision(y_true, y_pred, iou=0.5),
        "mask AP": mask_average_precision(y_true, y_pred),
        "mask AP50": mask_average_precision(y_true, y_pred, iou=0.5),
    }


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


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("pets", "tiles", "constant", "instances"))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", default="pretrained", help="file of the network's weights")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--breeds", action="store_true", help="no breed is in two folds")
    parser.add_argument("--margins", type=float, nargs="+", default=[0.1], help="of an InstanceSegmenter")
    parser.add_argument("--figure", type=Path, help="PNG file of the worst images, of the last margin")
    parser.add_argument("--seed", type=int, default=0)
    add_parameters(parser)
    options = parser.parse_args(arguments)
    if options.what == "constant":
        print(constant_baselines(options.data))
        return
    if options.what == "instances":
        given_to_both = {"weights": options.weights, "random_state": options.seed, "verbose": 0}
        instances = InstanceSegmenter(CNNDetector(**given_to_both), CNNSegmenter(**given_to_both))
        instances.set_params(**{**PARTS, **dict(options.set)})
        table = measure_instances(instances, options.data, options.margins, options.seed, options.figure)
        print(table.round(3).to_string(na_rep=""))
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
