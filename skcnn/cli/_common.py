"""Helpers of the commands: options, features, tables, and words."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skcnn._files import replacing
from skcnn._text import listing, printable_text, valid_labels
from skcnn._timing import timed
from skcnn.cli._arguments import Parser, backbone_name, output_path, whole_number
from skcnn.profiling import profile

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

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
) -> Parser:
    """Add a command to the subparsers ``commands``, with the common options; ``run`` may return an exit code."""
    parser: Parser = commands.add_parser(
        name,
        help=help,
        description=help[0].upper() + help[1:] + ".",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(command=partial(_run, run), parser=parser)
    return parser


def _run(run: Callable[[argparse.Namespace], int | None], options: argparse.Namespace) -> int | None:
    """Run a command, and report images that cannot be read in the words of commands."""
    try:
        if getattr(options, "profile", False):
            with profile() as profiled:
                code = run(options)
            print(f"\n{profiled}")
        else:
            code = run(options)
    except ValueError as error:
        # Known by this, since the import takes a second; masks have words of their own.
        if (bad := getattr(error, "bad_rows", None)) is None or hasattr(error, "for_command"):
            raise
        skip = ", or leave them out with --skip-bad" if hasattr(options, "skip_bad") else ""
        advice = f"Repair or remove them{skip}. `skcnn check` lists them."
        raise type(error)(worded(bad), error.n_rows, advice) from error  # type: ignore[attr-defined]
    if left_out := getattr(options, "left_out", None):
        print(f"skcnn: warning: {left_out}", file=sys.stderr)
    return code


def add_profile(parser: argparse.ArgumentParser) -> None:
    """Add the option that shows where time goes."""
    parser.add_argument(
        "--profile", action="store_true", help="show which stage took the time, and what would make it faster"
    )


def add_features(parser: argparse.ArgumentParser, *, several_backbones: bool = False) -> None:
    """Add the options of BottleneckFeatures."""
    features = parser.add_argument_group("features")
    features.add_argument(
        "--backbone",
        type=backbone_name,
        action="append" if several_backbones else "store",
        default=None if several_backbones else "MobileNetV2",
        metavar="NAME",
        help="see `skcnn backbones` (default: MobileNetV2)",
    )
    features.add_argument(
        "--weights",
        action="append",
        metavar="FILE",
        help="a .h5 file with the weights of the network, or the name of published ones (default: pretrained)"
        + ("; for several backbones NAME=FILE, once for each" if several_backbones else ""),
    )
    features.add_argument(
        "--layers", nargs="+", metavar="LAYER", help="bottleneck layers, whose features are joined (default: the last)"
    )
    features.add_argument("--pooling", choices=["avg", "max", "none"], default="avg", help="(default: %(default)s)")
    features.add_argument("--image-size", type=whole_number, metavar="PIXELS", help="(default: the network's own)")
    features.add_argument(
        "--resize",
        choices=["stretch", "crop", "pad"],
        default="stretch",
        help="how to handle other aspect ratios (default: %(default)s)",
    )
    features.add_argument(
        "--batch-size", type=whole_number, metavar="N", help="(default: 32 on a CPU, found by trial on a GPU)"
    )
    features.add_argument(
        "--engine",
        choices=["auto", "keras", "openvino"],
        default="auto",
        help="what runs the network; auto is the fastest one available (default: %(default)s)",
    )
    features.add_argument(
        "--precision", choices=["float32", "bfloat16"], default="float32", help="(default: %(default)s)"
    )
    features.add_argument(
        "--cache",
        metavar="DIRECTORY",
        default="memory",
        help="cache features there, so that no image goes through the network twice, and an interrupted run resumes "
        "where it stopped",
    )


def worded(bad: pd.DataFrame) -> pd.DataFrame:
    """Return bad images with reasons that name no parameter of Python."""
    return bad.assign(reason=[reason.replace("; root= names another folder", "") for reason in bad["reason"]])


def weights_from(options: argparse.Namespace) -> Any:
    """Return what --weights says: one value for whatever backbone, or a dict from backbone to file."""
    given = options.weights or ["pretrained"]
    by_backbone = dict(text.split("=", 1) for text in given if "=" in text and not os.path.exists(text))
    if not by_backbone and len(given) == 1:
        return given[0]
    if len(by_backbone) < len(given):
        options.parser.error("several --weights need the form NAME=FILE, with the name of a backbone")
    return by_backbone


def features_from(options: argparse.Namespace, backbone: str | None = None) -> Any:
    """Return the features that the options describe, of the backbone that they name unless another is given."""
    from skcnn.feature_extraction import BottleneckFeatures

    return BottleneckFeatures(
        backbone or options.backbone,
        weights=weights_from(options),
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


def verbose(options: argparse.Namespace) -> int | str:
    """Show progress of what takes long to a person, not to a log file."""
    return 0 if options.quiet else "auto"


def table_path(text: str) -> str:
    """Read the path of a table to write."""
    if Path(text).suffix.lower() not in TABLE_WRITERS:
        raise argparse.ArgumentTypeError(f"got {text}; expected a name that ends in {listing(TABLE_WRITERS)}")
    return output_path(text)


def write_table(frame: pd.DataFrame, path: str) -> None:
    with timed("write", len(frame)), replacing(path, durable=False) as unfinished:
        TABLE_WRITERS[Path(path).suffix.lower()](frame, str(unfinished))


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


def finds_boxes(model: Any) -> bool:
    """Tell whether a model predicts boxes: neither classes nor numbers."""
    from sklearn.utils import get_tags

    return hasattr(model, "predict") and get_tags(model).estimator_type is None


def names_text(names: Iterable[Any]) -> str:
    """Return names of the data as one line, the first of them where there are many."""
    return listing(map(printable_text, names))
