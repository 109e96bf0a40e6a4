"""``skcnn duplicates``: tell which images are there twice."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skcnn._text import counted, printable_text
from skcnn.cli._common import TABLE_WRITERS, add_command, check_writable, names_text, verbose, write_table

if TYPE_CHECKING:
    import pandas as pd

FOUND = 3
"""The exit code where there are duplicates."""


def add_to(commands: Any) -> None:
    duplicates = add_command(
        commands,
        "duplicates",
        run,
        "find images that are there twice: copied, re-encoded, resized, mirrored or cropped",
        epilog="Two or more folders are parts of a split, such as train/ and test/; of one folder the folders in it\n"
        "are. Pairs across them come first. Images that cannot be read are named and passed over.\n\n"
        "exit code: 0 where no pair was found, 3 where some were, 1 on an error.\n\n"
        "examples:\n"
        "  skcnn duplicates images/\n"
        "  skcnn duplicates train/ test/ --across || echo 'the test set leaks'\n"
        "  skcnn duplicates train/ test/ -o pairs.csv",
        starts_keras=False,
    )
    duplicates.add_argument("folders", nargs="+", metavar="FOLDER", help="with images, at any depth")
    duplicates.add_argument("--across", action="store_true", help="only pairs across folders")
    duplicates.add_argument(
        "--min-similarity", type=float, default=0.75, metavar="S", help="0 to 1 (default: %(default)s)"
    )
    duplicates.add_argument(
        "--show", type=int, default=20, metavar="N", help="pairs under each head (default: %(default)s)"
    )
    duplicates.add_argument("-o", "--output", metavar="TABLE", help="write all pairs, such as pairs.csv or .parquet")
    duplicates.add_argument("--json", action="store_true", help="print all pairs as JSON, and nothing else")


def run(options: argparse.Namespace) -> int:
    from skcnn.model_selection import find_duplicates

    suffix = Path(options.output or "").suffix.lower()
    if options.output:
        if suffix not in TABLE_WRITERS:
            raise ValueError(f"{options.output}: the ending tells the format; accepted: {', '.join(TABLE_WRITERS)}")
        check_writable(options.output)
    paths, groups = _images(options.folders)
    pairs = find_duplicates(
        paths, groups, min_similarity=options.min_similarity, on_error="skip", verbose=verbose(options)
    )
    across = pairs["group_a"] != pairs["group_b"]
    if options.across:
        pairs, across = pairs[across], across[across]
    if options.output:
        write_table(pairs, options.output, suffix)
    if options.json:
        print(json.dumps(pairs.to_dict("records"), indent=1))
    else:
        _print(pairs, across, len(paths), options)
    return FOUND if len(pairs) else 0


def _images(folders: list[str]) -> tuple[list[str], list[str]]:
    """Return the paths of all images, and the folder that each counts to."""
    places = [os.path.realpath(folder) for folder in folders]
    for (one, inner), (other, outer) in combinations(sorted(zip(folders, places, strict=True), key=_depth), 2):
        if Path(outer).is_relative_to(inner):
            raise ValueError(f"{other} lies in {one}: give folders that share no file.")
    paths: list[str] = []
    groups: list[str] = []
    for folder in folders:
        if not os.path.isdir(folder):
            raise FileNotFoundError(f"{folder}: no such folder")
        found = list(_walk(folder))
        if not found:
            raise ValueError(f"{folder}: there are no images in it")
        paths += found
        if len(folders) > 1:
            groups += [folder] * len(found)
        else:  # the first folder on the way, "." for images directly in it
            groups += [(*Path(os.path.relpath(path, folder)).parent.parts, ".")[0] for path in found]
    return paths, groups


def _depth(place: tuple[str, str]) -> int:
    return len(Path(place[1]).parts)


def _walk(folder: str) -> Iterator[str]:
    from skcnn.datasets._folder import image_extensions
    from skcnn.datasets._natural import natural_key

    extensions = image_extensions()
    for here, inner, files in os.walk(folder):
        inner[:] = sorted((name for name in inner if not name.startswith(".")), key=natural_key)
        for name in sorted(files, key=natural_key):
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in extensions:
                yield os.path.join(here, name)


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
            "Across parts of a split: move or remove one of each pair, or figures are too good.\n"
            "Across classes: one image under two labels; look which is right."
        )
    if not across.all():
        print(
            "Within a folder: remove one of each pair, or keep both together when you split further\n"
            "(groups= of train_dev_test_split and of StratifiedGroupKFold)."
        )
