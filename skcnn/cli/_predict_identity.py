"""``skcnn predict`` with models of identities: who images are of, and whether two images are of one person."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skcnn._text import counted, printable_text
from skcnn.cli._common import write_table
from skcnn.cli._pairs import read_pairs

if TYPE_CHECKING:
    import pandas as pd


def recognizes(model: Any) -> bool:
    """Return whether a model says who an image is of."""
    return hasattr(model, "who_is_it")


def verifies(path: str) -> bool:
    """Return whether a file holds a model of pairs of images."""
    from skcnn.persistence import read_manifest

    return bool(read_manifest(path)["estimator"] == "FaceVerifier")


def predict_names(model: Any, paths: list[str], options: argparse.Namespace) -> None:
    """Print or write the name of each image, and the distance of the nearest identity."""
    import pandas as pd

    from skcnn.images import one_pass

    _refuse_top(options)
    with one_pass():
        labels = model.predict(paths)
        distance = model.threshold_ - model.decision_function(paths).max(axis=1)
    _show(pd.DataFrame({"path": paths, "label": labels, "distance": distance}), options)


def predict_pairs(options: argparse.Namespace) -> None:
    """Print or write whether the images of each row of a table with two columns are of one person."""
    from skcnn.persistence import load

    _refuse_top(options)
    table = _pairs(options)
    model = load(options.model)
    decision = model.decision_function(table.iloc[:, :2])
    shown = table.assign(same=(decision >= 0).astype(int), distance=model.threshold_ - decision)
    _show(shown, options)
    if options.output:
        print(f"{options.output}: {counted(len(table), 'pair')}")


def _pairs(options: argparse.Namespace) -> pd.DataFrame:
    if len(options.images) != 1 or Path(options.images[0]).suffix.lower() != ".csv":
        raise ValueError(
            f"{options.model} compares two images: give one .csv file with two columns of paths, a row per pair."
        )
    return read_pairs(options.images[0])


def _show(table: pd.DataFrame, options: argparse.Namespace) -> None:
    if options.output:
        write_table(table, options.output)
        return
    for row in table.itertuples(index=False):
        *texts, distance = row
        print("\t".join([*(printable_text(str(text)) for text in texts), f"{distance:.4f}"]))


def _refuse_top(options: argparse.Namespace) -> None:
    if options.top:
        raise ValueError(f"--top {options.top} needs a model of classes; {options.model} compares identities.")
