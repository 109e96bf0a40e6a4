"""Time the slow parts of metrics: a million thresholds, resamples of many classes, and the page that shows them.

One command::

    OMP_NUM_THREADS=1 python benchmarks/metrics.py

Labels and scores are drawn at random, some of them equal. Rounds are interleaved: what else the machine does falls on
all alike. ``scikit-learn`` resamples as one would by hand: draw rows, take them, call its functions; that is timed for
a few resamples and shown for one. The metrics of both are compared first, and a row that differs shows no speed.

A page is timed from the arrays of predictions to the file, with the intervals of its metrics, 1,000 resamples. Its
images are made up, one JPEG file per sample; it shows the worst errors and the most confident correct predictions. A
page without all classes, the accuracy or its images shows neither size nor speed.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
from _reports import add_json, write_report
from _rounds import interleaved, median, table
from PIL import Image
from sklearn import metrics

from skcnn.metrics import threshold_table
from skcnn.metrics._predictions import Predictions
from skcnn.metrics._resampling import resampled_headlines, resampled_weights
from skcnn.report import ClassifierReport


def binary_task(n_samples: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return labels 0 and 1 and scores in float64, each of shape (n_samples,)."""
    y_true = rng.integers(0, 2, n_samples)
    return y_true, rng.normal(size=n_samples) + y_true


def many_classes(n_samples: int, n_classes: int, rng: np.random.Generator) -> Predictions:
    """Return predictions with probabilities of five decimals, so that some are equal."""
    y_true = np.append(np.arange(n_classes), rng.integers(0, n_classes, n_samples - n_classes))
    score = rng.normal(size=(n_samples, n_classes))
    score[np.arange(n_samples), y_true] += 3
    score = np.exp(score).round(1) + 0.1
    return Predictions.from_arrays(y_true, score / score.sum(axis=1, keepdims=True))


def by_hand(predictions: Predictions, seed: int) -> list[float]:
    """Return the headline metrics of a test set that is really resampled, by scikit-learn's functions."""
    times = resampled_weights(predictions, np.array([seed]))[:, 0].astype(int)
    y, score = np.repeat(predictions.true, times), np.repeat(predictions.score, times, axis=0)
    y_pred, one_hot = score.argmax(axis=1), np.eye(predictions.n_classes)[y]
    return [
        metrics.accuracy_score(y, y_pred),
        metrics.balanced_accuracy_score(y, y_pred),
        metrics.log_loss(y, score),
        metrics.top_k_accuracy_score(y, score, k=5),
        metrics.f1_score(y, y_pred, average="macro"),
        metrics.roc_auc_score(one_hot, score),
        metrics.average_precision_score(one_hot, score),
    ]


def made_up_images(n_samples: int, folder: Path, rng: np.random.Generator) -> list[str]:
    """Write a JPEG file of 320 x 240 pixels for each sample, of a hundred different ones; return their paths."""
    contents, paths = [], []
    for number in range(min(n_samples, 100)):
        coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8))
        coarse.resize((320, 240), Image.Resampling.BICUBIC).save(folder / f"{number}.jpg")
        contents.append((folder / f"{number}.jpg").read_bytes())
    for number in range(n_samples):
        paths.append(str(folder / f"{number}.jpg"))
        Path(paths[-1]).write_bytes(contents[number % len(contents)])
    return paths


def write_page(predictions: Predictions, names: list[str], path: Path, images: list[str] | None) -> None:
    """Make a report of predictions, and its page."""
    y_true = np.array(names)[predictions.true]
    ClassifierReport.from_predictions(y_true, predictions.score, classes=names, X=images).to_html(path)


def page_is_right(predictions: Predictions, names: list[str], path: Path, n_images: int) -> bool:
    """Tell whether a page names every class and holds the accuracy and as many images as it should."""
    page = path.read_text("utf-8")
    accuracy = f"{metrics.accuracy_score(predictions.true, predictions.score.argmax(axis=1)):.3f}"
    return accuracy in page and all(name in page for name in names) and page.count("data:image/jpeg") == n_images


def time_pages(predictions: Predictions, n_rounds: int, rng: np.random.Generator) -> dict[str, dict]:
    """Return megabytes and seconds of pages with and without images; None where a page is not right."""
    n_samples, n_classes = predictions.score.shape
    names = [f"class {number:03d}" for number in range(n_classes)]
    report = {}
    with tempfile.TemporaryDirectory() as folder:
        images = made_up_images(n_samples, Path(folder), rng)
        # A page shows 12 of the worst errors and 12 of the most confident correct predictions by default.
        pages = {"page": (None, 0), "page with images": (images, 24)}
        paths = {name: Path(folder) / f"{name}.html" for name in pages}
        runs = {name: partial(write_page, predictions, names, paths[name], X) for name, (X, _) in pages.items()}
        rounds = interleaved(runs, n_rounds)
        for name, (_, n_images) in pages.items():
            right = page_is_right(predictions, names, paths[name], n_images)
            report[name] = {clock: median(rounds, name, clock) if right else None for clock in ("wall", "cpu")}
            report[name]["megabytes"] = paths[name].stat().st_size / 1e6 if right else None
    return report


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scores", type=int, default=1_000_000, help="scores of the table of thresholds")
    parser.add_argument("--samples", type=int, default=10_000, help="samples of the bootstrap and of the page")
    parser.add_argument("--classes", type=int, default=120, help="classes of them, more than 5")
    parser.add_argument("--resamples", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--page-rounds", type=int, default=3, help="rounds of the pages; 0 leaves them out")
    add_json(parser)
    options = parser.parse_args(arguments)
    rng = np.random.default_rng(0)

    y_true, y_score = binary_task(options.scores, rng)
    golden = metrics.roc_curve(y_true, y_score, drop_intermediate=False)
    thresholds_right = np.allclose(threshold_table(y_true, y_score)[["fpr", "tpr"]].to_numpy().T, golden[:2])
    predictions = many_classes(options.samples, options.classes, rng)

    def resample(n_resamples: int, n_jobs: int = 1) -> np.ndarray:
        return resampled_headlines([predictions], top_k=5, n_resamples=n_resamples, random_state=0, n_jobs=n_jobs)

    first_seed = int(np.random.RandomState(0).randint(np.iinfo(np.int32).max, size=1)[0])
    resamples_right = np.allclose(resample(1)[0, :, 0], by_hand(predictions, first_seed), rtol=1e-9, atol=0)

    names = {
        "thresholds": (f"threshold_table, {options.scores:,} scores", thresholds_right, 1),
        "roc_curve": ("scikit-learn's roc_curve of them (2 of its 11 columns)", True, 1),
        "resamples": (f"{options.resamples} resamples, 7 metrics", resamples_right, options.resamples),
        "two threads": ("the same, n_jobs=2", resamples_right, options.resamples),
        "by hand": ("scikit-learn, one resample", True, 1),
    }
    runs = {
        "thresholds": lambda: threshold_table(y_true, y_score),
        "roc_curve": lambda: metrics.roc_curve(y_true, y_score, drop_intermediate=False),
        "resamples": lambda: resample(options.resamples),
        "two threads": lambda: resample(options.resamples, 2),
        "by hand": lambda: by_hand(predictions, first_seed),
    }
    rounds = interleaved(runs, options.rounds)
    report = {
        name: {clock: median(rounds, name, clock) if right else None for clock in ("wall", "cpu")} | {"parts": parts}
        for name, (_, right, parts) in names.items()
    }
    rows = []
    for name, (label, right, parts) in names.items():
        each = f"{1000 * report[name]['cpu'] / parts:.1f}" if right and name not in ("thresholds", "roc_curve") else ""
        rows.append([label, *(f"{report[name][clock]:.2f}" if right else "WRONG" for clock in ("wall", "cpu")), each])
    versions = ", ".join(f"{package} {version(package)}" for package in ("scikit-learn", "numpy", "scipy", "pandas"))
    print(f"{len(os.sched_getaffinity(0))} cores of {platform.machine()}; {versions}; ", end="")
    print(f"bootstrap of {options.samples:,} samples x {options.classes} classes.\n")
    print(table(["what", "seconds", "processor", "a resample, ms of the processor"], rows))
    if options.page_rounds:
        pages = time_pages(predictions, options.page_rounds, rng)
        report.update(pages)
        print(f"\nThe page of {options.samples:,} samples x {options.classes} classes; ", end="")
        print(f"median of {options.page_rounds}, load average {os.getloadavg()[0]:.1f}.\n")
        rows = []
        for name, label in (("page", "without images"), ("page with images", "with 24 images")):
            measured = (pages[name][what] for what in ("megabytes", "wall", "cpu"))
            rows.append([label, *("WRONG" if value is None else f"{value:.2f}" for value in measured)])
        print(table(["page", "MB", "seconds", "processor"], rows))
    write_report(options.json, report)


if __name__ == "__main__":
    main()
