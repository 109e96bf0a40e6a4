"""CNNClassifier and CNNRegressor: a pretrained network with a new head, trained in phases, as estimators.

The head is trained first, with the network frozen; then layers of the network are unfrozen and fine-tuned. The
estimator owns the weights, and the process owns the compiled graphs, so that the fits of a search share one.

:class:`ImageNetClassifier` is a published network as it is, with its own classes.
"""

from skcnn._training import CheckpointError, clear_graphs
from skcnn.neural_network._classifier import CNNClassifier
from skcnn.neural_network._imagenet import ImageNetClassifier
from skcnn.neural_network._network import build_cnn
from skcnn.neural_network._regressor import CNNRegressor
from skcnn.neural_network._trained import TrainedNetwork, trained_network

# What saved files and pickles call it.
CNNClassifier.__module__ = CNNRegressor.__module__ = __name__
ImageNetClassifier.__module__ = __name__
# Where users find them.
CheckpointError.__module__ = clear_graphs.__module__ = __name__

__all__ = [
    "CNNClassifier",
    "CNNRegressor",
    "CheckpointError",
    "ImageNetClassifier",
    "TrainedNetwork",
    "build_cnn",
    "clear_graphs",
    "trained_network",
]
