"""``skcnn predict``: predict the classes of images."""

from __future__ import annotations

import argparse
from typing import Any

from skcnn._text import printable_text
from skcnn.cli._arguments import model_path, whole_number
from skcnn.cli._common import add_command


def add_to(commands: Any) -> None:
    predict = add_command(commands, "predict", run, "predict the classes of images, as tab-separated lines")
    predict.add_argument("model", type=model_path, help="a file that `skcnn fit` wrote")
    predict.add_argument("images", nargs="+", metavar="IMAGE", help="image files or URLs")
    predict.add_argument(
        "--top", type=whole_number, default=1, metavar="K", help="the K most probable classes (default: %(default)s)"
    )


def run(options: argparse.Namespace) -> None:
    import numpy as np

    from skcnn.persistence import load

    pipeline = load(options.model)
    probabilities = pipeline.predict_proba(options.images)
    for path, row in zip(options.images, probabilities, strict=True):
        for index in np.argsort(-row, kind="stable")[: options.top]:
            print(f"{printable_text(path)}\t{printable_text(pipeline.classes_[index])}\t{row[index]:.4f}")
