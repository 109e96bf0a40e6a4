"""What the features of very many images cost, on paper: a model fitted to small runs, checked, and projected.

    python benchmarks/scale.py --cifar cifar10_jpeg.npz --json scale.json
    python benchmarks/scale.py --from scale.json

Images of CIFAR-10 in TFRecord shards are extracted in parts by ResNet20, by 1, 2 and 4 workers of Dask on this machine,
with several numbers of images and sizes of parts. What is fitted, by non-negative least squares, is the processor time
of the workers,

    seconds = start * workers + image * images + part * parts,

and that of the driver, the same without workers. Seconds on the wall say nothing on a machine of two cores that does
other work; where workers have cores of their own, the wall time is that of one of them. A run by 3 workers, of another
size, is not fitted and says how wrong the model is.

``warm``: two warm workers beside one process, in interleaved rounds: images per second of processor.

``sizes``: bytes per row of parts and of a cache directory, and what the driver needs per row before the first part.

Then hours and bytes for 10^6, 10^8 and 10^9 images, for machines that are described in ``FLEETS``. Rates of other
networks, of stores and of accelerators are not fitted here: ``RATES`` says where each is from.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import sys
import tempfile
import time
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from _rounds import describe, machine, ratio, show_ratio, table
from scipy.optimize import nnls
from sklearn.base import BaseEstimator, TransformerMixin
from sources import Cifar

from skcnn.datasets import TFRecordImages, write_tfrecords

#: Images and rows per part of the runs that are fitted, and of the one that is not, with its workers.
RUNS = ((2000, 100), (2000, 1000), (6000, 500), (10_000, 2000))
CHECKED = (3, 8000, 300)

N_IMAGES = (10**6, 10**8, 10**9)


class Rate(NamedTuple):
    """A network: images per second of a core, features, and where the rate is from."""

    per_core: float | None
    n_features: int
    source: str


#: None is what is fitted here.
RATES = {
    "ResNet20": Rate(None, 64, "fitted here, images of 32 pixels"),
    "MobileNetV2": Rate(97.5, 1280, "benchmarks/extraction.py, images of 224 pixels from files"),
}


class Fleet(NamedTuple):
    """Machines: their number, and cores of each."""

    name: str
    machines: int
    cores: int


FLEETS = (Fleet("1 of 16 cores", 1, 16), Fleet("32 of 16 cores", 32, 16))

#: Cores of a worker; requests of a worker to a store at a time, and seconds until a store answers (assumed).
CORES_PER_WORKER, REQUESTS, LATENCY = 2, 32, 0.05
ROWS_PER_PART = 10_000


def processor_seconds() -> float:
    """Return the processor time of this process so far, all threads."""
    return time.process_time()


def extracted(source: Any, labels: np.ndarray, out: Path, rows_per_part: int, client: Any = None) -> dict[str, float]:
    """Extract in parts; return seconds of the processor, of workers and of the driver, and on the wall."""
    from skcnn.distributed import extract_parts
    from skcnn.feature_extraction import BottleneckFeatures

    network = BottleneckFeatures("ResNet20", cache=None, verbose=0)
    on_dask = {} if client is None else {"engine": "dask", "address": client.scheduler.address}
    before = {} if client is None else client.run(processor_seconds)
    driver, wall = time.process_time(), time.perf_counter()
    features = extract_parts(source, network, out, y=labels, rows_per_part=rows_per_part, verbose=0, **on_dask)
    driver, wall = time.process_time() - driver, time.perf_counter() - wall
    after = {} if client is None else client.run(processor_seconds)
    assert features.shape == (len(source), 64)
    return {
        "images": len(source),
        "parts": -(-len(source) // rows_per_part),
        "driver": driver,
        "workers cpu": sum(after.values()) - sum(before.values()),
        "wall": wall,
    }


class Workers:
    """Workers of Dask on this machine, and the processor time until each had its network."""

    def __init__(self, stack: contextlib.ExitStack, n_workers: int, source: Any, work: Path):
        from distributed import Client, LocalCluster

        # The scheduler is a thread of this process: its time counts as the driver's.
        cluster = LocalCluster(n_workers=n_workers, threads_per_worker=1, dashboard_address=None)
        self.client = stack.enter_context(Client(stack.enter_context(cluster)))
        labels = np.zeros(4 * n_workers, int)
        begun = processor_seconds()
        extracted(source[: 4 * n_workers], labels, work / f"first_{n_workers}", 1, self.client)
        # A worker that got no part of those has no network yet.
        self.client.run(warm_up, source[:4])
        started = sum(self.client.run(processor_seconds).values())
        self.start = {"workers": n_workers, "images": 8 * n_workers, "parts": 4 * n_workers, "workers cpu": started}
        self.start["driver"] = processor_seconds() - begun


def warm_up(images: Any) -> None:
    """Have the network in this process."""
    from skcnn.feature_extraction import BottleneckFeatures

    BottleneckFeatures("ResNet20", cache=None, verbose=0).transform(images)


def measure(source: Any, labels: np.ndarray, n_rounds: int, runs: Any, checked: Any, work: Path) -> dict[str, Any]:
    """Return the runs that are fitted, the one that is not, and rounds of two workers beside one process."""
    fitted, rounds = [], []
    for n_workers in (1, 2, 4):
        with contextlib.ExitStack() as stack:
            workers = Workers(stack, n_workers, source, work)
            fitted.append(workers.start)
            for number, (n_images, rows_per_part) in enumerate(runs):
                out = work / f"{n_workers}_{number}"
                run = extracted(source[:n_images], labels[:n_images], out, rows_per_part, workers.client)
                fitted.append({"workers": 0, "of": n_workers, **run})
            print(f"  {n_workers} workers, load {os.getloadavg()[0]:.1f}", file=sys.stderr)
            if n_workers == 2:
                rounds = warm(source[: runs[-1][0]], labels, n_rounds, workers.client, work)
    n_workers, n_images, rows_per_part = checked
    with contextlib.ExitStack() as stack:
        start = Workers(stack, n_workers, source, work).start
        client = stack.enter_context(current_client())
        run = extracted(source[:n_images], labels[:n_images], work / "checked", rows_per_part, client)
    total = {key: start[key] + run[key] for key in ("images", "parts", "workers cpu", "driver")}
    return {"fitted": fitted, "checked": {"workers": n_workers, **total}, "warm": rounds}


def current_client() -> contextlib.AbstractContextManager[Any]:
    """Return the client that is there, which something else closes."""
    from distributed import get_client

    return contextlib.nullcontext(get_client())


def warm(source: Any, labels: np.ndarray, n_rounds: int, client: Any, work: Path) -> list[dict[str, Any]]:
    """Return rounds of one process and of two workers, each with its network, in an order that turns."""
    warm_up(source[:4])
    rounds = []
    for number in range(n_rounds):
        one = {}
        for name in ("one process", "two workers") if number % 2 == 0 else ("two workers", "one process"):
            on = client if name == "two workers" else None
            run = extracted(source, labels[: len(source)], work / f"{name}_{number}", 500, on)
            one[name] = {"cpu": run["driver"] + run["workers cpu"], "wall": run["wall"], "images": len(source)}
        rounds.append(one)
    return rounds


class EndedError(Exception):
    """The first part was begun."""


class Ends(TransformerMixin, BaseEstimator):
    """A transformer that computes nothing."""

    def transform(self, X: Any) -> np.ndarray:
        """Raise."""
        raise EndedError


def begin(rows: Any, labels: np.ndarray, out: Path) -> None:
    """Do what an extraction does before its first part."""
    from skcnn.distributed import extract_parts

    with contextlib.suppress(EndedError):
        extract_parts(rows, Ends(), out, y=labels, verbose=0)


def sizes(source: Any, labels: np.ndarray, work: Path) -> dict[str, float]:
    """Return bytes per row on disk, and what the driver needs per row before the first part is begun."""
    from skcnn.distributed import extract_parts
    from skcnn.feature_extraction import BottleneckFeatures

    n = len(source)
    network = BottleneckFeatures("ResNet20", cache=None, verbose=0)
    extract_parts(source, network, work / "sizes", y=labels[:n], rows_per_part=n, verbose=0)
    parts = sum(path.stat().st_size for path in (work / "sizes").glob("*.parquet"))
    network.set_params(cache=work / "cache").transform(source)
    cached = sum(path.stat().st_size for path in (work / "cache").rglob("*") if path.is_file())

    many = np.resize(np.arange(n), 100_000)  # rows of the source again and again: what is asked of each is the same
    rows, y = source[many], labels[many]
    seconds = processor_seconds()
    begin(rows, y, work / "timed")
    seconds = processor_seconds() - seconds
    tracemalloc.start()  # which takes time itself
    before = tracemalloc.get_traced_memory()[0]
    begin(source[many], np.array(y), work / "traced")
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    return {
        "part": parts / n,
        "features": 4 * 64,
        "cache": cached / n,
        "driver bytes": peak / len(many),
        "driver seconds": seconds / len(many),
    }


#: What seconds of the processor are made of.
TERMS = ("workers", "images", "parts")


def fit(runs: list[dict[str, float]], key: str, terms: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """Return the seconds per worker, image and part that fit the runs best, none below 0, and their standard errors.

    Runs are weighted by one over their seconds, so that what is small is fitted as well as what is large, in percent.
    """
    A = np.array([[run[term] for term in terms] for run in runs], float)
    seconds = np.array([run[key] for run in runs], float)
    A, b = A / seconds[:, np.newaxis], np.ones(len(runs))
    scale = np.linalg.norm(A, axis=0)
    value, residual = nnls(A / scale, b)
    open_ = value > 0
    variance = residual**2 / max(1, len(runs) - open_.sum())
    error = np.full(len(terms), np.nan)
    inverse = np.linalg.inv((A / scale)[:, open_].T @ (A / scale)[:, open_])
    error[open_] = np.sqrt(variance * np.diag(inverse))
    fitted = {
        term: {"seconds": float(value[number] / scale[number]), "error": float(error[number] / scale[number])}
        for number, term in enumerate(terms)
    }
    return {**fitted, "residual": {"relative": float(np.sqrt(variance))}}


def predicted(model: dict[str, dict[str, float]], run: dict[str, float], terms: tuple[str, ...]) -> float:
    """Return the seconds of a run by a model."""
    return sum(model[term]["seconds"] * run[term] for term in terms)


def fitted(report: dict[str, Any]) -> dict[str, Any]:
    """Return the models of workers and driver, and how wrong they are about the run that was not fitted."""
    runs, checked = report["runs"]["fitted"], report["runs"]["checked"]
    models = {"workers cpu": fit(runs, "workers cpu", TERMS), "driver": fit(runs, "driver", TERMS)}
    errors = {key: predicted(model, checked, TERMS) / checked[key] - 1 for key, model in models.items()}
    return {"models": models, "errors": errors}


def project(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Return hours and bytes for many images, several networks and fleets, by the fitted model."""
    model, bytes_ = report["model"]["models"]["workers cpu"], report["sizes"]
    rows = []
    for name, rate in RATES.items():
        per_image = model["images"]["seconds"] if rate.per_core is None else 1 / rate.per_core
        overhead = bytes_["part"] - bytes_["features"]
        for n_images in N_IMAGES:
            parts = math.ceil(n_images / ROWS_PER_PART)
            for fleet in FLEETS:
                workers = fleet.machines * fleet.cores // CORES_PER_WORKER
                seconds = model["workers"]["seconds"] / CORES_PER_WORKER
                cores = fleet.machines * fleet.cores
                seconds += (n_images * per_image + parts * model["parts"]["seconds"]) / cores
                # Workers wait for each other at the end: the last one has begun a part when the others have none.
                seconds += ROWS_PER_PART * per_image / CORES_PER_WORKER
                fetching = n_images * LATENCY / (REQUESTS * workers)
                before = n_images * bytes_["driver seconds"]
                rows.append(
                    {
                        "network": name,
                        "images": n_images,
                        "fleet": fleet.name,
                        "hours": (max(seconds, fetching) + before) / 3600,
                        "bound": "store" if fetching > seconds else "processors",
                        "driver hours": before / 3600,
                        "driver bytes": n_images * bytes_["driver bytes"],
                        "parts": parts,
                        "parts bytes": n_images * (4 * rate.n_features + overhead),
                        "cache bytes": n_images * (4 * rate.n_features + bytes_["cache"] - bytes_["features"]),
                    }
                )
    return rows


def show(report: dict[str, Any]) -> str:
    """Return the report as tables."""
    found, bytes_ = report["model"], report["sizes"]
    lines = [f"{describe(report['machine'])}; {report['date']}; load average {report['load']}\n"]
    body = [
        [f"{key}, per {term[:-1]}", f"{model[term]['seconds']:.3g}", f"{model[term]['error']:.2g}"]
        for key, model in found["models"].items()
        for term in TERMS
    ]
    lines.append(table(["seconds of the processor", "value", "standard error"], body) + "\n")
    checked = report["runs"]["checked"]
    for key, error in found["errors"].items():
        lines.append(
            f"{key}: residual {100 * found['models'][key]['residual']['relative']:.0f} % of a run; not fitted, "
            f"{checked['workers']} workers, {checked['images']:,} images in {checked['parts']:,} parts: "
            f"{checked[key]:.1f} s measured, {100 * error:+.0f} % predicted."
        )
    if rounds := report["runs"]["warm"]:
        times = [
            [name, f"{np.median([one[name]['images'] / one[name]['cpu'] for one in rounds]):,.0f}"]
            + [show_ratio(ratio(rounds, "one process", name, clock)) for clock in ("cpu", "wall")]
            for name in rounds[0]
        ]
        lines.append("\n" + table(["", "images per second of processor", "x one process, processor", "wall"], times))
    lines.append(
        f"\nPer row: {bytes_['part']:.0f} bytes in parts, {bytes_['cache']:.0f} in a cache directory "
        f"(of them features: {bytes_['features']}); the driver has {bytes_['driver bytes']:.0f} bytes and takes "
        f"{1e6 * bytes_['driver seconds']:.0f} us before the first part.\n"
    )
    body = [
        [
            row["network"],
            f"{row['images']:.0e}".replace("e+0", "e"),
            row["fleet"],
            f"{row['hours']:,.2g}" if row["hours"] < 10 else f"{row['hours']:,.0f}",
            f"{row['driver hours']:.2g}",
            f"{row['driver bytes'] / 1e9:,.2g}",
            f"{row['parts']:,}",
            f"{row['parts bytes'] / 1e9:,.3g}" if row["parts bytes"] < 1e12 else f"{row['parts bytes'] / 1e9:,.0f}",
            f"{row['cache bytes'] / 1e9:,.3g}" if row["cache bytes"] < 1e12 else f"{row['cache bytes'] / 1e9:,.0f}",
        ]
        for row in report["projected"]
    ]
    header = ["network", "images", "machines", "hours", "of them driver", "its memory, GB", "parts", "GB", "cache, GB"]
    return "\n".join([*lines, table(header, body)])


def main(arguments: list[str] | None = None) -> None:
    """Measure or read a report, fit it, print its tables and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cifar", help="the file with CIFAR-10's encoded images")
    parser.add_argument("--from", dest="given", help="a report of this benchmark, to be fitted and shown again")
    parser.add_argument("--images", type=int, default=10_000, help="largest run; the others follow")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json")
    given = parser.parse_args(arguments)
    if given.given:
        report = json.loads(Path(given.given).read_text())
    else:
        share = given.images / RUNS[-1][0]
        runs = [(max(1, int(n * share)), max(1, int(rows * share))) for n, rows in RUNS]
        checked = CHECKED[0], max(1, int(CHECKED[1] * share)), max(1, int(CHECKED[2] * share))
        load = os.getloadavg()[0]
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            cifar = Cifar(given.cifar, given.images)
            write_tfrecords(cifar, cifar.labels(), work / "shards", 1000)
            source, labels = TFRecordImages(str(work / "shards" / "*.tfrecord")), cifar.labels()
            report = {
                "machine": machine(),
                "date": datetime.now(UTC).date().isoformat(),
                "seeds": "none: nothing is random",
                "runs": measure(source, labels, given.rounds, runs, checked, work),
                "sizes": sizes(source[: max(10, given.images // 5)], labels, work),
                "load": f"{load:.1f} to {os.getloadavg()[0]:.1f}",
            }
    report["model"] = fitted(report)
    report["assumed"] = {
        "rates": RATES, "fleets": FLEETS, "cores per worker": CORES_PER_WORKER, "requests": REQUESTS,
        "latency": LATENCY, "rows per part": ROWS_PER_PART,
    }  # fmt: skip
    report["projected"] = project(report)
    print(show(report))
    if given.json:
        Path(given.json).write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
