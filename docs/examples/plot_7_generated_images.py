"""
Generated digits, and whether they are any good
===============================================

A conditional GAN makes new images of each class. Its losses do not say how good these are: real images that it has not
seen do.
"""

# %%
# Half of scikit-learn's digits are for the GAN. It holds out a tenth of them, with which generated images are compared
# five times.

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skcnn.generative import (
    GeneratedImagesDisplay,
    GenerationHistoryDisplay,
    ImageGAN,
    InterpolationDisplay,
)

X, y = load_digits().images * (255 / 16), load_digits().target
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.5, stratify=y, random_state=0
)
gan = ImageGAN(conditional=True, epochs=200, n_evaluations=5, random_state=0).fit(
    X_train, y_train
)
GenerationHistoryDisplay.from_estimator(gan).plot()

# %%
# A row per class. Images are not selected.

GeneratedImagesDisplay.from_estimator(gan, n_columns=10).plot()

# %%
# Codes between two random ones give images that change steadily. A generator that only remembers images jumps.

InterpolationDisplay.from_estimator(gan).plot()

# %%
# A classifier that was trained on real images says which digits are generated, and how many are recognised as the one
# that was asked for.

from sklearn.svm import SVC

from skcnn.metrics import ClassCoverageDisplay

classifier = SVC().fit(X_train.reshape(-1, 64) / 255, y_train)
images = gan.sample(len(y_test), y_test, random_state=0)
predicted = classifier.predict(images.reshape(-1, 64) / 255)
print(f"{(predicted == y_test).mean():.1%} recognised as asked")
ClassCoverageDisplay.from_predictions(y_test, predicted).plot()
