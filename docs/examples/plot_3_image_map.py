"""
A map of images, clusters and similar images
============================================

Features of a pretrained network place similar images close together, without any training and without labels.
"""

from sklearn.cluster import KMeans
from sklearn.neighbors import NearestNeighbors

from skcnn.datasets import load_digit_images
from skcnn.feature_extraction import BottleneckFeatures
from skcnn.inspection import ImageMapDisplay

X, y = load_digit_images(return_X_y=True)
X, y = X[:250], y[:250]
network = BottleneckFeatures("ResNet20")

# %%
# t-SNE keeps neighbours together. Colours are the labels, which neither network nor t-SNE knows:

ImageMapDisplay.from_estimator(network, X, y, reducer="tsne").plot()

# %%
# Clusters need no labels either. They agree with the classes in part, since this network was trained on other images:

import pandas as pd

features = network.transform(X)
clusters = KMeans(10, n_init=10, random_state=0).fit_predict(features)
pd.crosstab(pd.Series(y, name="class"), pd.Series(clusters, name="cluster"))

# %%
# The images most similar to the first one in each row:

import matplotlib.pyplot as plt

neighbours = NearestNeighbors(n_neighbors=8, metric="cosine").fit(features)
rows = neighbours.kneighbors(features[:3], return_distance=False)

figure, axes = plt.subplots(3, 8, figsize=(8, 3))
for ax, row in zip(axes.ravel(), rows.ravel(), strict=True):
    ax.imshow(X[row])
    ax.set_axis_off()
