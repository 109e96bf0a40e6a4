"""``skcnn backbones``: list the networks, and download their weights."""

from __future__ import annotations

import argparse
from typing import Any

from skcnn.cli._arguments import backbone_name
from skcnn.cli._common import add_command


def add_to(commands: Any) -> None:
    parser = add_command(
        commands,
        "backbones",
        run,
        "list the networks, their input sizes and their bottleneck layers; download their weights",
        epilog="examples:\n"
        "  skcnn backbones\n"
        "  skcnn backbones --download MobileNetV2 EfficientNetB0    now, for a time without internet access",
    )
    parser.add_argument(
        "--download", nargs="+", type=backbone_name, metavar="NAME", help="download the weights of these networks"
    )


def run(options: argparse.Namespace) -> None:
    if options.download:
        _download(options.download)
    else:
        _list()


def _download(names: list[str]) -> None:
    from skcnn._text import printable_text
    from skcnn.backbones import fetch_weights

    paths = fetch_weights(names)
    for name in names:
        print(f"{name}: {printable_text(paths[name]) if name in paths else 'its weights come with skcnn'}")


def _list() -> None:
    from skcnn.backbones import list_backbones

    table = list_backbones()
    table["layers"] = [" ".join(layers) for layers in table["layers"]]
    table["weights"] = [", ".join(weights) for weights in table["weights"]]
    table["image_size"] = [f"{height} x {width}" for height, width in table["image_size"]]
    print(table.to_string(index=False))
