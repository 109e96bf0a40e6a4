"""What ``skcnn fit`` does alike for heads on feature maps, which find boxes or masks: options, parts, the estimate."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from skcnn._text import counted

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_TEST_SIZE = 0.2
"""Fraction of images that are held out where neither --cv nor --test-size is given: a model per fold takes long."""


class Task(NamedTuple):
    """What is estimated, and how.

    Parameters
    ----------
    strata : callable
        From a number of folds to a number per image, for splits that give each part its fraction of every class.
    report_on : callable
        From a fitted estimator, X, y and a name to a report.
    report_of : callable
        From y, predictions, X and a name to a report.
    check_parts : callable
        Raises ValueError if y of training and y held out cannot be used.
    """

    strata: Callable[[int], np.ndarray]
    report_on: Callable[[Any, Any, Any, str], Any]
    report_of: Callable[[Any, Any, Any, str], Any]
    check_parts: Callable[[Any, Any], None] = lambda y_train, y_test: None


def check_map_options(options: argparse.Namespace, has: str, kind: str) -> None:
    """See that the options are those of a head on feature maps, and fill in defaults that depend on others.

    Parameters
    ----------
    options : Namespace
    has : str
        What the data have, such as "boxes".
    kind : str
        What is trained, such as "a detector".
    """
    options.backbone = options.backbone or ["MobileNetV2"]
    if len(options.backbone) > 1:
        options.parser.error("several --backbone need --search, which chooses among classifiers")
    of_classifiers = {
        "--head": options.head,
        "--alpha": options.alpha,
        "--search": options.search,
        "--layers": options.layers,
        "--pooling": None if options.pooling == "avg" else options.pooling,
        "--engine": None if options.engine == "auto" else options.engine,
        "--precision": None if options.precision == "float32" else options.precision,
    }
    for name, value in of_classifiers.items():
        if value not in (None, False):
            options.parser.error(f"{name} is for classifiers; {options.data} has {has}")
    of_tuning = {"--unfreeze": options.unfreeze, "--epochs": options.epochs, "--learning-rate": options.learning_rate}
    for name, value in of_tuning.items():
        if value is not None and not options.fine_tune:
            options.parser.error(f"{name} needs --fine-tune; --head-epochs is what {kind} is trained for without")
    if options.test_size is None and options.cv is None:
        options.test_size = _TEST_SIZE
    if options.html and options.cv == 0:
        options.parser.error("--html needs an estimate: leave out --cv 0")


def check_folds(n_images: int, options: argparse.Namespace) -> None:
    """See that there are as many images as folds."""
    if options.cv and not 2 <= options.cv <= n_images:
        raise ValueError(
            f"--cv {options.cv}; expected 2 to {n_images:,} folds (the number of images), or 0 for no cross-validation."
        )


def fit_and_save(
    estimator: Any,
    X: pd.DataFrame,
    y: np.ndarray,
    task: Task,
    options: argparse.Namespace,
    *,
    said: Callable[[Any], str],
) -> None:
    """Train, estimate and save; print the estimate below ``said`` of the fitted estimator."""
    from skcnn.persistence import save

    groups = _duplicates_together(X) if options.test_size or options.cv else None
    report: Any = None
    if options.test_size:
        X, report = _fit_on_a_part(estimator, X, y, groups, task, options)  # what it was trained on
    else:
        estimator.fit(X, y)
        if options.cv:
            report = _cross_validated(estimator, X, y, groups, task, options)
    # Written before anything is printed: a reader of the output may stop (`| head`).
    save(estimator, options.output, training_images=X)
    if options.html and report is not None:
        report.to_html(options.html)
    print(said(estimator))
    if report is not None:
        print(f"\nEstimate for new images:\n{report.to_text()}")
    print(f"\nSaved: {options.output}")
    if options.html and report is not None:
        print(f"Report: {options.html}")


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
    estimator: Any, X: pd.DataFrame, y: np.ndarray, groups: np.ndarray | None, task: Task, options: argparse.Namespace
) -> tuple[pd.DataFrame, Any]:
    """Fit on a part of the images; return these, and the report on the others."""
    from skcnn.model_selection import train_dev_test_split

    split = train_dev_test_split(
        X, task.strata(5), groups=groups, dev_size=0, test_size=options.test_size, random_state=options.seed
    )
    X_train, _, X_test, y_train, _, y_test = split.parts(X, y)
    task.check_parts(y_train, y_test)
    print(f"{len(X_train):,} for training, {len(X_test):,} held out")
    estimator.fit(X_train, y_train)
    name = _name(options, f"{counted(len(X_test), 'image')} held out from training")
    return X_train, task.report_on(estimator, X_test, y_test, name)


def _cross_validated(
    estimator: Any, X: pd.DataFrame, y: np.ndarray, groups: np.ndarray | None, task: Task, options: argparse.Namespace
) -> Any:
    """Return the report on predictions of estimators that were trained without the image."""
    from sklearn.base import clone
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

    folds = StratifiedGroupKFold(options.cv, shuffle=True, random_state=options.seed)
    splits = list(folds.split(X, task.strata(options.cv), groups))
    found = cross_val_predict(clone(estimator).set_params(verbose=0), X, y, cv=splits)
    return task.report_of(y, found, X, _name(options, f"by {options.cv}-fold cross-validation"))
