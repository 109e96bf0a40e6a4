"""From files to features: skcnn beside Keras's own ``image_dataset_from_directory`` + ``predict``.

One command::

    python benchmarks/extraction.py --data flowers/ --weights mobilenet_v2.weights.h5 --json extraction.json

Both take the same files, the same network and weights, and the same size in pixels; skcnn's cache is off. Rounds are
interleaved (A B, B A, ...), and what counts is the median over the rounds of the ratio within a round, for images per
second of wall time and per second of processor time: machines are noisy. A row is shown only if both give the same
features. Memory is the resident size of a process of its own for each number of images.

The two decode JPEG a little differently (TensorFlow takes a faster transform), so that features are close, not equal.
Keras also resizes without antialiasing: pictures of another size than the network's then need ``--least-cosine``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from skcnn.backbones import get_backbone, scale_pixels
from skcnn.datasets import load_image_folder
from skcnn.feature_extraction import BottleneckFeatures


def links_to(paths: list[str], folder: Path) -> None:
    """Lay links to some pictures in one class folder, in order, for image_dataset_from_directory."""
    (folder / "all").mkdir(parents=True)
    for index, path in enumerate(paths):
        os.symlink(os.path.abspath(path), folder / "all" / f"{index:06d}{Path(path).suffix}")


def with_skcnn(paths: list[str], arguments: argparse.Namespace) -> Callable[[], np.ndarray]:
    """Return what extracts with skcnn: one line."""
    transformer = BottleneckFeatures(
        arguments.backbone,
        weights=arguments.weights,
        batch_size=arguments.batch_size,
        precision=arguments.precision,
        cache="memory" if arguments.resident == "memory" else None,
    )
    return lambda: transformer.transform(paths)


def with_keras(paths: list[str], folder: Path, arguments: argparse.Namespace) -> Callable[[], np.ndarray]:
    """Return what extracts with Keras alone, as its guides do it."""
    backbone = get_backbone(arguments.backbone)
    network = backbone.build(weights=arguments.weights)
    inputs = keras.Input((*backbone.image_size, 3))
    features = keras.layers.GlobalAveragePooling2D()(network(scale_pixels(inputs, backbone.preprocessing)))
    model = keras.Model(inputs, features)
    links_to(paths, folder)
    options = {
        "labels": None,
        "shuffle": False,
        "image_size": backbone.image_size,
        "batch_size": arguments.batch_size,
        "follow_links": True,
        "verbose": False,
    }
    return lambda: model.predict(keras.utils.image_dataset_from_directory(folder, **options), verbose=0)


def timed(function: Callable[[], Any]) -> tuple[float, float, Any]:
    """Return wall seconds, processor seconds (all threads) and the result."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = function()
    return time.perf_counter() - wall, time.process_time() - cpu, result


def compare(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run interleaved rounds and return the medians and every round."""
    paths = sample(arguments)
    runs = {"skcnn": with_skcnn(paths, arguments), "keras": with_keras(paths, folder, arguments)}
    features = {name: run() for name, run in runs.items()}  # also the warm-up
    norms = (np.linalg.norm(values, axis=1) for values in features.values())
    cosine = (features["skcnn"] * features["keras"]).sum(axis=1) / np.prod(list(norms), axis=0)
    rounds = []
    for index in range(arguments.rounds):
        row: dict[str, Any] = {"load": os.getloadavg()[0]}
        for name in list(runs) if index % 2 == 0 else list(runs)[::-1]:
            wall, cpu, _ = timed(runs[name])
            row[name] = {"wall": wall, "cpu": cpu}
        rounds.append(row)
        print(f"round {index + 1}: {json.dumps(row)}", file=sys.stderr)
    result: dict[str, Any] = {
        "backbone": arguments.backbone,
        "images": len(paths),
        "least_cosine": float(cosine.min()),
        "same_features": bool(cosine.min() >= arguments.least_cosine),
        "rounds": rounds,
    }
    for kind in ("wall", "cpu"):
        ratios = [row["keras"][kind] / row["skcnn"][kind] for row in rounds]
        result[f"ratio_{kind}"] = float(np.median(ratios))
        result[f"ratio_{kind}_range"] = [min(ratios), max(ratios)]
        for name in runs:
            result[f"{name}_images_per_{kind}_second"] = len(paths) / float(
                np.median([row[name][kind] for row in rounds])
            )
    return result


def sample(arguments: argparse.Namespace) -> list[str]:
    """Return the paths to use, repeated in turn where the folder holds too few."""
    found = list(load_image_folder(arguments.data).data["path"])
    order = np.random.default_rng(0).permutation(len(found))
    return [found[index] for index in np.resize(order, arguments.images)]


def resident(arguments: argparse.Namespace) -> None:
    """Print how much memory this process takes after it extracted: now and at its peak, in MB."""
    with_skcnn(sample(arguments), arguments)()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    now = pages * resource.getpagesize() / 1e6
    print(json.dumps({"now": now, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6}))


def memory(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure processes of 128 and of 2,048 images, with and without the cache."""
    rows = []
    for cache in ("memory", None):
        for images in (128, 2048):
            command = [sys.executable, __file__, "--data", arguments.data, "--backbone", arguments.backbone]
            command += ["--images", str(images), "--resident", str(cache), "--batch-size", str(arguments.batch_size)]
            command += ["--weights", arguments.weights] if arguments.weights else []
            out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            rows.append({"cache": cache, "images": images, **json.loads(out.strip().splitlines()[-1])})
    return rows


def as_markdown(result: dict[str, Any]) -> str:
    """Return the tables that people read."""
    lines = [
        (
            f"{result['backbone']}, {result['images']} images, {len(result['rounds'])} interleaved rounds, "
            f"{result['machine']}; least cosine of the two features of an image {result['least_cosine']:.4f}."
        ),
        "",
        "| files to features, images a second | wall | processor |",
        "|---|---|---|",
    ]
    if not result["same_features"]:
        lines.append("| (not shown: the features differ) | | |")
    else:
        for name in ("skcnn", "keras"):
            wall, cpu = (result[f"{name}_images_per_{kind}_second"] for kind in ("wall", "cpu"))
            lines.append(f"| {name} | {wall:.1f} | {cpu:.1f} |")
        ratios = (
            "{:.2f} ({:.2f} to {:.2f})".format(result[f"ratio_{kind}"], *result[f"ratio_{kind}_range"])
            for kind in ("wall", "cpu")
        )
        lines.append(f"| **ratio, median of rounds (range)** | {' | '.join(ratios)} |")
    if result.get("memory"):
        lines += ["", "| resident memory, MB | images | at the end | at the peak |", "|---|---|---|---|"]
        for row in result["memory"]:
            lines.append(f"| cache={row['cache']!r} | {row['images']} | {row['now']:.0f} | {row['peak']:.0f} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print Markdown, and write JSON where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="a folder of pictures, a folder for each class")
    parser.add_argument("--backbone", default="MobileNetV2")
    parser.add_argument("--weights", default="pretrained", help="a name or a file")
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--least-cosine", type=float, default=0.98, help="of the two features of an image")
    parser.add_argument("--no-memory", action="store_true", help="leave the measurement of memory out")
    parser.add_argument("--json", help="where to write every number")
    parser.add_argument("--resident", choices=["memory", "None"], help=argparse.SUPPRESS)  # the child of memory()
    arguments = parser.parse_args()
    if arguments.resident:
        resident(arguments)
        return
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        result = compare(arguments, Path(folder) / "links")
    result["machine"] = f"{os.cpu_count()} cores ({platform.machine()}), {keras.backend.backend()} backend"
    result["memory"] = [] if arguments.no_memory else memory(arguments)
    print(as_markdown(result))
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
