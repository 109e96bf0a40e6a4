"""What it costs never to run an image twice: lookups, kept records, and a grid search in five ways.

One command::

    python benchmarks/cache.py --data flowers/ --weights mobilenet_v2.weights.h5 --json cache.json

``lookup``: a second run over images whose features are in a directory, in microseconds per image, with what it is
made of; the same in a new process, which imports no Keras; and what the cache adds to a first run.

``search``: GridSearchCV over 8 candidates x 5 folds x 2 backbones: without a cache, with ``Pipeline(memory=)``, with
``cache="memory"``, and with a directory, by one process and by several. What counts is how many images went through a
network. Networks are built before; the workers of the last way build theirs in the time that is shown. A way that
finds other scores than the first says so and shows no numbers.

Without ``--weights`` weights are random, which changes no time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from _images import image_files
from _networks import plan_of
from _reports import add_json, write_report
from _rounds import describe, interleaved, machine, median, table, timed
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from skcnn.cache import FeatureCache, memory_cache
from skcnn.feature_extraction import BottleneckFeatures
from skcnn.images import as_images

#: Values of alpha for the head: 8 candidates for each backbone. It is a quick one: features are what is measured.
CANDIDATES = [float(value) for value in np.logspace(-1, 3, 8)]
N_FOLDS = 5
BATCH = 32


def lookup(paths: list[str], work: Path, settings: argparse.Namespace) -> dict[str, Any]:
    """Measure a warm directory, in this process and in a new one, and what a first run pays for it."""
    parameters = {"backbone": settings.backbones[0], "weights": settings.weights, "engine": settings.engine}
    folder = work / "lookup"
    features = BottleneckFeatures(**parameters, cache=folder)
    expected = features.transform(paths)
    features.transform(paths)  # files that changed a moment ago are remembered at the second look only

    cache, images, rows = FeatureCache(folder), as_images(paths), range(len(paths))
    network = plan_of(settings.backbones[0], settings.weights, cached=True).fingerprint
    digests = [digest for _, digest in cache.digests(images, rows)]
    records = [record for _, record in cache.get_many(network, digests)]
    empty = iter(FeatureCache(work / f"empty{index}") for index in range(10**6))

    def keep() -> None:
        fresh = next(empty)
        for start in range(0, len(digests), BATCH):
            piece = digests[start : start + BATCH]
            fresh.claim(network, piece)
            fresh.put_many(network, piece, records[start : start + BATCH])

    runs = {
        "a full hit: transform": lambda: features.transform(paths),
        "of it: digests of known files": lambda: list(cache.digests(images, rows)),
        "of it: reading and checking records": lambda: list(cache.get_many(network, digests)),
        "a first run: reading and hashing files": lambda: list(next(empty).digests(images, rows)),
        "a first run: claiming and keeping records": keep,
    }
    for run in runs.values():
        run()
    rounds = interleaved(runs, settings.rounds)
    child = [sys.executable, __file__, "--child", json.dumps({**parameters, "cache": str(folder)})]
    done = subprocess.run(child, input=json.dumps(paths), capture_output=True, text=True, check=True)
    return {
        "images": len(paths),
        "right": bool(len(records) == len(paths) and np.array_equal(features.transform(paths), expected)),
        "record_bytes": records[0].nbytes,
        "rounds": rounds,
        "microseconds": {
            name: {clock: median(rounds, name, clock) / len(paths) * 1e6 for clock in ("wall", "cpu")} for name in runs
        },
        "new_process": json.loads(done.stdout.splitlines()[-1]),
    }


def hit_in_new_process(parameters: dict[str, Any]) -> dict[str, Any]:
    """Transform what the directory holds; tell the seconds and what was imported."""
    paths = json.load(sys.stdin)
    seconds, _ = timed(lambda: BottleneckFeatures(**parameters).transform(paths))
    return {**seconds, "keras_imported": "keras" in sys.modules}


@contextmanager
def counted_passes() -> Iterator[dict[str, int]]:
    """Count the images that go through a network in this process."""
    from skcnn.engines._keras_engine import KerasEngine
    from skcnn.engines._openvino_engine import OpenVINOEngine

    count = {"passes": 0}
    originals = {engine: engine.start for engine in (KerasEngine, OpenVINOEngine)}

    def counting(start: Any) -> Any:
        def counted(engine: Any, pixels: np.ndarray) -> Any:
            count["passes"] += len(pixels)
            return start(engine, pixels)

        return counted

    for engine, start in originals.items():
        engine.start = counting(start)  # type: ignore[method-assign]
    try:
        yield count
    finally:
        for engine, start in originals.items():
            engine.start = start  # type: ignore[method-assign]


def search(paths: list[str], work: Path, settings: argparse.Namespace) -> list[dict[str, Any]]:
    """Run the same search in every way."""
    y = np.arange(len(paths)) % 2
    ways: list[tuple[str, Any, Any, int]] = [
        ("no cache", None, None, 1),
        ("Pipeline(memory=)", None, str(work / "joblib"), 1),
        ('cache="memory"', "memory", None, 1),
        ("a directory", str(work / "one"), None, 1),
    ]
    if settings.n_jobs > 1:
        ways.append((f"a directory, n_jobs={settings.n_jobs}", str(work / "several"), None, settings.n_jobs))
    grid = {"features__backbone": settings.backbones, "head__alpha": CANDIDATES}
    rows: list[dict[str, Any]] = []
    for name, cache, memory, n_jobs in ways:
        features = BottleneckFeatures(weights=None, engine=settings.engine, cache=cache)
        for backbone in settings.backbones:  # networks are built before; the image is none of those searched
            features.set_params(backbone=backbone).transform(np.zeros((1, 8, 8, 3), np.uint8))
        steps = [("features", features), ("head", RidgeClassifier())]
        runner = GridSearchCV(Pipeline(steps, memory=memory), grid, cv=N_FOLDS, n_jobs=n_jobs)
        before = cache_counts(cache)
        with counted_passes() as count:
            seconds, _ = timed(lambda runner=runner: runner.fit(paths, y))
        passes, hits = (after - earlier for after, earlier in zip(cache_counts(cache), before, strict=True))
        scores = runner.cv_results_["mean_test_score"]
        rows.append(
            {
                "way": name,
                # Other processes' passes are known to the directory alone.
                "passes_per_image": (count["passes"] if n_jobs == 1 else passes) / len(paths),
                "hit_rate": hits / (passes + hits) if cache is not None else None,
                **seconds,
                "right": bool(not rows or np.allclose(scores, rows[0]["scores"], atol=1e-6)),
                "scores": list(scores),
            }
        )
        print(f"  {name}: {seconds['wall']:.1f} s", file=sys.stderr)
    return rows


def cache_counts(cache: Any) -> tuple[int, int]:
    """Return how many passes a cache has counted, and hits."""
    if cache is None:
        return 0, 0
    info = (memory_cache() if cache == "memory" else FeatureCache(cache)).info()
    return info.passes, info.hits


def as_markdown(report: dict[str, Any]) -> str:
    """Return the tables that people read."""
    settings = report["settings"]
    parts = [f"{describe(report['machine'])}; load average {report['load']:.1f}; engine {settings['engine']}."]
    if "lookup" in report:
        found = report["lookup"]
        child = found["new_process"]
        parts.append(
            f"**{settings['backbones'][0]}, {found['images']} images in a directory**, records of "
            f"{found['record_bytes'] / 1e3:.1f} kB, median of {settings['rounds']} interleaved rounds. In a new "
            f"process a full hit takes {child['wall']:.2f} s in all and imports "
            f"{'KERAS' if child['keras_imported'] else 'no Keras'}."
        )
        rows = [[name, f"{one['wall']:.0f}", f"{one['cpu']:.0f}"] for name, one in found["microseconds"].items()]
        head = ["microseconds per image", "wall", "processor"]
        parts.append(table(head, rows) if found["right"] else "**WRONG FEATURES**")
    if "search" in report:
        names = settings["backbones"]
        parts.append(
            f"**GridSearchCV, {len(CANDIDATES)} candidates x {N_FOLDS} folds x {len(names)} backbones** "
            f"({', '.join(names)}), {settings['search_images']} images, with the last fit on all"
        )
        parts.append(
            table(["way", "passes an image", "hit rate", "seconds", "processor"], search_rows(report["search"]))
        )
    return "\n\n".join(parts)


def search_rows(rows: list[dict[str, Any]]) -> list[list[object]]:
    """Return the cells of the table of the search."""
    shown: list[list[object]] = []
    for row in rows:
        rate = "" if row["hit_rate"] is None else f"{100 * row['hit_rate']:.1f} %"
        # The processor time of workers is none of this process.
        processor = "" if "n_jobs" in row["way"] else f"{row['cpu']:.1f}"
        cells = [f"{row['passes_per_image']:g}", rate, f"{row['wall']:.1f}", processor]
        shown.append([row["way"], *(cells if row["right"] else ["**WRONG SCORES**", "", "", ""])])
    return shown


def main(arguments: list[str] | None = None) -> None:
    """Measure, print Markdown, and write JSON where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    both = ["lookup", "search"]
    parser.add_argument("--parts", nargs="+", choices=both, default=both, help="default: %(default)s")
    parser.add_argument("--data", metavar="FOLDER", help="images, one folder per class; default: generated ones")
    parser.add_argument(
        "--backbones", nargs="+", default=["MobileNetV2", "MobileNet"], metavar="NAME", help="default: %(default)s"
    )
    parser.add_argument("--weights", metavar="FILE", help="of the first backbone, for lookup; default: random ones")
    parser.add_argument("--engine", default="keras", help="default: %(default)s")
    parser.add_argument("--images", type=int, default=2048, help="of lookup (default: %(default)s)")
    parser.add_argument("--search-images", type=int, default=100, help="of search (default: %(default)s)")
    parser.add_argument("--n-jobs", type=int, default=2, help="of the last way; 1 leaves it out (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="of lookup (default: %(default)s)")
    add_json(parser)
    parser.add_argument("--child", help=argparse.SUPPRESS)  # a process of lookup
    settings = parser.parse_args(arguments)
    if settings.child:
        print(json.dumps(hit_in_new_process(json.loads(settings.child))))
        return
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        paths = image_files(work / "images", max(settings.images, settings.search_images), None, settings.data)
        report: dict[str, Any] = {"settings": vars(settings)}
        if "lookup" in settings.parts:
            report["lookup"] = lookup(paths[: settings.images], work, settings)
        if "search" in settings.parts:
            report["search"] = search(paths[: settings.search_images], work, settings)
        report |= {"machine": machine(), "load": os.getloadavg()[0]}
    print(as_markdown(report))
    write_report(settings.json, report)


if __name__ == "__main__":
    main()
