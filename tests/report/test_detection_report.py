"""DetectionReport: metrics, text, page and notebook of predicted boxes."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from skcnn.metrics import class_detection_frame, detection_frame, detection_intervals
from skcnn.report import DetectionReport


def boxes(*rows, scored=True):
    item = {"boxes": [row[:4] for row in rows], "labels": [row[4] for row in rows]}
    return item | ({"scores": [row[5] for row in rows]} if scored else {})


Y = [
    boxes([0, 0, 40, 40, "<b>cat", 1], [50, 50, 90, 90, "dog", 1]),
    boxes(),
    boxes([0, 0, 40, 40, "dog", 1]),
    boxes([0, 0, 40, 40, "dog", 1]),
]
PREDICTED = [
    boxes([0, 0, 40, 38, "<b>cat", 0.9], [50, 50, 90, 90, "<b>cat", 0.8]),
    boxes([0, 0, 9, 9, "bird", 0.2]),
    boxes([1, 0, 40, 40, "dog", 0.9]),
    boxes(),
]


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for number in range(4):
        Image.new("RGB", (100, 100), "white").save(folder / f"{number}.png")
    return [str(folder / f"{number}.png") for number in range(4)]


@pytest.fixture(scope="module")
def report(paths):
    return DetectionReport.from_predictions(Y, PREDICTED, X=paths, name="Cats & dogs")


def test_tables_are_those_of_metrics(report):
    frame = detection_frame(Y, PREDICTED)
    np.testing.assert_array_equal(report.headline, frame["value"])
    assert report.class_frame.equals(class_detection_frame(Y, PREDICTED))
    expected = detection_intervals(Y, PREDICTED, random_state=0, n_resamples=20)
    assert report.frame(n_resamples=20).equals(expected)
    assert report.score_threshold == 0.9
    assert report.error_frame.loc["dog"].to_dict() == {
        "right": 1, "wrong class": 0, "bad box": 0, "double": 0, "background": 0, "missed": 2,
    }  # fmt: skip
    assert report.errors["kind"].value_counts().to_dict() == {"right": 2, "missed": 2}
    assert report.classes == ["<b>cat", "bird", "dog"]


def test_summary_and_notes(report):
    assert "on 4 images with 4 boxes. At a score of 0.9 or more, 50\u00a0% of the true boxes" in report.summary
    assert any("Predicted, but without a true box" in note and "bird" in note for note in report.notes)
    assert any("1 image without objects" in note for note in report.notes)
    assert any("no true box is small" in note for note in report.notes)
    assert report.provenance["Boxes"] == "4 true, 4 predicted"


def test_text_page_and_notebook(report, tmp_path):
    text = report.to_text()
    assert text.startswith("DetectionReport: Cats & dogs")
    assert "AP50" in text
    assert "1,000 bootstrap resamples" in text
    html = report.to_html(tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<b>cat" not in html
    assert html.count("data:image/jpeg") == 2  # images with errors at that score
    assert "1 right" in html
    assert "By class" in html
    assert "data:image" not in report.to_html(tmp_path / "report.html", n_images=0).read_text(encoding="utf-8")
    part = report._repr_html_()
    assert "<script" not in part
    assert "<caption>Classes</caption>" in part
    assert len(report.plot().axes_) == 2
    plt.close("all")


def test_without_images_or_boxes(tmp_path):
    report = DetectionReport.from_predictions([[], []], [[], []])
    assert report.summary == "Average precision is not defined on 2 images with 0 boxes."
    assert report.to_html(tmp_path / "report.html").exists()
    assert "Images" not in DetectionReport.from_predictions(Y, PREDICTED).to_text()
    with pytest.raises(ValueError, match="X has 1 images; expected 4"):
        DetectionReport.from_predictions(Y, PREDICTED, X=np.zeros((1, 8, 8, 3), np.uint8))
    with pytest.raises(TypeError, match="has no predict"):
        DetectionReport.from_estimator(object(), np.zeros((1, 8, 8, 3), np.uint8), [[]])
