"""``skcnn fit`` on masks: train a segmenter, estimate its mean IoU on new images, and save it."""

from __future__ import annotations

import argparse
from typing import Any

from skcnn._text import did_you_mean, listing
from skcnn.cli._fit_maps import Task, check_folds, check_map_options, fit_and_save
from skcnn.cli._masks import MASK_FORMS, Form, load_masks, masks_text
from skcnn.cli._models import segmenter_from


def check_segmenter_options(options: argparse.Namespace, form: Form | None) -> None:
    """See that the options are those of a segmenter, and fill in defaults that depend on others."""
    if form is None:
        options.parser.error(f"--task segmentation needs {MASK_FORMS}; got {options.data}")
    check_map_options(options, "masks", "a segmenter")
    if options.loss is not None:
        _check_loss(options)


def _check_loss(options: argparse.Namespace) -> None:
    """See that the loss is one of a segmenter, before images are read."""
    from skcnn.segmentation import LOSSES

    names = [name.strip() for name in options.loss.split("+")]
    unknown = [name for name in names if name not in LOSSES]
    if unknown or len(set(names)) < len(names):
        hint = did_you_mean(unknown[0], LOSSES) if unknown else ""
        options.parser.error(
            f"--loss {options.loss}; expected {listing(LOSSES)}, or a sum of different ones, such as "
            f"cross_entropy+dice.{hint}"
        )


def fit_masks(options: argparse.Namespace, form: Form) -> None:
    """Train a segmenter, save it, and print the estimate."""
    from skcnn.boxes import stratify_by_boxes
    from skcnn.images import as_masks
    from skcnn.report import SegmentationReport

    dataset = load_masks(options, form)
    X, y, names = dataset.frame, dataset.target, dataset.class_names
    print(masks_text(dataset))
    if len(dataset.labels) < 2:
        raise ValueError(f"{options.data!r} has masks of one class alone; at least two are needed.")
    check_folds(len(y), options)
    # Images are grouped by what is in them, as they are by their boxes: where these are does not matter.
    present = [[[0, 0, 1, 1, label] for label in labels] for labels in dataset.present]
    task = Task(
        lambda n_folds: stratify_by_boxes(present, min_images=n_folds),
        lambda segmenter, X, y, name: SegmentationReport.from_estimator(segmenter, X, y, classes=names, name=name),
        lambda y, found, X, name: SegmentationReport.from_predictions(
            as_masks(y, colors=dataset.colors), found, X=X, classes=names, name=name
        ),
    )
    fit_and_save(segmenter_from(options, dataset), X, y, task, options, said=_said)


def _said(segmenter: Any) -> str:
    height, width = segmenter.image_size_
    return f"Images are resized to {height} x {width}; head: {segmenter.architecture}"
