"""Splits of the rows, images that are in two parts of a split, and a diagnosis of the errors.

What goes before and after a search: :func:`train_dev_test_split` makes the parts, :func:`find_duplicates` tells whether
an image is in two of them, and :func:`diagnose_fit` tells from the errors on them what to do next. Searches, folds and
scores are scikit-learn's own.
"""

from skcnn.model_selection._diagnosis import FitDiagnosis, diagnose_fit
from skcnn.model_selection._diagnosis_display import FitDiagnosisDisplay
from skcnn.model_selection._duplicate_groups import duplicate_groups
from skcnn.model_selection._duplicates import find_duplicates
from skcnn.model_selection._split import TrainDevTestSplit, train_dev_test_split

__all__ = [
    "FitDiagnosis",
    "FitDiagnosisDisplay",
    "TrainDevTestSplit",
    "diagnose_fit",
    "duplicate_groups",
    "find_duplicates",
    "train_dev_test_split",
]
