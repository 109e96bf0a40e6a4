"""``skcnn evaluate``: evaluate a saved model."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from skcnn.cli._common import add_command, add_data, add_skip_bad, check_writable, load_data, with_progress


def add_to(commands: Any) -> None:
    evaluate = add_command(commands, "evaluate", run, "evaluate a saved model on labelled images")
    evaluate.add_argument("model", help="a file that `skcnn fit` wrote")
    add_data(evaluate)
    add_skip_bad(evaluate)
    evaluate.add_argument("--html", metavar="PATH", help="also write a report: tables, curves and images")


def run(options: argparse.Namespace) -> None:
    from skcnn.persistence import load
    from skcnn.report import ClassifierReport

    if options.html:
        check_writable(options.html)
    pipeline = load(options.model)
    dataset = load_data(options)
    pipeline = with_progress(pipeline, options)
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
