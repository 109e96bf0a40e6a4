"""``skcnn extract``: write the features of images to a table, or in parts."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from skcnn._text import counted
from skcnn._timing import timed
from skcnn.cli._arguments import output_folder, whole_number
from skcnn.cli._common import (
    TABLE_WRITERS,
    add_command,
    add_features,
    add_profile,
    features_from,
    table_path,
    verbose,
    write_table,
)
from skcnn.cli._data import add_data, add_skip_bad, images_text, is_shards, load_data, load_shards
from skcnn.cli._features_in_parts import write_network


def add_to(commands: Any) -> None:
    extract = add_command(
        commands,
        "extract",
        run,
        "write the features of images to a table (.parquet, .csv or .jsonl), or in parts to a folder",
        epilog="Images without labels (in a folder without subfolders, or a .csv without a column of labels) make a\n"
        "table without labels.\n\n"
        "With --rows-per-part the output is a folder (or a URL) of Parquet files, each of which appears only when it\n"
        "is complete. After an interruption, the same command continues where it stopped. Memory does not grow with\n"
        "the number of images. `skcnn fit` trains on the folder; load_features of skcnn.distributed reads it.\n\n"
        "examples:\n"
        "  skcnn extract flowers/ -o features.parquet\n"
        "  skcnn extract flowers/ -o features.csv --cache features/\n"
        "  skcnn extract flowers/ -o parts/ --rows-per-part 10000\n"
        "  skcnn extract 'train-*.tfrecord' -o parts/ --rows-per-part 10000 --workers 4",
    )
    add_data(extract, shards=True)
    extract.add_argument(
        "-o", "--output", type=_output, metavar="OUTPUT", required=True, help="such as features.parquet, or a folder"
    )
    add_skip_bad(extract)
    add_profile(extract)
    parts = extract.add_argument_group("in parts")
    parts.add_argument("--rows-per-part", type=whole_number, metavar="N", help="images per file, such as 10000")
    parts.add_argument(
        "--workers",
        type=whole_number,
        metavar="N",
        help="Dask processes to start on this machine (default: none, this process does the work)",
    )
    parts.add_argument(
        "--scheduler", metavar="ADDRESS", help="use the workers of a Dask cluster, such as tcp://10.0.0.1:8786"
    )
    add_features(extract)


def _output(text: str) -> str:
    """Read the path of a table, or of a folder: what has an extension is meant as a table."""
    is_folder = "://" in text or Path(text).is_dir() or not Path(text).suffix
    return output_folder(text) if is_folder else table_path(text)


def run(options: argparse.Namespace) -> None:
    is_table = Path(options.output).suffix.lower() in TABLE_WRITERS and "://" not in options.output
    if options.rows_per_part is None:
        for option, value in (("--workers", options.workers), ("--scheduler", options.scheduler)):
            if value is not None:
                options.parser.error(f"{option} needs --rows-per-part")
        if not is_table or is_shards(options.data):
            what = f"{options.data} may hold very many images" if is_table else f"{options.output} is not a table"
            options.parser.error(f"{what}: --rows-per-part writes features in parts to a folder")
        _write_table(options)
    elif is_table:
        options.parser.error(f"got {options.output}; expected a folder for --rows-per-part")
    else:
        _write_parts(options)


def _write_table(options: argparse.Namespace) -> None:
    import pandas as pd

    dataset = load_data(options, needs_labels=False)
    X = dataset.frame[["path"]]
    features = features_from(options).set_output(transform="pandas").fit_transform(X)
    labels = [] if dataset.target is None else [pd.Series(dataset.target, index=X.index, name="label")]
    write_table(pd.concat([X, *labels, features], axis=1), options.output)
    print(f"{options.output}: {images_text(dataset)}, {features.shape[1]} features")


def _write_parts(options: argparse.Namespace) -> None:
    from skcnn.distributed import extract_parts

    if is_shards(options.data):
        X, y = load_shards(options)
        images = counted(len(X), "image")
    else:
        dataset = load_data(options, needs_labels=False)
        X, y, images = dataset.frame[["path"]], dataset.target, images_text(dataset)
    # The parts are what keeps the features; the bar counts parts.
    cache = None if options.cache == "memory" else options.cache
    is_local = options.workers is None and options.scheduler is None
    with timed("write" if is_local else "workers"):
        network = features_from(options).set_params(cache=cache, verbose=0)
        features = extract_parts(
            X,
            network,
            options.output,
            y=y,
            rows_per_part=options.rows_per_part,
            engine="local" if is_local else "dask",
            address=options.scheduler,
            n_workers=options.workers,
            verbose=verbose(options),
        )
    write_network(network, options.output)  # for `skcnn fit`
    n_parts = -(-len(features) // options.rows_per_part)
    print(f"{options.output}: {images}, {features.shape[1]} features in {counted(n_parts, 'part')}")
