"""``skcnn demo``: classify scikit-learn's handwritten digits."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from typing import Any

from skcnn.cli._arguments import count, output_path
from skcnn.cli._common import add_command, verbose


def add_to(commands: Any) -> None:
    demo = add_command(
        commands,
        "demo",
        run,
        "classify scikit-learn's handwritten digits, offline, within a minute",
        epilog="It uses ResNet20, whose CIFAR-10 weights come with skcnn, and compares with logistic regression on raw "
        "pixels.",
    )
    demo.add_argument(
        "--html", type=output_path, metavar="PATH", default="skcnn-demo.html", help="the report (default: %(default)s)"
    )
    demo.add_argument(
        "--seed", type=count, default=0, metavar="N", help="seed of the training and test split (default: %(default)s)"
    )


def run(options: argparse.Namespace) -> None:
    import pandas as pd
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split

    from skcnn.cache import memory_cache
    from skcnn.datasets import load_digit_images
    from skcnn.report import ClassifierReport

    digits = load_digit_images()
    X_train, X_test, raw_train, raw_test, y_train, y_test = train_test_split(
        digits.data,
        load_digits().data / 16,
        digits.target,
        test_size=0.3,
        stratify=digits.target,
        random_state=options.seed,
    )
    print(
        f"Handwritten digits: {len(X_train)} for training, {len(X_test)} for testing.\n"
        "Searching bottleneck layers and alpha of ResNet20 -> BaggedSGDClassifier, 5-fold ..."
    )
    search = demo_search(options.seed, verbose=verbose(options)).fit(X_train, y_train)
    report = ClassifierReport.from_estimator(search, X_test, y_test, name="skcnn demo: handwritten digits")
    pixels = LogisticRegression(max_iter=1000).fit(raw_train, y_train)
    baseline = ClassifierReport.from_estimator(pixels, raw_test, y_test)

    table = pd.DataFrame(
        {
            "logistic regression on raw pixels": baseline.headline,
            "ResNet20 features + BaggedSGDClassifier": report.headline,
        }
    )
    print(f"\nOn the {len(X_test)} test images:\n\n{table.rename_axis(None).round(3).to_string()}\n")
    candidates = pd.DataFrame(search.cv_results_).sort_values("rank_test_score")
    print("The search (mean of 5 folds, best first):\n")
    for _, row in candidates.head(5).iterrows():
        layer, alpha = row["param_bottleneckfeatures__layers"], row["param_baggedsgdclassifier__alpha"]
        print(f"  log-loss {-row['mean_test_score']:.4f}   layer {layer}, alpha {alpha}")
    uncached = (len(candidates) * search.n_splits_ + 1) * len(X_train) + len(X_test)
    print(
        f"\n{len(candidates)} candidates x {search.n_splits_} folds, the refit and the test took "
        f"{memory_cache().info().passes:,} passes of an image through the network; without the cache: {uncached:,}."
    )
    report.to_html(options.html)
    program = _program()
    print(
        f"Report: {options.html}\n\n"
        "Next, with your own images, one folder per class:\n"
        f"  {program} fit images/ -o images.skcnn --html report.html\n"
        f"  {program} predict images.skcnn new.jpg --top 3\n"
        f"  {program} map images/ -o map.html"
    )


def _program() -> str:
    """Return what starts this command once more: it need not be on the search path of the shell."""
    if shutil.which("skcnn"):
        return "skcnn"
    called = sys.argv[0]
    return f"{sys.executable} -m skcnn" if os.path.basename(called) == "__main__.py" else called


def demo_search(seed: int = 0, *, verbose: int | str = "auto") -> Any:
    """Return the search that ``skcnn demo`` runs: ResNet20's bottleneck layers and the penalty of the classifier.

    Parameters
    ----------
    seed : int, default=0
        Seed of the classifier and of the folds.
    verbose : int or "auto", default="auto"
        Whether to show a progress bar. "auto" shows one in a terminal or a notebook where the job takes longer than 5
        seconds, 1 from the first image on, 0 never.

    Returns
    -------
    sklearn.model_selection.GridSearchCV
        Over images; not fitted.
    """
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.pipeline import make_pipeline

    from skcnn.ensemble import BaggedSGDClassifier
    from skcnn.feature_extraction import BottleneckFeatures

    return GridSearchCV(
        make_pipeline(
            # Without pooling: the position of a stroke distinguishes digits.
            BottleneckFeatures("ResNet20", pooling=None, verbose=verbose),
            BaggedSGDClassifier(max_samples=1.0, random_state=seed),
        ),
        {
            "bottleneckfeatures__layers": ["stage3_unit1", "stage3_unit2", "stage3_unit3"],
            "baggedsgdclassifier__alpha": [1e-4, 1e-3],
        },
        scoring="neg_log_loss",
        cv=StratifiedKFold(5, shuffle=True, random_state=seed),
    )
