"""Detectors of objects as scikit-learn estimators.

X is images in any form that :func:`skcnn.images.as_images` takes, and y one table of boxes per image
(:func:`skcnn.boxes.as_boxes`). ``predict`` returns the same with scores.
"""

from skcnn.detection._calibrated import CalibratedDetector
from skcnn.detection._detector import CNNDetector
from skcnn.detection._fully_convolutional import to_fully_convolutional
from skcnn.detection._keras_hub import KerasHubDetector
from skcnn.detection._localizer import CNNLocalizer
from skcnn.detection._sliding_window import SlidingWindowDetector

# Saved files know them by their public place.
for _public in (
    CNNDetector,
    CNNLocalizer,
    CalibratedDetector,
    KerasHubDetector,
    SlidingWindowDetector,
    to_fully_convolutional,
):
    _public.__module__ = __name__

__all__ = [
    "CNNDetector",
    "CNNLocalizer",
    "CalibratedDetector",
    "KerasHubDetector",
    "SlidingWindowDetector",
    "to_fully_convolutional",
]
