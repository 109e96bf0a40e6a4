"""The images that a command is given: folders, tables and files, with or without those that cannot be read."""

from __future__ import annotations

import argparse
import csv
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from skcnn._files import check_regular
from skcnn._text import counted, listing, printable_text
from skcnn.cli._arguments import (
    SHARDS,
    data_or_boxes_path,
    data_or_features_path,
    data_or_shards_path,
    data_path,
    images_path,
)
from skcnn.cli._common import verbose, worded, write_table

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from sklearn.utils import Bunch

    from skcnn.images import ImageSource

BAD_IMAGES = "bad_images.csv"
"""Where ``--skip-bad`` lists images, in the current folder, if a command writes no other file."""


def add_data(
    parser: argparse.ArgumentParser, *, boxes: bool = False, shards: bool = False, features: bool = False
) -> None:
    """Add the argument of labelled images; also with boxes or masks (``boxes``), in shards, or as ``features``."""
    of_boxes = data_or_features_path if features else data_or_boxes_path
    parser.add_argument(
        "data",
        type=of_boxes if boxes else data_or_shards_path if shards else data_path,
        help="a folder with one folder of images per class, or a .csv with path and label"
        + ("; or images with boxes or masks, see below" if boxes else "")
        + ("; or a folder of features that `skcnn extract --rows-per-part` wrote" if features else "")
        + (f"; or shards, such as 'train-*.tfrecord' ({listing(SHARDS)})" if shards else ""),
    )
    add_path_column(parser)
    parser.add_argument(
        "--label-column",
        metavar="NAME",
        help=f"column of labels in the .csv (default: label{', or mask for masks' if boxes else ''})",
    )


def add_images(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "images",
        nargs="+",
        type=images_path,
        metavar="IMAGE",
        help="image files, folders with images at any depth, .csv files with a column of paths, or URLs",
    )
    add_path_column(parser)


def add_path_column(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--path-column", metavar="NAME", help="column of paths in the .csv (default: path)")


def add_skip_bad(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--skip-bad",
        action="store_true",
        help="leave out images that cannot be read, and list them in a .bad.csv beside the output (in "
        f"{BAD_IMAGES} if there is none)",
    )


def load_data(options: argparse.Namespace, *, needs_labels: bool = True) -> Bunch:
    """Load the images and labels that :func:`add_data` asks for, without bad images if ``--skip-bad`` is given.

    Returns
    -------
    Bunch
        ``frame`` with the columns ``path`` and ``label``, ``target``, ``target_names`` and ``n_bad``, the number of
        images that were left out. With ``needs_labels=False``, where the folder has no folders or the table no column
        of labels, ``frame`` has paths alone, and the others are None.
    """
    if is_table(options.data):
        label: str | None = label_column(options)
        if not needs_labels and options.label_column is None and label not in header_of(options.data):
            label = None
        return without_bad(_load_table(options.data, options, label), options)
    for option, value in (("--path-column", options.path_column), ("--label-column", options.label_column)):
        if value is not None:
            raise ValueError(f"{option} {value}; expected a .csv as input, got {options.data}.")
    from skcnn.datasets import load_image_folder

    has_labels = needs_labels or _has_class_folders(options.data)
    try:
        dataset = load_image_folder(options.data, labels="inferred" if has_labels else None)
    except ValueError as error:
        in_python = "in a table and use load_image_table. Images to be classified need no labels: labels=None."
        raise type(error)(str(error).replace(in_python, "in a .csv.")) from error
    return without_bad(dataset, options)


def is_shards(data: str) -> bool:
    """Return whether data are named as shards are."""
    return Path(data).suffix.lower() in SHARDS


def load_shards(options: argparse.Namespace) -> tuple[ImageSource, np.ndarray | None]:
    """Return images in shards and their labels, None where there are none; without bad images if asked to."""
    import numpy as np

    from skcnn.datasets import ParquetImages, TarImages, TFRecordImages

    kinds = dict(zip(SHARDS, (TFRecordImages, TarImages, ParquetImages), strict=True))
    named = {} if options.label_column is None else {"label": options.label_column}
    source = kinds[Path(options.data).suffix.lower()](options.data, **named)
    if options.skip_bad and len(bad := bad_images(source, options)):
        report_bad(bad, len(source), options)
        source = source[~np.isin(np.arange(len(source)), bad["row"])]
    try:
        source[:1].labels()
    except (TypeError, ValueError):
        if named:
            raise
        return source, None
    return source, source.labels()


def label_column(options: argparse.Namespace) -> str:
    """Return the name of the column of labels."""
    return options.label_column or "label"


def numbers_of(dataset: Bunch, options: argparse.Namespace) -> np.ndarray:
    """Return the labels of a dataset as numbers; a label that is not a number is an error that shows it."""
    import numpy as np
    import pandas as pd

    numbers = pd.to_numeric(pd.Series(dataset.target), errors="coerce").to_numpy(dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(numbers))
    if len(bad):
        first = f"{printable_text(dataset.target[bad[0]])!r} of {printable_text(dataset.frame['path'].iloc[bad[0]])}"
        where, advice = f"the folders of {options.data} are called", "give a .csv with a column of numbers"
        if is_table(options.data):
            where = f"the column {label_column(options)!r} of {options.data} holds"
            advice = "name a column of numbers with --label-column"
        raise ValueError(
            f"{options.model} predicts numbers; {where} something else for {len(bad):,} of "
            f"{counted(len(numbers), 'image')}, such as {first}: {advice}."
        )
    return numbers


def list_images(options: argparse.Namespace) -> Bunch:
    """List the images that :func:`add_images` asks for, without bad images if ``--skip-bad`` is given.

    Returns
    -------
    Bunch
        ``frame`` with the column ``path``, and ``n_bad``, the number of images that were left out.
    """
    import pandas as pd
    from sklearn.utils import Bunch

    from skcnn.datasets import load_image_folder

    frames = []
    for given in options.images:
        if "://" in given:
            frames.append(pd.DataFrame({"path": [given]}, dtype=object))
        elif os.path.isdir(given):
            frames.append(load_image_folder(given, labels=None).frame)
        elif is_table(given):
            frames.append(_load_table(given, options, None).frame)
        else:
            frames.append(pd.DataFrame({"path": [given]}, dtype=object))
    # Objects throughout: pandas' own text type refuses names that are not UTF-8.
    frame = pd.concat([frame.astype(object) for frame in frames], ignore_index=True)
    return without_bad(Bunch(frame=frame, target=None, target_names=None), options)


def is_file_of_image(given: str) -> bool:
    """Tell whether an argument is one image, and neither a folder, a table nor a URL."""
    return "://" not in given and not os.path.isdir(given) and not is_table(given)


def is_table(data: str) -> bool:
    """Tell whether a path is that of a CSV table."""
    return data.lower().endswith(".csv")


def _has_class_folders(folder: str) -> bool:
    """Tell whether any image lies in a folder of a folder."""
    from skcnn.datasets import load_image_folder

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they come again with the images
        paths = load_image_folder(folder, labels=None).frame["path"]
    root = Path(folder).expanduser()
    return any(Path(path).parent != root for path in paths)


def _load_table(table: str, options: argparse.Namespace, label: str | None) -> Bunch:
    """Load a CSV file; whatever its columns are called, those of the result are ``path`` and ``label``."""
    path, header = options.path_column or "path", header_of(table)
    wanted = {"--path-column": path} | ({} if label is None else {"--label-column": label})
    check_columns(table, header, wanted)
    from skcnn.datasets import load_image_table

    dataset = load_image_table(table, path=path, label=label)
    names = {path: "path"} if label is None else {path: "path", label: "label"}
    dataset.frame = dataset.frame[list(names)].rename(columns=names)
    dataset.data = dataset.frame[["path"]]
    return dataset


def check_columns(table: str, header: list[str], wanted: dict[str, str]) -> None:
    """See that a table has the columns that are wanted, which are given by the option that names each."""
    missing = [option for option, name in wanted.items() if name not in header]
    if header and missing:
        raise ValueError(
            f"{table}: no column {' and no column '.join(repr(wanted[option]) for option in missing)}; its columns are "
            f"{listing(map(repr, header), 20)}. Name the right one with {' and '.join(missing)}; columns are separated "
            "by commas."
        )


def header_of(table: str) -> list[str]:
    """Return the names of the columns of a CSV file; none if it cannot be read, which its loader reports."""
    check_regular(table, "a CSV file")
    try:
        with open(Path(table).expanduser(), encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            return next((row for row in csv.reader(file) if row), [])
    except (OSError, csv.Error):
        return []


def without_bad(dataset: Bunch, options: argparse.Namespace) -> Bunch:
    """Leave out images that cannot be read, if ``--skip-bad`` is given: written to a table, and reported at the end."""
    dataset.n_bad = 0
    if not getattr(options, "skip_bad", False):
        return dataset
    n_images = len(dataset.frame)
    bad = bad_images(dataset.frame["path"], options)
    if bad.empty:
        return dataset
    report_bad(bad, n_images, options)
    good = ~dataset.frame.index.isin(bad["row"])
    dataset.frame, dataset.n_bad = dataset.frame[good].reset_index(drop=True), len(bad)
    dataset.data = dataset.frame[["path"]]
    if dataset.target is not None:
        target = dataset.target = dataset.target[good]
        if dataset.target_names is not None:
            left = set(target.tolist())
            dataset.target_names = [name for name in dataset.target_names if name in left]
    return dataset


def report_bad(bad: pd.DataFrame, n_images: int, options: argparse.Namespace) -> None:
    """Write images that were left out to a table, and have them reported at the end; raise if none is left."""
    text = bad_images_text(bad, n_images)
    if len(bad) == n_images:
        raise ValueError(f"No image is left: {text}")
    output = getattr(options, "output", None) or getattr(options, "html", None)
    table = str(Path(output).with_suffix(".bad.csv")) if output and "://" not in output else BAD_IMAGES
    write_table(bad[["path", "reason"]], table)
    options.left_out = f"{text}\nThey were left out, and are listed in {printable_text(table)}."


def bad_images(paths: pd.Series | ImageSource, options: argparse.Namespace) -> pd.DataFrame:
    """Decode images, and return those that cannot be read: ``row``, ``path`` and ``reason``."""
    from skcnn.images import check_images

    return worded(check_images(paths, verbose=verbose(options)))


def bad_images_text(bad: pd.DataFrame, n_images: int, shown: int = 5) -> str:
    """Return a line that counts bad images, and one for each of the first of them."""
    lines = [f"{len(bad):,} of {counted(n_images, 'image')} cannot be read:"]
    lines += [f"  {printable_text(path)}: {reason}" for path, reason in zip(bad.path, bad.reason, strict=True)][:shown]
    if len(bad) > shown:
        lines.append(f"  ... and {len(bad) - shown:,} more")
    return "\n".join(lines)


def images_text(dataset: Bunch) -> str:
    """Return the number of images: "300 images", "298 of 300 images" if some were left out."""
    of_all = f"{len(dataset.frame):,} of " if dataset.n_bad else ""
    return of_all + counted(len(dataset.frame) + dataset.n_bad, "image")
