"""Features of images, as scikit-learn transformers."""

from skcnn.feature_extraction._bottleneck_features import BottleneckFeatures

# What saved files and pickles call it.
BottleneckFeatures.__module__ = __name__

__all__ = ["BottleneckFeatures"]
