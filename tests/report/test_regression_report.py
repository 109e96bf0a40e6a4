"""RegressionReport: metrics, text, page and notebook of predicted numbers."""

import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn import metrics
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import PredictionErrorDisplay
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skcnn.images import ImageDigests
from skcnn.report import RegressionReport


@pytest.fixture(scope="module")
def diabetes():
    X, y = load_diabetes(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    return Ridge(0.1).fit(X_train, y_train), X_test, y_test


@pytest.fixture(scope="module")
def report(diabetes):
    return RegressionReport.from_estimator(*diabetes)


@pytest.fixture(scope="module")
def several():
    """Six targets, the last of which is the same throughout."""
    rng = np.random.default_rng(0)
    true = pd.DataFrame(rng.normal(5, 1, (80, 6)) * [1, 10, 100, 1, 1, 0], columns=list("abcdef"))
    noise = rng.normal(0, [0.1, 2, 30, 0.4, 2, 1], (80, 6))
    return RegressionReport.from_predictions(true, true + noise, name="Six targets")


class Part(HTMLParser):
    """The texts of a page in their order, and the tags with their attributes."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text = [], []
        self.feed(html.replace("<wbr>", ""))

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text.append(data.strip())


def test_the_two_flows_agree_and_metrics_are_scikit_learns(diabetes, report):
    estimator, X, y = diabetes
    predicted = estimator.predict(X)
    other = RegressionReport.from_predictions(y, predicted)
    pd.testing.assert_frame_equal(report.frame(), other.frame())
    assert report.headline.to_dict() == pytest.approx(
        {
            "r2": metrics.r2_score(y, predicted),
            "mean_absolute_error": metrics.mean_absolute_error(y, predicted),
            "root_mean_squared_error": metrics.root_mean_squared_error(y, predicted),
            "median_absolute_error": metrics.median_absolute_error(y, predicted),
            "bias": (predicted - y).mean(),
        }
    )
    assert (report.name, other.name, report.n_samples) == ("Ridge", "Regressor", 111)
    assert report.frame().loc["mean_absolute_error", "baseline"] == pytest.approx(np.abs(y - y.mean()).mean())
    assert report.provenance["Digest of predictions"] == other.provenance["Digest of predictions"]


def test_intervals_are_worked_out_once_for_each_question(report):
    again = report.frame(n_resamples=20)
    pd.testing.assert_frame_equal(report.frame(n_resamples=20), again)
    assert report.frame(n_resamples=20, confidence_level=0.5).loc["r2", "low"] > again.loc["r2", "low"]
    drawn = [report.frame(n_resamples=20, random_state=None) for _ in range(2)]
    assert not drawn[0].equals(drawn[1])
    again.loc["r2", "value"] = 0
    assert report.headline["r2"] > 0.3


def test_text(report):
    frame = report.frame()
    lines = str(report).splitlines()
    assert lines[:2] == ["RegressionReport: Ridge", report.summary]
    assert lines[2:4] == ["", "R2                      0.369  (0.193 to 0.503)"]
    row = frame.loc["mean_absolute_error"]
    of_mean = frame.loc["mean_absolute_error", "baseline"]
    assert f"MAE                      {row['value']:.1f}  ({row['low']:.1f} to {row['high']:.1f})" in lines
    assert report.summary == (
        f"R2 0.369 on 111 samples. The MAE is {row['value']:.1f}; that of always predicting the mean is {of_mean:.1f}."
    )
    assert "(in brackets: 95\u00a0% intervals, from 1,000 bootstrap resamples)" in lines
    of_mean = ", ".join(
        f"{label} {frame.loc[metric, 'baseline']:.1f}"
        for label, metric in (("MAE", "mean_absolute_error"), ("RMSE", "root_mean_squared_error"))
    )
    assert f"Always predicting the mean: {of_mean}" in lines
    assert "to" not in repr(report).splitlines()[3]
    assert report.to_text() == f"{report}" == str(report)


def test_several_targets(several):
    frame = several.target_frame
    assert list(frame.index) == several.target_names == list("abcdef")
    assert list(frame.columns) == list(several.headline.index)
    assert several.headline["r2"] == pytest.approx(frame["r2"][:5].mean())
    assert several.headline["bias"] == pytest.approx(frame["bias"].mean())
    assert several.summary == (
        f"R2 {several.headline['r2']:.3f} on 80 samples, a mean over 5 of 6 targets. Lowest R2: “e” "
        f"({frame.loc['e', 'r2']:.3f}).".replace("-", "\u2212")
    )
    assert several.notes == [
        "R2: mean over 5 of 6 targets: the others do not vary.",
        "Each metric above is a mean over 6 targets, whatever their units.",
    ]
    lines = repr(several).splitlines()
    header = next(number for number, line in enumerate(lines) if line.split()[:1] == ["target"])
    assert lines[header].split() == ["target", "R2", "MAE", "RMSE", "Median", "absolute", "error", "Bias"]
    assert lines[header + 6].split()[:2] == ["f", "nan"]
    assert several.findings[0] == "“e”: Predictions are no better than always predicting the mean, whose R2 is 0."
    assert "Findings:" in lines
    assert f"  {several.findings[0]}" in lines
    assert several.provenance["Targets"] == "6: a, b, c, d, e, f"


def test_many_targets_print_the_weakest():
    rng = np.random.default_rng(0)
    true = rng.normal(size=(50, 30))
    predicted = true + rng.normal(size=true.shape) * np.linspace(1, 0.1, 30)
    lines = repr(RegressionReport.from_predictions(true, predicted)).splitlines()
    assert "Lowest R2, 20 of 30 targets (target_frame has all):" in lines
    header = next(number for number, line in enumerate(lines) if line.split()[:1] == ["target"])
    shown = [float(line.split()[2].replace("\u2212", "-")) for line in lines[header + 1 : header + 21]]
    assert shown == sorted(shown)
    assert len({line.split()[1] for line in lines[header + 1 : header + 21]}) == 20


def test_what_does_not_vary_and_what_is_one_sample():
    report = RegressionReport.from_predictions([2.0, 2.0], [1.0, 3.0])
    assert np.isnan(report.headline["r2"])
    assert report.summary == "MAE 1.00 on 2 samples, whose true values do not vary."
    assert report.notes == ["R2: all true values are the same."]
    assert "R2 " not in repr(report).split("Notes")[0].split("\n\n")[1]
    assert "1 sample" in RegressionReport.from_predictions([2.0], [1.0]).summary


def test_weights_count_everywhere():
    true, predicted, weight = [0, 1, 4, 9], [1, 1, 3, 3], [1, 0, 2, 1]
    weighted = RegressionReport.from_predictions(true, predicted, sample_weight=weight)
    repeated = RegressionReport.from_predictions(np.repeat(true, weight), np.repeat(predicted, weight))
    pd.testing.assert_series_equal(weighted.headline[:3], repeated.headline[:3])
    assert weighted.headline["bias"] == repeated.headline["bias"]
    pd.testing.assert_series_equal(weighted.frame()["baseline"][:3], repeated.frame()["baseline"][:3])
    assert weighted.provenance["Sample weights"] == "sum 4"
    assert weighted.residual_display().frame()["count"].sum() == 4


def test_names_and_provenance():
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    search = GridSearchCV(make_pipeline(StandardScaler(), Ridge()), {"ridge__alpha": [1.0]}, cv=2).fit(X, y)
    report = RegressionReport.from_estimator(search, X, y)
    assert report.name == "StandardScaler + Ridge"
    assert report.target_names == ["target"]  # the name of the Series
    assert report.parameters["best_params_: ridge__alpha"] == "1.0"
    assert report.provenance["Estimator"] == repr(search)
    assert report.provenance["Samples"] == "442"
    assert RegressionReport.from_estimator(search, X, y, name="Mine", target_names=["sugar"]).target_names == ["sugar"]


def test_digests_tell_predictions_from_others():
    def digest(*arrays, **options):
        return RegressionReport.from_predictions(*arrays, **options).provenance["Digest of predictions"]

    first = digest([1, 2], [1, 3])
    assert first == digest(np.array([1.0, 2.0]), [1, 3])
    others = [
        digest([1, 2], [1, 4]),
        digest([1, 3], [1, 3]),
        digest([1, 2], [1, 3], target_names=["age"]),
        digest([1, 2], [1, 3], sample_weight=[1, 1]),
    ]
    assert len({first, *others}) == 5
    assert "names of targets, true and predicted numbers and weights" in first


def test_a_classifier_is_refused(diabetes):
    X, y = diabetes[1], np.arange(111) % 2
    with pytest.raises(TypeError, match="LogisticRegression is a classifier, which ClassifierReport is for"):
        RegressionReport.from_estimator(LogisticRegression().fit(X, y), X, y)
    with pytest.raises(ValueError, match="X has 3 images; expected 2"):
        RegressionReport.from_predictions([1, 2], [1, 2], X=np.zeros((3, 8, 8, 3), np.uint8))


def test_images_of_an_estimator_are_those_of_its_x(images, tmp_path):
    y = np.arange(6.0)
    brightness = make_pipeline(FunctionTransformer(lambda X: X.mean(axis=(1, 2))), Ridge(1e6)).fit(images, y)
    brightness.training_images_ = ImageDigests.of(images[:4])
    report = RegressionReport.from_estimator(brightness, images, y, target_names=["number"])
    (display,) = report.image_displays(4)
    expected = np.argsort(-np.abs(brightness.predict(images) - y), kind="stable")[:4]
    assert display.frame()["row"].tolist() == expected.tolist()
    assert "6 x 40 x 30 x 3 numbers (uint8)" in report.provenance["Digest of X"]
    assert "4 of 6 images were in the training set" in report.summary

    page = Part(report.to_html(tmp_path / "report.html", n_images=4).read_text("utf-8"))
    shown = [attributes for tag, attributes in page.tags if tag == "img"]
    assert [image["title"] for image in shown] == [f"row {row}" for row in expected]
    worst = display.frame().iloc[0]
    assert shown[0]["alt"] == f"number: predicted {worst['predicted']:.4g}, true {worst['true']:.0f}"
    assert f"{worst['error']:+.4g}".replace("-", "\u2212") in page.text
    without = report.to_html(tmp_path / "report.html", n_images=0).read_text("utf-8")
    assert "<img" not in without
    assert 'id="images"' not in without


def test_numbers_are_no_images(report):
    assert report.image_displays() == []


def test_displays(report, several):
    display = report.prediction_error_display()
    assert isinstance(display, PredictionErrorDisplay)
    assert len(display.y_true) == 111
    assert report.residual_display().frame()["count"].sum() == 111
    true = several._findings.predictions.true
    np.testing.assert_array_equal(several.prediction_error_display("b").y_true, true[:, 1])
    # The target of lowest R2 is the one to look at.
    np.testing.assert_array_equal(several.prediction_error_display().y_true, true[:, 4])
    with pytest.raises(ValueError, match="target='g'; expected one of the targets: 'a', 'b'"):
        several.residual_display("g")


def test_of_very_many_samples_a_thousand_are_drawn_the_same_ones_each_time():
    true = np.random.default_rng(0).normal(size=3000)
    report = RegressionReport.from_predictions(true, true + 1)
    display = report.prediction_error_display()
    assert len(display.y_true) == 1000
    np.testing.assert_allclose(display.y_pred, display.y_true + 1)
    np.testing.assert_array_equal(display.y_true, report.prediction_error_display().y_true)
    assert "1,000 of 3,000 samples, drawn at random; on the dashed line" in report._page(report.frame(), 0)


def test_plot_has_a_panel_for_each_image(report, several):
    assert report.plot() is report
    labels = [(ax.get_xlabel().split("\n")[0], ax.get_ylabel()) for ax in report.axes_]
    residual = "Residual (true minus predicted)"
    assert labels == [("Predicted", "True"), ("Predicted", residual), (residual, "Samples")]
    report.figure_.draw_without_rendering()
    several.plot().figure_.draw_without_rendering()
    weakest = several.target_frame["r2"].sort_values().index[:4]
    assert [ax.get_title() for ax in several.axes_] == list(weakest)


def test_page_has_every_metric_and_image(report, several):
    for one in (report, several):
        page = Part(one._page(one.frame(), 12))
        text = " ".join(page.text)
        frame = one.frame()
        for metric, label in one.headline_labels.items():
            assert label in page.text
            for column in ("value", "low", "high"):
                assert one._findings.written(metric, frame.loc[metric, column]) in text
        for sentence in [one.summary, *one.notes, *one.findings]:
            assert sentence in page.text
        for key, value in one.provenance.items():
            assert key in page.text
            assert " ".join(value.split()) in " ".join(text.split())
        for metric in ("mean_absolute_error", "root_mean_squared_error", "median_absolute_error"):
            assert one._findings.written(metric, frame.loc[metric, "baseline"]) in page.text
        assert len([tag for tag, _ in page.tags if tag == "svg"]) == (3 if one is report else 8)
    values = re.findall('data-value="([^"]+)"', several._page(frame, 12).partition('id="targets"')[2])
    np.testing.assert_array_equal(np.array(values, dtype=float).reshape(6, 5), several.target_frame.to_numpy())


def test_notebook_has_a_short_form(report, several):
    part = Part(report._repr_html_())
    assert report.summary in part.text
    assert len([tag for tag, _ in part.tags if tag == "svg"]) == 3
    assert not [tag for tag, _ in part.tags if tag in ("script", "img", "h1", "h2")]
    part = Part(several._repr_html_())
    assert len([tag for tag, _ in part.tags if tag == "svg"]) == 8
    assert "Target by target" in part.text
    assert several.findings[0] in part.text
    names = [a["id"] for _, a in Part(report._repr_html_() + several._repr_html_()).tags if "id" in a]
    assert len(names) == len(set(names)) > 0


def test_names_from_the_data_are_escaped(tmp_path):
    odd = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>']
    path = tmp_path / "a & b.png"
    Image.new("RGB", (8, 8)).save(path)
    true = np.array([[1.0, 2.0], [3.0, 4.0], [4.0, 9.0]])
    report = RegressionReport.from_predictions(true, true[::-1], target_names=odd, name=odd[0], X=[path] * 3)
    for html in (report._page(report.frame(), 12), report._repr_html_()):
        assert "<script>alert" not in html
        assert "<img src=x" not in html
        assert odd[0] in Part(html).text
    assert str(tmp_path) not in html


def test_an_estimator_of_several_targets(diabetes):
    _, X, y = diabetes
    both = pd.DataFrame({"sugar": y, "twice": 2 * y})
    report = RegressionReport.from_estimator(LinearRegression().fit(X, both), X, both)
    assert report.target_names == ["sugar", "twice"]
    assert report.target_frame.loc["twice", "mean_absolute_error"] == pytest.approx(
        2 * report.target_frame.loc["sugar", "mean_absolute_error"]
    )
