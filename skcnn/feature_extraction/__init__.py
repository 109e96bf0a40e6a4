"""Features of images, as scikit-learn transformers."""

from skcnn.feature_extraction._activations import Activations
from skcnn.feature_extraction._bottleneck_features import BottleneckFeatures
from skcnn.feature_extraction._network import FeatureNetwork, feature_network

# What saved files and pickles call it.
BottleneckFeatures.__module__ = __name__

__all__ = ["Activations", "BottleneckFeatures", "FeatureNetwork", "feature_network"]
