"""One report of an estimator, as text and as an HTML page; and several at once.

:class:`ClassifierReport` puts the tables and Displays of :mod:`skcnn.metrics` together, :class:`RegressionReport` does
so for numbers, :class:`DetectionReport` for boxes, :class:`SegmentationReport` for masks and :class:`GeneratorReport`
for generated images. :func:`compare_reports` shows which of several classifiers is better on the same samples, with
intervals.
"""

from skcnn.report._classifier_report import ClassifierReport
from skcnn.report._comparison import ReportComparison, compare_reports
from skcnn.report._detection_report import DetectionReport
from skcnn.report._generator_report import GeneratorReport
from skcnn.report._provenance import digest_of_input, digest_of_predictions, parameters_of, versions
from skcnn.report._regression_report import RegressionReport
from skcnn.report._segmentation_report import SegmentationReport

__all__ = [
    "ClassifierReport",
    "DetectionReport",
    "GeneratorReport",
    "RegressionReport",
    "ReportComparison",
    "SegmentationReport",
    "compare_reports",
    "digest_of_input",
    "digest_of_predictions",
    "parameters_of",
    "versions",
]
