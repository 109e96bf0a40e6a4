"""``skcnn extract``: write the features of images to a table."""

from __future__ import annotations

import argparse
from typing import Any

from skcnn.cli._common import add_command, add_features, add_profile, features_from, table_path, write_table
from skcnn.cli._data import add_data, add_skip_bad, images_text, load_data


def add_to(commands: Any) -> None:
    extract = add_command(
        commands,
        "extract",
        run,
        "write the features of images to a table (.parquet, .csv or .jsonl)",
        epilog="Images without labels (in a folder without folders, or a .csv without a column of labels) make a\n"
        "table without labels.",
    )
    add_data(extract)
    extract.add_argument(
        "-o", "--output", type=table_path, metavar="TABLE", required=True, help="such as features.parquet"
    )
    add_skip_bad(extract)
    add_profile(extract)
    add_features(extract)


def run(options: argparse.Namespace) -> None:
    import pandas as pd

    dataset = load_data(options, needs_labels=False)
    X = dataset.frame[["path"]]
    features = features_from(options).set_output(transform="pandas").fit_transform(X)
    labels = [] if dataset.target is None else [pd.Series(dataset.target, index=X.index, name="label")]
    write_table(pd.concat([X, *labels, features], axis=1), options.output)
    print(f"{options.output}: {images_text(dataset)}, {features.shape[1]} features")
