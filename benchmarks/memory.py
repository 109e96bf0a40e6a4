"""How much memory a process takes, however many images it extracts, candidates it searches and networks it trains.

One command (Linux)::

    python benchmarks/memory.py --data flowers/ --weights mobilenet_v2.weights.h5 --json memory.json

``growth``: the resident size of a process of its own that extracted 128 images, and of one that extracted 2,048,
without a cache, with ``cache="memory"`` (whose records stay, by design) and with a directory.

``candidates``: how much the resident size of a process grows over a GridSearchCV of 20 candidates, after one of a
single candidate, so that the network, the records and scikit-learn's own imports are there before.

``fits``: how much it grows from the first to the last of 20 fits of a CNNClassifier, all of its network open at 64
pixels, and how long the fits take.

Without ``--weights`` weights are random, which changes no size.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from _images import image_files
from _reports import add_json, write_report
from _rounds import describe, machine, resident_megabytes, table
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from skcnn.feature_extraction import BottleneckFeatures
from skcnn.neural_network import CNNClassifier


def extract(paths: list[str], parameters: dict[str, Any]) -> dict[str, float]:
    """Extract, and return how much memory this process takes."""
    features = BottleneckFeatures(**parameters).transform(paths)
    if np.isnan(features).any():
        raise RuntimeError("features are missing")
    return resident_megabytes()


def search(paths: list[str], parameters: dict[str, Any], n_candidates: int) -> dict[str, float]:
    """Search one candidate, then many; return the growth in between."""
    y = np.arange(len(paths)) % 2
    pipeline = Pipeline([("features", BottleneckFeatures(**parameters)), ("head", RidgeClassifier())])

    def fit(values: np.ndarray) -> float:
        GridSearchCV(pipeline, {"head__alpha": values}, cv=5).fit(paths, y)
        return resident_megabytes()["now"]

    before = fit(np.ones(1))
    after = fit(np.logspace(-1, 3, n_candidates))
    return {"before": before, "after": after, "growth": after - before}


def fit(paths: list[str], parameters: dict[str, Any], n_fits: int) -> dict[str, float]:
    """Fit again and again; return what the first left behind, the growth over the others, and seconds."""
    y = np.arange(len(paths)) % 2
    sizes, seconds = [], []
    for seed in range(n_fits):
        started = time.perf_counter()
        classifier = CNNClassifier(**parameters, image_size=64, head_epochs=1, epochs=1, random_state=seed)
        classifier.fit(paths, y)
        seconds.append(time.perf_counter() - started)
        sizes.append(resident_megabytes()["now"])
    return {
        "n": n_fits,
        "before": sizes[0],
        "after": sizes[-1],
        "growth": sizes[-1] - sizes[0],
        "first_seconds": seconds[0],
        "median_seconds": float(np.median(seconds[1:])),
    }


def in_new_process(what: str, paths: list[str], **arguments: Any) -> Any:
    """Call one of the functions above in a process of its own."""
    command = [sys.executable, __file__, "--child", what]
    given = json.dumps({"paths": paths, **arguments})
    done = subprocess.run(command, input=given, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{what} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def measure(paths: list[str], work: Path, settings: argparse.Namespace) -> dict[str, Any]:
    """Measure all three."""
    parameters = {"backbone": settings.backbone, "weights": settings.weights, "engine": settings.engine}
    growth = []
    for cache in (None, "memory", "a directory"):
        for n_images in settings.images:
            folder = str(work / f"cache{n_images}") if cache == "a directory" else cache
            taken = in_new_process("extract", paths[:n_images], parameters={**parameters, "cache": folder})
            growth.append({"cache": cache, "images": n_images, **taken})
            print(f"  cache={cache}, {n_images} images: {taken}", file=sys.stderr)
    few = paths[: min(settings.images)]
    candidates = [
        {"cache": cache, **in_new_process("search", few, parameters={**parameters, "cache": folder}, n_candidates=20)}
        for cache, folder in (("memory", "memory"), ("a directory", str(work / "searched")))
    ]
    # Random weights have statistics to learn.
    batch_norm = "inference" if settings.weights else "train"
    network = {"backbone": settings.backbone, "weights": settings.weights, "batch_norm": batch_norm}
    fits = in_new_process("fit", paths[:32], parameters=network, n_fits=settings.fits)
    return {"growth": growth, "candidates": candidates, "fits": fits}


def as_markdown(report: dict[str, Any]) -> str:
    """Return the tables that people read."""
    settings = report["settings"]
    head = f"{describe(report['machine'])}; {settings['backbone']}, engine {settings['engine']}."
    growth = []
    for row in report["growth"]:
        first = next(one for one in report["growth"] if one["cache"] == row["cache"])
        grown = f"{100 * (row['now'] / first['now'] - 1):+.1f} %"
        growth.append([row["cache"] or "no cache", row["images"], f"{row['now']:.0f}", grown, f"{row['peak']:.0f}"])
    candidates = [
        [row["cache"], f"{row['before']:.0f}", f"{row['after']:.0f}", f"{row['growth']:+.1f}"]
        for row in report["candidates"]
    ]
    fits = report["fits"]
    fitted = [*(f"{fits[key]:.0f}" for key in ("before", "after")), f"{fits['growth']:+.1f}"]
    fitted += [f"{fits['first_seconds']:.1f}", f"{fits['median_seconds']:.1f}"]
    return "\n\n".join(
        [
            head,
            table(["resident memory, MB", "images", "at the end", "growth", "at the peak"], growth),
            f"GridSearchCV, {min(settings['images'])} images, 5 folds:",
            table(["resident memory, MB", "after 1 candidate", "after 20 more", "growth"], candidates),
            "CNNClassifier, 32 images of 64 pixels, a head epoch and one with all layers open:",
            table(
                ["after 1 fit, MB", f"after {fits['n']}", "growth", "first fit, s", "median of the others, s"], [fitted]
            ),
        ]
    )


def main(arguments: list[str] | None = None) -> None:
    """Measure, print Markdown, and write JSON where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", metavar="FOLDER", help="images, one folder per class; default: generated ones")
    parser.add_argument("--backbone", default="MobileNetV2", help="default: %(default)s")
    parser.add_argument("--weights", metavar="FILE", help="default: random ones")
    parser.add_argument("--engine", default="keras", help="default: %(default)s")
    parser.add_argument("--images", type=int, nargs="+", default=[128, 2048], help="default: %(default)s")
    parser.add_argument("--fits", type=int, default=20, help="default: %(default)s")
    add_json(parser)
    parser.add_argument("--child", choices=["extract", "search", "fit"], help=argparse.SUPPRESS)
    settings = parser.parse_args(arguments)
    if settings.child:
        given = json.load(sys.stdin)
        print(json.dumps({"extract": extract, "search": search, "fit": fit}[settings.child](**given)))
        return
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        paths = image_files(work / "images", max(settings.images), None, settings.data)
        report = {"settings": vars(settings), **measure(paths, work, settings)}
        report |= {"machine": machine(), "load": os.getloadavg()[0]}
    print(as_markdown(report))
    write_report(settings.json, report)


if __name__ == "__main__":
    main()
