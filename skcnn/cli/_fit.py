"""``skcnn fit``: train on a folder of images and save the model."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import Any

from skcnn._text import counted
from skcnn.cli._common import (
    add_command,
    add_data,
    add_features,
    add_skip_bad,
    check_writable,
    features_from,
    images_text,
    load_data,
    names_text,
)


def add_to(commands: Any) -> None:
    fit = add_command(
        commands,
        "fit",
        run,
        "train on a folder of images and save the model",
        epilog="examples:\n"
        "  skcnn fit flowers/ -o flowers.skcnn\n"
        "  skcnn fit train.csv -o model.skcnn --backbone EfficientNetB0 --cv 10\n"
        "  skcnn fit flowers/ -o flowers.skcnn --weights mobilenet_v2.weights.h5    (no download)",
    )
    add_data(fit)
    add_skip_bad(fit)
    fit.add_argument("-o", "--output", metavar="MODEL", required=True, help="where to save it, such as flowers.skcnn")
    add_features(fit)
    fit.add_argument("--alpha", type=_alpha, default="auto", help="strength of the penalty (default: 1 / n_samples)")
    fit.add_argument(
        "--class-weight",
        choices=["balanced"],
        help="weight all classes equally (worsens log-loss if classes are imbalanced)",
    )
    fit.add_argument(
        "--cv",
        type=int,
        default=5,
        help="folds of the cross-validation that is printed; 0 for none (default: %(default)s)",
    )
    fit.add_argument(
        "--seed", type=int, default=0, help="seed of the folds and of the classifier (default: %(default)s)"
    )


def _alpha(text: str) -> float | str:
    return "auto" if text == "auto" else float(text)


def _check_enough(target: Any, options: argparse.Namespace) -> None:
    """Raise before images go through a network what would raise after it."""
    sizes = Counter(target.tolist())
    if len(sizes) < 2:
        raise ValueError(f"{options.data!r} contains one class ({names_text(sizes)}); at least two are needed.")
    most = max(sizes.values())
    if options.cv and not 2 <= options.cv <= most:
        raise ValueError(
            f"--cv {options.cv}; expected 2 to {most:,} folds (the number of images of the largest class), or 0 for no "
            "cross-validation."
        )


def run(options: argparse.Namespace) -> None:
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline

    from skcnn.ensemble import BaggedSGDClassifier
    from skcnn.persistence import save
    from skcnn.report import ClassifierReport

    check_writable(options.output)
    dataset = load_data(options)
    pipeline = make_pipeline(
        features_from(options),
        BaggedSGDClassifier(alpha=options.alpha, class_weight=options.class_weight, random_state=options.seed),
    )
    X = dataset.frame[["path"]]
    _check_enough(dataset.target, options)
    print(
        f"{images_text(dataset)} of {counted(len(dataset.target_names), 'class')}: {names_text(dataset.target_names)}"
    )
    pipeline.fit(X, dataset.target)
    pipeline[0].set_params(verbose=0)
    if options.cv:
        folds = StratifiedKFold(options.cv, shuffle=True, random_state=options.seed)
        probabilities = cross_val_predict(pipeline, X, dataset.target, cv=folds, method="predict_proba")
        report = ClassifierReport.from_predictions(dataset.target, probabilities, classes=pipeline.classes_)
        print(f"\nEstimate for new images, by {options.cv}-fold cross-validation:\n{report}")
    save(pipeline, options.output)
    print(f"\nSaved: {options.output}")
