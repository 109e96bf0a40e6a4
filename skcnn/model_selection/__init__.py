"""Splits of the rows, images that are in two parts of a split, a diagnosis of the errors, and another threshold.

What goes before and after a search: :func:`train_dev_test_split` makes the parts, :func:`find_duplicates` tells whether
an image is in two of them, and :func:`diagnose_fit` tells from the errors on them what to do next.
:func:`with_threshold` moves the threshold of a classifier that is fitted. Searches, folds and scores are scikit-learn's
own.
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
