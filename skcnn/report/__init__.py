"""One report of a classifier, as text and as an HTML page; and several reports of the same samples, side by side.

:class:`ClassifierReport` puts the tables and Displays of :mod:`skcnn.metrics` together. :func:`compare_reports` tells
which of several classifiers is better, and how sure that is.
"""

from skcnn.report._classifier_report import ClassifierReport
from skcnn.report._comparison import ReportComparison, compare_reports
from skcnn.report._provenance import digest_of_input, digest_of_predictions, parameters_of, versions

__all__ = [
    "ClassifierReport",
    "ReportComparison",
    "compare_reports",
    "digest_of_input",
    "digest_of_predictions",
    "parameters_of",
    "versions",
]
