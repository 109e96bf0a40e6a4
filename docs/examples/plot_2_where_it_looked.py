"""
Where the network looked
========================

Grad-CAM shows which regions of an image raised the score of a class. Here it explains the errors of a classifier on
features: once for the class that was predicted, once for the true one.
"""

from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from skcnn.datasets import load_digit_images
from skcnn.feature_extraction import BottleneckFeatures
from skcnn.inspection import GradCAMDisplay
from skcnn.metrics import ImageGridDisplay

X, y = load_digit_images(return_X_y=True)
X_train, y_train, X_test, y_test = X[:400], y[:400], X[400:700], y[400:700]

pipe = make_pipeline(
    BottleneckFeatures("ResNet20"), LogisticRegression(C=0.1, max_iter=1000)
)
pipe.fit(X_train, y_train)
wrong = ImageGridDisplay.from_estimator(pipe, X_test, y_test, n_images=4).frame()
wrong

# %%
# The evidence for the predicted class:

images = X_test[wrong["row"]]
GradCAMDisplay.from_estimator(pipe, images, target=wrong["predicted"]).plot()

# %%
# The evidence for the true class:

GradCAMDisplay.from_estimator(pipe, images, target=wrong["true"]).plot()
