"""``skcnn compare``: compare saved models on the same labelled images."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from skcnn._text import printable_text
from skcnn.cli._arguments import model_path, output_path
from skcnn.cli._common import add_command, with_progress
from skcnn.cli._data import add_data, load_data


def add_to(commands: Any) -> None:
    compare = add_command(
        commands,
        "compare",
        run,
        "compare saved models on the same labelled images",
        epilog="The others are compared with the first model. A difference is significant if its interval\n"
        "excludes 0.\n\n"
        "example:\n"
        "  skcnn compare old.skcnn new.skcnn test/ --html comparison.html",
    )
    compare.add_argument("model", type=model_path, help="a file that `skcnn fit` wrote")
    compare.add_argument(
        "others", type=model_path, nargs="+", metavar="other", help="one or more models to compare with it"
    )
    add_data(compare)
    compare.add_argument("--html", type=output_path, metavar="PATH", help="also write an HTML page with the comparison")


def run(options: argparse.Namespace) -> None:
    from skcnn.persistence import load
    from skcnn.report import ClassifierReport, compare_reports

    paths = [options.model, *options.others]
    dataset = load_data(options)
    # All are loaded before the first is run: fail early on a file that is damaged.
    pipelines = [load(path) for path in paths]
    names = [Path(path).stem for path in paths]
    if len(set(names)) < len(names):
        names = paths
    reports = [
        ClassifierReport.from_estimator(
            with_progress(pipeline, options), dataset.frame[["path"]], dataset.target, name=name
        )
        for name, pipeline in zip(names, pipelines, strict=True)
    ]
    comparison = compare_reports(reports)
    print(f"{reports[0].n_samples:,} images of {printable_text(Path(options.data).name)}.\n{comparison}")
    if options.html:
        comparison.to_html(options.html)
        print(f"\nComparison: {options.html}")
