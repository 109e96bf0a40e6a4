"""Features of images, as scikit-learn transformers."""

from skcnn.feature_extraction._bottleneck_features import BottleneckFeatures, packed_members

__all__ = ["BottleneckFeatures", "packed_members"]
