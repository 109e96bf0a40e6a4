"""From predictions to a decision: tables (pandas) and Displays (matplotlib).

Everything here takes the predictions of any scikit-learn classifier, in one of two ways: ``from_estimator(estimator, X,
y)`` runs the estimator, ``from_predictions(y_true, y_score)`` takes what it returned. Metrics are scikit-learn's. A
metric that is not defined (the recall of a class that has no sample, say) is NaN with a reason, never 0.
:class:`ErrorGridDisplay` and :class:`ResidualHistogramDisplay` take the predictions of a regressor, and
:func:`tracking_frame`, the scores beside it and :class:`TrackDisplay` tracks of objects in videos.
:func:`segmentation_frame`, the scores beside it and :class:`SegmentationDisplay` take masks.
:func:`verification_frame`, :func:`identification_frame` and :class:`VerificationCurveDisplay` take similarities of
pairs, and of probes to enrolled identities. :func:`generation_frame` and the scores beside it take features of real and
of generated images.

:mod:`skcnn.report` has all of it in one report.
"""

import importlib
import warnings
from typing import Any

from skcnn.metrics._average_precision import average_precision, average_recall, class_detection_frame, detection_frame
from skcnn.metrics._box_curves import detection_curve_frame
from skcnn.metrics._box_errors import detection_errors
from skcnn.metrics._box_intervals import detection_intervals
from skcnn.metrics._box_overlap import localization_accuracy, mean_iou
from skcnn.metrics._box_scorers import box_scorers
from skcnn.metrics._calibration import calibration_frame
from skcnn.metrics._comparison import compare_predictions
from skcnn.metrics._confusion import confusion_frame, most_confused
from skcnn.metrics._feature_distances import frechet_feature_distance, kernel_distance
from skcnn.metrics._feature_neighbours import feature_precision_recall, training_copies
from skcnn.metrics._generation import class_coverage_frame, generation_frame
from skcnn.metrics._identification import identification_frame
from skcnn.metrics._instance_precision import mask_average_precision, mask_detection_frame
from skcnn.metrics._intervals import bootstrap_intervals
from skcnn.metrics._mask_intervals import segmentation_intervals
from skcnn.metrics._mask_scorers import mask_scorers
from skcnn.metrics._mask_tables import (
    boundary_f1,
    class_segmentation_frame,
    mask_dice,
    mask_iou,
    pixel_accuracy,
    pixel_confusion_frame,
    segmentation_frame,
)
from skcnn.metrics._plot.box_curves import BoxPrecisionRecallDisplay
from skcnn.metrics._plot.box_grid import BoxGridDisplay
from skcnn.metrics._plot.class_coverage import ClassCoverageDisplay
from skcnn.metrics._plot.confusion import ConfusionDisplay
from skcnn.metrics._plot.curves import OneVsRestPrecisionRecallDisplay, OneVsRestRocDisplay
from skcnn.metrics._plot.error_grid import ErrorGridDisplay
from skcnn.metrics._plot.image_grid import ImageGridDisplay
from skcnn.metrics._plot.instance_grid import InstanceDisplay
from skcnn.metrics._plot.mask_grid import SegmentationDisplay
from skcnn.metrics._plot.reliability import ReliabilityDisplay
from skcnn.metrics._plot.residuals import ResidualHistogramDisplay
from skcnn.metrics._plot.thresholds import ThresholdDisplay
from skcnn.metrics._plot.tracks import TrackDisplay
from skcnn.metrics._plot.training_curve import TrainingCurveDisplay
from skcnn.metrics._plot.verification import VerificationCurveDisplay
from skcnn.metrics._tables import classification_frame, headline_frame, top_k_frame
from skcnn.metrics._thresholds import operating_point, threshold_table
from skcnn.metrics._tracking import hota_score, idf1_score, mota_score, motp_score, tracking_frame
from skcnn.metrics._training_features import TrainingFeatures, distance_frame
from skcnn.metrics._verification import (
    equal_error_rate,
    tar_at_far,
    threshold_at_far,
    verification_frame,
    verification_rates,
)
from skcnn.metrics._verification_pairs import identity_pairs

__all__ = [
    "BoxGridDisplay",
    "BoxPrecisionRecallDisplay",
    "ClassCoverageDisplay",
    "ConfusionDisplay",
    "ErrorGridDisplay",
    "ImageGridDisplay",
    "InstanceDisplay",
    "OneVsRestPrecisionRecallDisplay",
    "OneVsRestRocDisplay",
    "ReliabilityDisplay",
    "ResidualHistogramDisplay",
    "SegmentationDisplay",
    "ThresholdDisplay",
    "TrackDisplay",
    "TrainingCurveDisplay",
    "TrainingFeatures",
    "VerificationCurveDisplay",
    "average_precision",
    "average_recall",
    "bootstrap_intervals",
    "boundary_f1",
    "box_scorers",
    "calibration_frame",
    "class_coverage_frame",
    "class_detection_frame",
    "class_segmentation_frame",
    "classification_frame",
    "compare_predictions",
    "confusion_frame",
    "detection_curve_frame",
    "detection_errors",
    "detection_frame",
    "detection_intervals",
    "distance_frame",
    "equal_error_rate",
    "feature_precision_recall",
    "frechet_feature_distance",
    "generation_frame",
    "headline_frame",
    "hota_score",
    "identification_frame",
    "identity_pairs",
    "idf1_score",
    "kernel_distance",
    "localization_accuracy",
    "mask_average_precision",
    "mask_detection_frame",
    "mask_dice",
    "mask_iou",
    "mask_scorers",
    "mean_iou",
    "most_confused",
    "mota_score",
    "motp_score",
    "operating_point",
    "pixel_accuracy",
    "pixel_confusion_frame",
    "segmentation_frame",
    "segmentation_intervals",
    "tar_at_far",
    "threshold_at_far",
    "threshold_table",
    "top_k_frame",
    "tracking_frame",
    "training_copies",
    "verification_frame",
    "verification_rates",
]

#: What stood here before there was skcnn.report. Nothing here needs it, so it is not imported before it is asked for.
_MOVED = {"ClassifierReport": "skcnn.report", "compare_reports": "skcnn.report"}


def __getattr__(name: str) -> Any:
    if name not in _MOVED:
        raise AttributeError(f"module 'skcnn.metrics' has no attribute {name!r}")
    warnings.warn(f"skcnn.metrics.{name} has moved to {_MOVED[name]}.{name}.", FutureWarning, stacklevel=2)
    return getattr(importlib.import_module(_MOVED[name]), name)
