"""Boxes, masks and several classes per image, by the estimator."""

import base64
import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from serving_client import encoded
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from toy import TOY

from skcnn.detection import SlidingWindowDetector
from skcnn.segmentation import CNNSegmenter
from skcnn.serving._predictors import EstimatorPredictor, ImageRefusedError


def as_rows(X):
    return X.reshape(len(X), -1) / 255


@pytest.fixture
def served_by(served, client_of, monkeypatch):
    """Return a function that gives a client of a server of an estimator of this process."""

    def make(model):
        monkeypatch.setattr("skcnn.serving._models._predictor_of", lambda path: EstimatorPredictor(model, "a note"))
        return client_of({"m": served[0] / "classes.skcnn"})

    return make


def test_boxes(served_by):
    generator = np.random.default_rng(0)
    X = generator.integers(0, 40, (6, 48, 56, 3)).astype(np.uint8)
    y = []
    for row, image in enumerate(X):
        left, top = 4 * row, 5 * row
        boxes = [] if row == 5 else [["red", left, top, left + 16, top + 16]]
        if boxes:
            image[top : top + 16, left : left + 16] = [230, 60, 60]
        y.append(pd.DataFrame(boxes, columns=["label", "xmin", "ymin", "xmax", "ymax"]))
    classifier = make_pipeline(FunctionTransformer(as_rows), LogisticRegression())
    detector = SlidingWindowDetector(classifier, window=16, stride=4, random_state=0).fit(X, y)
    client = served_by(detector)
    files = [("images", encoded(image)) for image in X]
    rows = client.post("/predict", files=[*files, ("images", b"no image")]).json()["images"]
    assert "error" in rows.pop()
    for row, expected in zip(rows, detector.predict(X), strict=True):
        assert row["boxes"] == expected.to_dict("records")
    assert any(row["boxes"] for row in rows)
    (about,) = client.get("/models").json()["models"]
    assert (about["kind"], about["runs_by"], about["note"], about["explain"]) == ("boxes", "estimator", "a note", False)
    assert client.get("/v2/models/m").json()["outputs"] == []
    text = base64.b64encode(encoded(X[0])).decode()
    inputs = [{"name": "images", "shape": [1], "datatype": "BYTES", "data": [text]}]
    refused = client.post("/v2/models/m/infer", json={"inputs": inputs})
    assert (refused.status_code, refused.json()["error"]) == (
        501,
        "The model predicts boxes; POST /predict/m gives them.",
    )


def test_masks(served_by):
    generator = np.random.default_rng(0)
    X = generator.integers(0, 256, (4, 24, 36, 3)).astype(np.uint8)
    y = (X[..., 0] > 127).astype(np.uint8)
    segmenter = CNNSegmenter(
        TOY, weights="toy", image_size=(32, 48), n_channels=8, head_epochs=1, epochs=0, batch_size=4, random_state=0
    ).fit(X, y)
    client = served_by(segmenter)
    rows = client.post("/predict", files=[("images", encoded(image)) for image in X]).json()["images"]
    for row, expected in zip(rows, segmenter.predict(X), strict=True):
        mask = np.asarray(Image.open(io.BytesIO(base64.b64decode(row["mask"]))))
        np.testing.assert_array_equal(mask, expected)
        assert row["classes"] == [0, 1]


def test_what_cannot_be_served():
    with pytest.raises(TypeError, match="A FunctionTransformer cannot be served: it predicts nothing"):
        EstimatorPredictor(FunctionTransformer(), "")
    model = LogisticRegression().fit(np.eye(6), np.arange(6) % 2)
    with pytest.raises(TypeError, match="A LogisticRegression cannot be served: "):
        EstimatorPredictor(model, "")


def test_pixels_are_counted_before_anything_is_decoded():
    predictor = EstimatorPredictor.__new__(EstimatorPredictor)
    image = encoded(np.zeros((30, 40, 3), np.uint8))
    assert predictor.prepare(image, 1200) == image
    with pytest.raises(ImageRefusedError, match="40 x 30 = 1200 pixels; expected at most 1,199"):
        predictor.prepare(image, 1199)
    with pytest.raises(ImageRefusedError, match="not an image of a known format"):
        predictor.prepare(b"/etc/passwd", 1199)
