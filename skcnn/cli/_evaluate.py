"""``skcnn evaluate``: evaluate a saved model on labelled images; choose a threshold where classes are two."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skcnn._text import interval_text, percent_text, printable_text
from skcnn.cli._arguments import UnusableError, at_most_one, model_path, output_path
from skcnn.cli._boxes import FORMS, add_boxes, box_form, boxes_text, check_box_options, load_boxes
from skcnn.cli._common import add_command, finds_boxes, names_text, with_progress
from skcnn.cli._data import add_data, add_skip_bad, label_column, load_data, numbers_of
from skcnn.cli._evaluate_identity import evaluate_pairs, evaluate_people
from skcnn.cli._masks import (
    MASK_FORMS,
    add_masks,
    check_mask_options,
    has_masks_clearly,
    load_masks,
    mask_form,
    masks_text,
)
from skcnn.cli._predict_identity import recognizes, verifies
from skcnn.cli._predict_masks import segments

if TYPE_CHECKING:
    import numpy as np
    from sklearn.utils import Bunch

    from skcnn.metrics.parts import Predictions
    from skcnn.report import ClassifierReport, DetectionReport, RegressionReport, SegmentationReport


def add_to(commands: Any) -> None:
    evaluate = add_command(
        commands,
        "evaluate",
        run,
        "evaluate a saved model on labelled images",
        epilog="Of a model that predicts numbers, the labels are numbers: those of a column of a .csv.\n"
        "Of a model of identities, there is one folder per person; or for a FaceVerifier a .csv with two columns of\n"
        "paths and a third with 1 (one person) or 0 (two).\n"
        "A threshold chosen by --recall fits the images it was chosen on: evaluate the new model on others.\n\n"
        "examples:\n"
        "  skcnn evaluate flowers.skcnn test/ --html report.html\n"
        "  skcnn evaluate ages.skcnn test.csv --label-column age --html report.html\n"
        "  skcnn evaluate cells.skcnn VOC2007/ --split test --html report.html\n"
        "  skcnn evaluate pets.skcnn test/ --mask-folder test_masks/ --html report.html\n"
        "  skcnn evaluate people.skcnn others/\n"
        "  skcnn evaluate defects.skcnn dev/ --recall 0.95 --positive defect -o careful.skcnn\n"
        "  skcnn evaluate careful.skcnn test/",
    )
    evaluate.add_argument("model", type=model_path, help="a file that `skcnn fit`, or `skcnn.save` in Python, wrote")
    add_data(evaluate, boxes=True)
    add_skip_bad(evaluate)
    evaluate.add_argument(
        "--html", type=output_path, metavar="PATH", help="also write a report: tables, curves and images"
    )
    add_boxes(evaluate)
    add_masks(evaluate)
    threshold = evaluate.add_argument_group("threshold of a model with two classes")
    threshold.add_argument(
        "--recall",
        type=at_most_one,
        metavar="FRACTION",
        help="choose the threshold with the fewest false positives that finds at least this fraction of the images of "
        "the positive class, such as 0.9",
    )
    threshold.add_argument(
        "--positive", metavar="LABEL", help="the class to find (default: the second of the two, by name)"
    )
    threshold.add_argument(
        "-o", "--output", type=output_path, metavar="MODEL", help="save the model with the threshold of --recall"
    )


def run(options: argparse.Namespace) -> None:
    _check_options(options)

    from sklearn.base import is_regressor

    from skcnn.persistence import load

    pipeline = load(options.model)
    if segments(pipeline):
        _evaluate_masks(pipeline, options)
        return
    form = box_form(options.data)
    if form is None and not (verifies(options.model) or recognizes(pipeline)):
        _refuse_masks(options)
    check_mask_options(options, None)
    check_box_options(options, form)
    if verifies(options.model) or recognizes(pipeline):
        for name, value in (("--recall", options.recall), ("--html", options.html)):
            if value is not None:
                raise ValueError(f"{name} needs a model of classes; {options.model} compares identities.")
        if verifies(options.model):
            evaluate_pairs(pipeline, options)
        else:
            evaluate_people(pipeline, options)
        return
    dataset = load_data(options) if form is None else load_boxes(options, form)
    if finds_boxes(pipeline):
        if form is None:
            raise UnusableError(f"{options.model} finds boxes; expected {FORMS}, got {options.data}")
        _evaluate_boxes(pipeline, dataset, options)
        return
    if form in ("voc", "coco"):
        raise UnusableError(
            f"{options.model} finds no boxes; expected a folder with one folder of images per class, or a .csv with "
            f"path and label, got {options.data}"
        )
    if form is not None:  # a table may have boxes, too
        dataset = load_data(options)
    if is_regressor(pipeline):
        _evaluate_numbers(pipeline, dataset, options)
    else:
        _evaluate_classes(pipeline, dataset, options)


def _evaluate_boxes(detector: Any, dataset: Bunch, options: argparse.Namespace) -> None:
    from skcnn.report import DetectionReport

    if options.recall is not None:
        raise ValueError(f"--recall needs a model of two classes; {options.model} finds boxes.")
    print(boxes_text(dataset))
    report = DetectionReport.from_estimator(detector, dataset.frame, dataset.target, name=_name(options))
    _show(report, options)


def _evaluate_masks(model: Any, options: argparse.Namespace) -> None:
    from skcnn.report import SegmentationReport

    form = mask_form(options)
    if form is None:
        raise UnusableError(f"{options.model} predicts masks; expected {MASK_FORMS}, got {options.data}")
    check_mask_options(options, form)
    if options.recall is not None:
        raise ValueError(f"--recall needs a model of two classes; {options.model} predicts masks.")
    segmenter = getattr(model, "best_estimator_", model)
    dataset = load_masks(options, form, colors=segmenter.colors)
    print(masks_text(dataset))
    if unknown := sorted(set(dataset.labels) - set(segmenter.classes_.tolist())):
        warnings.warn(
            f"Masks of {options.data} have the labels {names_text(unknown)}, which {options.model} does not know: its "
            f"classes are {names_text(segmenter.classes_)}.",
            stacklevel=2,
        )
    segmenter.set_params(colors=dataset.colors)
    report = SegmentationReport.from_estimator(
        segmenter, dataset.frame, dataset.target, classes=dataset.class_names, name=_name(options)
    )
    _show(report, options)


def _refuse_masks(options: argparse.Namespace) -> None:
    """Refuse data with masks, for a model that predicts none."""
    masks = mask_form(options)
    if not has_masks_clearly(options, masks):
        return
    folders = {"folders": "images and masks", "voc": "JPEGImages and SegmentationClass"}
    found = f"the folders {folders[masks]}" if masks in folders else "a column of masks"
    found = f"--mask-folder {options.mask_folder}" if options.mask_folder else f"{options.data} has {found}"
    raise UnusableError(
        f"{options.model} predicts no masks, and {found}; expected a folder with one folder of images per class, or a "
        ".csv with path and label. `skcnn fit` on masks trains a model that predicts them."
    )


def _evaluate_numbers(pipeline: Any, dataset: Bunch, options: argparse.Namespace) -> None:
    from skcnn.metrics.parts import NumberPredictions
    from skcnn.report import RegressionReport

    if options.recall is not None:
        raise ValueError(f"--recall needs a model of two classes; {options.model} predicts numbers.")
    true = numbers_of(dataset, options)
    X = dataset.frame[["path"]]
    predicted = with_progress(pipeline, options).predict(X)
    if predicted.shape[1:] not in ((), (1,)):
        raise ValueError(
            f"{options.model} predicts {predicted.shape[1]:,} numbers per image, and a column of labels has one. In "
            "Python, skcnn.report.RegressionReport takes all of them."
        )
    predictions = NumberPredictions.from_arrays(true, predicted, target_names=[label_column(options)])
    _show(RegressionReport(predictions, name=_name(options), estimator=pipeline, X=X), options)
    _print_distances(pipeline, _features_for_distances(pipeline, X))


def _evaluate_classes(pipeline: Any, dataset: Bunch, options: argparse.Namespace) -> None:
    from skcnn.metrics.parts import Predictions
    from skcnn.report import ClassifierReport

    number = None if options.recall is None else _number_of_positive(pipeline, dataset.target, options)
    pipeline = with_progress(pipeline, options)
    X = dataset.frame[["path"]]
    predictions = Predictions.from_estimator(pipeline, X, dataset.target)
    features = _features_for_distances(pipeline, X)
    report = ClassifierReport(predictions, name=_name(options), estimator=pipeline, X=X, features=features)
    _show(report, options)
    _print_distances(pipeline, features)
    if number is not None:
        _choose_threshold(pipeline, predictions, number, options)


def _features_for_distances(pipeline: Any, X: Any) -> np.ndarray | None:
    """Return the features of images, if the model knows those of its training set; None if not."""
    if getattr(pipeline, "training_features_", None) is None:
        return None
    from skcnn.exporting import bottleneck_features

    return bottleneck_features(pipeline, X)


def _print_distances(pipeline: Any, features: np.ndarray | None) -> None:
    """Print how far images with these features lie from those of the training set."""
    if features is None:
        return
    from skcnn.metrics import distance_frame

    frame = distance_frame(pipeline.training_features_, features)
    lines = [f"{level:>8.0%}  {training:>8.2f}  {new:>8.2f}" for level, training, new, _ in frame.itertuples()]
    print(
        "\nDistance of the features to those of the training set:\n"
        f"{'quantile':>8}  {'training':>8}  {'new':>8}\n" + "\n".join(lines) + "\n"
        f"{frame.loc[0.95, 'fraction']:.1%} of the images lie farther than 95 % of the training images; expected: 5 %."
    )


def _name(options: argparse.Namespace) -> str:
    return f"{Path(options.model).stem} on {Path(options.data).name}"


def _show(
    report: ClassifierReport | DetectionReport | RegressionReport | SegmentationReport, options: argparse.Namespace
) -> None:
    print(report.to_text())
    if options.html:
        report.to_html(options.html)
        print(f"\nReport: {options.html}")


def _check_options(options: argparse.Namespace) -> None:
    """See that the options fit each other."""
    if options.recall is None:
        for name, value in (("--positive", options.positive), ("-o", options.output)):
            if value is not None:
                options.parser.error(f"{name} {value} is expected with --recall, such as --recall 0.9")


def _number_of_positive(pipeline: Any, target: Any, options: argparse.Namespace) -> int:
    """Return the number of the class to find, once it is known that the model has two and the data some of it."""
    classes = [str(label) for label in getattr(pipeline, "classes_", ())]
    if len(classes) != 2:
        raise ValueError(
            f"--recall needs a model of two classes; {options.model} has {len(classes):,}: {names_text(classes)}. "
            "Train one that distinguishes one class from the rest."
        )
    if options.positive is not None and options.positive not in classes:
        raise ValueError(f"--positive {options.positive}; expected one of the classes: {names_text(classes)}.")
    number = 1 if options.positive is None else classes.index(options.positive)
    if classes[number] not in {str(label) for label in target}:
        raise ValueError(f"{options.data} has no image of the class {classes[number]}; --recall needs some.")
    return number


def _choose_threshold(pipeline: Any, predictions: Predictions, number: int, options: argparse.Namespace) -> None:
    from skcnn.metrics.parts import (
        CONFIDENCE_LEVEL,
        N_RESAMPLES,
        operating_point_of,
        threshold_intervals_of,
        threshold_table_of,
    )
    from skcnn.model_selection import with_threshold
    from skcnn.persistence import save

    label = predictions.classes[number]
    quoted = f"\u201c{printable_text(label)}\u201d"
    point = operating_point_of(threshold_table_of(predictions, number), min_recall=options.recall)
    threshold = float(point["threshold"])
    metrics = threshold_intervals_of(predictions, number, threshold, random_state=0)
    found, missed, false_alarms, passed = (int(point[count]) for count in ("tp", "fn", "fp", "tn"))
    print(
        f"\nThreshold for a recall of at least {options.recall:g} of {quoted}: {threshold!r}\n"
        f"Precision  {interval_text(*metrics.loc['precision'])}\n"
        f"Recall     {interval_text(*metrics.loc['recall'])}\n"
        f"(in brackets: {percent_text(CONFIDENCE_LEVEL)} intervals, from {N_RESAMPLES:,} bootstrap resamples)\n"
        f"Found: {found:,} of {found + missed:,}. False positives: {false_alarms:,} of {false_alarms + passed:,}.\n"
        "The threshold was chosen on these images, so these metrics are too optimistic: evaluate it on other images."
    )
    if options.output:
        careful = with_threshold(pipeline, threshold, pos_label=label)
        images, features = (getattr(pipeline, f"training_{name}_", None) for name in ("images", "features"))
        save(careful, options.output, training_images=images, training_features=features)
        print(f"\nSaved with this threshold: {options.output}")
