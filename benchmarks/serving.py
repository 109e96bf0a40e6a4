"""``skcnn serve`` under load, on the loopback interface of one machine, which the clients share with the server.

One command::

    python benchmarks/serving.py --data flowers/ --weights mobilenet_v2.weights.h5 --json serving.json

``throughput``: images per second of 64 clients, each of which sends one image per request and waits for its answer,
beside ``predict_proba`` in a process, 32 images at a time; and of the same server without batches (``--max-batch 1``).
Rounds are interleaved. Beside them, the processor time per image of the process or of the server, all its threads: what
else the machine does changes that less.

``hostile``: 64 clients for a minute, of whose requests 1 % are bombs, cut, of another type, 100 MB long or slow:
statuses, times of answers to the others, memory of the server, and whether each answer is what ``predict_proba`` gives.

``start``: seconds from the start of the process to the first answer.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from _load import Load, memory_of, processor_of
from _reports import add_json, write_report
from _rounds import describe, machine, table
from sklearn.pipeline import make_pipeline

import skcnn
from skcnn.datasets import load_image_folder
from skcnn.ensemble import BaggedSGDClassifier
from skcnn.feature_extraction import BottleneckFeatures
from skcnn.persistence import load_program

BATCH = 32


@contextmanager
def server(model: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Start ``skcnn serve`` on a free port; give the process and the port."""
    command = [sys.executable, "-m", "skcnn", "serve", str(model), "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = next(line for line in process.stdout if line.startswith("Serving at"))
            yield process, int(line.rpartition(":")[2])
        finally:
            process.terminate()


Measured = tuple[float, float]
"""Images per second, and milliseconds of the processor per image."""


def in_process(predict: Any, images: list[bytes], seconds: float) -> Measured:
    """Run ``predict_proba``, a batch at a time."""
    begin, cpu, n_images = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - begin < seconds:
        start = n_images % (len(images) - BATCH + 1)
        predict(images[start : start + BATCH])
        n_images += BATCH
    return n_images / (time.perf_counter() - begin), (time.process_time() - cpu) / n_images * 1e3


def loaded(pid: int, load: Load, seconds: float) -> Measured:
    """Put load on a server."""
    cpu = processor_of(pid)
    rate = load.run(seconds)
    if load.wrong or set(load.statuses) != {200}:
        raise RuntimeError(f"The server is not right: {load.wrong} wrong answers, statuses {load.statuses}.")
    return rate, (processor_of(pid) - cpu) / load.statuses[200] * 1e3


def throughput(path: Path, model: Any, images: list[bytes], n_rounds: int, seconds: float) -> dict[str, list[Measured]]:
    """Run each way for some seconds per round."""
    program = load_program(path)
    assert program is not None
    expected = program.predict_proba(images)
    found: dict[str, list[Measured]] = {}
    with server(path) as (one, batched), server(path, "--max-batch", "1") as (other, single):
        runs = {
            "predict_proba of the estimator, 32 at a time": lambda: in_process(model.predict_proba, images, seconds),
            "predict_proba of the program, 32 at a time": lambda: in_process(program.predict_proba, images, seconds),
            "skcnn serve, 64 clients": lambda: loaded(one.pid, Load(batched, images, expected), seconds),
            "skcnn serve --max-batch 1, 64 clients": lambda: loaded(other.pid, Load(single, images, expected), seconds),
        }
        for number in range(n_rounds + 1):
            for name in list(runs)[:: 1 if number % 2 else -1]:
                measured = runs[name]()
                if number:  # the first round warms up
                    found.setdefault(name, []).append(measured)
            print(f"  round {number} of {n_rounds}, load {os.getloadavg()[0]:.1f}", file=sys.stderr)
    return found


def hostile(path: Path, images: list[bytes], seconds: float) -> dict[str, Any]:
    """Put load on a server, 1 % of it hostile."""
    program = load_program(path)
    assert program is not None
    memory: list[float] = []
    with server(path) as (process, port):
        Load(port, images, program.predict_proba(images)).run(min(5, seconds))  # pools and buffers are there then
        load = Load(port, images, program.predict_proba(images), hostile=0.01)
        done = threading.Event()

        def watch() -> None:
            while not done.wait(0.5):
                memory.append(memory_of(process.pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            rate = load.run(seconds)
        finally:
            done.set()
            watcher.join()
    thirds = np.array_split(memory or [float("nan")], 3)
    return {
        "images_per_second": rate,
        "statuses": {str(status): count for status, count in sorted(load.statuses.items())},
        "hostile": dict(sorted(load.hostile.items())),
        "wrong": load.wrong,
        "seconds": {name: float(np.quantile(load.seconds, q)) for name, q in (("p50", 0.5), ("p99", 0.99), ("max", 1))},
        "memory": {"first third": float(np.median(thirds[0])), "last third": float(np.median(thirds[-1])),
                   "peak": float(np.max(memory or [float("nan")]))},
    }  # fmt: skip


def start(path: Path, image: bytes, n_rounds: int) -> list[float]:
    """Return the seconds from the start of a process to the first answer."""
    program = load_program(path)
    assert program is not None
    expected = program.predict_proba([image])
    seconds = []
    for _ in range(n_rounds):
        begin = time.perf_counter()
        with server(path) as (_, port):
            until_it_answers = time.perf_counter() - begin
            load = Load(port, [image], expected, n_clients=1)
            load.run(1e-3)
            seconds.append(until_it_answers + load.seconds[0])
    return seconds


def ratio(pairs: list[tuple[Measured, Measured]], which: int) -> float:
    """Return the median over the rounds of one measurement by another."""
    return median(one[which] / other[which] for one, other in pairs)


def main(arguments: list[str] | None = None) -> None:
    """Measure, print the tables, and write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with one folder of images per class")
    parser.add_argument("--backbone", default="MobileNetV2", help="the network (default: %(default)s)")
    parser.add_argument("--weights", default="pretrained", help="its weights (default: the published ones)")
    parser.add_argument("--images", type=int, default=128, help="images that are sent (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=5, help="of a way per round (default: %(default)s)")
    parser.add_argument("--load", type=float, default=60, help="seconds of hostile load (default: %(default)s)")
    add_json(parser)
    options = parser.parse_args(arguments)

    data = load_image_folder(options.data)
    order = np.random.default_rng(0).permutation(len(data.target))
    paths = [data.data["path"].iloc[row] for row in order]
    train, sent = paths[options.images :][:300], paths[: options.images]
    features = BottleneckFeatures(options.backbone, weights=options.weights)
    model = make_pipeline(features, BaggedSGDClassifier(random_state=0))
    model.fit(train, np.asarray(data.target)[order][options.images :][:300])
    images = [Path(path).read_bytes() for path in sent]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.skcnn")
        skcnn.save(model, path, program=True)
        model.set_params(bottleneckfeatures__cache=None)
        difference = float(np.abs(load_program(path).predict_proba(images) - model.predict_proba(images)).max())
        seconds_to_start = start(path, images[0], options.rounds)
        rates = throughput(path, model, images, options.rounds, options.seconds)
        under_load = hostile(path, images, options.load)

    print(f"{options.backbone}, {len(images)} images; {describe(machine())}; load {os.getloadavg()[0]:.1f}\n")
    of_program = rates["predict_proba of the program, 32 at a time"]
    lines = []
    for name, values in rates.items():
        wall = [rate for rate, _ in values]
        pairs = list(zip(values, of_program, strict=True))
        lines.append(
            [name, f"{median(wall):.0f} ({min(wall):.0f} to {max(wall):.0f})", f"{ratio(pairs, 0):.2f}",
             f"{median(cpu for _, cpu in values):.2f}", f"{1 / ratio(pairs, 1):.2f}"]
        )  # fmt: skip
    print(
        table(["what", "images per second", "of the program's", "processor, ms per image", "program's, of it"], lines)
    )
    batched, single = (rates[f"skcnn serve{options}, 64 clients"] for options in ("", " --max-batch 1"))
    print(f"\nBatches: {ratio(list(zip(batched, single, strict=True)), 0):.2f} times one image at a time.")
    print(f"Program and estimator differ by {difference:.1e} at most.")
    print(f"From start to first answer: {median(seconds_to_start):.2f} s (median of {options.rounds}).\n")
    for name, value in under_load.items():
        print(f"{name}: {value}")
    report = {"rates": rates, "hostile": under_load, "start": seconds_to_start, "difference": difference}
    write_report(options.json, report)


if __name__ == "__main__":
    main()
