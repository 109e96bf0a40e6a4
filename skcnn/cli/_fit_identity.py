"""``skcnn fit --task identity``: enrol people, and learn at which distance somebody is unknown."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import TYPE_CHECKING, Any

from skcnn._text import counted
from skcnn._timing import timed
from skcnn.cli._common import features_from, names_text
from skcnn.cli._data import images_text, load_data

if TYPE_CHECKING:
    import numpy as np

_FAR = 0.01
"""False accept rate where --far is not given."""

_FOLDS = 5


def check_identity_options(options: argparse.Namespace) -> None:
    """See that the options are those of a recognizer."""
    of_others = {
        "--html": options.html,
        "--test-size": options.test_size,
        "--class-weight": options.class_weight,
        "--head": options.head,
        "--alpha": options.alpha,
        "--search": options.search,
        "--fine-tune": options.fine_tune,
    }
    for name, value in of_others.items():
        if value not in (None, False):
            options.parser.error(f"{name} is for classifiers; --task identity trains none")
    options.backbone = options.backbone or ["MobileNetV2"]
    if len(options.backbone) > 1:
        options.parser.error("several --backbone need --search, which chooses among classifiers")


def fit_identity(options: argparse.Namespace) -> None:
    """Enrol people, save the recognizer, and print what is known of its errors."""
    from skcnn.metric_learning import FaceRecognizer
    from skcnn.persistence import save

    dataset = load_data(options)
    X, y = dataset.frame["path"].tolist(), dataset.target
    sizes = Counter(y.tolist())
    people = f"{len(sizes):,} {'person' if len(sizes) == 1 else 'people'}"
    print(f"{images_text(dataset)} of {people}: {names_text(dataset.target_names)}")
    recognizer = FaceRecognizer(
        features_from(options, options.backbone[0]),
        far=options.far or _FAR,
        whiten="lda" if max(sizes.values()) > 1 else None,
        mirror=True,
    )
    with timed("model"):
        recognizer.fit(X, y)
    with timed("write"):
        save(recognizer, options.output, training_images=X)
    rates = recognizer.rates_
    low, value, high = (f"{100 * rates[name]:.2f}" for name in ("far_low", "far", "far_high"))
    n_unknown = counted(int(rates["n_unknown"]), "image")
    print(
        f"\nDistances up to {recognizer.threshold_:.4f} are accepted. Of {n_unknown} of "
        f"people who were held out, {value} % were accepted (95 % interval over people: {low} to {high} %)."
    )
    folds = min(_FOLDS if options.cv is None else options.cv, max(sizes.values()))
    if folds > 1:
        with timed("estimate"):
            text = _known_text(recognizer, X, y, folds)
        print(text)
    print(f"\nSaved: {options.output}")


def _known_text(recognizer: Any, X: list[str], y: np.ndarray, folds: int) -> str:
    """Return how many images of enrolled people are named rightly, where the image itself is not enrolled."""
    import numpy as np
    from sklearn.base import clone
    from sklearn.model_selection import StratifiedKFold

    images = np.array(X, dtype=object)
    right = unknown = 0
    for rows, held_out in StratifiedKFold(folds, shuffle=True, random_state=0).split(images, y):
        fold = clone(recognizer).set_params(threshold=recognizer.threshold_).fit(images[rows], y[rows])
        known = held_out[np.isin(y[held_out], fold.classes_)]
        found = fold.predict(images[known])
        right, unknown = right + int(np.sum(found == y[known])), unknown + int(np.sum(found == fold.unknown))
    return (
        f"Of {counted(len(y), 'image')} of enrolled people, each left out once ({folds}-fold cross-validation), "
        f"{100 * right / len(y):.1f} % were named rightly, and {100 * unknown / len(y):.1f} % were unknown."
    )
