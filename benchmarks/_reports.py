"""What the benchmarks write down, and parameters of estimators on their command lines."""

from __future__ import annotations

import argparse
import ast
import datetime
import json
import os
import sys
from pathlib import Path
from typing import Any

from _rounds import machine


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add ``--json``: where the numbers are written."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write every number, as JSON")


def write_report(path: Path | None, report: dict[str, Any]) -> None:
    """Write numbers as JSON, and how they came to be: the day, the command, the machine with its versions and load.

    Parameters
    ----------
    path : Path or None
        From ``--json``; None writes nothing. A file that is there is replaced as a whole.
    report : dict
        The numbers. What it says of how they came to be itself, such as the load before, stays.
    """
    if path is None:
        return
    head = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "load": os.getloadavg()[0],
    }
    machine_of_head = {} if "machine" in report else {"machine": machine()}
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(head | machine_of_head | report, indent=1, default=str) + "\n")
    part.replace(path)


def parameter(text: str) -> tuple[str, Any]:
    """Return a parameter and its value from "name=value": a Python literal, or the text itself."""
    name, _, value = text.partition("=")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def add_parameters(parser: argparse.ArgumentParser) -> None:
    """Add ``--set NAME=VALUE``: parameters of the estimator, as pairs of name and value in ``options.set``."""
    parser.add_argument(
        "--set", type=parameter, action="append", default=[], metavar="NAME=VALUE", help="a parameter of the estimator"
    )
