"""Segmenters: the class of each pixel, and the pixels of each object, as scikit-learn estimators."""

from skcnn.segmentation._instance_segmenter import InstanceSegmenter
from skcnn.segmentation._keras_hub import KerasHubSAM
from skcnn.segmentation._losses import LOSSES
from skcnn.segmentation._segmenter import CNNSegmenter
from skcnn.segmentation._trained import TrainedMaps, trained_maps

# Where users find them, and what saved files call them.
for _estimator in (CNNSegmenter, InstanceSegmenter, KerasHubSAM):
    _estimator.__module__ = __name__

__all__ = ["LOSSES", "CNNSegmenter", "InstanceSegmenter", "KerasHubSAM", "TrainedMaps", "trained_maps"]
