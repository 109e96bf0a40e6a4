"""``skcnn backbones``: list the networks."""

from __future__ import annotations

import argparse
from typing import Any

from skcnn.cli._common import add_command


def add_to(commands: Any) -> None:
    add_command(
        commands,
        "backbones",
        run,
        "list the networks, their input sizes and their bottleneck layers",
        starts_keras=False,
    )


def run(options: argparse.Namespace) -> None:
    from skcnn.backbones import list_backbones

    table = list_backbones()
    table["layers"] = [" ".join(layers) for layers in table["layers"]]
    table["weights"] = [", ".join(weights) for weights in table["weights"]]
    table["image_size"] = [f"{height} x {width}" for height, width in table["image_size"]]
    print(table.to_string(index=False))
