"""``skcnn split``: write the images of a folder as tables of a training set and a test set."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

from skcnn._text import counted
from skcnn.cli._arguments import count, fraction
from skcnn.cli._common import add_command, table_path, write_table
from skcnn.cli._data import add_data, load_data

if TYPE_CHECKING:
    import pandas as pd


def add_to(commands: Any) -> None:
    split = add_command(
        commands,
        "split",
        run,
        "split a folder of images into tables of a training set and a test set",
        epilog="Each class has about the same fraction in each table, and near duplicates are in the same one. Paths\n"
        "below the folder of a table are written relative to it, so that both can be moved together.\n\n"
        "example:\n"
        "  skcnn split flowers/ --train train.csv --test test.csv\n"
        "  skcnn fit train.csv -o flowers.skcnn\n"
        "  skcnn evaluate flowers.skcnn test.csv",
    )
    add_data(split)
    split.add_argument("--train", type=table_path, metavar="TABLE", required=True, help="such as train.csv")
    split.add_argument("--test", type=table_path, metavar="TABLE", required=True, help="such as test.csv")
    split.add_argument("--dev", type=table_path, metavar="TABLE", help="also a development set, to choose models by")
    split.add_argument("--test-size", type=fraction, metavar="FRACTION", default=0.2, help="(default: %(default)s)")
    split.add_argument("--dev-size", type=fraction, metavar="FRACTION", default=0.2, help="(default: %(default)s)")
    split.add_argument("--seed", type=count, default=0, metavar="N", help="seed of the split (default: %(default)s)")


def run(options: argparse.Namespace) -> None:
    tables = [os.path.realpath(path) for path in (options.train, options.dev, options.test) if path]
    if len(set(tables)) < len(tables):
        options.parser.error("--train, --dev and --test need names of their own: one would replace another")

    from skcnn.model_selection import duplicate_groups, train_dev_test_split

    dataset = load_data(options)
    split = train_dev_test_split(
        dataset.frame,
        dataset.target,
        groups=duplicate_groups(dataset.frame[["path"]]),
        dev_size=options.dev_size if options.dev else 0,
        test_size=options.test_size,
        random_state=options.seed,
    )
    for name, rows in split.rows().items():
        if path := getattr(options, name):
            write_table(_relative(dataset.frame.iloc[rows], path), path)
            print(f"{path}: {counted(len(rows), 'image')}")


def _relative(frame: pd.DataFrame, table: str) -> pd.DataFrame:
    """Return a table with the paths relative to where it goes, where they lie below, and else absolute."""
    folder = os.path.dirname(os.path.abspath(table))

    def rewritten(path: str) -> str:
        if "://" in path:
            return path
        path = os.path.abspath(path)
        return os.path.relpath(path, folder) if path.startswith(folder + os.sep) else path

    return frame.assign(path=[rewritten(path) for path in frame["path"]])
