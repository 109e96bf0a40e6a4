"""What reports are made of: tables and Displays of predictions that were checked once.

For authors of tools. Users have the functions and Displays of :mod:`skcnn.metrics`, which take arrays. Here
:class:`Predictions` (of classes), :class:`NumberPredictions`, :class:`BoxPredictions` and :class:`MaskPredictions` hold
what was checked, and a function whose name ends in ``_of`` makes from them the table of the public function of that
name, if there is one, or a Display.
"""

from skcnn.metrics._average_precision import class_detection_frame_of, detection_frame_of
from skcnn.metrics._box_curves import best_score_threshold
from skcnn.metrics._box_errors import KINDS, detection_errors_of
from skcnn.metrics._box_intervals import detection_intervals_of
from skcnn.metrics._box_matching import right_boxes_of
from skcnn.metrics._box_predictions import BoxPredictions
from skcnn.metrics._calibration import calibration_of
from skcnn.metrics._comparison import check_same_samples, mcnemar_of
from skcnn.metrics._confusion import confusion_of, most_confused_of
from skcnn.metrics._intervals import bootstrap_intervals_of, percentiles, threshold_intervals_of
from skcnn.metrics._mask_intervals import segmentation_intervals_of
from skcnn.metrics._mask_predictions import MaskPredictions
from skcnn.metrics._mask_tables import class_segmentation_frame_of, image_iou, pixel_confusion_of, segmentation_frame_of
from skcnn.metrics._numbers import NumberPredictions
from skcnn.metrics._plot.box_curves import box_precision_recall_display_of
from skcnn.metrics._plot.box_grid import box_grid_display_of, said_of
from skcnn.metrics._plot.confusion import MAX_LABELLED, confusion_display_of
from skcnn.metrics._plot.curves import curve_displays_of, singled_out
from skcnn.metrics._plot.error_grid import error_grid_display_of
from skcnn.metrics._plot.image_grid import image_grid_display_of
from skcnn.metrics._plot.mask_grid import MASK_KINDS, said_of_mask, segmentation_display_of
from skcnn.metrics._plot.reliability import reliability_display_of
from skcnn.metrics._plot.residuals import RESIDUAL_LABEL, residual_histogram_display_of
from skcnn.metrics._plot.thresholds import METRIC_LABELS, threshold_display_of
from skcnn.metrics._predictions import MANY_CLASSES, Predictions
from skcnn.metrics._regression import regression_headline_of, regression_intervals_of, target_metrics_of
from skcnn.metrics._resampling import CONFIDENCE_LEVEL, N_RESAMPLES, resampled_headlines
from skcnn.metrics._root import root_of
from skcnn.metrics._tables import class_metrics_of, headline_of, top_k_frame_of, top_k_of, undefined_notes
from skcnn.metrics._thresholds import operating_point_of, threshold_table_of

__all__ = [
    "CONFIDENCE_LEVEL",
    "KINDS",
    "MANY_CLASSES",
    "MASK_KINDS",
    "MAX_LABELLED",
    "METRIC_LABELS",
    "N_RESAMPLES",
    "RESIDUAL_LABEL",
    "BoxPredictions",
    "MaskPredictions",
    "NumberPredictions",
    "Predictions",
    "best_score_threshold",
    "bootstrap_intervals_of",
    "box_grid_display_of",
    "box_precision_recall_display_of",
    "calibration_of",
    "check_same_samples",
    "class_detection_frame_of",
    "class_metrics_of",
    "class_segmentation_frame_of",
    "confusion_display_of",
    "confusion_of",
    "curve_displays_of",
    "detection_errors_of",
    "detection_frame_of",
    "detection_intervals_of",
    "error_grid_display_of",
    "headline_of",
    "image_grid_display_of",
    "image_iou",
    "mcnemar_of",
    "most_confused_of",
    "operating_point_of",
    "percentiles",
    "pixel_confusion_of",
    "regression_headline_of",
    "regression_intervals_of",
    "reliability_display_of",
    "resampled_headlines",
    "residual_histogram_display_of",
    "right_boxes_of",
    "root_of",
    "said_of",
    "said_of_mask",
    "segmentation_display_of",
    "segmentation_frame_of",
    "segmentation_intervals_of",
    "singled_out",
    "target_metrics_of",
    "threshold_display_of",
    "threshold_intervals_of",
    "threshold_table_of",
    "top_k_frame_of",
    "top_k_of",
    "undefined_notes",
]
