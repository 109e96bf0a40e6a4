"""Segmenters: the class of each pixel, as scikit-learn estimators."""

from skcnn.segmentation._segmenter import CNNSegmenter
from skcnn.segmentation._trained import TrainedMaps, trained_maps

# Where users find it, and what saved files call it.
CNNSegmenter.__module__ = __name__

__all__ = ["CNNSegmenter", "TrainedMaps", "trained_maps"]
