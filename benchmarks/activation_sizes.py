"""How much is kept per image where training begins in the middle of a network, for each family of networks.

One command::

    python benchmarks/activation_sizes.py

Each network is at its own size of images. What is open is given as fractions of its layers, as ``unfreeze`` takes them;
the table shows the bytes per image, and how many tensors they are.
"""

from __future__ import annotations

import argparse

from _rounds import table

from skcnn._training import open_layers, split_network
from skcnn.backbones import get_backbone

FAMILIES = ["MobileNetV2", "ResNet50", "EfficientNetB0", "DenseNet121", "ConvNeXtTiny", "Xception", "InceptionV3"]


def main(arguments: list[str] | None = None) -> None:
    """Cut the networks and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbones", nargs="+", default=FAMILIES)
    parser.add_argument("--fractions", nargs="+", type=float, default=[0.1, 0.25, 0.5, 0.75])
    options = parser.parse_args(arguments)

    rows = []
    for name in options.backbones:
        backbone = get_backbone(name)
        network = backbone.build(image_size=backbone.image_size, weights=None)
        output = backbone.pooled_output(network, backbone.layers[-1].name, "avg")
        cells = []
        for fraction in options.fractions:
            is_open = open_layers(backbone, network, fraction)
            names = [layer.name for layer, opened in zip(network.layers, is_open, strict=True) if opened]
            cut = split_network(network, names, output, image_size=backbone.image_size)
            n_tensors = len(cut.positions)
            cells.append(f"{cut.n_bytes / 1000:,.0f} kB ({n_tensors} tensor{'s' if n_tensors > 1 else ''})")
        rows.append([name, "{} x {}".format(*backbone.image_size), *cells])
    columns = ["network", "image", *(f"unfreeze={fraction:g}" for fraction in options.fractions)]
    print(table(columns, rows))


if __name__ == "__main__":
    main()
