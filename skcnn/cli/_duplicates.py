"""``skcnn duplicates``: find images that occur twice."""

from __future__ import annotations

import argparse
import json
import os
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skcnn._text import counted, printable_text
from skcnn.cli._arguments import at_most_one, count
from skcnn.cli._common import add_command, names_text, table_path, verbose, write_table

if TYPE_CHECKING:
    import pandas as pd

FOUND = 3
"""The exit code where there are duplicates."""


def add_to(commands: Any) -> None:
    duplicates = add_command(
        commands,
        "duplicates",
        run,
        "find images that occur twice: copied, re-encoded, resized, mirrored or cropped",
        epilog="Two or more folders are the parts of a split, such as train/ and test/; with one folder, the folders\n"
        "in it are the parts. Pairs across parts come first. Images that cannot be read are reported and skipped.\n\n"
        "exit code: 0 if no pair was found, 3 if some were, 1 on an error.\n\n"
        "examples:\n"
        "  skcnn duplicates images/\n"
        "  skcnn duplicates train/ test/ --across || echo 'the test set leaks'\n"
        "  skcnn duplicates train/ test/ -o pairs.csv",
    )
    duplicates.add_argument("folders", nargs="+", metavar="FOLDER", help="a folder with images, at any depth")
    duplicates.add_argument("--across", action="store_true", help="only pairs across folders")
    duplicates.add_argument(
        "--min-similarity", type=at_most_one, default=0.75, metavar="S", help="minimum, 0 to 1 (default: %(default)s)"
    )
    duplicates.add_argument(
        "--show", type=count, default=20, metavar="N", help="pairs to print per section (default: %(default)s)"
    )
    duplicates.add_argument(
        "-o", "--output", type=table_path, metavar="TABLE", help="write all pairs, such as pairs.csv or .parquet"
    )
    duplicates.add_argument("--json", action="store_true", help="print all pairs as JSON, and nothing else")


def run(options: argparse.Namespace) -> int:
    from skcnn.model_selection import find_duplicates

    paths, groups = _images(options.folders)
    pairs = find_duplicates(
        paths, groups, min_similarity=options.min_similarity, on_error="skip", verbose=verbose(options)
    )
    across = pairs["group_a"] != pairs["group_b"]
    if options.across:
        pairs, across = pairs[across], across[across]
    if options.output:
        write_table(pairs, options.output)
    if options.json:
        print(json.dumps(pairs.to_dict("records"), indent=1))
    else:
        _print(pairs, across, len(paths), options)
    return FOUND if len(pairs) else 0


def _images(folders: list[str]) -> tuple[list[str], list[str]]:
    """Return the paths of all images, and the folder that each counts to."""
    from skcnn.datasets import walk_images

    places = [os.path.realpath(folder) for folder in folders]
    for (one, inner), (other, outer) in combinations(sorted(zip(folders, places, strict=True), key=_depth), 2):
        if Path(outer).is_relative_to(inner):
            raise ValueError(f"{other} lies in {one}; expected folders that share no file.")
    paths: list[str] = []
    groups: list[str] = []
    for folder in folders:
        if not os.path.isdir(folder):
            raise FileNotFoundError(f"{folder}: no such folder; expected a folder of images")
        found = list(walk_images(folder))
        if not found:
            raise ValueError(f"{folder} contains no images; expected a folder of images")
        paths += found
        if len(folders) > 1:
            groups += [folder] * len(found)
        else:  # the first folder on the way, "." for images directly in it
            groups += [(*Path(os.path.relpath(path, folder)).parent.parts, ".")[0] for path in found]
    return paths, groups


def _depth(place: tuple[str, str]) -> int:
    return len(Path(place[1]).parts)


def _print(pairs: pd.DataFrame, across: pd.Series, n_images: int, options: argparse.Namespace) -> None:
    where = " across folders" if options.across else ""
    if pairs.empty:
        print(f"{counted(n_images, 'image')}, no duplicates{where} among them.")
        return
    exact = int((pairs["kind"] == "exact").sum())
    print(
        f"{counted(n_images, 'image')}. Pairs of duplicates{where}: {len(pairs):,} ({exact:,} exact, "
        f"{len(pairs) - exact:,} near), {int(across.sum()):,} across folders."
    )
    for head, chosen in (("ACROSS folders", pairs[across]), ("Within a folder", pairs[~across])):
        if chosen.empty:
            continue
        between = sorted(
            {" and ".join(dict.fromkeys(sorted(two))) for two in zip(chosen.group_a, chosen.group_b, strict=True)}
        )
        print(f"\n{head} ({len(chosen):,}): {names_text(between)}")
        for pair in chosen.head(options.show).itertuples():
            how = "exact" if pair.kind == "exact" else f"{pair.similarity:.2f}{' mirrored' if pair.mirrored else ''}"
            print(f"  {how:15s}{printable_text(pair.path_a)}\n{'':17s}{printable_text(pair.path_b)}")
        if len(chosen) > options.show:
            print(f"  ... and {len(chosen) - options.show:,} more; -o pairs.csv writes all")
    print()
    if across.any():
        print(
            "Across parts of a split: move or remove one of each pair, or metrics are too optimistic.\n"
            "Across classes: one image with two labels; check which is correct."
        )
    if not across.all():
        print(
            "Within a folder: remove one of each pair, or keep both together when you split further\n"
            "(groups= of train_dev_test_split and of StratifiedGroupKFold)."
        )
