"""``skcnn fit`` on boxes: train a detector, estimate its average precision on new images, and save it."""

from __future__ import annotations

import argparse
from typing import Any

from skcnn.cli._boxes import FORMS, Form, boxes_text, load_boxes
from skcnn.cli._fit_maps import Task, check_folds, check_map_options, fit_and_save
from skcnn.cli._models import detector_from


def check_fit_options(options: argparse.Namespace, form: Form | None) -> None:
    """See that the options are those of a detector, and fill in defaults that depend on others."""
    if form is None:
        options.parser.error(f"--task detection needs {FORMS}; got {options.data}")
    if options.class_weight is not None:
        options.parser.error(f"--class-weight is for classifiers; {options.data} has boxes")
    check_map_options(options, "boxes", "a detector")


def fit_boxes(options: argparse.Namespace, form: Form) -> None:
    """Train a detector, save it, and print the estimate."""
    from skcnn.boxes import stratify_by_boxes
    from skcnn.metrics import average_precision
    from skcnn.report import DetectionReport

    if options.test_size or options.cv:
        average_precision([[[0, 0, 1, 1]]], [{"boxes": [], "labels": [], "scores": []}])  # is its library there?
    dataset = load_boxes(options, form)
    X, y = dataset.frame, dataset.target
    print(boxes_text(dataset))
    if not any(map(len, y)):
        raise ValueError(f"{options.data!r} has no boxes; at least one is needed.")
    check_folds(len(y), options)

    def check_parts(y_train: Any, y_test: Any) -> None:
        if not any(map(len, y_train)) or not any(map(len, y_test)):
            raise ValueError(
                f"--test-size {options.test_size:g} leaves no box in one of the parts. Give another fraction, or --cv "
                "instead."
            )

    task = Task(
        lambda n_folds: stratify_by_boxes(y, min_images=n_folds),
        lambda detector, X, y, name: DetectionReport.from_estimator(detector, X, y, name=name),
        lambda y, found, X, name: DetectionReport.from_predictions(y, found, X=X, name=name),
        check_parts,
    )
    fit_and_save(detector_from(options), X, y, task, options, said=_said)


def _said(detector: Any) -> str:
    height, width = detector.image_size_
    return f"Images are resized to {height} x {width}; strides of the grid: {', '.join(map(str, detector.levels_))}"
