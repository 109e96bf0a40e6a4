"""What leaves Python: exported files beside the estimator, and ``skcnn predict`` with a program and without.

One command::

    python benchmarks/production.py --data flowers/ --weights mobilenet_v2.weights.h5 --json production.json

``exports``: for each head on the features of MobileNetV2, the largest difference between the probabilities of the file,
run by its runtime, and ``predict_proba``; how many labels differ; and the size of the file. The runtimes are those that
are installed: OpenVINO, ONNX Runtime, LiteRT (``ai-edge-litert``).

``cold``: seconds and the largest resident memory of ``skcnn predict model.skcnn a.jpg`` in new processes, interleaved,
of the same model saved without a program and with one, and what the program adds to the file.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from _reports import add_json, write_report
from _rounds import describe, machine, table
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.feature_selection import VarianceThreshold
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

import skcnn
from skcnn.backbones import get_backbone
from skcnn.datasets import load_image_folder
from skcnn.ensemble import BaggedSGDClassifier
from skcnn.feature_extraction import BottleneckFeatures
from skcnn.images import as_images, read_batches

HEADS: dict[str, list[Any]] = {
    "bagged SGD": [BaggedSGDClassifier(random_state=0)],
    "bagged SGD, solver sklearn": [BaggedSGDClassifier(solver="sklearn", random_state=0)],
    "scaler, logistic regression": [StandardScaler(), LogisticRegression(max_iter=1000)],
    "variance, scaler, PCA, logistic regression": [
        VarianceThreshold(), StandardScaler(), PCA(0.95), LogisticRegression(max_iter=1000),
    ],
    "variance, SGD classifier": [
        VarianceThreshold(), StandardScaler(), SGDClassifier(loss="log_loss", random_state=0),
    ],
    "scaler, PCA, linear discriminant analysis": [StandardScaler(), PCA(0.9), LinearDiscriminantAnalysis()],
    "calibrated bagged SGD": [CalibratedClassifierCV(BaggedSGDClassifier(random_state=0), cv=3)],
    "scaler, calibrated LinearSVC": [
        StandardScaler(), CalibratedClassifierCV(LinearSVC(max_iter=10_000, random_state=0), cv=3),
    ],
}  # fmt: skip

#: The command, and then the largest resident memory in kB: that of a process's start would be its parent's.
PREDICT = """
import sys
from skcnn.cli import main
code = main(["predict", *sys.argv[1:]])
print(open("/proc/self/status").read().partition("VmHWM:")[2].split()[0])
sys.exit(code)
"""


def run_openvino(path: Path, pixels: np.ndarray) -> np.ndarray:
    """Return the probabilities that OpenVINO gives."""
    import openvino

    network = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.concatenate([next(iter(network(batch).values())) for batch in np.array_split(pixels, 10)])


def run_onnx(path: Path, pixels: np.ndarray) -> np.ndarray:
    """Return the probabilities that ONNX Runtime gives."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    return np.concatenate([session.run(None, {"pixels": batch})[0] for batch in np.array_split(pixels, 10)])


def run_litert(path: Path, pixels: np.ndarray) -> np.ndarray:
    """Return the probabilities that LiteRT gives."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    source, target = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    interpreter.resize_tensor_input(source, (40, *pixels.shape[1:]))
    interpreter.allocate_tensors()
    found = []
    for start in range(0, len(pixels), 40):
        interpreter.set_tensor(source, pixels[start : start + 40])
        interpreter.invoke()
        found.append(interpreter.get_tensor(target))
    return np.concatenate(found)


RUNTIMES: dict[str, tuple[str, Callable[[Path, np.ndarray], np.ndarray]]] = {
    "OpenVINO": (".xml", run_openvino),
    "ONNX Runtime": (".onnx", run_onnx),
    "LiteRT": (".tflite", run_litert),
}


def exports(
    models: dict[str, Pipeline], paths: list[str], runtimes: list[str], done: Callable[[list[dict[str, Any]]], None]
) -> list[dict[str, Any]]:
    """Compare every head in every format with its estimator; ``done`` gets all rows after each."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for head, model in models.items():
            size = get_backbone(model[0].backbone).image_size
            (batch,) = read_batches(as_images(paths), range(len(paths)), size, batch_size=len(paths))
            expected = model.predict_proba(paths)
            for name in runtimes:
                suffix, run = RUNTIMES[name]
                path = Path(folder, f"model{suffix}")
                begin = time.perf_counter()
                skcnn.export(model, path)
                seconds = time.perf_counter() - begin
                found = run(path, batch.pixels)
                n_bytes = sum(file.stat().st_size for file in {path, path.with_suffix(".bin")} if file.exists())
                rows.append(
                    {
                        "head": head,
                        "n_classes": expected.shape[1],
                        "runtime": name,
                        "difference": float(np.abs(found - expected).max()),
                        "labels": int((found.argmax(axis=1) != expected.argmax(axis=1)).sum()),
                        "megabytes": n_bytes / 1e6,
                        "seconds": seconds,
                    }
                )
                print(f"  {head}, {name}: {rows[-1]['difference']:.1e}", file=sys.stderr)
                done(rows)
                path.with_suffix(".bin").unlink(missing_ok=True)
    return rows


def cold(model: Pipeline, path: str, n_rounds: int) -> dict[str, Any]:
    """Run ``skcnn predict`` in new processes, on files without a program and with one."""
    with tempfile.TemporaryDirectory() as folder:
        files = {"loaded": Path(folder, "plain.skcnn"), "program": Path(folder, "program.skcnn")}
        for name, file in files.items():
            skcnn.save(model, file, program=name == "program")
        rounds: dict[str, list[tuple[float, float]]] = {name: [] for name in files}
        for _ in range(n_rounds):
            for name, file in files.items():
                begin = time.perf_counter()
                command = [sys.executable, "-c", PREDICT, str(file), path]
                printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
                rounds[name].append((time.perf_counter() - begin, int(printed.split()[-1]) / 1024))
        sizes = {name: file.stat().st_size / 1e6 for name, file in files.items()}
    ratios = [plain[0] / fast[0] for plain, fast in zip(rounds["loaded"], rounds["program"], strict=True)]
    return {"rounds": rounds, "megabytes": sizes, "ratio": median(ratios)}


def main(arguments: list[str] | None = None) -> None:
    """Measure, print the tables, and write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with one folder of images per class")
    parser.add_argument("--backbone", default="MobileNetV2", help="the network (default: %(default)s)")
    parser.add_argument("--weights", default="pretrained", help="its weights (default: the published ones)")
    parser.add_argument("--images", type=int, default=400, help="images that are compared (default: %(default)s)")
    parser.add_argument(
        "--rounds", type=int, default=5, help="rounds of cold starts; 0 for none (default: %(default)s)"
    )
    parser.add_argument("--runtimes", nargs="+", default=list(RUNTIMES), choices=list(RUNTIMES))
    parser.add_argument("--heads", nargs="+", default=list(HEADS), choices=list(HEADS), metavar="HEAD")
    parser.add_argument("--classes", nargs="+", type=int, help="numbers of classes, 2 or all (default: both)")
    add_json(parser)
    options = parser.parse_args(arguments)

    data = load_image_folder(options.data)
    order = np.random.default_rng(0).permutation(len(data.target))[: 2 * options.images]
    paths = [data.data["path"].iloc[row] for row in order]
    labels = np.asarray(data.target)[order]
    models = {}
    for n_classes in options.classes or (len(set(labels)), 2):
        y = labels if n_classes > 2 else labels == labels[0]
        for head in options.heads:
            steps = HEADS[head]
            features = BottleneckFeatures(options.backbone, weights=options.weights)
            model = clone(make_pipeline(features, *steps))  # the steps are fitted once more, for other classes
            models[f"{head}, {n_classes} classes"] = model.fit(paths[options.images :], y[options.images :])

    def keep(rows: list[dict[str, Any]]) -> None:
        write_report(options.json, {"exports": rows})

    rows = exports(models, paths[: options.images], options.runtimes, keep)
    print(f"{options.backbone}, {len(paths[: options.images])} images; {describe(machine())}\n")
    lines = [
        [row["head"], row["runtime"], f"{row['difference']:.1e}", row["labels"], f"{row['megabytes']:.1f}"]
        for row in rows
    ]
    print(table(["head", "runtime", "largest difference", "labels that differ", "MB"], lines))
    if not options.rounds:
        return
    start = cold(next(iter(models.values())), paths[0], options.rounds)
    lines = [
        [name, *(f"{median([one[k] for one in rounds]):.2f}" for k in (0, 1)), f"{start['megabytes'][name]:.1f}"]
        for name, rounds in start["rounds"].items()
    ]
    print("\n" + table(["`skcnn predict`", "seconds", "MB of memory", "MB of the file"], lines))
    print(f"\nWith a program {start['ratio']:.1f} times as fast (median of {options.rounds} rounds).")
    write_report(options.json, {"exports": rows, "cold": start})


if __name__ == "__main__":
    main()
