"""``skcnn extract``: write the features of images to a table."""

from __future__ import annotations

import argparse
from typing import Any

from skcnn.cli._common import (
    add_command,
    add_data,
    add_features,
    features_from,
    load_data,
    table_path,
    write_table,
)


def add_to(commands: Any) -> None:
    extract = add_command(commands, "extract", run, "write the features of images to a table (.parquet or .csv)")
    add_data(extract)
    extract.add_argument(
        "-o", "--output", type=table_path, metavar="TABLE", required=True, help="such as features.parquet"
    )
    add_features(extract)


def run(options: argparse.Namespace) -> None:
    import pandas as pd

    dataset = load_data(options.data)
    X = dataset.frame[["path"]]
    features = features_from(options).set_output(transform="pandas").fit_transform(X)
    frame = pd.concat([X, pd.Series(dataset.target, index=X.index, name="label"), features], axis=1)
    write_table(frame, options.output)
    print(f"{options.output}: {features.shape[0]} images, {features.shape[1]} features")
