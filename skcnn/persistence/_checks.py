"""The check of what compiled code takes from an object without a look at it, and of what would stand for its methods.

Found by giving every estimator of scikit-learn that a file may hold forged arrays that end at a guarded page: those of
this file's checks ended the process.
"""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np


class HazardError(ValueError):
    """An object's use could end the process, or call what it brings along."""


def checked(value: Any) -> Any:
    """Return a value that is written to a file or was built from one.

    Raises
    ------
    HazardError
        If its use could end the process, or call what it brings along.
    """
    if isinstance(value, np.random.RandomState):
        _check_random_state(value)
    elif not isinstance(value, type) and hasattr(type(value), "get_params") and hasattr(value, "__dict__"):
        _check_methods(value)
        bases = {base.__name__ for base in type(value).__mro__ if base.__module__.startswith("sklearn.")}
        for name, check in _CHECKS.items():
            if name in bases:
                check(value)
    return value


def _check_random_state(value: np.random.RandomState) -> None:
    state = value.get_state(legacy=False)["state"]
    if not 0 <= state["pos"] <= len(state["key"]):
        raise HazardError(f"its random state is at {state['pos']} of {len(state['key'])} numbers")


def _check_methods(value: Any) -> None:
    """See that no attribute of the object would be called in place of a method of its class."""
    for name in vars(value):
        if isinstance(name, str) and callable(getattr(type(value), name, None)):
            raise HazardError(f"its {type(value).__name__} has an attribute in place of the method {name}")


def _check_neighbors(value: Any) -> None:
    """See that samples and labels fit: distances take all columns, and votes are counted by label."""
    have = vars(value)
    if "_fit_X" not in have:
        return
    X, n_columns = have["_fit_X"], have.get("n_features_in_")
    if have.get("_fit_method") != "brute" or have.get("_tree") is not None:
        raise HazardError(f"its {type(value).__name__} searches in a tree; use algorithm='brute' instead")
    if getattr(X, "ndim", None) != 2 or X.shape[0] < 1 or X.shape[1] != n_columns:
        raise HazardError(f"its {type(value).__name__} has samples that do not have {n_columns} features")
    if "classes_" not in have:
        return
    labels = have["_y"]
    columns = [labels] if getattr(labels, "ndim", None) == 1 else list(np.transpose(labels))
    classes = have["classes_"] if isinstance(have["classes_"], list) else [have["classes_"]]
    for column, known in zip(columns, classes, strict=True):
        if column.dtype.kind not in "iu" or len(column) != len(X) or not 0 <= column.min() <= column.max() < len(known):
            raise HazardError(f"its {type(value).__name__} has labels that are none of its classes")


def _check_one_vs_rest(value: Any) -> None:
    """See that each estimator gives one number per sample: for two classes, they go to a sparse matrix unseen."""
    have = vars(value)
    if "estimators_" not in have or vars(have["label_binarizer_"])["y_type_"] == "multiclass":
        return
    for estimator in have["estimators_"]:
        coefficients = np.asarray(getattr(estimator, "coef_", None))
        is_linear = type(estimator).__module__.startswith(("sklearn.linear_model.", "sklearn.svm."))
        if not type(estimator).__module__ == "sklearn.multiclass" and not (
            is_linear and coefficients.ndim == 2 and len(coefficients) == 1 and np.size(estimator.intercept_) == 1
        ):
            raise HazardError(
                f"its OneVsRestClassifier of two classes, or of several labels, is over {type(estimator).__name__}; "
                "expected a linear classifier of scikit-learn"
            )


def _check_hasher(value: Any) -> None:
    n_features = vars(value).get("n_features")
    if not isinstance(n_features, Integral) or n_features < 1:
        raise HazardError(f"its {type(value).__name__} has n_features={n_features!r}; expected a positive int")


def _check_vocabulary(value: Any) -> None:
    vocabulary = vars(value).get("vocabulary_")
    if vocabulary is not None and sorted(vocabulary.values()) != list(range(len(vocabulary))):
        raise HazardError(
            f"the vocabulary of its {type(value).__name__} does not count from 0 to {len(vocabulary) - 1}"
        )


_CHECKS = {
    "CountVectorizer": _check_vocabulary,
    "DictVectorizer": _check_vocabulary,
    "FeatureHasher": _check_hasher,
    "HashingVectorizer": _check_hasher,
    "NeighborsBase": _check_neighbors,
    "OneVsRestClassifier": _check_one_vs_rest,
}
