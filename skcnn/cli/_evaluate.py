"""``skcnn evaluate``: evaluate a saved model."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from skcnn.cli._arguments import model_path, output_path
from skcnn.cli._common import add_command, with_progress
from skcnn.cli._data import add_data, add_skip_bad, load_data


def add_to(commands: Any) -> None:
    evaluate = add_command(commands, "evaluate", run, "evaluate a saved model on labelled images")
    evaluate.add_argument("model", type=model_path, help="a file that `skcnn fit` wrote")
    add_data(evaluate)
    evaluate.add_argument(
        "--html", type=output_path, metavar="PATH", help="also write a report: tables, curves and images"
    )
    add_skip_bad(evaluate)


def run(options: argparse.Namespace) -> None:
    from skcnn.persistence import load
    from skcnn.report import ClassifierReport

    dataset = load_data(options)
    pipeline = with_progress(load(options.model), options)
    report = ClassifierReport.from_estimator(
        pipeline,
        dataset.frame[["path"]],
        dataset.target,
        name=f"{Path(options.model).stem} on {Path(options.data).name}",
    )
    print(report.to_text())
    if options.html:
        report.to_html(options.html)
        print(f"\nReport: {options.html}")
