"""
Choose a threshold, and check probabilities
===========================================

One digit in ten is an eight. A missed eight is assumed to cost more than a false alarm, so at least 95 % of them are to
be found.
"""

from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from skcnn.datasets import load_digit_images
from skcnn.feature_extraction import BottleneckFeatures
from skcnn.metrics import ReliabilityDisplay, ThresholdDisplay, operating_point
from skcnn.model_selection import train_dev_test_split, with_threshold

X, y = load_digit_images(return_X_y=True)
X, y = X[:1200], y[:1200] == 8
split = train_dev_test_split(X, y, test_size=0.4, dev_size=0.3, random_state=0)
X_train, X_dev, X_test, y_train, y_dev, y_test = split.parts(X, y)

model = make_pipeline(BottleneckFeatures("ResNet20"), LogisticRegression(max_iter=1000))
model.fit(X_train, y_train)

# %%
# Recall (tpr), precision (ppv) and others at each threshold, on images that the model was not trained on:

point = operating_point(y_dev, model.predict_proba(X_dev)[:, 1], min_recall=0.95)
ThresholdDisplay.from_estimator(model, X_dev, y_dev).plot(point=point)

# %%
# The model with the new threshold, on images that neither model nor threshold has seen:

from skcnn.report import ClassifierReport

careful = with_threshold(model, point["threshold"])
report = ClassifierReport.from_estimator(careful, X_test, y_test)
report.classification_frame[["precision", "recall", "support"]]

# %%
# Do predicted probabilities match observed frequencies? On the dashed line they do.

ReliabilityDisplay.from_estimator(model, X_test, y_test).plot()
