"""Splits, duplicates across the parts of a split, a diagnosis of the errors, and decision thresholds.

These come before and after a search: :func:`train_dev_test_split` makes the parts, :func:`find_duplicates` finds images
that are in two of them, and :func:`diagnose_fit` suggests, from the errors on them, what to do next.
:func:`with_threshold` changes the threshold of a fitted classifier. Searches, folds and scores are scikit-learn's.
"""

from skcnn.model_selection._diagnosis import FitDiagnosis, diagnose_fit
from skcnn.model_selection._diagnosis_display import FitDiagnosisDisplay
from skcnn.model_selection._duplicate_groups import duplicate_groups
from skcnn.model_selection._duplicates import find_duplicates
from skcnn.model_selection._split import TrainDevTestSplit, train_dev_test_split
from skcnn.model_selection._threshold import with_threshold

__all__ = [
    "FitDiagnosis",
    "FitDiagnosisDisplay",
    "TrainDevTestSplit",
    "diagnose_fit",
    "duplicate_groups",
    "find_duplicates",
    "train_dev_test_split",
    "with_threshold",
]
