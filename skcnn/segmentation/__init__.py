"""Segmenters: the class of each pixel, as scikit-learn estimators."""

from skcnn.segmentation._segmenter import CNNSegmenter

# Where users find it, and what saved files call it.
CNNSegmenter.__module__ = __name__

__all__ = ["CNNSegmenter"]
