"""
Fine-tune a network
===================

The digits are unlike the images that the network was trained on. So training its last layers, too, is worth more than a
classifier on its features.
"""

from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from skcnn.datasets import load_digit_images
from skcnn.feature_extraction import BottleneckFeatures
from skcnn.metrics import TrainingCurveDisplay
from skcnn.neural_network import CNNClassifier

X, y = load_digit_images(return_X_y=True)
X_train, y_train, X_test, y_test = X[:300], y[:300], X[300:500], y[300:500]

frozen = make_pipeline(
    BottleneckFeatures("ResNet20"), LogisticRegression(C=0.1, max_iter=1000)
)
frozen.fit(X_train, y_train).score(X_test, y_test)

# %%
# Training has two phases: first the head alone, on features; then the layers from ``unfreeze`` on. The layers before
# them run once per image, not once per epoch.

tuned = CNNClassifier(
    "ResNet20",
    head_epochs=5,
    head_learning_rate=0.01,
    epochs=5,
    learning_rate=1e-3,
    unfreeze="stage3_unit1_1_conv",
    early_stopping=True,
    random_state=0,
)
tuned.fit(X_train, y_train).score(X_test, y_test)

# %%
# The loss on the training and the validation set, epoch by epoch, in both phases:

TrainingCurveDisplay.from_estimator(tuned).plot()

# %%
# ``history_`` has the same numbers as a table:

tuned.history_.tail(3)
