import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.dummy import DummyClassifier

from skcnn.metrics import ClassCoverageDisplay, class_coverage_frame

TRUE, PREDICTED = ["a"] * 60 + ["$b"] * 40, ["a"] * 48 + ["$b"] * 2


def test_bars_are_the_fractions():
    display = ClassCoverageDisplay.from_predictions(TRUE, PREDICTED, name="a GAN")
    assert display.frame().equals(class_coverage_frame(TRUE, PREDICTED))
    ax = display.plot().ax_
    assert [bar.get_height() for bar in ax.patches] == pytest.approx([0.04, 0.96])
    assert ax.patches[0].get_facecolor() == ax.patches[1].get_facecolor()  # 4 % of 40 % is a tenth
    assert [label.get_text() for label in ax.get_xticklabels()] == ["$b", "a"]
    assert ax.get_legend().get_title().get_text() == "a GAN"
    assert display.figure_.number in plt.get_fignums()
    missing = ClassCoverageDisplay.from_predictions(TRUE, ["a"] * 50).plot().ax_.patches
    assert missing[0].get_facecolor() != missing[1].get_facecolor()


def test_of_a_classifier():
    X = np.zeros((7, 4))
    classifier = DummyClassifier(strategy="constant", constant="a").fit(np.zeros((100, 4)), TRUE)
    display = ClassCoverageDisplay.from_estimator(classifier, X, TRUE)
    assert display.frame()["count"].tolist() == [0, 7]
    assert ClassCoverageDisplay.from_predictions(range(20), range(20)).plot().ax_.get_xticks().size == 20
