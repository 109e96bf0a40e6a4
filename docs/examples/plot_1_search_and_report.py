"""
Search, and look at the errors
==============================

A grid search over the layers of a network and the penalty of a classifier costs one pass of each image through the
network. A report then shows how good the best candidate is, and which images it gets wrong.
"""

from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline

from skcnn.datasets import load_digit_images
from skcnn.ensemble import BaggedSGDClassifier
from skcnn.feature_extraction import BottleneckFeatures
from skcnn.report import ClassifierReport

X, y = load_digit_images(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, train_size=450, test_size=300, stratify=y, random_state=0
)

pipe = make_pipeline(
    BottleneckFeatures("ResNet20"), BaggedSGDClassifier(random_state=0)
)
candidates = {
    "bottleneckfeatures__layers": ["stage2_unit3", "stage3_unit3"],
    "baggedsgdclassifier__alpha": [1e-4, 1e-3],
}
search = GridSearchCV(pipe, candidates, cv=3, scoring="neg_log_loss")
search.fit(X_train, y_train)
search.best_params_

# %%
# Every metric of the report has a 95 % interval from the bootstrap: 300 images are few.

report = ClassifierReport.from_estimator(search, X_test, y_test)
print(report)

# %%
# The confusion matrix and the curves of each class:

report.plot()

# %%
# The most confident errors. Wrong labels are found here, too.

from skcnn.metrics import ImageGridDisplay

errors = ImageGridDisplay.from_estimator(search, X_test, y_test, n_images=6)
errors.plot()
errors.frame()
