import subprocess
import sys
import zlib

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skcnn.metrics import (
    bootstrap_intervals,
    calibration_frame,
    classification_frame,
    confusion_frame,
    headline_frame,
    most_confused,
    top_k_frame,
)
from skcnn.report import ClassifierReport, _report_page, _report_text


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X / 16, y, random_state=0, stratify=y)
    return LogisticRegression(C=0.1).fit(X_train, y_train), X_test, y_test


@pytest.fixture(scope="module")
def report(digits):
    return ClassifierReport.from_estimator(*digits)


def test_the_two_flows_agree(digits, report):
    estimator, X, y = digits
    other = ClassifierReport.from_predictions(y, estimator.predict_proba(X))
    pd.testing.assert_series_equal(report.headline, other.headline)
    pd.testing.assert_frame_equal(report.classification_frame, other.classification_frame)
    pd.testing.assert_frame_equal(report.confusion_frame, other.confusion_frame)
    assert (report.name, other.name) == ("LogisticRegression", "Classifier")


def test_tables_are_those_of_the_functions(digits, report):
    estimator, X, y = digits
    y_score, y_pred = estimator.predict_proba(X), estimator.predict(X)
    pd.testing.assert_frame_equal(report.frame(), bootstrap_intervals(y, y_score, random_state=0))
    pd.testing.assert_frame_equal(report.frame()[["value", "note"]], headline_frame(y, y_score))
    pd.testing.assert_frame_equal(report.calibration_frame, calibration_frame(y, y_score))
    pd.testing.assert_frame_equal(report.top_k_frame, top_k_frame(y, y_score))
    pd.testing.assert_series_equal(report.headline, headline_frame(y, y_score)["value"])
    pd.testing.assert_frame_equal(report.classification_frame, classification_frame(y, y_score))
    pd.testing.assert_frame_equal(report.confusion_frame, confusion_frame(y, y_pred))
    pd.testing.assert_frame_equal(report.most_confused(3), most_confused(y, y_pred, k=3))


def test_sample_weight_counts_everywhere():
    y_true, y_score = [0, 1, 1, 2], np.eye(3)[[0, 1, 0, 2]]
    weighted = ClassifierReport.from_predictions(y_true, y_score, sample_weight=[1, 2, 3, 2])
    assert weighted.headline["accuracy"] == 5 / 8
    assert weighted.confusion_frame.loc[1].tolist() == [3, 2, 0]
    assert weighted.classification_frame["support"].tolist() == [1, 5, 2]
    assert "weighted accuracy 0.625" in weighted.summary
    assert weighted.provenance["Sample weights"] == "sum 8"


def test_report_prints_as_a_table(report):
    lines = repr(report).splitlines()
    assert lines[0] == "ClassifierReport: LogisticRegression"
    assert lines[1] == report.summary
    accuracy = next(line for line in lines if line.startswith("Accuracy"))
    assert accuracy.split()[-1] == f"{report.headline['accuracy']:.3f}"
    header = next(number for number, line in enumerate(lines) if line.split()[:1] == ["class"])
    assert lines[header].split() == ["class", *report.classification_frame.columns]
    for number, row in enumerate(report.classification_frame.itertuples(), start=header + 1):
        assert lines[number].split()[:2] == [str(row.Index), str(row.support)]
    assert "Most confused classes:" in lines


def test_print_has_intervals_and_their_level_and_repr_does_not(report):
    printed = str(report)
    row = report.frame().loc["accuracy"]
    line = next(line for line in printed.splitlines() if line.startswith("Accuracy"))
    assert line.split(maxsplit=1)[1] == f"{row['value']:.3f}  ({row['low']:.3f} to {row['high']:.3f})"
    assert "(in brackets: 95\u00a0% intervals, from 1,000 bootstrap resamples)" in printed
    assert printed == report.to_text()
    assert "intervals" not in repr(report)
    assert f"{report:}" == printed


def test_what_two_classes_do_not_have_is_not_mentioned():
    report = ClassifierReport.from_predictions(["a", "b", "b"], [0.2, 0.8, 0.4])
    assert np.isnan(report.headline["top_k_accuracy"])
    assert report.notes == []
    assert "nan" not in repr(report)
    assert "top" not in repr(report).lower()
    assert "top-1 is the accuracy" in report.frame().loc["top_k_accuracy", "note"]


def test_many_classes_print_the_weakest():
    rng = np.random.default_rng(0)
    y_true = rng.integers(0, 30, 600)
    y_pred = np.where((y_true == 7) | (rng.random(600) < 0.1), rng.integers(0, 30, 600), y_true)
    report = ClassifierReport.from_predictions(y_true, y_pred=y_pred, classes=range(30))
    lines = repr(report).splitlines()
    assert "Lowest recall, 20 of 30 classes (classification_frame has all):" in lines
    header = next(number for number, line in enumerate(lines) if line.split()[:1] == ["class"])
    assert lines[header + 1].split()[0] == "7"
    assert lines[header + 21] == ""


def test_summary_by_hand():
    y_true, y_pred = list("aaabbbbcc"), list("aabaabbaa")
    summary = ClassifierReport.from_predictions(y_true, y_pred=y_pred).summary
    assert summary == (
        "4 of 9 samples classified correctly (accuracy 0.444). Lowest recall: “c” (0.000). "
        "Most confused: “c” predicted as “a” (2 of 2)."
    )
    summary = ClassifierReport.from_predictions(y_true, y_pred=y_true).summary
    assert summary == "9 of 9 samples classified correctly (accuracy 1.000)."


def test_summary_where_mistakes_have_no_weight():
    report = ClassifierReport.from_predictions(["a", "b"], y_pred=["a", "a"], sample_weight=[1, 0])
    assert report.summary == "1 of 2 samples classified correctly (weighted accuracy 1.000)."


def test_notes_say_why_metrics_are_undefined():
    y_score = [[0.8, 0.1, 0.1, 0], [0.3, 0.6, 0.1, 0], [0.5, 0.1, 0.4, 0], [0.1, 0.1, 0.8, 0]]
    report = ClassifierReport.from_predictions(["a", "b", "b", "a"], y_score, classes=["a", "b", "c", "d"])
    assert report.notes == [
        "Balanced accuracy, Macro ROC AUC, Macro average precision: mean over 2 of 4 classes.",
        "Top-3 accuracy: in place of top-5, which with 4 classes is always 1.",
        "Macro F1: mean over 3 of 4 classes.",
        "Recall, F1, ROC AUC and average precision not defined for d: no sample of the class.",
        "Recall, ROC AUC and average precision not defined for c: no sample of the class.",
        "Precision not defined for d: the class is never predicted.",
    ]
    assert report.top_k == 3


def test_notes_without_scores():
    notes = ClassifierReport.from_predictions(["a", "b"], y_pred=["a", "a"]).notes
    assert "Log-loss, Macro ROC AUC, Macro average precision: no scores: none were given." in notes
    assert "ROC AUC and average precision not defined for all classes: no scores: none were given." in notes


def test_every_undefined_metric_of_a_class_has_a_note():
    report = ClassifierReport.from_predictions(["a", "a"], [[0.9, 0.1], [0.8, 0.2]], classes=["a", "b"])
    said = " ".join(report.notes)
    assert report.classification_frame.isna().sum(axis=1).to_dict() == {"a": 1, "b": 5}
    assert "ROC AUC not defined for a: every sample is of the class." in said
    assert "Recall, F1, ROC AUC and average precision not defined for b" in said
    assert "Precision not defined for b" in said


def test_names():
    X, y = load_digits(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    search = GridSearchCV(pipeline, {"logisticregression__C": [0.1]}, cv=2).fit(X[:200], y[:200])
    report = ClassifierReport.from_estimator(search, X[200:300], y[200:300])
    assert report.name == "StandardScaler + LogisticRegression"
    assert report.provenance["Estimator"] == repr(search)
    assert ClassifierReport.from_estimator(search, X[:9], y[:9], name="digits").name == "digits"


def test_provenance(report):
    from sklearn import __version__

    made = report.provenance
    assert made["Samples"] == "450"
    assert made["Classes"] == "10"
    assert made["Scores"] == "predict_proba"
    assert made["scikit-learn"] == __version__
    assert made["Made"].endswith("UTC")


def test_intervals_are_worked_out_once_for_each_question(report):
    again = report.frame(n_resamples=20)
    pd.testing.assert_frame_equal(report.frame(n_resamples=20), again)
    wide = report.frame(n_resamples=20, confidence_level=0.5)
    assert wide.loc["accuracy", "low"] > again.loc["accuracy", "low"]
    assert not report.frame(n_resamples=20, random_state=None).equals(report.frame(n_resamples=20, random_state=None))


def test_what_needs_scores_is_none_without():
    report = ClassifierReport.from_predictions(["a", "b"], y_pred=["a", "a"])
    assert report.calibration_frame is None
    assert report.top_k_frame is None
    assert report.reliability_display() is None
    assert report.threshold_display() is None
    assert report.curve_displays() == []
    one_class = ClassifierReport.from_predictions(["a", "a"], [[1.0], [1.0]], classes=["a"])
    assert one_class.reliability_display() is None
    one_class.plot().figure_.draw_without_rendering()


def test_images_of_an_estimator_are_those_of_its_x(images):
    y = np.array(["a", "b"] * 3)
    brightness = make_pipeline(FunctionTransformer(lambda X: X.mean(axis=(1, 2))), LogisticRegression())
    report = ClassifierReport.from_estimator(brightness.fit(images, y), images, y)
    shown = pd.concat([display.frame() for display in report.image_displays()])
    assert sorted(shown["row"]) == list(range(6))
    assert "6 x 40 x 30 x 3 numbers (uint8)" in report.provenance["Digest of X"]


def test_texts_and_numbers_are_no_images(digits):
    assert ClassifierReport.from_estimator(*digits).image_displays() == []
    texts = pd.Series(["a word", "another", "a word", "another"])
    pipeline = make_pipeline(CountVectorizer(), LogisticRegression()).fit(texts, [0, 1, 0, 1])
    report = ClassifierReport.from_estimator(pipeline, texts, [0, 1, 0, 1])
    assert report.image_displays() == []
    assert report.provenance["Digest of X"].startswith("not digested")


def test_images_must_be_as_many_as_labels(images):
    with pytest.raises(ValueError, match="X has 6 images; expected 2"):
        ClassifierReport.from_predictions([0, 1], [0.1, 0.9], X=images)


def test_plot_has_a_panel_for_each_image(report):
    assert report.plot() is report
    labels = [ax.get_xlabel().splitlines()[0] for ax in report.axes_]
    assert labels == ["Predicted class", "False positive rate", "Recall", "Highest probability of a sample"]
    report.figure_.draw_without_rendering()
    without_scores = ClassifierReport.from_predictions([0, 1], y_pred=[0, 0]).plot()
    assert [ax.get_xlabel() for ax in without_scores.axes_] == ["Predicted class"]
    binary = ClassifierReport.from_predictions([0, 1, 1], [0.2, 0.4, 0.9]).plot()
    assert [ax.get_xlabel().splitlines()[0] for ax in binary.axes_][3:] == [
        "Probability of the class",
        "Threshold: positive from this score on",
    ]


def test_plot_of_many_classes_shows_the_most_confused():
    rng = np.random.default_rng(0)
    y_true = rng.integers(0, 40, 800)
    report = ClassifierReport.from_predictions(y_true, rng.dirichlet(np.ones(40), 800), name="cost $5 and $6")
    axes = report.plot().axes_
    assert len(axes) == 5
    assert len(axes[1].get_yticks()) <= 12


def test_frames_of_the_report_are_not_changed_through_copies(report):
    headline, frame = report.headline, report.frame()
    headline["accuracy"] = 0
    frame.loc["accuracy", "value"] = 0
    assert report.headline["accuracy"] > 0.9


def test_light_to_import_and_never_keras(tmp_path):
    code = f"""
import sys
import skcnn.metrics
assert not {{"keras", "tensorflow", "matplotlib", "jinja2"}} & set(sys.modules), "import"
report = skcnn.report.ClassifierReport.from_predictions([0, 1, 2], [[.6, .3, .1], [.2, .5, .3], [.4, .3, .3]])
repr(report)
assert not {{"keras", "matplotlib", "jinja2"}} & set(sys.modules), "repr"
report.to_html({str(tmp_path / "report.html")!r})
assert "matplotlib.pyplot" not in sys.modules, "to_html"
report.plot()
assert not {{"keras", "tensorflow"}} & set(sys.modules), "plot"
"""
    # What old versions of Matplotlib use of newer packages is deprecated by now.
    strict = ["-W", "error", "-W", "ignore::DeprecationWarning"]
    subprocess.run([sys.executable, *strict, "-c", code], check=True)


def test_texts_name_the_level_and_the_resamples_of_the_intervals(monkeypatch, tmp_path):
    report = ClassifierReport.from_predictions([0, 1] * 20, y_pred=[0, 1] * 18 + [1, 0] * 2)
    assert "(in brackets: 95\u00a0% intervals, from 1,000 bootstrap resamples)" in report.to_text()
    page = report.to_html(tmp_path / "report.html", n_images=0).read_text(encoding="utf-8")
    assert "its 95\u00a0% interval over" in page
    assert "(bootstrap of the samples, 1,000 resamples)" in page
    for module in (_report_page, _report_text):
        monkeypatch.setattr(module, "CONFIDENCE_LEVEL", 0.9)
        monkeypatch.setattr(module, "N_RESAMPLES", 200)
    assert "(in brackets: 90\u00a0% intervals, from 200 bootstrap resamples)" in report.to_text()
    page = report.to_html(tmp_path / "report.html", n_images=0).read_text(encoding="utf-8")
    assert "its 90\u00a0% interval over" in page
    assert "(bootstrap of the samples, 200 resamples)" in page


def bomb(path):
    """Write a small file that says it has 2.5 billion pixels."""
    Image.new("1", (8, 8)).save(path, "PNG")
    content = bytearray(path.read_bytes())
    content[16:24] = (50_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    path.write_bytes(content)
    return str(path)


@pytest.mark.parametrize("n_bad", [1, 3])
def test_bad_images_among_the_first_are_tiles_with_their_reason(tmp_path, n_bad):
    images = [bomb(tmp_path / f"{row}.png") for row in range(n_bad)]
    images += list(np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8))
    y = np.arange(len(images)) % 2
    score = np.where(np.arange(len(images)) < n_bad, 1 - y, y)
    report = ClassifierReport.from_predictions(y, score.astype(float), X=images)
    (worst, right) = report.image_displays()
    assert worst.frame()["row"].tolist() == list(range(n_bad))
    assert worst.frame()["reason"].str.contains("pixels").all()
    assert right.frame()["reason"].isna().all()
    page = report.to_html(tmp_path / "report.html").read_text()
    assert page.count('class="missing">No image: ') == n_bad
    assert page.count("data:image/jpeg") == 12


def test_the_report_is_found_where_it_was():
    import skcnn.metrics

    with pytest.warns(FutureWarning, match=r"has moved to skcnn\.report\.ClassifierReport"):
        assert skcnn.metrics.ClassifierReport is ClassifierReport
    assert "ClassifierReport" not in skcnn.metrics.__all__
    with pytest.raises(AttributeError, match="has no attribute 'no_such_name'"):
        _ = skcnn.metrics.no_such_name
