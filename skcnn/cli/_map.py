"""``skcnn map``: a page of many images, similar ones close together."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from skcnn.cli._arguments import count, output_path, whole_number
from skcnn.cli._common import add_command, add_features, features_from
from skcnn.cli._data import add_data, add_skip_bad, images_text, load_data


def add_to(commands: Any) -> None:
    parser = add_command(
        commands,
        "map",
        run,
        "draw a map of images, similar ones close together, as a web page",
        epilog="The page is one file, loads nothing from elsewhere and zooms. At most 400 images have a thumbnail and\n"
        "10,000 are drawn. Colours are labels, or clusters with --clusters; images need no labels.\n\n"
        "examples:\n"
        "  skcnn map flowers/ -o map.html\n"
        "  skcnn map flowers/ -o map.html --reducer tsne --cache features/\n"
        "  skcnn map flowers/ -o map.html --clusters 8",
    )
    add_data(parser)
    parser.add_argument("-o", "--output", type=output_path, metavar="PAGE", required=True, help="such as map.html")
    parser.add_argument(
        "--reducer",
        choices=["pca", "tsne"],
        default="pca",
        help="from features to two coordinates; tsne separates groups better and takes longer (default: %(default)s)",
    )
    parser.add_argument("--clusters", type=whole_number, metavar="K", help="colour by K clusters, not by label")
    parser.add_argument(
        "--seed", type=count, default=0, metavar="N", help="seed of map and clusters (default: %(default)s)"
    )
    add_skip_bad(parser)
    add_features(parser)


def run(options: argparse.Namespace) -> None:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import Normalizer

    from skcnn.inspection import ImageMapDisplay

    dataset = load_data(options, needs_labels=False)
    X = dataset.frame[["path"]]
    if options.clusters is not None and options.clusters > len(X):
        raise ValueError(f"--clusters {options.clusters}; expected at most {len(X):,}, the number of images.")
    # Distances between unit vectors are those of `skcnn similar`.
    features = make_pipeline(features_from(options), Normalizer()).fit(X)
    y = dataset.target if options.clusters is None else _clusters(features.transform(X), options)
    display = ImageMapDisplay.from_estimator(
        features, X, y, reducer=options.reducer, random_state=options.seed, name=Path(options.data).stem
    )
    display.to_html(options.output)
    print(f"{options.output}: {images_text(dataset)}, {display.description}")


def _clusters(features: Any, options: argparse.Namespace) -> Any:
    """Return the number of the cluster of each image, as a Series whose name is the legend's title."""
    import pandas as pd
    from sklearn.cluster import KMeans

    clusters = KMeans(options.clusters, n_init=10, random_state=options.seed).fit_predict(features)
    return pd.Series(clusters, name="cluster")
