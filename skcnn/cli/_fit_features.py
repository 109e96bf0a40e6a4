"""``skcnn fit`` on features in parts: a classifier is trained without reading images or holding all features."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skcnn._text import counted
from skcnn._timing import timed
from skcnn.cli._common import names_text
from skcnn.cli._features_in_parts import load_network

if TYPE_CHECKING:
    import numpy as np

    from skcnn.distributed import FeatureParts
    from skcnn.report import ClassifierReport

_TEST_SIZE = 0.2
"""Fraction of the images that the estimate is made on, where none is given, and the most of them."""
_MOST_HELD_OUT = 50_000

_OF_DISTANCES = 10_000
"""Images of which it is kept how far new ones lie from them."""


def check_features_options(options: argparse.Namespace, of_others: dict[str, Any]) -> None:
    """See that the options are those of a classifier on features that are there."""
    refused = {
        **of_others,
        "--task": options.task not in (None, "classification"),
        "--far": options.far,
        "--skip-bad": options.skip_bad,
        "--path-column": options.path_column,
        "--label-column": options.label_column,
        "--search": options.search,
        "--fine-tune": options.fine_tune,
        "--head-epochs": options.head_epochs,
        "--epochs": options.epochs,
        "--unfreeze": options.unfreeze,
        "--learning-rate": options.learning_rate,
        "--augmentation": options.augmentation,
        "--early-stopping": options.early_stopping,
        "--checkpoint": options.checkpoint,
        "--head logistic": options.head == "logistic",
        "--cv": options.cv,
        "--backbone": options.backbone,
        "--weights": options.weights,
        "--layers": options.layers,
        "--pooling": options.pooling != "avg",
        "--image-size": options.image_size,
        "--resize": options.resize != "stretch",
        "--batch-size": options.batch_size,
        "--engine": options.engine != "auto",
        "--precision": options.precision != "float32",
        "--cache": options.cache != "memory",
    }
    for name, value in refused.items():
        if value not in (None, False, 0):
            options.parser.error(
                f"{name} cannot be used with {options.data}, whose features are computed already: bagged-sgd is "
                "trained on them, and estimated on images that are held out (--test-size)"
            )
    if options.html and options.cv == 0:
        options.parser.error("--html needs an estimate: leave out --cv 0")


def fit_features(options: argparse.Namespace) -> None:
    """Train on most rows, estimate on the others, and save the network with its classifier."""
    from sklearn.pipeline import make_pipeline

    from skcnn.distributed import load_features
    from skcnn.ensemble import BaggedSGDClassifier
    from skcnn.metrics import TrainingFeatures
    from skcnn.persistence import save

    features = load_features(options.data)
    if not features.has_labels:
        raise ValueError(f"{options.data} holds no labels. Extract images with labels, such as one folder per class.")
    network = load_network(features, options.data)
    print(f"{options.data}: {counted(len(features), 'image')}, {features.shape[1]:,} features")
    held_out = _held_out(len(features), options)
    training = features.shuffled(rows=None if held_out is None else ~held_out, random_state=options.seed)
    classifier = BaggedSGDClassifier(
        alpha="auto" if options.alpha is None else options.alpha,
        class_weight=options.class_weight,
        random_state=options.seed,
    )
    classifier.fit_batches(training)
    sizes = ", ".join(f"{count:,.0f}" for count in classifier.class_count_[:10])
    print(
        f"{counted(len(training), 'image')} for training, of {counted(len(classifier.classes_), 'class')}: "
        f"{names_text(classifier.classes_)} ({sizes}{', ...' if len(classifier.classes_) > 10 else ''})"
    )
    report = None if held_out is None else _evaluated(classifier, features, held_out, options)
    known, _ = next(iter(training))
    with timed("write"):
        save(
            make_pipeline(network, classifier),
            options.output,
            training_features=TrainingFeatures.of(known[:_OF_DISTANCES]) if len(known) >= 20 else None,
        )
        if options.html and report is not None:
            report.to_html(options.html)
    if report is not None:
        print(f"\nEstimate for new images:\n{report.to_text()}")
    print(f"\nSaved: {options.output}")
    if options.html:
        print(f"Report: {options.html}")


def _held_out(n_images: int, options: argparse.Namespace) -> np.ndarray | None:
    """Return which rows are held out, (n_images,) bool; None where no estimate is asked for."""
    import numpy as np

    if options.cv == 0:
        return None
    n_held_out = round((options.test_size or _TEST_SIZE) * n_images)
    if options.test_size is None:
        n_held_out = min(n_held_out, _MOST_HELD_OUT)
    mask = np.zeros(n_images, bool)
    mask[np.random.default_rng(options.seed).choice(n_images, n_held_out, replace=False, shuffle=False)] = True
    return mask


def _evaluated(
    classifier: Any, features: FeatureParts, held_out: np.ndarray, options: argparse.Namespace
) -> ClassifierReport:
    """Return the report on rows that were held out."""
    import numpy as np

    from skcnn.report import ClassifierReport

    with timed("estimate"):
        passed = [(classifier.predict_proba(X), y) for X, y in features.shuffled(rows=held_out, random_state=0)]
    y = np.concatenate([labels for _, labels in passed]) if passed else np.empty(0)
    if absent := sorted(set(classifier.classes_.tolist()) - set(y.tolist())):
        raise ValueError(
            f"No image of {names_text(absent)} is held out, so that these could not be evaluated. Give a larger "
            "--test-size, or --cv 0 for no estimate."
        )
    return ClassifierReport.from_predictions(
        y,
        np.concatenate([probabilities for probabilities, _ in passed]),
        classes=classifier.classes_,
        name=f"{Path(options.output).stem} on {Path(options.data).name}, {counted(len(y), 'image')} held out",
    )
