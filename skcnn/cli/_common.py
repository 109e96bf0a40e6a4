"""Helpers of the commands: options, data, bad images, features, tables, and words."""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import sys
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skcnn._files import check_regular, replacing
from skcnn._text import counted, listing, printable_text, valid_labels

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline
    from sklearn.utils import Bunch

BAD_IMAGES = "bad_images.csv"
"""Where ``--skip-bad`` lists images, in the current folder, if a command writes no other file."""

TABLE_WRITERS: dict[str, Callable[[Any, str], None]] = {
    # Parquet accepts only UTF-8. A CSV file has the true names, as a shell would write them.
    ".parquet": lambda frame, path: _valid(frame).to_parquet(path, index=False),
    ".csv": lambda frame, path: frame.to_csv(path, index=False, errors="surrogateescape"),
    ".jsonl": lambda frame, path: _write_json_lines(_valid(frame), path),
}


def add_command(
    commands: Any,
    name: str,
    run: Callable[[argparse.Namespace], int | None],
    help: str,
    *,
    epilog: str | None = None,
    starts_keras: bool = True,
) -> argparse.ArgumentParser:
    """Add a command to the subparsers ``commands``, with the common options; ``run`` may return an exit code."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=help,
        description=help[0].upper() + help[1:] + ".",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(command=partial(_run, run), starts_keras=starts_keras)
    return parser


def _run(run: Callable[[argparse.Namespace], int | None], options: argparse.Namespace) -> int | None:
    """Run a command, and report images that cannot be read in the words of commands."""
    try:
        code = run(options)
    except ValueError as error:
        if (bad := getattr(error, "bad_rows", None)) is None:  # known by this, since the import takes a second
            raise
        skip = ", or leave them out with --skip-bad" if hasattr(options, "skip_bad") else ""
        advice = f"Repair or remove them{skip}. `skcnn check` lists them."
        raise type(error)(_worded(bad), error.n_rows, advice) from error  # type: ignore[attr-defined]
    if left_out := getattr(options, "left_out", None):
        print(f"skcnn: warning: {left_out}", file=sys.stderr)
    return code


def add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", help="a folder with one folder of images per class, or a .csv with path and label")
    add_path_column(parser)
    parser.add_argument("--label-column", metavar="NAME", help="column of labels in the .csv (default: label)")


def add_images(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "images",
        nargs="+",
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


def add_features(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--backbone", default="MobileNetV2", help="see `skcnn backbones` (default: %(default)s)")
    parser.add_argument("--weights", default="pretrained", help="a name or a .h5 file (default: %(default)s)")
    parser.add_argument("--layers", nargs="+", metavar="LAYER", help="bottleneck layers, joined (default: the last)")
    parser.add_argument("--pooling", choices=["avg", "max", "none"], default="avg", help="(default: %(default)s)")
    parser.add_argument("--image-size", type=int, metavar="PIXELS", help="(default: the network's own)")
    parser.add_argument(
        "--resize",
        choices=["stretch", "crop", "pad"],
        default="stretch",
        help="how to handle other aspect ratios (default: %(default)s)",
    )
    parser.add_argument("--batch-size", type=int, help="(default: 32 on a CPU, found by trial on a GPU)")
    parser.add_argument(
        "--engine",
        choices=["auto", "keras", "openvino"],
        default="auto",
        help="what runs the network; auto is the fastest one available (default: %(default)s)",
    )
    parser.add_argument(
        "--precision", choices=["float32", "bfloat16"], default="float32", help="(default: %(default)s)"
    )
    parser.add_argument(
        "--cache",
        metavar="DIRECTORY",
        default="memory",
        help="cache features there, so that no image goes through the network twice, and an interrupted run resumes "
        "where it stopped",
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
    from skcnn.datasets import load_image_folder

    if _is_table(options.data):
        label = options.label_column or "label"
        if not needs_labels and options.label_column is None and label not in _header(options.data):
            label = None
        return _without_bad(_load_table(options.data, options, label), options)
    for option, value in (("--path-column", options.path_column), ("--label-column", options.label_column)):
        if value is not None:
            raise ValueError(f"{option} {value}; expected a .csv as input, got {options.data}.")
    has_labels = needs_labels or _has_class_folders(options.data)
    return _without_bad(load_image_folder(options.data, labels="inferred" if has_labels else None), options)


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
        elif not os.path.lexists(given):
            raise FileNotFoundError(f"{given}: no such file; expected an image, a folder, a .csv or a URL")
        elif os.path.isdir(given):
            frames.append(load_image_folder(given, labels=None).frame)
        elif _is_table(given):
            frames.append(_load_table(given, options, None).frame)
        else:
            frames.append(pd.DataFrame({"path": [given]}, dtype=object))
    # Objects throughout: pandas' own text type refuses names that are not UTF-8.
    frame = pd.concat([frame.astype(object) for frame in frames], ignore_index=True)
    return _without_bad(Bunch(frame=frame, target=None, target_names=None), options)


def _is_table(data: str) -> bool:
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
    from skcnn.datasets import load_image_table

    path, header = options.path_column or "path", _header(table)
    wanted = {"--path-column": path} | ({} if label is None else {"--label-column": label})
    missing = [option for option, name in wanted.items() if name not in header]
    if header and missing:
        raise ValueError(
            f"{table}: no column {' and no column '.join(repr(wanted[option]) for option in missing)}; its columns are "
            f"{listing(map(repr, header), 20)}. Name the right one with {' and '.join(missing)}; columns are separated "
            "by commas."
        )
    dataset = load_image_table(table, path=path, label=label)
    names = {path: "path"} if label is None else {path: "path", label: "label"}
    dataset.frame = dataset.frame[list(names)].rename(columns=names)
    dataset.data = dataset.frame[["path"]]
    return dataset


def _header(table: str) -> list[str]:
    """Return the names of the columns of a CSV file; none if it cannot be read, which its loader reports."""
    check_regular(table, "a CSV file")
    try:
        with open(Path(table).expanduser(), encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            return next((row for row in csv.reader(file) if row), [])
    except (OSError, csv.Error):
        return []


def _without_bad(dataset: Bunch, options: argparse.Namespace) -> Bunch:
    """Leave out images that cannot be read, if ``--skip-bad`` is given: written to a table, and reported at the end."""
    dataset.n_bad = 0
    if not getattr(options, "skip_bad", False):
        return dataset
    n_images = len(dataset.frame)
    bad = bad_images(dataset.frame["path"], options)
    if bad.empty:
        return dataset
    text = bad_images_text(bad, n_images)
    if len(bad) == n_images:
        raise ValueError(f"No image is left: {text}")
    output = getattr(options, "output", None) or getattr(options, "html", None)
    table = str(Path(output).with_suffix(".bad.csv")) if output else BAD_IMAGES
    write_table(bad[["path", "reason"]], table, ".csv")
    options.left_out = f"{text}\nThey were left out, and are listed in {printable_text(table)}."

    good = ~dataset.frame.index.isin(bad["row"])
    dataset.frame, dataset.n_bad = dataset.frame[good].reset_index(drop=True), len(bad)
    dataset.data = dataset.frame[["path"]]
    if dataset.target is not None:
        target = dataset.target = dataset.target[good]
        if dataset.target_names is not None:
            left = set(target.tolist())
            dataset.target_names = [name for name in dataset.target_names if name in left]
    return dataset


def bad_images(paths: pd.Series, options: argparse.Namespace) -> pd.DataFrame:
    """Decode images, and return those that cannot be read: ``row``, ``path`` and ``reason``."""
    from skcnn.images import check_images

    return _worded(check_images(paths, verbose=verbose(options)))


def _worded(bad: pd.DataFrame) -> pd.DataFrame:
    """Return bad images with reasons that name no parameter of Python."""
    return bad.assign(reason=[reason.replace("; root= names another folder", "") for reason in bad["reason"]])


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


def features_from(options: argparse.Namespace) -> Any:
    from skcnn.feature_extraction import BottleneckFeatures

    return BottleneckFeatures(
        options.backbone,
        weights=options.weights,
        layers=options.layers,
        pooling=None if options.pooling == "none" else options.pooling,
        image_size=options.image_size,
        resize=options.resize,
        batch_size=options.batch_size,
        engine=options.engine,
        precision=options.precision,
        cache=options.cache,
        verbose=verbose(options),
    )


def verbose(options: argparse.Namespace) -> int:
    """Show progress to a person, not to a log file."""
    return int(sys.stderr.isatty() and not options.quiet)


def check_writable(path: str) -> None:
    """Raise early if an output path cannot be written."""
    folder = Path(path).parent
    if not folder.is_dir():
        raise FileNotFoundError(f"{path}: the folder {folder} does not exist; create it first")
    check_regular(path, "the path of a file")
    if Path(path).is_dir() or not os.access(folder, os.W_OK):
        raise PermissionError(f"{path} cannot be written")


def check_table(path: str) -> str:
    """Raise early if a table cannot be written; return the suffix, which names its format."""
    suffix = Path(path).suffix.lower()
    if suffix not in TABLE_WRITERS:
        raise ValueError(f"--output {path}; expected a name that ends in {listing(TABLE_WRITERS)}.")
    check_writable(path)
    return suffix


def write_table(frame: pd.DataFrame, path: str, suffix: str) -> None:
    with replacing(path, durable=False) as unfinished:
        TABLE_WRITERS[suffix](frame, str(unfinished))


def _write_json_lines(frame: pd.DataFrame, path: str) -> None:
    """Write an object per line. What is not finite becomes null: JSON has no other word for it."""
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for start in range(0, len(frame), 1000):  # Python's numbers take several times the memory
            for row in frame[start : start + 1000].to_dict("records"):
                finite = {
                    name: None if isinstance(value, float) and not math.isfinite(value) else value
                    for name, value in row.items()
                }
                file.write(json.dumps(finite, ensure_ascii=False) + "\n")


def _valid(frame: pd.DataFrame) -> pd.DataFrame:
    texts = frame.select_dtypes(["object", "string"])
    return frame.assign(**{name: valid_labels(column.to_numpy(dtype=object)) for name, column in texts.items()})


def with_progress(pipeline: Pipeline, options: argparse.Namespace) -> Pipeline:
    if "bottleneckfeatures" in getattr(pipeline, "named_steps", {}):
        pipeline.set_params(bottleneckfeatures__verbose=verbose(options))
    return pipeline


def names_text(names: Iterable[Any]) -> str:
    """Return names of the data as one line, the first of them where there are many."""
    return listing(map(printable_text, names))
