"""
Codes of images, without labels
===============================

A variational autoencoder describes each image by a few numbers, and draws images from such numbers.
"""

from sklearn.datasets import load_digits

from skcnn.decomposition import (
    LatentSpaceDisplay,
    ReconstructionDisplay,
    VariationalAutoencoder,
)

X = load_digits().images * (255 / 16)  # 8 x 8 grey levels in [0, 255]

vae = VariationalAutoencoder(
    n_components=2, epochs=25, learning_rate=2e-3, random_state=0
)
vae.fit(X[:600])

# %%
# Images beside those that are drawn from their codes. Two numbers say which digit it is, roughly:

ReconstructionDisplay.from_estimator(vae, X[600:608]).plot()

# %%
# The images of a grid of codes:

LatentSpaceDisplay.from_estimator(vae).plot()
