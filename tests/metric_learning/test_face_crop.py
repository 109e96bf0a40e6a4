"""FaceCrop: squares around faces, by any detector."""

import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.base import BaseEstimator, clone
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from toy import build_toy

import skcnn
from skcnn.feature_extraction import BottleneckFeatures
from skcnn.images import BadImageError
from skcnn.metric_learning import FaceCrop, FaceRecognizer, FaceVerifier, _face_crop, _mtcnn


class GreenDetector(BaseEstimator):
    """Finds each connected range of green columns; its score is the brightness."""

    seen = None

    def predict(self, X):
        self.seen = [image.shape for image in X]
        found = np.empty(len(X), object)
        for number, image in enumerate(X):
            green = image[..., 1].astype(float) - image[..., 0]
            columns = np.flatnonzero(green.max(axis=0) > 60)
            parts = np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1) if len(columns) else []
            rows = []
            for part in parts:
                lines = np.flatnonzero(green[:, part].max(axis=1) > 60)
                score = float(green[:, part].max()) / 255
                rows.append(["face", part[0], lines[0], part[-1] + 1, lines[-1] + 1, score])
            found[number] = pd.DataFrame(rows, columns=["label", "xmin", "ymin", "xmax", "ymax", "score"])
        return found


def scene(*faces, size=(60, 80), seed=0):
    """Return grey noise with green rectangles (left, top, width, height, brightness)."""
    image = np.repeat(np.random.default_rng(seed).integers(0, 40, (*size, 1)), 3, axis=2).astype(np.uint8)
    for left, top, width, height, brightness in faces:
        image[top : top + height, left : left + width, 1] = brightness
        image[top : top + height, left : left + width, 0] = 0
    return image


ONE = scene((20, 10, 16, 20, 250))


def test_the_crop_is_a_square_around_the_box():
    (face,) = FaceCrop(GreenDetector(), margin=0).transform([ONE])
    np.testing.assert_array_equal(face, ONE[10:30, 18:38])  # 20 pixels, around column 28
    (face,) = FaceCrop(GreenDetector(), margin=0.5).transform([ONE])
    np.testing.assert_array_equal(face, ONE[5:35, 13:43])


def test_what_lies_beside_the_image_is_black():
    image = scene((0, 50, 10, 10, 250))
    (face,) = FaceCrop(GreenDetector(), margin=1).transform([image])
    assert face.shape == (20, 20, 3)
    np.testing.assert_array_equal(face[:15, 5:], image[45:60, 0:15])
    assert not face[15:].any()
    assert not face[:, :5].any()


def test_the_largest_face_with_enough_score_is_taken():
    image = scene((2, 2, 10, 10, 250), (30, 10, 20, 20, 240), (55, 10, 24, 24, 150))
    (face,) = FaceCrop(GreenDetector(), margin=0).transform([image])
    np.testing.assert_array_equal(face, image[10:30, 30:50])
    (face,) = FaceCrop(GreenDetector(), margin=0, min_score=0.5).transform([image])
    np.testing.assert_array_equal(face, image[10:34, 55:79])


def test_crops_of_one_size_are_one_array():
    X = [ONE, scene((40, 20, 30, 30, 250)), scene((5, 5, 8, 8, 250))]
    crops = FaceCrop(GreenDetector(), image_size=(24, 20)).fit_transform(X)
    assert crops.shape == (3, 24, 20, 3)
    assert crops.dtype == np.uint8
    assert (crops[:, 12, 10, 1] > 200).all()
    many = FaceCrop(GreenDetector()).transform([*X, *X, *X, *X])  # more than are looked at together
    assert [len(crop) for crop in many] == [25, 38, 10] * 4


def test_faces_are_looked_for_in_a_smaller_image():
    large = np.repeat(np.repeat(ONE, 4, axis=0), 4, axis=1)
    detector = GreenDetector()
    (face,) = FaceCrop(detector, margin=0, detect_size=80).transform([large])
    assert detector.seen == [(60, 80, 3)]
    np.testing.assert_array_equal(face, large[40:120, 72:152])


def test_images_without_a_face_are_named(tmp_path):
    nothing = tmp_path / "nothing.png"
    Image.fromarray(scene()).save(nothing)
    X = [ONE, str(nothing), ONE, scene()]
    with pytest.raises(BadImageError, match=r"row 1: .*nothing\.png: no face with a score of 0\.9 or more") as caught:
        FaceCrop(GreenDetector()).transform(X)
    assert caught.value.bad_rows["row"].tolist() == [1, 3]
    assert "missing='image'" in str(caught.value)
    crops = FaceCrop(GreenDetector(), missing="image").transform(X)
    np.testing.assert_array_equal(crops[1], scene())
    assert FaceCrop(GreenDetector(), missing="image", image_size=16).transform(X).shape == (4, 16, 16, 3)
    with pytest.raises(BadImageError, match=r"row 1: .*gone\.png: no such file"):
        FaceCrop(GreenDetector(), missing="image").transform([ONE, str(tmp_path / "gone.png")])


def test_paths_start_at_the_root_and_images_are_upright(tmp_path):
    turned = Image.fromarray(np.rot90(ONE))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.png", exif=exif)
    (face,) = FaceCrop(GreenDetector(), margin=0, root=tmp_path).fit_transform(pd.DataFrame({"path": ["turned.png"]}))
    np.testing.assert_array_equal(face, ONE[10:30, 18:38])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"missing": "nan"}, "The 'missing' parameter"),
        ({"margin": -1}, "The 'margin' parameter"),
        ({"min_score": 2}, "The 'min_score' parameter"),
        ({"detector": 3}, "The 'detector' parameter"),
        ({"image_size": 0}, "image_size"),
    ],
)
def test_parameters_are_checked(given, message):
    with pytest.raises(ValueError, match=message):
        FaceCrop(**{"detector": GreenDetector(), **given}).transform([ONE])


def test_detectors_are_checked():
    class OfOneImage(BaseEstimator):
        def predict(self, X):
            return [{"boxes": [[0, 0, 9, 9]], "labels": ["face"], "scores": [1.0]}]

    class WithoutScores(BaseEstimator):
        def predict(self, X):
            return [[[0, 0, 9, 9]] for _ in X]

    with pytest.raises(ValueError, match="detector returned boxes of 1 images for 2"):
        FaceCrop(OfOneImage()).transform([ONE, ONE])
    with pytest.raises(ValueError, match="boxes without scores; expected the column 'score'"):
        FaceCrop(WithoutScores()).transform([ONE])


def test_it_is_a_step_of_an_embedding():
    y = np.repeat(np.arange(4), 3)
    X = [scene((10 + 10 * person, 10, 20, 20, 250), seed=number) for number, person in enumerate(y)]
    crop = FaceCrop(FrozenEstimator(GreenDetector()))
    network = BottleneckFeatures(build_toy(weights="toy"), verbose=0)
    crops = list(crop.transform(X))
    found = FaceVerifier(clone(make_pipeline(crop, network)), threshold=0.1).fit(X, y)
    expected = FaceVerifier(network, threshold=0.1).fit(crops, y)
    pairs = [(0, 1), (0, 5), (3, 11)]
    np.testing.assert_allclose(
        found.decision_function([(X[first], X[second]) for first, second in pairs]),
        expected.decision_function([(crops[first], crops[second]) for first, second in pairs]),
        atol=1e-6,
    )
    assert 0 <= found.set_params(mirror=True).fit(X, y).score(X, y) <= 1


def test_it_is_saved_with_the_embedding(tmp_path, monkeypatch):
    monkeypatch.setattr(_face_crop, "_known", type(_face_crop._known)())
    monkeypatch.setattr(_face_crop, "mtcnn_faces", lambda images: [np.array([[20.0, 10, 36, 30, 1.0]]) for _ in images])
    X = [scene((20, 10, 16, 20, brightness)) for brightness in (250, 240, 100, 90)]
    embedding = make_pipeline(FaceCrop(image_size=16), BottleneckFeatures(build_toy(weights="toy"), verbose=0))
    recognizer = FaceRecognizer(embedding, threshold=0.5).fit(X, ["a", "a", "b", "b"])
    skcnn.save(recognizer, tmp_path / "m.skcnn")
    assert skcnn.load(tmp_path / "m.skcnn").predict(X).tolist() == recognizer.predict(X).tolist()


def test_faces_of_an_image_are_looked_for_once(monkeypatch):
    calls = []

    def faces(images):
        calls.append(len(images))
        return [np.array([[20.0, 10, 36, 30, 1.0]]) for _ in images]

    monkeypatch.setattr(_face_crop, "_known", type(_face_crop._known)())
    monkeypatch.setattr(_face_crop, "mtcnn_faces", faces)
    X = [ONE, scene(seed=1), ONE]
    first = FaceCrop(margin=0).transform(X)
    assert calls == [2]
    again = clone(FaceCrop(margin=0)).transform(X[::-1])
    assert calls == [2]
    np.testing.assert_array_equal(first[1], again[1])
    np.testing.assert_array_equal(first[0], ONE[10:30, 18:38])


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(_face_crop, "_known", type(_face_crop._known)())
    monkeypatch.setitem(sys.modules, "mtcnn", None)
    _mtcnn._detector.cache_clear()
    with pytest.raises(ImportError, match=r"pip install 'skcnn\[faces\]'`, or give another detector="):
        FaceCrop().transform([ONE])
    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    with pytest.raises(RuntimeError, match="Keras runs on jax, and mtcnn on TensorFlow only"):
        FaceCrop().transform([ONE])


@pytest.mark.skipif("SKCNN_SHARED" not in os.environ, reason="SKCNN_SHARED is not set")
def test_mtcnn_finds_faces_in_larger_images(monkeypatch, tmp_path):
    pytest.importorskip("mtcnn", reason="mtcnn is not installed: pip install 'skcnn[faces]'")
    folder = Path(os.environ["SKCNN_SHARED"]).resolve() / "data" / "faces_orl"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pnet.lz4").write_bytes(b"not what is unpickled")
    _mtcnn._detector.cache_clear()
    X, places = [], [(40, 60), (200, 100), (0, 0), (150, 20)]
    for person, (left, top) in enumerate(places, 1):
        with Image.open(folder / f"s{person:02}" / "01.png") as face:
            image = np.full((240, 320, 3), 90, np.uint8)
            image[top : top + 112, left : left + 92] = np.asarray(face.convert("RGB"))
            X.append(image)
    crops = FaceCrop(margin=0).transform(X)
    for crop, image, (left, top) in zip(crops, X, places, strict=True):
        assert 50 <= len(crop) <= 120
        inside = image[top : top + 112, left : left + 92]
        # The middle of the crop is that of the face, within a few pixels.
        middle = crop[len(crop) // 2 - 8 : len(crop) // 2 + 8, len(crop) // 2 - 8 : len(crop) // 2 + 8]
        windows = np.lib.stride_tricks.sliding_window_view(inside[..., 0], (16, 16))
        row, column = np.argwhere((windows == middle[..., 0]).all(axis=(2, 3)))[0]
        assert abs(row + 8 - 60) < 25
        assert abs(column + 8 - 46) < 20
    with pytest.raises(BadImageError, match=r"no face with a score of 0\.9 or more"):
        FaceCrop().transform([np.full((100, 100, 3), 90, np.uint8), np.zeros((5, 5, 3), np.uint8)])
