"""Helpers of the commands: options, data, features, tables, and words."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skcnn._files import check_regular, replacing
from skcnn._text import listing, printable_text, valid_labels

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline
    from sklearn.utils import Bunch

TABLE_WRITERS: dict[str, Callable[[Any, str], None]] = {
    # Parquet accepts only UTF-8. A CSV file has the true names, as a shell would write them.
    ".parquet": lambda frame, path: _valid(frame).to_parquet(path, index=False),
    ".csv": lambda frame, path: frame.to_csv(path, index=False, errors="surrogateescape"),
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
    parser.set_defaults(command=run, starts_keras=starts_keras)
    return parser


def add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", help="a folder with one folder of images per class, or a .csv with path and label")


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


def load_data(data: str) -> Bunch:
    from skcnn.datasets import load_image_folder, load_image_table

    return load_image_table(data) if data.lower().endswith(".csv") else load_image_folder(data)


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


def write_table(frame: pd.DataFrame, path: str, suffix: str) -> None:
    with replacing(path, durable=False) as unfinished:
        TABLE_WRITERS[suffix](frame, str(unfinished))


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
