"""Autoencoders as transformers: images become short codes, learned without labels, and codes become images."""

from skcnn.decomposition._conv_autoencoder import ConvAutoencoder
from skcnn.decomposition._displays import LatentSpaceDisplay, ReconstructionDisplay
from skcnn.decomposition._variational_autoencoder import VariationalAutoencoder

# Where users find them, and how saved files call them.
ConvAutoencoder.__module__ = VariationalAutoencoder.__module__ = __name__

__all__ = ["ConvAutoencoder", "LatentSpaceDisplay", "ReconstructionDisplay", "VariationalAutoencoder"]
