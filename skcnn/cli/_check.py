"""``skcnn check``: list images that cannot be read."""

from __future__ import annotations

import argparse
from typing import Any

from skcnn._text import counted
from skcnn.cli._arguments import count
from skcnn.cli._common import add_command, table_path, write_table
from skcnn.cli._data import add_images, bad_images, bad_images_text, list_images

FOUND = 3
"""The exit code where there are bad images."""


def add_to(commands: Any) -> None:
    check = add_command(
        commands,
        "check",
        run,
        "list images that cannot be read: missing, damaged, or not images",
        epilog="Every image is decoded; no network is run. Files whose extension is not that of an image are passed\n"
        "over with a warning.\n\n"
        "exit code: 0 if all can be read, 3 if some cannot, 1 on an error.\n\n"
        "examples:\n"
        "  skcnn check flowers/\n"
        "  skcnn check train.csv --path-column file -o bad.csv",
    )
    add_images(check)
    check.add_argument(
        "-o", "--output", type=table_path, metavar="TABLE", help="write all of them to a table, such as bad.csv"
    )
    check.add_argument("--show", type=count, default=20, metavar="N", help="bad images to print (default: %(default)s)")


def run(options: argparse.Namespace) -> int:
    paths = list_images(options).frame["path"]
    bad = bad_images(paths, options)
    if options.output:
        write_table(bad[["path", "reason"]], options.output)
    if bad.empty:
        print(f"{counted(len(paths), 'image')}, all can be read.")
        return 0
    print(bad_images_text(bad, len(paths), options.show))
    return FOUND
