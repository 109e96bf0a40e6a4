"""``skcnn export``: a saved model as one file for a runtime."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from skcnn._text import listing
from skcnn.cli._arguments import model_path, output_path
from skcnn.cli._common import add_command

FORMATS = (".onnx", ".xml", ".tflite")


def add_to(commands: Any) -> None:
    parser = add_command(
        commands,
        "export",
        run,
        "write a saved model as ONNX, OpenVINO or LiteRT, from pixels to probabilities",
        epilog="The suffix says the format: .onnx (needs the extra `onnx`), .xml for OpenVINO (extra `openvino`) or\n"
        ".tflite for LiteRT. The file also holds the classes, and the size and rule by which images are resized.\n\n"
        "examples:\n"
        "  skcnn export flowers.skcnn flowers.onnx\n"
        "  skcnn export flowers.skcnn flowers.tflite",
    )
    parser.add_argument("model", type=model_path, help="a file that `skcnn fit` wrote")
    parser.add_argument("output", type=_output, metavar="FILE", help=f"a name that ends in {listing(FORMATS)}")


def run(options: argparse.Namespace) -> None:
    from skcnn.exporting import export
    from skcnn.persistence import load

    model = load(options.model)
    try:
        export(model, options.output)
    except TypeError as error:
        raise TypeError(f"{options.model}: {error}") from error
    sizes = [file.stat().st_size for file in {Path(options.output), _weights_beside(options.output)} if file.exists()]
    print(f"{options.output}: {sum(sizes) / 1e6:.1f} MB")


def _weights_beside(path: str) -> Path:
    return Path(path).with_suffix(".bin") if path.endswith(".xml") else Path(path)


def _output(text: str) -> str:
    """Read the path of a file to write, whose suffix is one of the formats."""
    if Path(text).suffix not in FORMATS:
        raise argparse.ArgumentTypeError(f"got {text}; expected a name that ends in {listing(FORMATS)}")
    return output_path(text)
