"""``skcnn similar``: the images of a folder that are most similar to given ones."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skcnn._text import counted, file_text, printable_text
from skcnn.cli._arguments import image_path, output_path, whole_number
from skcnn.cli._common import add_command, add_features, features_from
from skcnn.cli._data import add_data, add_skip_bad, load_data

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.utils import Bunch

_THUMBNAIL = 256
"""Pixels of the longer side: sharp on a screen of twice the usual density."""


def add_to(commands: Any) -> None:
    parser = add_command(
        commands,
        "similar",
        run,
        "list the images that are most similar to given ones",
        epilog="Prints a tab-separated line per similar image: query, path, label, distance; the nearest one first.\n"
        "The distance is the cosine distance of the features: 0 is the same image, 1 has nothing in common. A query\n"
        "that is itself in the folder is left out. Images need no labels.\n\n"
        "examples:\n"
        "  skcnn similar flowers/ query.jpg\n"
        "  skcnn similar flowers/ a.jpg b.jpg -k 5 -o similar.html --cache features/",
    )
    add_data(parser)
    parser.add_argument("queries", type=image_path, nargs="+", metavar="QUERY", help="image files or URLs")
    parser.add_argument("-k", type=whole_number, default=9, metavar="K", help="images per query (default: %(default)s)")
    parser.add_argument(
        "-o",
        "--output",
        type=output_path,
        metavar="PAGE",
        help="also write a web page, such as page.html",
    )
    add_skip_bad(parser)
    add_features(parser)


def run(options: argparse.Namespace) -> None:
    dataset = load_data(options, needs_labels=False)
    features = features_from(options)
    of_images = features.fit_transform(dataset.frame[["path"]])
    similar = _similar(of_images, features.transform(options.queries), dataset, options)
    for query, path, label, distance in similar.itertuples(index=False):
        print(f"{printable_text(query)}\t{printable_text(path)}\t{printable_text(label)}\t{distance:.4f}")
    if options.output:
        _write_page(similar, len(of_images), options)
        print(f"Page: {options.output}", file=sys.stderr)


def _similar(of_images: Any, of_queries: Any, dataset: Bunch, options: argparse.Namespace) -> pd.DataFrame:
    """Return the columns query, path, label and distance, query by query, nearest first."""
    import numpy as np
    import pandas as pd
    from sklearn.neighbors import NearestNeighbors

    # One more than asked for: a query may be among the images.
    n_neighbors = min(options.k + 1, len(of_images))
    neighbors = NearestNeighbors(n_neighbors=n_neighbors, metric="cosine").fit(np.asarray(of_images))
    distances, rows = neighbors.kneighbors(np.asarray(of_queries))
    paths = dataset.frame["path"].tolist()
    labels = [""] * len(paths) if dataset.target is None else dataset.target.tolist()
    found = []
    for query, near, their_rows in zip(options.queries, distances, rows, strict=True):
        others = [
            (query, paths[row], labels[row], distance)
            for row, distance in zip(their_rows, near, strict=True)
            if not _is_same_file(query, paths[row])
        ]
        found += others[: options.k]
    return pd.DataFrame(found, columns=["query", "path", "label", "distance"])


def _is_same_file(query: str, path: str) -> bool:
    return query == path or ("://" not in query and os.path.realpath(query) == os.path.realpath(path))


def _write_page(similar: pd.DataFrame, n_images: int, options: argparse.Namespace) -> None:
    from skcnn._page.page import render, write_page

    groups = [
        {
            "file": file_text(query),
            "image": _image(query),
            "similar": [
                {
                    "file": file_text(row.path),
                    "label": printable_text(row.label),
                    "distance": f"{row.distance:.3f}",
                    "image": _image(row.path),
                }
                for row in similar[similar["query"] == query].itertuples()
            ],
        }
        for query in dict.fromkeys(options.queries)
    ]
    page = render(
        "skcnn.cli",
        "similar.html",
        sections={},
        groups=groups,
        folder=printable_text(Path(options.data).name or options.data),
        n_images=counted(n_images, "image"),
        backbone=printable_text(options.backbone),
    )
    write_page(options.output, page)


def _image(path: str) -> dict[str, Any]:
    from skcnn._plot.thumbnails import data_uri
    from skcnn.images import as_images

    image = as_images([path]).thumbnail(0, _THUMBNAIL)
    return {"uri": data_uri(image), "width": image.shape[1], "height": image.shape[0]}
