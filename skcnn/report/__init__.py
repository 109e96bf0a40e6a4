"""One report of a classifier, a regressor or a detector, as text and as an HTML page; and several of the same samples.

:class:`ClassifierReport` puts the tables and Displays of :mod:`skcnn.metrics` together, :class:`RegressionReport` does
so for numbers, and :class:`DetectionReport` for boxes. :func:`compare_reports` shows which of several classifiers is
better, with intervals.
"""

from skcnn.report._classifier_report import ClassifierReport
from skcnn.report._comparison import ReportComparison, compare_reports
from skcnn.report._detection_report import DetectionReport
from skcnn.report._provenance import digest_of_input, digest_of_predictions, parameters_of, versions
from skcnn.report._regression_report import RegressionReport

__all__ = [
    "ClassifierReport",
    "DetectionReport",
    "RegressionReport",
    "ReportComparison",
    "compare_reports",
    "digest_of_input",
    "digest_of_predictions",
    "parameters_of",
    "versions",
]
