"""The masks that a saved segmenter predicts: as PNG files, drawn on the images, or as fractions of pixels."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skcnn._text import counted, printable_text
from skcnn.cli._common import TABLE_WRITERS, write_table
from skcnn.cli._data import bad_images
from skcnn.cli._image_files import files_in, palette_image, write_image

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_AT_ONCE = 32
"""Images whose masks are in memory together."""


def segments(model: Any) -> bool:
    """Return whether a model, or the best one of a search, predicts masks."""
    from skcnn.segmentation import CNNSegmenter

    return isinstance(getattr(model, "best_estimator_", model), CNNSegmenter)


def predict_masks(model: Any, paths: list[str], options: argparse.Namespace) -> None:
    """Write the masks of images, draw them, or print which fraction of the pixels each class has."""
    import pandas as pd

    from skcnn._plot.masks import mask_colors, with_mask
    from skcnn.images import as_images

    if options.top:
        raise ValueError(f"--top {options.top} needs a model of classes; {options.model} predicts masks.")
    if options.min_score:
        raise ValueError(f"--min-score needs a detector; {options.model} predicts masks.")
    segmenter = getattr(model, "best_estimator_", model)
    is_table = options.output is not None and Path(options.output).suffix.lower() in TABLE_WRITERS
    masks = files_in(options.output, paths, ".png") if options.output and not is_table else None
    drawn = files_in(options.draw, paths, ".png") if options.draw else None
    if masks and drawn and {file.resolve() for file in masks} & {file.resolve() for file in drawn}:
        raise ValueError(f"-o and --draw both name {options.draw}; give two folders.")
    if len(paths) > _AT_ONCE and not options.skip_bad:
        _refuse_bad(paths, options)  # before anything is written
    fractions, colors = [], mask_colors(segmenter.classes_)
    for start in range(0, len(paths), _AT_ONCE):
        rows = range(start, min(start + _AT_ONCE, len(paths)))
        for row, mask in zip(rows, segmenter.predict([paths[row] for row in rows]), strict=True):
            fractions.append(_fractions(mask, segmenter.classes_))
            if masks:
                write_image(palette_image(mask, colors), masks[row], "PNG")
            if drawn:
                image = as_images([paths[row]]).decode(0, mask.shape, max_pixels=segmenter.max_pixels)
                write_image(with_mask(image, mask, colors), drawn[row], "PNG")
    table = pd.DataFrame(fractions, columns=[str(label) for label in segmenter.classes_])
    table.insert(0, "path", pd.Series(paths, dtype=object))
    if is_table:
        write_table(table, options.output)
    if drawn:
        print(f"{options.draw}: masks drawn on {counted(len(paths), 'image')}")
    elif not options.output:
        _print(table)


def _refuse_bad(paths: list[str], options: argparse.Namespace) -> None:
    import pandas as pd

    from skcnn.images import BadImageError

    if len(bad := bad_images(pd.Series(paths, dtype=object), options)):
        raise BadImageError(bad, len(paths))


def _fractions(mask: np.ndarray, classes: np.ndarray) -> np.ndarray:
    import numpy as np

    return np.asarray(np.bincount(mask.ravel(), minlength=256)[classes] / mask.size)


def _print(table: pd.DataFrame) -> None:
    """Print the fraction of pixels of each class that an image has, the largest first."""
    for path, *fractions in table.itertuples(index=False):
        found = zip(table.columns[1:], fractions, strict=True)
        for label, fraction in sorted(found, key=lambda pair: -pair[1]):
            if fraction > 0:
                print(f"{printable_text(path)}\t{label}\t{fraction:.4f}")
