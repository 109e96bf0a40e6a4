"""The table of pretrained convolutional networks: their sizes, preprocessing, bottleneck layers and weights.

The first layers of a network respond to edges, the last ones to objects. The activations just before the classifier
(the bottleneck) are good features for new images. :func:`list_backbones` lists the networks; a :class:`Backbone` builds
one, and knows which layers features are taken from.
"""

from skcnn.backbones._backbone import Backbone
from skcnn.backbones._backbone import Weights as Weights  # for type hints
from skcnn.backbones._errors import WeightsDownloadError, WrongWeightsError
from skcnn.backbones._fetch import fetch_weights, list_weights_files
from skcnn.backbones._from_model import as_backbone, backbone_from_model
from skcnn.backbones._layers import BottleneckLayer
from skcnn.backbones._maps import feature_maps
from skcnn.backbones._pixels import scale_pixels
from skcnn.backbones._registry import backbone_names, get_backbone, list_backbones, register_backbone
from skcnn.backbones._weights import PartialWeights, UnsavedWeights, WeightsFile, as_weights_file

__all__ = [
    "Backbone",
    "BottleneckLayer",
    "PartialWeights",
    "UnsavedWeights",
    "WeightsDownloadError",
    "WeightsFile",
    "WrongWeightsError",
    "as_backbone",
    "as_weights_file",
    "backbone_from_model",
    "backbone_names",
    "feature_maps",
    "fetch_weights",
    "get_backbone",
    "list_backbones",
    "list_weights_files",
    "register_backbone",
    "scale_pixels",
]
