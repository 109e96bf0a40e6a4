"""``skcnn fit``: train on labelled images, estimate how good the model is on new ones, and save it."""

from __future__ import annotations

import argparse
import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skcnn._text import counted, printable_text
from skcnn._timing import timed
from skcnn.cli._arguments import (
    UnusableError,
    alpha,
    count,
    fraction,
    layers_to_unfreeze,
    output_path,
    positive,
    whole_number,
)
from skcnn.cli._boxes import add_boxes, box_form, check_box_options
from skcnn.cli._common import add_command, add_features, add_profile, names_text, weights_from
from skcnn.cli._data import add_data, add_skip_bad, images_text, load_data
from skcnn.cli._features_in_parts import is_features
from skcnn.cli._fit_boxes import check_fit_options, fit_boxes
from skcnn.cli._fit_features import check_features_options, fit_features
from skcnn.cli._fit_identity import check_identity_options, fit_identity
from skcnn.cli._fit_masks import check_segmenter_options, fit_masks
from skcnn.cli._masks import Form as MaskForm
from skcnn.cli._masks import add_masks, check_mask_options, has_masks_clearly, mask_form
from skcnn.cli._models import SEARCHED, classifier_from, search_from, search_table

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from skcnn.report import ClassifierReport

_FOLDS = 5
"""Folds of the estimate where neither --cv nor --test-size is given; fewer where no class has as many images."""

_ENOUGH_FOR_DISTANCES = 20
"""Images from which on it is kept how far new ones lie from them."""


def add_to(commands: Any) -> None:
    fit = add_command(
        commands,
        "fit",
        run,
        "train on labelled images, or images with boxes or masks, and save the model",
        epilog="The metrics that are printed are estimates for new images: each image is predicted by a model\n"
        "that was trained without it and its near duplicates.\n\n"
        "examples:\n"
        "  skcnn fit flowers/ -o flowers.skcnn --html report.html\n"
        "  skcnn fit flowers/ -o flowers.skcnn --test-size 0.25\n"
        "  skcnn fit train.csv -o model.skcnn --backbone EfficientNetB0 --cv 10\n"
        "  skcnn fit flowers/ -o flowers.skcnn --search --backbone MobileNetV2 --backbone ResNet50\n"
        "  skcnn fit flowers/ -o flowers.skcnn --fine-tune --epochs 5 --augmentation light\n"
        "  skcnn fit flowers/ -o flowers.skcnn --weights mobilenet_v2.weights.h5    (no download)\n"
        "  skcnn fit VOC2007/ -o detector.skcnn --split trainval --html report.html\n"
        "  skcnn fit boxes.json -o detector.skcnn --image-folder images/ --head-epochs 60\n"
        "  skcnn fit pets/ -o pets.skcnn --mask-folder masks/ --html report.html\n"
        "  skcnn fit people/ -o people.skcnn --task identity --far 0.001\n"
        "  skcnn fit parts/ -o flowers.skcnn    (features that `skcnn extract --rows-per-part` wrote)",
    )
    add_data(fit, boxes=True, features=True)
    fit.add_argument(
        "-o",
        "--output",
        type=output_path,
        metavar="MODEL",
        required=True,
        help="where to save the model, such as m.skcnn",
    )
    fit.add_argument(
        "--task",
        choices=["classification", "detection", "segmentation", "identity"],
        help="detection trains a detector on images with boxes, segmentation a segmenter on images with masks; "
        "identity enrols people, one folder per person, and later recognises them, or nobody (default: chosen by the "
        "data, never identity)",
    )
    fit.add_argument(
        "--far",
        type=fraction,
        metavar="FRACTION",
        help="fraction of the images of unknown people that --task identity may accept as enrolled ones "
        "(default: 0.01)",
    )
    fit.add_argument(
        "--program",
        action="store_true",
        help="also save the model as a program for OpenVINO or ONNX Runtime, by which predicting starts without Keras, "
        "in a tenth of the time; it adds the size of the network to the file",
    )
    fit.add_argument("--html", type=output_path, metavar="PATH", help="also write a report with the estimate")
    estimate = fit.add_mutually_exclusive_group()
    estimate.add_argument(
        "--cv",
        type=count,
        metavar="FOLDS",
        help="estimate by cross-validation with this number of folds; 0 for no estimate (default: 5)",
    )
    estimate.add_argument(
        "--test-size",
        type=fraction,
        metavar="FRACTION",
        help="estimate on this fraction of images, and train on the others (default with --fine-tune, boxes, masks or "
        "features: 0.2)",
    )
    fit.add_argument(
        "--seed", type=count, default=0, metavar="N", help="seed of the folds and the classifier (default: %(default)s)"
    )
    add_skip_bad(fit)
    add_profile(fit)
    fit.add_argument(
        "--class-weight",
        choices=["balanced"],
        help="weight all classes equally (worsens log-loss if classes are imbalanced)",
    )

    head = fit.add_argument_group("classifier on features")
    head.add_argument(
        "--head",
        choices=["bagged-sgd", "logistic"],
        help="bagged logistic regressions by SGD, or one LogisticRegression on scaled features (default: bagged-sgd)",
    )
    head.add_argument("--alpha", type=alpha, help="strength of the penalty of bagged-sgd (default: 1 / n_samples)")
    head.add_argument(
        "--search",
        action="store_true",
        help="choose the backbone (give --backbone several times), the layer and the penalty by log-loss",
    )
    add_features(fit, several_backbones=True)
    add_boxes(fit)
    _add_segmenter(add_masks(fit))

    tune = fit.add_argument_group("training of a head for boxes or masks, and fine-tuning")
    tune.add_argument(
        "--head-epochs",
        type=whole_number,
        metavar="N",
        help="epochs of the head for boxes or masks, on features that are computed once per image (default: 20 for "
        "boxes, 12 for masks)",
    )
    tune.add_argument(
        "--fine-tune", action="store_true", help="train a new head, and then the head and the network together"
    )
    tune.add_argument(
        "--unfreeze",
        type=layers_to_unfreeze,
        metavar="LAYERS",
        help="all; none; the name of the first layer; -20 for the last 20; or 0.3 for the last 30 %% (default: 0.5)",
    )
    tune.add_argument("--epochs", type=count, metavar="N", help="epochs of fine-tuning (default: 5)")
    tune.add_argument(
        "--learning-rate",
        type=positive,
        metavar="RATE",
        help="learning rate of fine-tuning (default: 3e-5; boxes and masks: 1e-4)",
    )
    tune.add_argument("--augmentation", choices=["light", "standard"], help="change training images randomly")
    tune.add_argument(
        "--early-stopping",
        action="store_true",
        help="stop when the loss on a held-out tenth of the images no longer falls",
    )
    tune.add_argument(
        "--checkpoint", metavar="FOLDER", help="save the state there after every epoch, so that a killed run can resume"
    )


def _add_segmenter(masks: Any) -> None:
    """Add the options of a segmenter to the group of masks."""
    masks.add_argument(
        "--architecture",
        choices=["unet", "fcn8", "fcn16", "fcn32"],
        help="the head: a U-Net has the most accurate edges, an FCN is faster (default: unet)",
    )
    masks.add_argument(
        "--loss",
        metavar="NAME",
        help="cross_entropy, dice, focal, tversky, or a sum such as cross_entropy+dice, which suits small regions "
        "(default: cross_entropy)",
    )
    masks.add_argument(
        "--flips",
        choices=["horizontal", "both", "none"],
        help="also train on mirrored images: left to right, or with both also top to bottom (default: horizontal)",
    )


def _check_options(options: argparse.Namespace) -> None:
    """See that the options fit each other, and fill in defaults that depend on others."""
    options.backbone = options.backbone or list(SEARCHED if options.search else SEARCHED[:1])
    if options.test_size is None and options.cv is None and options.fine_tune:
        options.test_size = 0.2
    of_heads = {"--head": options.head, "--alpha": options.alpha, "--search": options.search}
    of_features = {"--layers": options.layers, "--engine": None if options.engine == "auto" else options.engine}
    of_tuning = {
        "--unfreeze": options.unfreeze,
        "--epochs": options.epochs,
        "--learning-rate": options.learning_rate,
        "--augmentation": options.augmentation,
        "--early-stopping": options.early_stopping,
        "--checkpoint": options.checkpoint,
    }
    unfit, reason = (
        ({**of_heads, **of_features}, "cannot be used with --fine-tune, which trains the network and a head of its own")
        if options.fine_tune
        else (of_tuning, "needs --fine-tune")
    )
    for name, value in unfit.items():
        if value not in (None, False):
            options.parser.error(f"{name} {reason}")
    if options.head == "logistic" and options.alpha is not None:
        options.parser.error("--alpha is the penalty of --head bagged-sgd")
    if options.search and (options.layers or options.alpha is not None):
        options.parser.error("--search chooses layers and penalty: leave out --layers and --alpha")
    if len(options.backbone) > 1 and not options.search:
        options.parser.error("several --backbone need --search, which chooses among them")
    weights = weights_from(options)
    if len(options.backbone) > 1 and options.weights:
        missing = set(options.backbone) - set(weights if isinstance(weights, dict) else {})
        if missing:
            options.parser.error(f"several --backbone need --weights NAME=FILE for each: {names_text(sorted(missing))}")
    if options.html and options.cv == 0:
        options.parser.error("--html needs an estimate: leave out --cv 0")


def _task_of(options: argparse.Namespace, boxes: str | None, masks: MaskForm | None) -> str:
    """Return what the data are for."""
    if boxes is not None and options.mask_folder is None:
        return "detection"
    return "segmentation" if has_masks_clearly(options, masks) else "classification"


def _of_segmenters(options: argparse.Namespace) -> dict[str, Any]:
    return {"--architecture": options.architecture, "--loss": options.loss, "--flips": options.flips}


def _check_enough(target: np.ndarray, options: argparse.Namespace) -> None:
    """Raise before images go through a network what would raise after it."""
    sizes = Counter(target.tolist())
    if len(sizes) < 2:
        raise ValueError(f"{options.data!r} contains one class ({names_text(sizes)}); at least two are needed.")
    most = max(sizes.values())
    if options.test_size is None and options.cv is None:
        options.cv = min(_FOLDS, most) if most > 1 else 0
    if options.cv and not 2 <= options.cv <= most:
        raise ValueError(
            f"--cv {options.cv}; expected 2 to {most:,} folds (the number of images of the largest class), or 0 for no "
            "cross-validation."
        )


def run(options: argparse.Namespace) -> None:
    # Before the imports, which take seconds.
    if is_features(options.data):
        check_box_options(options, None)
        check_mask_options(options, None)
        check_features_options(options, _of_segmenters(options))
        fit_features(options)
        return
    boxes, masks = box_form(options.data), mask_form(options)
    task = options.task or _task_of(options, boxes, masks)
    if options.far is not None and task != "identity":
        options.parser.error("--far needs --task identity")
    if task != "segmentation":
        check_mask_options(options, None)
        for name, value in _of_segmenters(options).items():
            if value is not None:
                options.parser.error(
                    f"{name} is for segmenters: {options.data} has no masks, or give --task segmentation"
                )
    if options.program and task != "classification":
        options.parser.error(f"--program is for models of classes; --task {task} has no program")
    if task == "detection":
        check_fit_options(options, boxes)
        check_box_options(options, boxes)
        fit_boxes(options, boxes)  # type: ignore[arg-type]  # there is one, or the check has ended
        return
    if task == "segmentation":
        check_segmenter_options(options, masks)
        check_mask_options(options, masks)
        fit_masks(options, masks)  # type: ignore[arg-type]  # there is one, or the check has ended
        return
    if boxes in ("voc", "coco"):
        raise UnusableError(f"{options.data} has boxes; --task classification needs one folder of images per class")
    check_box_options(options, None)
    if options.head_epochs is not None:
        options.parser.error(
            "--head-epochs is of a detector or a segmenter; --epochs with --fine-tune is of a classifier"
        )
    if task == "identity":
        check_identity_options(options)
        fit_identity(options)
        return
    _check_options(options)

    from skcnn.exporting import program_runtime

    if options.program:
        program_runtime()  # before hours of training
    dataset = load_data(options)
    X, y = dataset.frame[["path"]], dataset.target
    _check_enough(y, options)
    print(
        f"{images_text(dataset)} of {counted(len(dataset.target_names), 'class')}: {names_text(dataset.target_names)}"
    )
    groups = _duplicates_together(X, y) if options.test_size or options.cv else None
    report: ClassifierReport | None = None
    estimator = search_from(options, len(X)) if options.search else classifier_from(options)
    if options.test_size:
        X, report = _fit_on_a_part(estimator, X, y, groups, options)  # what it was trained on
    else:
        with timed("model"):
            estimator.fit(X, y)
        if options.cv:
            report = _cross_validated(estimator, X, y, groups, options)
    # Written before anything is printed: a reader of the output may stop (`| head`).
    # A network that was fine-tuned knows its training images too well for distances of new ones.
    known = None if options.fine_tune or len(X) < _ENOUGH_FOR_DISTANCES else X
    best = getattr(estimator, "best_estimator_", estimator)
    with timed("write"):
        _save(best, options, training_images=X, training_features=known)
        if options.html and report is not None:
            report.to_html(options.html)
    if options.search:
        print(f"\n{search_table(estimator)}")
    if report is not None:
        print(f"\nEstimate for new images:\n{report.to_text()}")
    print(f"\nSaved: {options.output}")
    if options.html and report is not None:
        print(f"Report: {options.html}")


def _save(estimator: Any, options: argparse.Namespace, **known: Any) -> None:
    """Save the model, with a program if it is asked for and can be made: what was trained is never lost."""
    from skcnn.persistence import save

    if options.program:
        try:
            save(estimator, options.output, program=True, **known)
        except (ImportError, TypeError, ValueError) as error:
            warnings.warn(f"{str(error).rstrip('.')}. The model is saved without a program.", UserWarning, stacklevel=2)
        else:
            return
    save(estimator, options.output, **known)


def _name(options: argparse.Namespace, how: str) -> str:
    """Return what the report calls the model: its name, its data, and how the estimate was made."""
    return f"{Path(options.output).stem} on {Path(options.data).name}, {how}"


def _duplicates_together(X: pd.DataFrame, y: np.ndarray) -> np.ndarray:
    """Return groups of near duplicates; of exact ones only where most of a class would be one group."""
    import numpy as np

    from skcnn.model_selection import duplicate_groups

    groups = duplicate_groups(X, on_error="raise")
    for label in np.unique(y):
        of_class = groups[y == label]
        if 2 < len(of_class) < 2 * np.bincount(of_class).max():
            print(
                f"Most images of the class {printable_text(label)} look like one another: near duplicates are not kept "
                "together in the estimate, only exact copies are."
            )
            return duplicate_groups(X, min_similarity=1.0)
    if n_alike := len(groups) - len(np.unique(groups)):
        print(f"{counted(n_alike, 'near duplicate')} of other images, kept together with these in the estimate")
    return groups


def _fit_on_a_part(
    estimator: Any, X: pd.DataFrame, y: np.ndarray, groups: np.ndarray | None, options: argparse.Namespace
) -> tuple[pd.DataFrame, ClassifierReport]:
    """Fit on a part of the images; return these, and the report on the others."""
    from skcnn.model_selection import train_dev_test_split
    from skcnn.report import ClassifierReport

    split = train_dev_test_split(
        X, y, groups=groups, dev_size=0, test_size=options.test_size, random_state=options.seed
    )
    X_train, _, X_test, y_train, _, y_test = split.parts(X, y)
    if absent := sorted(set(y.tolist()) - set(y_test.tolist())):
        raise ValueError(
            f"--test-size {options.test_size:g} holds out no image of {names_text(absent)}, so that these could "
            "not be evaluated. Give a larger fraction, or --cv instead."
        )
    print(f"{len(X_train):,} for training, {len(X_test):,} held out")
    with timed("model"):
        estimator.fit(X_train, y_train)
    name = _name(options, f"{counted(len(X_test), 'image')} held out from training")
    with timed("estimate"):
        return X_train, ClassifierReport.from_estimator(estimator, X_test, y_test, name=name)


def _cross_validated(
    estimator: Any, X: pd.DataFrame, y: np.ndarray, groups: np.ndarray | None, options: argparse.Namespace
) -> ClassifierReport:
    """Return the report on predictions of models that were trained without the image."""
    from sklearn.base import clone
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

    from skcnn.report import ClassifierReport

    folds = StratifiedGroupKFold(options.cv, shuffle=True, random_state=options.seed)
    quiet = clone(estimator)
    quiet.set_params(**{name: 0 for name in quiet.get_params() if name.endswith("bottleneckfeatures__verbose")})
    with timed("estimate"):
        probabilities = cross_val_predict(quiet, X, y, groups=groups, cv=folds, method="predict_proba")
    return ClassifierReport.from_predictions(
        y, probabilities, classes=estimator.classes_, X=X, name=_name(options, f"by {options.cv}-fold cross-validation")
    )
