"""What a saved detector finds in images: as lines, as a table, as COCO's JSON, or drawn."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skcnn._files import replacing
from skcnn._text import counted, printable_text
from skcnn.cli._common import write_table
from skcnn.cli._image_files import files_in, write_image

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

COCO = ".json"
_SHOWN_FROM = 0.3
"""Least score of boxes that are shown, unless another is given: average precision wants more of them than people do."""

_QUALITY = 92


def is_coco(path: str | None) -> bool:
    """Tell whether a file is to be written as COCO's JSON."""
    return path is not None and path.lower().endswith(COCO)


def predict_boxes(detector: Any, paths: list[str], options: argparse.Namespace) -> None:
    """Print, write or draw the boxes in images, as the options say."""
    from skcnn.boxes import as_boxes, as_instances

    if options.top:
        raise ValueError(f"--top {options.top} needs a model of classes; {options.model} finds boxes.")
    files = files_in(options.draw, paths, ".jpg") if options.draw else None
    found = detector.predict(paths)
    found = (as_instances if any("mask" in table for table in found) else as_boxes)(found)
    if options.output:
        written = _from_score(found, options.min_score or 0.0)
        if is_coco(options.output):
            _write_coco(written, paths, options.output)
        else:
            write_table(_table(written, paths), options.output)
    shown = _from_score(found, options.min_score or _SHOWN_FROM)
    if files is not None:
        _draw(shown, paths, files)
        print(f"{options.draw}: {counted(sum(map(len, shown)), 'box')} in {counted(len(paths), 'image')}")
    elif not options.output:
        _print(shown, paths)


def _from_score(found: np.ndarray, least: float) -> np.ndarray:
    import numpy as np

    kept = np.empty(len(found), object)
    for row, boxes in enumerate(found):
        kept[row] = boxes[boxes["score"] >= least].reset_index(drop=True)
    return kept


def _print(found: np.ndarray, paths: list[str]) -> None:
    for path, boxes in zip(paths, found, strict=True):
        for box in boxes.itertuples():
            corners = (f"{value:.1f}" for value in (box.xmin, box.ymin, box.xmax, box.ymax))
            print("\t".join([printable_text(path), printable_text(box.label), f"{box.score:.4f}", *corners]))


def _table(found: np.ndarray, paths: list[str]) -> pd.DataFrame:
    """Return one row per box; an image without boxes has one that says so, as annotations do."""
    import pandas as pd

    columns = ["label", "score", "xmin", "ymin", "xmax", "ymax"]
    empty = pd.DataFrame([[None] + [float("nan")] * 5], columns=columns)
    parts = [
        (boxes if len(boxes) else empty)[columns].assign(path=path) for path, boxes in zip(paths, found, strict=True)
    ]
    return pd.concat(parts, ignore_index=True)[["path", *columns]]


def _write_coco(found: np.ndarray, paths: list[str], output: str) -> None:
    from skcnn.boxes import boxes_to_coco

    has_masks = any("mask" in table.columns for table in found)
    coco = boxes_to_coco(found, paths, masks=has_masks)
    with replacing(output, durable=False) as unfinished, open(unfinished, "w", encoding="utf-8") as file:
        json.dump(coco, file)


def _draw(found: np.ndarray, paths: list[str], files: list[Path]) -> None:
    """Write each image with its boxes, and with the masks in them if the model finds these."""
    from skcnn._plot.boxes import with_boxes
    from skcnn._plot.masks import rgb, with_mask
    from skcnn._plot.theme import SERIES
    from skcnn.boxes import COORDINATES, box_arrays, sorted_labels, whole_masks
    from skcnn.images import as_images

    images = as_images(paths)
    color_of = {
        label: SERIES[place % len(SERIES)] for place, label in enumerate(sorted_labels(box_arrays(found).label))
    }
    for row, (boxes, file) in enumerate(zip(found, files, strict=True)):
        boxes = boxes[::-1]  # the best on top
        image = images.decode(row, images.size(row))
        if "mask" in boxes:
            for label, mask in zip(boxes["label"], whole_masks(boxes, image.shape[:2]), strict=True):
                image = with_mask(image, mask, {1: rgb(color_of[label])})
        drawn = with_boxes(
            image,
            boxes[COORDINATES].to_numpy(float),
            [color_of[label] for label in boxes["label"]],
            [f"{label} {score:.2f}" for label, score in zip(boxes["label"], boxes["score"], strict=True)],
        )
        write_image(drawn, file, "JPEG", quality=_QUALITY)
