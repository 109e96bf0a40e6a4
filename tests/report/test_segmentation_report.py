"""SegmentationReport: metrics, text, page and notebook of predicted masks."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from skcnn.metrics import class_segmentation_frame, pixel_confusion_frame, segmentation_frame, segmentation_intervals
from skcnn.report import SegmentationReport

CLASSES = ["<b>floor", "box", "lamp"]


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    """Four images in files, their masks, and those predicted."""
    folder = tmp_path_factory.mktemp("images")
    y = np.zeros((4, 32, 32), np.uint8)
    y[:, 8:24, 8:24] = 1
    found = np.stack([np.roll(mask, 3 * row, axis=0) for row, mask in enumerate(y)])
    y[0, :4] = 255
    found[3, 0, 0] = 255
    paths = [str(folder / f"{row}.png") for row in range(4)]
    for path in paths:
        Image.new("RGB", (32, 32), "grey").save(path)
    return paths, y, found


@pytest.fixture(scope="module")
def report(task):
    X, y, found = task
    return SegmentationReport.from_predictions(y, found, X=X, classes=CLASSES, name="Boxes & lamps")


def test_tables_are_those_of_metrics(report, task):
    _, y, found = task
    np.testing.assert_array_equal(report.headline, segmentation_frame(y, found, classes=CLASSES)["value"])
    assert report.class_frame.equals(class_segmentation_frame(y, found, classes=CLASSES))
    assert report.confusion.equals(pixel_confusion_frame(y, found, classes=CLASSES))
    expected = segmentation_intervals(y, found, classes=CLASSES, random_state=0, n_resamples=20)
    assert report.frame(n_resamples=20).equals(expected)
    assert report.classes == CLASSES
    assert report.image_frame["row"].tolist() == [3, 2, 1, 0]


def test_summary_and_notes(report):
    assert "on 4 images with 3,968 pixels" in report.summary
    assert "in the worst one" in report.summary
    assert any("Without a true pixel" in note and "lamp" in note for note in report.notes)
    assert any("1 pixel without a predicted class" in note for note in report.notes)
    assert report.provenance["Pixels"] == "3,968 that count"


def test_text_page_and_notebook(report, tmp_path):
    text = report.to_text()
    assert text.startswith("SegmentationReport: Boxes & lamps")
    assert "F1 of edges" in text
    assert "1,000 bootstrap resamples" in text
    html = report.to_html(tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<b>floor" not in html
    assert html.count("data:image/jpeg") == 8  # masks and errors
    assert "Confusion matrix" in html
    assert "data:image/jpeg" not in report.to_html(tmp_path / "report.html", n_images=0).read_text(encoding="utf-8")
    part = report._repr_html_()
    assert "<script" not in part
    assert "<caption>Classes</caption>" in part
    assert len(report.plot().axes_) == 3
    plt.close("all")


def test_without_images_or_pixels(tmp_path):
    nothing = np.full((2, 4, 4), 255)
    report = SegmentationReport.from_predictions(nothing, np.zeros((2, 4, 4), int))
    assert report.summary == "Mean IoU is not defined on 2 images with 0 pixels."
    assert report.to_html(tmp_path / "report.html").exists()
    with pytest.raises(ValueError, match="X has 1 images; expected 2"):
        SegmentationReport.from_predictions(nothing, nothing, X=np.zeros((1, 8, 8, 3), np.uint8))
    with pytest.raises(TypeError, match="has no predict"):
        SegmentationReport.from_estimator(object(), np.zeros((1, 8, 8, 3), np.uint8), nothing[:1])
