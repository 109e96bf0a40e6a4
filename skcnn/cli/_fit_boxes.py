"""``skcnn fit`` on boxes: train a detector, estimate its average precision on new images, and save it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skcnn._text import counted
from skcnn.cli._boxes import FORMS, Form, boxes_text, load_boxes
from skcnn.cli._models import detector_from

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from skcnn.report import DetectionReport

_TEST_SIZE = 0.2
"""Fraction of images that are held out where neither --cv nor --test-size is given: a detector per fold takes long."""


def check_fit_options(options: argparse.Namespace, form: Form | None) -> None:
    """See that the options are those of a detector, and fill in defaults that depend on others."""
    if form is None:
        options.parser.error(f"--task detection needs {FORMS}; got {options.data}")
    options.backbone = options.backbone or ["MobileNetV2"]
    if len(options.backbone) > 1:
        options.parser.error("several --backbone need --search, which chooses among classifiers")
    of_classifiers = {
        "--head": options.head,
        "--alpha": options.alpha,
        "--search": options.search,
        "--class-weight": options.class_weight,
        "--layers": options.layers,
        "--pooling": None if options.pooling == "avg" else options.pooling,
        "--engine": None if options.engine == "auto" else options.engine,
        "--precision": None if options.precision == "float32" else options.precision,
    }
    for name, value in of_classifiers.items():
        if value not in (None, False):
            options.parser.error(f"{name} is for classifiers; {options.data} has boxes")
    of_tuning = {"--unfreeze": options.unfreeze, "--epochs": options.epochs, "--learning-rate": options.learning_rate}
    for name, value in of_tuning.items():
        if value is not None and not options.fine_tune:
            options.parser.error(f"{name} needs --fine-tune; --head-epochs is what a detector is trained for without")
    if options.test_size is None and options.cv is None:
        options.test_size = _TEST_SIZE
    if options.html and options.cv == 0:
        options.parser.error("--html needs an estimate: leave out --cv 0")


def fit_boxes(options: argparse.Namespace, form: Form) -> None:
    """Train a detector, save it, and print the estimate."""
    from skcnn.metrics import average_precision
    from skcnn.persistence import save

    if options.test_size or options.cv:
        average_precision([[[0, 0, 1, 1]]], [{"boxes": [], "labels": [], "scores": []}])  # is its library there?
    dataset = load_boxes(options, form)
    X, y = dataset.frame, dataset.target
    print(boxes_text(dataset))
    _check_enough(y, options)
    groups = _duplicates_together(X) if options.test_size or options.cv else None
    detector = detector_from(options)
    report: DetectionReport | None = None
    if options.test_size:
        X, report = _fit_on_a_part(detector, X, y, groups, options)  # what it was trained on
    else:
        detector.fit(X, y)
        if options.cv:
            report = _cross_validated(detector, X, y, groups, options)
    # Written before anything is printed: a reader of the output may stop (`| head`).
    save(detector, options.output, training_images=X)
    if options.html and report is not None:
        report.to_html(options.html)
    height, width = detector.image_size_
    print(f"Images are resized to {height} x {width}; strides of the grid: {', '.join(map(str, detector.levels_))}")
    if report is not None:
        print(f"\nEstimate for new images:\n{report.to_text()}")
    print(f"\nSaved: {options.output}")
    if options.html and report is not None:
        print(f"Report: {options.html}")


def _check_enough(y: np.ndarray, options: argparse.Namespace) -> None:
    if not any(map(len, y)):
        raise ValueError(f"{options.data!r} has no boxes; at least one is needed.")
    if options.cv and not 2 <= options.cv <= len(y):
        raise ValueError(
            f"--cv {options.cv}; expected 2 to {len(y):,} folds (the number of images), or 0 for no cross-validation."
        )


def _duplicates_together(X: pd.DataFrame) -> np.ndarray:
    import numpy as np

    from skcnn.model_selection import duplicate_groups

    groups = duplicate_groups(X, on_error="raise")
    largest = int(np.bincount(groups).max())
    if 2 < len(groups) < 2 * largest:
        # Frames of one camera: the same background in most.
        print("Most images look like one another: near duplicates are not kept together in the estimate, only exact")
        print("copies are.")
        return duplicate_groups(X, min_similarity=1.0)
    if n_alike := len(groups) - len(np.unique(groups)):
        print(f"{counted(n_alike, 'near duplicate')} of other images, kept together with these in the estimate")
    return groups


def _name(options: argparse.Namespace, how: str) -> str:
    return f"{Path(options.output).stem} on {Path(options.data).name}, {how}"


def _fit_on_a_part(
    detector: Any, X: pd.DataFrame, y: np.ndarray, groups: np.ndarray | None, options: argparse.Namespace
) -> tuple[pd.DataFrame, DetectionReport]:
    """Fit on a part of the images; return these, and the report on the others."""
    from skcnn.boxes import stratify_by_boxes
    from skcnn.model_selection import train_dev_test_split
    from skcnn.report import DetectionReport

    split = train_dev_test_split(
        X, stratify_by_boxes(y), groups=groups, dev_size=0, test_size=options.test_size, random_state=options.seed
    )
    X_train, _, X_test, y_train, _, y_test = split.parts(X, y)
    if not any(map(len, y_train)) or not any(map(len, y_test)):
        raise ValueError(
            f"--test-size {options.test_size:g} leaves no box in one of the parts. Give another fraction, or --cv "
            "instead."
        )
    print(f"{len(X_train):,} for training, {len(X_test):,} held out")
    detector.fit(X_train, y_train)
    name = _name(options, f"{counted(len(X_test), 'image')} held out from training")
    return X_train, DetectionReport.from_estimator(detector, X_test, y_test, name=name)


def _cross_validated(
    detector: Any, X: pd.DataFrame, y: np.ndarray, groups: np.ndarray | None, options: argparse.Namespace
) -> DetectionReport:
    """Return the report on predictions of detectors that were trained without the image."""
    from sklearn.base import clone
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

    from skcnn.boxes import stratify_by_boxes
    from skcnn.report import DetectionReport

    folds = StratifiedGroupKFold(options.cv, shuffle=True, random_state=options.seed)
    strata = stratify_by_boxes(y, min_images=options.cv)
    splits = list(folds.split(X, strata, groups))
    found = cross_val_predict(clone(detector).set_params(verbose=0), X, y, cv=splits)
    return DetectionReport.from_predictions(
        y, found, X=X, name=_name(options, f"by {options.cv}-fold cross-validation")
    )
