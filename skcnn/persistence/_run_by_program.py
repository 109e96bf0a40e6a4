"""The program of a file in the service of the estimator in that file: what takes images there is run by it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def run_by_program(estimator: Any, members: Mapping[str, bytes]) -> None:
    """Let a program run what it stands for in the estimator that it was made of.

    What that is has a method ``__skcnn_run_by__(network)``, which takes a :class:`~skcnn.engines.SavedNetwork`: the
    estimator itself, if the program gives what it predicts, or the transformers from which its steps get features.

    Parameters
    ----------
    estimator : estimator
        Fitted; it is changed.
    members : mapping of str to bytes
        The members of the program.
    """
    from skcnn.programs import ProgramNetwork

    network = ProgramNetwork(members)
    for part in _parts(estimator):
        part.__skcnn_run_by__(network)


def _parts(estimator: Any, *, is_whole: bool = True) -> Iterator[Any]:
    """Yield what takes images in an estimator; ``is_whole`` is False where something else follows."""
    from sklearn.base import is_classifier, is_regressor
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.compose import ColumnTransformer
    from sklearn.frozen import FrozenEstimator
    from sklearn.pipeline import Pipeline

    if isinstance(estimator, FrozenEstimator):
        yield from _parts(estimator.estimator, is_whole=is_whole)
    elif hasattr(estimator, "best_estimator_"):
        yield from _parts(estimator.best_estimator_, is_whole=is_whole)
    elif isinstance(estimator, Pipeline):
        steps = [step for _, step in estimator.steps if step is not None and step != "passthrough"]
        yield from _parts(steps[0], is_whole=is_whole and len(steps) == 1)
    elif isinstance(estimator, ColumnTransformer):
        for _, step, _ in getattr(estimator, "transformers_", ()):
            yield from _parts(step, is_whole=False)
    elif isinstance(estimator, CalibratedClassifierCV):
        for member in getattr(estimator, "calibrated_classifiers_", ()):
            yield from _parts(member.estimator, is_whole=False)
    # Features are what the head takes; what predicts is all of the program, or no part of it.
    elif hasattr(type(estimator), "__skcnn_run_by__") and (
        is_whole or not (is_classifier(estimator) or is_regressor(estimator))
    ):
        yield estimator
