"""GeneratorReport: metrics, text, page and notebook of generated images."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.base import BaseEstimator, TransformerMixin

from skcnn._text import quoted
from skcnn.metrics import class_coverage_frame, generation_frame, training_copies
from skcnn.report import GeneratorReport

GENERATOR = np.random.default_rng(0)
REAL, TRAINING = (GENERATOR.integers(0, 256, (n, 4, 4), np.uint8) for n in (60, 50))
Y = np.array(["<b>dark", "light"])[np.arange(60) % 2]


class Levels(TransformerMixin, BaseEstimator):
    def transform(self, X):
        return np.reshape(X, (len(X), -1)) / 255


class Sampler(BaseEstimator):
    """Gives darker images of the training set; the first one as it is."""

    classes_ = np.array(["<b>dark", "light"])

    def sample(self, n_samples, y=None, random_state=None):
        images = np.resize(TRAINING, (n_samples, 4, 4)) // 2
        images[0] = TRAINING[0]
        self.asked = y
        return images


class Classifier(BaseEstimator):
    def predict(self, X):
        return np.repeat("<b>dark", len(X))


@pytest.fixture(scope="module")
def report():
    return GeneratorReport.from_estimator(
        Sampler(),
        REAL,
        Y,
        features=Levels(),
        X_training=TRAINING,
        classifier=Classifier(),
        n_generated=40,
        name="A & B",
    )


def test_tables_are_those_of_metrics(report):
    images = Sampler().sample(40)
    real, generated, training = (Levels().transform(part) for part in (REAL, images, TRAINING))
    expected = generation_frame(real, generated, X_other=training, n_resamples=20, random_state=0)
    assert report.frame(n_resamples=20).equals(expected)
    np.testing.assert_array_equal(report.headline, expected["value"])
    assert report.class_frame.equals(class_coverage_frame(Y, Classifier().predict(images)))
    assert report.copies.equals(training_copies(training, generated, real))
    assert report.as_asked == 0.5
    assert report.n_samples == 60


def test_summary_and_notes(report):
    assert "between 60 real images and 40 generated ones" in report.summary
    assert f"Missing classes: {quoted('light')}." in report.summary
    assert "50\u00a0% are recognised as the class asked for" in report.summary
    assert "nearer to the training set" in report.summary
    assert any("Features: Levels" in note for note in report.notes)
    assert any("are few" in note for note in report.notes)
    assert report.provenance["Generated images"] == "40"


def test_text_page_and_notebook(report, tmp_path):
    text = report.to_text()
    assert text.startswith("GeneratorReport: A & B")
    assert "Real images in place of generated ones:" in text
    html = report.to_html(tmp_path / "report.html", n_images=5).read_text(encoding="utf-8")
    assert "<b>dark" not in html
    assert html.count("data:image/jpeg") == 10  # the first ones, and the nearest ones
    assert "copy?" in html
    assert html.count('<li data-classes="') == 10  # or the filter would hide them
    assert "data:image/jpeg" not in report.to_html(tmp_path / "report.html", n_images=0).read_text(encoding="utf-8")
    part = report._repr_html_()
    assert "<script" not in part
    assert "<caption>Beside real images</caption>" in part
    assert len(report.plot().axes_) == 2
    plt.close("all")


def test_of_features_alone(tmp_path):
    real, generated = GENERATOR.normal(size=(2, 30, 3))
    report = GeneratorReport.from_features(real, generated)
    assert report.class_frame is None
    assert report.copies is None
    assert report.as_asked is None
    assert "data:image/jpeg" not in report.to_html(tmp_path / "report.html").read_text(encoding="utf-8")
    assert len(report.plot().axes_) == 1
    plt.close("all")
    labelled = GeneratorReport.from_features(real, generated, y_real=Y[:30], y_generated=Y[:30])
    assert "All 2 classes are generated." in labelled.summary


def test_errors():
    with pytest.raises(TypeError, match="estimator is a Levels, which has no sample; expected a generator"):
        GeneratorReport.from_estimator(Levels(), REAL, features=Levels())
    with pytest.raises(ValueError, match="y has 3 labels and X 60 images; expected one label per image"):
        GeneratorReport.from_estimator(Sampler(), REAL, Y[:3], features=Levels())
