"""From predictions to a decision: tables (pandas), Displays (matplotlib) and one report (text, HTML).

Everything here takes the predictions of any scikit-learn classifier, in one of two ways: ``from_estimator(estimator, X,
y)`` runs the estimator, ``from_predictions(y_true, y_score)`` takes what it returned. Metrics are scikit-learn's. A
metric that is not defined (the recall of a class that has no sample, say) is NaN with a reason, never 0.
"""

from skcnn.metrics._calibration import ReliabilityDisplay, calibration_frame
from skcnn.metrics._comparison import compare_predictions
from skcnn.metrics._confusion import confusion_frame, most_confused
from skcnn.metrics._confusion_display import ConfusionDisplay
from skcnn.metrics._curves import OneVsRestPrecisionRecallDisplay, OneVsRestRocDisplay
from skcnn.metrics._image_grid_display import ImageGridDisplay
from skcnn.metrics._intervals import bootstrap_intervals
from skcnn.metrics._report import ClassifierReport
from skcnn.metrics._report_comparison import ReportComparison
from skcnn.metrics._tables import classification_frame, headline_frame, top_k_frame
from skcnn.metrics._threshold_display import ThresholdDisplay
from skcnn.metrics._thresholds import operating_point, threshold_table
from skcnn.metrics._training_curve import TrainingCurveDisplay

__all__ = [
    "ClassifierReport",
    "ConfusionDisplay",
    "ImageGridDisplay",
    "OneVsRestPrecisionRecallDisplay",
    "OneVsRestRocDisplay",
    "ReliabilityDisplay",
    "ReportComparison",
    "ThresholdDisplay",
    "TrainingCurveDisplay",
    "bootstrap_intervals",
    "calibration_frame",
    "classification_frame",
    "compare_predictions",
    "confusion_frame",
    "headline_frame",
    "most_confused",
    "operating_point",
    "threshold_table",
    "top_k_frame",
]
