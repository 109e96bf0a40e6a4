"""``skcnn evaluate`` of models of identities: how well pairs are verified, and people found among others."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skcnn._text import counted, interval_text, metric_text, percent_text
from skcnn.cli._data import header_of, images_text, is_table, load_data
from skcnn.cli._pairs import read_labelled_pairs

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from sklearn.utils import Bunch

_FARS = (0.1, 0.01, 0.001)

_LABELS = {"eer": "Equal error rate", "roc_auc": "ROC AUC", "rank1": "Nearest is right (rank 1)"}


def evaluate_pairs(verifier: Any, options: argparse.Namespace) -> None:
    """Print error rates of pairs, of a table or of all images of people, and those at the verifier's threshold."""
    import numpy as np

    from skcnn.metrics import verification_frame, verification_rates

    is_pairs = is_table(options.data) and (options.path_column or "path") not in header_of(options.data)
    if is_pairs:
        pairs, is_same = read_labelled_pairs(options.data, options.label_column)
        people = None
        said = counted(len(pairs), "pair")
    else:
        dataset = load_data(options)
        pairs, is_same, people = _pairs_of(dataset)
        said = f"{images_text(dataset)} of {_people(dataset.target)}"
    n_genuine = int(np.sum(is_same))
    print(f"{said}: {counted(n_genuine, 'pair')} of one person, {len(is_same) - n_genuine:,} of two")
    decision = verifier.decision_function(pairs)
    rates = verification_rates(is_same, decision, 0, people=people, random_state=0).iloc[0]
    table = verification_frame(is_same, decision, people=people, far=_FARS, random_state=0)
    lines = [_line(name, row) for name, row in table.iterrows()]
    learned = "fixed" if verifier.threshold is not None else f"learned for a false accept rate of {verifier.far:g}"
    lines += [
        "",
        f"At the model's threshold (distance {verifier.threshold_:.4f}, {learned}):",
        _written("False accept rate", rates["far"], rates["far_low"], rates["far_high"]),
        _written("False reject rate", rates["frr"], rates["frr_low"], rates["frr_high"]),
        _written("Accuracy of pairs", float(np.mean((decision >= 0) == (is_same == 1)))),
    ]
    _print(lines, options, has_intervals=people is not None)
    _print_known(verifier, sorted(set(pairs.iloc[:, :2].to_numpy().ravel().tolist())))


def evaluate_people(recognizer: Any, options: argparse.Namespace) -> None:
    """Print how many images of enrolled people are found, and how many of others are accepted."""
    import numpy as np

    from skcnn.images import one_pass
    from skcnn.metrics import identification_frame

    dataset = load_data(options)
    X = dataset.frame["path"].tolist()
    enrolled = {str(name): name for name in recognizer.classes_.tolist()}
    # Names of folders are text, and identities may be numbers.
    y = np.array([enrolled.get(str(name), str(name)) for name in dataset.target.tolist()], dtype=object)
    is_known = np.array([str(name) in enrolled for name in y])
    if not is_known.any():
        raise ValueError(
            f"{options.data} has images of nobody who is enrolled in {options.model}; expected some of them, and some "
            "of other people."
        )
    print(f"{images_text(dataset)} of {_people(dataset.target)}: {int(is_known.sum()):,} of enrolled people")
    with one_pass():
        decision, found = recognizer.decision_function(X), recognizer.predict(X)
    is_right = np.array([one == other for one, other in zip(found, y, strict=True)])
    is_accepted = found != recognizer.unknown
    table = identification_frame(
        list(map(str, y)), decision, classes=list(map(str, recognizer.classes_)), far=_FARS, random_state=0
    )
    lines = [_line(name, row) for name, row in table.iterrows()]
    lines += [
        "",
        f"At the model's threshold (distance {recognizer.threshold_:.4f}):",
        _written("Named rightly, of enrolled", float(is_right[is_known].mean())),
        _written("Named wrongly, of enrolled", float((is_accepted & ~is_right)[is_known].mean())),
    ]
    if not is_known.all():
        lines.append(_written("Accepted, of other people", float(is_accepted[~is_known].mean())))
    is_right |= ~is_known & ~is_accepted
    lines.append(_written("Accuracy, of all images", float(is_right.mean())))
    _print(lines, options, has_intervals=True)
    _print_known(recognizer, X)


def _pairs_of(dataset: Bunch) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Return pairs of images, whether they are of one person, and who is on them."""
    import numpy as np
    import pandas as pd

    from skcnn.metric_learning import pairs_of

    codes, _ = pd.factorize(pd.Series(dataset.target, dtype=object))
    rows, is_same = pairs_of(codes, np.random.RandomState(0))
    if not 0 < is_same.sum() < len(is_same):
        raise ValueError(
            "There are no pairs of one person, or none of two; expected two people, and two images of one."
        )
    paths = dataset.frame["path"].to_numpy(dtype=object)
    return pd.DataFrame({"first": paths[rows[:, 0]], "second": paths[rows[:, 1]]}), is_same.astype(int), codes[rows]


def _people(target: np.ndarray) -> str:
    n_people = len(set(target.tolist()))
    return f"{n_people:,} {'person' if n_people == 1 else 'people'}"


def _line(name: Any, row: pd.Series) -> str:
    kind, _, rate = str(name).partition("@far=")
    label = _LABELS.get(kind) or f"{kind.upper()} at FAR {rate}"
    note = row["note"] if "no interval" not in row["note"] else row["note"].partition("; ")[2]
    return _written(label, row["value"], row["low"], row["high"]) + (f"   ({note})" if note else "")


def _written(label: str, value: float, low: float = float("nan"), high: float = float("nan")) -> str:
    return f"{label:<27} {interval_text(value, low, high, write=metric_text)}"


def _print_known(model: Any, paths: list[str]) -> None:
    """Print how many images the model was trained on, if that is known."""
    known = getattr(model, "training_images_", None)
    n_known = 0 if known is None else int(known.contain(paths).sum())
    if n_known:
        print(f"{n_known:,} of {counted(len(paths), 'image')} were in its training: the metrics are too optimistic.")


def _print(lines: list[str], options: argparse.Namespace, *, has_intervals: bool) -> None:
    from skcnn.metrics.parts import CONFIDENCE_LEVEL, N_RESAMPLES

    print(f"\n{Path(options.model).stem} on {Path(options.data).name}\n")
    print("\n".join(lines))
    if has_intervals:
        print(f"\nIn brackets: {percent_text(CONFIDENCE_LEVEL)} intervals, from {N_RESAMPLES:,} resamples of people.")
    else:
        print("\nThere are no intervals: of pairs it is not known who is on them.")
