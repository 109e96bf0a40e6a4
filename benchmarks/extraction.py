"""How fast an image goes through a network, and from its file to its features: skcnn's engines and what there is else.

One command::

    python benchmarks/extraction.py --data flowers/ --weights mobilenet_v2.weights.h5 --json extraction.json

For each backbone it times skcnn's engines in each precision, Keras's ``predict`` and ``predict_on_batch`` on arrays,
``image_dataset_from_directory`` + ``predict`` on files, and, where they are installed, ONNX Runtime and torchvision.
All take the same images. Without ``--weights`` weights are random, with normalisation that fits the images.

Rounds are interleaved, and their order turns: what counts is the median over the rounds of the ratio within a round,
in seconds on the wall and of the processor. A product of matrices in every round shows what fraction of the machine's
float32 peak a network reaches. A row whose features are not those of Keras's ``predict`` says so and shows no speed.

skcnn's cache is off, and its batches have the size that it chooses; ``auto`` has settled before the rounds. Images
have the network's size already; with ``--keep-size`` all resize, and Keras, without antialiasing, gets other features.

On a GPU, with KERAS_BACKEND=jax or torch and no TensorFlow, it is the same command.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _competitors as competitors
import numpy as np
from _images import image_files
from _networks import keras_model, plan_of, random_weights
from _reports import add_json, write_report
from _rounds import describe, interleaved, machine, matrix_product, median, ratio, show_ratio, table
from platformdirs import user_cache_path

from skcnn.backbones import get_backbone
from skcnn.engines import TOLERANCES, clear_engines, get_engine
from skcnn.feature_extraction import BottleneckFeatures
from skcnn.images import as_images, read_batches

BACKBONES = ["MobileNetV2", "ResNet50", "Xception", "EfficientNetB0", "ConvNeXtTiny"]
ARRAYS, FILES = "keras predict", "image_dataset_from_directory + predict"
#: Enough images for "auto" to settle.
MANY = 10**6


def check(expected: np.ndarray, found: np.ndarray, precision: str, least_cosine: float) -> dict[str, Any]:
    """Tell how far features are from those of Keras's ``predict``, and whether that is near enough."""
    relative = float(np.abs(found - expected).max() / np.abs(expected).max())
    norms = np.linalg.norm(expected, axis=1) * np.linalg.norm(found, axis=1)
    cosine = float(((expected * found).sum(axis=1) / norms).min())
    near = relative <= TOLERANCES[precision].relative and cosine >= least_cosine
    return {"relative": relative, "cosine": cosine, "right": bool(near)}


class Bench:
    """The runs of one backbone: what is timed, and how right it is."""

    def __init__(self) -> None:
        self.runs: dict[str, Callable[[], np.ndarray]] = {}
        self.rows: list[dict[str, Any]] = []
        self.skipped: list[str] = []

    def add(self, kind: str, name: str, precision: str, make: Callable[[], Any], gate: Callable[..., Any]) -> None:
        """Make a run, check what it gives (also the warm-up), and keep it; or say why it is skipped."""
        row = {"kind": kind, "name": name, "precision": precision, "run": f"{kind}: {name} {precision}"}
        try:
            run = make()
            row["check"] = gate(run())
        except Exception as error:  # not installed, or not able: what else there is to measure is not lost
            self.skipped.append(f"{row['run']}: {type(error).__name__}: {str(error).splitlines()[0][:160]}")
            return
        self.runs[row["run"]] = run
        self.rows.append(row)


def prepare(name: str, weights: str, paths: list[str], folder: Path, settings: argparse.Namespace) -> tuple[Bench, int]:
    """Make all runs of a backbone; return them and the FLOPs of an image."""
    size = settings.batch_size
    image_size = get_backbone(name).image_size
    images = as_images(paths)
    pixels = np.concatenate(
        [batch.pixels for batch in read_batches(images, range(len(paths)), image_size, batch_size=64)]
    )
    model, flops = keras_model(name, weights)
    expected = competitors.predict(model, pixels, size)()
    bench = Bench()

    def near(precision: str, least_cosine: float | None = None) -> Callable[[np.ndarray], dict[str, Any]]:
        least = TOLERANCES[precision].cosine if least_cosine is None else least_cosine
        return lambda found: check(expected, found, precision, least)

    def engine_run(precision: str, engine: str) -> Callable[[], np.ndarray]:
        compiled = get_engine(plan_of(name, weights, precision), engine, user_cache_path("skcnn") / "engines", MANY)
        chosen[engine, precision] = compiled.name
        # The engine's own batches, one begun before the last one is waited for, as transform does it.
        parts = competitors.batches(pixels, compiled.batch_size)

        def run() -> np.ndarray:
            found, waiting = [], compiled.start(parts[0])
            for part in parts[1:]:
                begun = compiled.start(part)
                found.append(waiting())
                waiting = begun
            return np.concatenate([*found, waiting()])

        return run

    def transform(precision: str, engine: str) -> Callable[[], np.ndarray]:
        features = BottleneckFeatures(name, weights=weights, precision=precision, engine=engine, cache=None)
        return lambda: features.transform(paths)

    chosen: dict[tuple[str, str], str] = {}
    for precision in settings.precisions:
        for engine in settings.engines:
            label = f"skcnn {engine}"
            bench.add("model", label, precision, lambda p=precision, e=engine: engine_run(p, e), near(precision))
            if (engine, precision) in chosen:
                bench.add("files", label, precision, lambda p=precision, e=engine: transform(p, e), near(precision))
    others = {
        ARRAYS: lambda: competitors.predict(model, pixels, size),
        "keras predict_on_batch": lambda: competitors.predict_on_batch(model, pixels, size),
        "ONNX Runtime": lambda: competitors.onnxruntime(model, pixels, size, folder),
    }
    for label, make in others.items():
        bench.add("model", label, "float32", make, near("float32"))
    random = {"relative": None, "cosine": None, "right": True}
    torchvision = "torchvision (random weights: time only)"
    bench.add("model", torchvision, "float32", lambda: competitors.torchvision(name, pixels, size), lambda _: random)
    from_files = Path(paths[0]).parents[1]

    def near_files(found: np.ndarray) -> dict[str, Any]:
        # TensorFlow decodes JPEG by a faster and coarser transform: close, but not equal.
        cosine = check(expected, found, "float32", 0)["cosine"]
        return {"relative": None, "cosine": cosine, "right": cosine >= settings.least_cosine}

    make_files = lambda: competitors.predict_from_files(model, from_files, size)  # noqa: E731
    bench.add("files", FILES, "float32", make_files, near_files)
    for row in bench.rows:
        row["chosen"] = chosen.get((row["name"].removeprefix("skcnn "), row["precision"]))
    return bench, flops


def measure(name: str, weights: str | None, work: Path, settings: argparse.Namespace) -> dict[str, Any]:
    """Measure one backbone."""
    print(f"{name}:", file=sys.stderr)
    size = None if settings.keep_size else get_backbone(name).image_size
    paths = image_files(work / name, settings.images, size, settings.data)
    if weights is None:
        batch = next(read_batches(as_images(paths), range(min(16, len(paths))), get_backbone(name).image_size))
        weights = random_weights(name, batch.pixels, work / f"{name}.weights.h5")
    result: dict[str, Any] = {"backbone": name}
    if not settings.no_first_call:
        result["first_call"] = first_calls(name, weights, paths[:8], settings)
    bench, flops = prepare(name, weights, paths, work, settings)
    product = matrix_product()
    product_flops = product.pop("flops")()
    rounds = interleaved({**bench.runs, **product}, settings.rounds)
    right = {row["run"] for row in bench.rows if row["check"]["right"]}
    for row in bench.rows:
        run = row["run"]
        if run not in right:
            continue
        row["images_per_second"] = {clock: len(paths) / median(rounds, run, clock) for clock in ("wall", "cpu")}
        fractions = [
            len(paths) * flops / one[run]["wall"] / (product_flops / one["matrix product"]["wall"]) for one in rounds
        ]
        row["fraction_of_peak"] = float(np.median(fractions))
        slow = f"{row['kind']}: {ARRAYS if row['kind'] == 'model' else FILES} float32"
        if slow in right:
            row["ratio"] = {clock: ratio(rounds, slow, run, clock) for clock in ("wall", "cpu")}
        model_only = run.replace("files: ", "model: ")
        if row["kind"] == "files" and model_only in right:
            row["of_model_only"] = ratio(rounds, model_only, run, "cpu")
    clear_engines()
    gflops = [product_flops / one["matrix product"]["wall"] / 1e9 for one in rounds]
    result.update(flops_per_image=flops, peak_gflops=float(np.median(gflops)), rows=bench.rows)
    return result | {"skipped": bench.skipped, "rounds": rounds, "load": os.getloadavg()[0]}


def first_calls(name: str, weights: str, paths: list[str], settings: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the seconds to the first features of a few images, in a first process and in a second one."""
    rows = []
    for engine in settings.engines:
        row: dict[str, Any] = {"engine": engine}
        for which in ("first", "second"):
            child = [sys.executable, __file__, "--child", json.dumps([name, weights, engine, paths])]
            # A cache folder of its own, where an exported network lies in the second process and not in the first.
            environment = {**os.environ, "XDG_CACHE_HOME": str(Path(paths[0]).parents[2] / f"first-{name}-{engine}")}
            done = subprocess.run(child, capture_output=True, text=True, env=environment)
            row[which] = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else None
        rows.append(row)
    return rows


def first_call(name: str, weights: str, engine: str, paths: list[str]) -> float:
    """Return the seconds that the first transform takes."""
    begin = time.perf_counter()
    BottleneckFeatures(name, weights=weights, engine=engine, cache=None).transform(paths)
    return time.perf_counter() - begin


def as_markdown(report: dict[str, Any]) -> str:
    """Return the tables that people read."""
    settings = report["settings"]
    loads = [one["load"] for one in report["backbones"]]
    sized = "their own" if settings["keep_size"] else "the network's"
    peak = min(one["peak_gflops"] for one in report["backbones"])
    head = (
        f"{describe(report['machine'])}. {settings['images']} images of {sized} size; "
        f"{settings['rounds']} interleaved rounds; load average {min(loads):.1f} to {max(loads):.1f}; "
        f"peak (a product of matrices) {peak:.0f} GFLOP/s. Images per second on the wall and of the processor; ratios "
        "are medians of rounds (range)."
    )
    rows: dict[str, list[list[object]]] = {"model": [], "files": []}
    for one in report["backbones"]:
        for row in one["rows"]:
            rows[row["kind"]].append(show_row(one["backbone"], row))
    of = "of the float32 peak"
    columns = ["backbone", "what runs it", "precision", "error", "images/s, wall", "processor"]
    model = table([*columns, of, f"x {ARRAYS}, wall", "processor"], rows["model"])
    files = table([*columns, "of model only, processor", "x Keras from files, wall", "processor"], rows["files"])
    parts = [
        head,
        "**The model alone, from pixels in memory**",
        model,
        f"**From files to features**, beside {FILES}",
        files,
    ]
    calls = [
        [
            one["backbone"],
            row["engine"],
            *("failed" if row[which] is None else f"{row[which]:.1f}" for which in ("first", "second")),
        ]
        for one in report["backbones"]
        for row in one.get("first_call", [])
    ]
    if calls:
        parts += ["**Seconds to the features of 8 images in a new process** (imports of Keras included)"]
        parts += [table(["backbone", "engine", "no export yet", "second process (export is there)"], calls)]
    skipped = [f"- {one['backbone']}, {line}" for one in report["backbones"] for line in one["skipped"]]
    return "\n\n".join(parts + (["Skipped:\n\n" + "\n".join(skipped)] if skipped else []))


def show_row(backbone: str, row: dict[str, Any]) -> list[object]:
    """Return the cells of a row."""
    name = row["name"] + (f" ({row['chosen']})" if row["name"] == "skcnn auto" else "")
    found = row["check"]
    shown = "not compared" if found["cosine"] is None else f"cosine {found['cosine']:.4f}"
    if found["relative"] is not None and row["precision"] == "float32":
        shown = f"{found['relative']:.0e}"
    cells: list[object] = [backbone, name, row["precision"]]
    if not found["right"]:
        return [*cells, f"**WRONG FEATURES** ({shown})", "", "", "", "", ""]
    speed = [f"{row['images_per_second'][clock]:.1f}" for clock in ("wall", "cpu")]
    fraction = (
        f"{100 * row['fraction_of_peak']:.0f} %" if row["kind"] == "model" else show_ratio(row.get("of_model_only"))
    )
    ratios = [show_ratio(row.get("ratio", {}).get(clock)) for clock in ("wall", "cpu")]
    return [*cells, shown, *speed, fraction, *ratios]


def main(arguments: list[str] | None = None) -> None:
    """Measure, print Markdown, and write JSON where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbones", nargs="+", default=BACKBONES, metavar="NAME", help="default: %(default)s")
    parser.add_argument("--engines", nargs="+", default=["auto", "keras", "openvino"], help="default: %(default)s")
    parser.add_argument("--precisions", nargs="+", default=["float32", "bfloat16"], help="default: %(default)s")
    parser.add_argument("--data", metavar="FOLDER", help="images, one folder per class; default: generated ones")
    parser.add_argument(
        "--weights", metavar="FILE", help="of the first backbone; default: random ones, as of the others"
    )
    parser.add_argument("--images", type=int, default=128, help="a round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s; fewer are for trying it out")
    parser.add_argument(
        "--batch-size", type=int, default=32, help="of the others (default: %(default)s); skcnn takes its own"
    )
    parser.add_argument("--keep-size", action="store_true", help="leave images at their size: everybody resizes")
    parser.add_argument(
        "--least-cosine", type=float, default=0.95, help="of Keras's features from files (default: %(default)s)"
    )
    parser.add_argument("--no-first-call", action="store_true", help="leave the new processes out")
    add_json(parser)
    parser.add_argument("--child", help=argparse.SUPPRESS)  # a process of first_calls
    settings = parser.parse_args(arguments)
    if settings.child:
        print(json.dumps(first_call(*json.loads(settings.child))))
        return
    report: dict[str, Any] = {"machine": machine(), "settings": vars(settings), "backbones": []}
    with tempfile.TemporaryDirectory() as work:
        os.environ["XDG_CACHE_HOME"] = str(Path(work) / "cache")  # exported networks, and what "auto" chose
        for name in settings.backbones:
            weights = settings.weights if name == settings.backbones[0] else None
            report["backbones"].append(measure(name, weights, Path(work), settings))
            write_report(settings.json, report)  # after each backbone: what was measured is not lost
    print(as_markdown(report))


if __name__ == "__main__":
    main()
