"""Presets of KerasHub as detectors: by a stand-in, and by KerasHub itself where it is installed."""

import sys
from types import ModuleType, SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import cross_val_predict

import skcnn
from skcnn.detection import CalibratedDetector, KerasHubDetector, _keras_hub
from skcnn.images import BadImageError
from skcnn.report import DetectionReport

CORNERS = ["xmin", "ymin", "xmax", "ymax"]


class Decoder:
    """Chooses boxes by a threshold, as KerasHub's layer does with its suppression."""

    bounding_box_format = "yxyx"

    def __init__(self, iou_threshold=0.5, confidence_threshold=0.5, max_detections=100):
        self.iou_threshold = iou_threshold
        self.confidence_threshold = confidence_threshold
        self.max_detections = max_detections

    def get_config(self):
        return dict(vars(self))

    @classmethod
    def from_config(cls, config):
        return cls(**config)


class Detector:
    """Finds the bright rectangle of each image, with class 1 and a score of its brightness; and all of it, class 0."""

    bounding_box_format = "yxyx"
    num_classes = 2
    prediction_decoder = Decoder()

    def __init__(self, converter):
        self.preprocessor = SimpleNamespace(image_converter=converter)
        self.seen = []

    def __call__(self, inputs, training):
        assert not training
        inputs = keras.ops.convert_to_numpy(inputs)
        self.seen.append(inputs)
        return inputs

    def decode_predictions(self, outputs, inputs):
        n, height, width, _ = outputs.shape
        boxes = np.full((n, 2, 4), -1.0, np.float32)
        labels, scores, counts = np.full((n, 2), -1), np.full((n, 2), -1.0, np.float32), np.zeros(n, int)
        for place, image in enumerate(outputs[..., 0]):
            rows, columns = np.nonzero(image > 0.5)
            found = [(0.2, 0, (0, 0, height, width))]
            if len(rows):
                found.append((image.max(), 1, (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)))
            kept = [one for one in found if one[0] >= self.prediction_decoder.confidence_threshold]
            for number, (score, label, box) in enumerate(kept[: self.prediction_decoder.max_detections]):
                boxes[place, number], labels[place, number], scores[place, number] = box, label, score
            counts[place] = min(len(kept), self.prediction_decoder.max_detections)
        return {"boxes": boxes, "labels": labels, "confidence": scores, "num_detections": counts}


@pytest.fixture
def preset(tmp_path, monkeypatch):
    """A folder of a preset, and what KerasHub would make of it."""
    converter = SimpleNamespace(
        image_size=(40, 40), scale=1 / 255, offset=None, crop_to_aspect_ratio=False, pad_to_aspect_ratio=True
    )
    detector = Detector(converter)
    hub = ModuleType("keras_hub")
    hub.models = SimpleNamespace(ObjectDetector=SimpleNamespace(from_preset=lambda folder: detector))
    monkeypatch.setitem(sys.modules, "keras_hub", hub)
    (tmp_path / "config.json").write_text("{}")
    _keras_hub._load.cache_clear()
    yield tmp_path, detector
    _keras_hub._load.cache_clear()


@pytest.fixture
def X():
    images = np.zeros((3, 40, 80, 3), np.uint8)
    images[0, 8:24, 20:60] = 255
    images[1, 8:24, 40:60] = 204
    return images


@pytest.mark.parametrize("resize", ["pad", "stretch", "crop"])
def test_boxes_are_where_they_are_in_the_image(preset, X, resize):
    folder, detector = preset
    converter = detector.preprocessor.image_converter
    converter.pad_to_aspect_ratio, converter.crop_to_aspect_ratio = resize == "pad", resize == "crop"
    found = KerasHubDetector(folder, classes=["all", "bright"], score_threshold=0.5, batch_size=2).predict(X)
    assert found.shape == (3,)
    assert [len(table) for table in found] == [1, 1, 0]
    assert list(found[2].columns) == ["label", *CORNERS, "score"]
    assert found[0]["label"].tolist() == ["bright"]
    # To a pixel of the resized image, of which a side has 40.
    np.testing.assert_allclose(found[0][CORNERS].to_numpy(), [[20, 8, 60, 24]], atol=2.01)
    np.testing.assert_allclose([found[0]["score"][0], found[1]["score"][0]], [1.0, 0.8], atol=1e-6)
    assert [len(batch) for batch in detector.seen] == [2, 1]
    assert all(batch.shape[1:] == (40, 40, 3) for batch in detector.seen)


def test_thresholds_are_given_on(preset, X):
    folder, _ = preset
    detector = KerasHubDetector(folder, score_threshold=0.1)
    # The whole network's input: cut off where it was padded, and of a lower score.
    assert detector.predict(X)[0]["label"].tolist() == [1, 0]
    np.testing.assert_allclose(detector.predict(X)[0][CORNERS].to_numpy()[1], [0, 0, 80, 40])
    assert [len(table) for table in detector.set_params(score_threshold=0.9).predict(X)] == [1, 0, 0]
    assert [len(table) for table in detector.set_params(score_threshold=0.1, max_detections=1).predict(X)] == [1, 1, 1]


def test_pixels_are_scaled_as_the_preset_says(preset, X):
    folder, detector = preset
    converter = detector.preprocessor.image_converter
    converter.scale, converter.offset = [1.0, 0.5, 2.0], [0.0, 1.0, -1.0]
    KerasHubDetector(folder, image_size=(20, 40)).predict(X[:1])
    (seen,) = detector.seen
    assert seen.shape == (1, 20, 40, 3)
    np.testing.assert_allclose(seen[0, 8, 20], [255, 128.5, 509])


def test_labels(preset, X):
    folder, _ = preset
    assert KerasHubDetector(folder).classes_.tolist() == [0, 1]
    # Boxes of other numbers are left out.
    some = KerasHubDetector(folder, classes={1: "bright"}, score_threshold=0.1)
    assert some.classes_.tolist() == ["bright"]
    assert some.predict(X)[0]["label"].tolist() == ["bright"]
    assert len(some.predict(X)[2]) == 0
    with pytest.raises(ValueError, match="classes has 3 labels; expected 2"):
        KerasHubDetector(folder, classes="abc").predict(X)
    with pytest.raises(ValueError, match="classes has the number 2; expected 0 to 1"):
        KerasHubDetector(folder, classes={2: "a"}).predict(X)


def test_it_is_a_detector_among_others(preset, X):
    folder, _ = preset
    detector = KerasHubDetector(folder, classes=["all", "bright"], score_threshold=0.3)
    true = pd.DataFrame([["bright", 20, 8, 60, 24], ["bright", 40, 8, 60, 24]], columns=["label", *CORNERS])
    y = [true[:1], true[1:], true[:0]]
    assert detector.fit(X, y) is detector
    assert clone(detector).score(X, y) > 0.6
    assert DetectionReport.from_estimator(detector, X, y).headline["average_precision_50"] == 1
    tables = cross_val_predict(detector, np.concatenate([X, X]), y + y, cv=2)
    pd.testing.assert_frame_equal(tables[0], detector.predict(X)[0])
    CalibratedDetector(detector, cv=2).fit(np.concatenate([X, X]), y + y)
    with pytest.raises(BadImageError, match=r"no\.png"):
        detector.predict(["no.png"])


def test_what_is_no_preset(preset, X, tmp_path, monkeypatch):
    folder, _ = preset
    with pytest.raises(FileNotFoundError, match="Names of presets are not taken"):
        KerasHubDetector("retinanet_resnet50_fpn_coco").predict(X)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"has no config\.json; expected the folder of a preset"):
        KerasHubDetector(tmp_path / "empty").predict(X)
    with pytest.raises(TypeError, match="KerasHubDetector cannot be saved: its model is the folder"):
        skcnn.save(KerasHubDetector(folder), tmp_path / "hub.skcnn")

    def broken(folder):
        raise ValueError("no such class")

    monkeypatch.setattr(sys.modules["keras_hub"].models.ObjectDetector, "from_preset", broken)
    with pytest.raises(ValueError, match=r"cannot be loaded as a detector \(ValueError: no such class\)"):
        KerasHubDetector(folder).predict(X)
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(ImportError, match=r"pip install 'skcnn\[hub\]'"):
        KerasHubDetector(folder).predict(X)


@pytest.fixture(scope="module")
def hub():
    _keras_hub._load.cache_clear()
    yield pytest.importorskip("keras_hub", reason="KerasHub is not installed: pip install 'skcnn[hub]'")
    _keras_hub._load.cache_clear()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # KerasHub's own
def test_outputs_are_those_of_keras_hub(hub, tmp_path):
    keras.utils.set_random_seed(0)
    encoder = hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 8, 8, 8],
        stackwise_num_blocks=[1, 1, 1, 1],
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="basic_block",
        use_pre_activation=False,
    )
    converter = hub.layers.RetinaNetImageConverter(
        image_size=(64, 96), scale=1 / 255, crop_to_aspect_ratio=False, pad_to_aspect_ratio=True
    )
    detector = hub.models.RetinaNetObjectDetector(
        hub.models.RetinaNetBackbone(image_encoder=encoder, min_level=3, max_level=4, use_p5=False),
        num_classes=3,
        preprocessor=hub.models.RetinaNetObjectDetectorPreprocessor(image_converter=converter),
    )
    # Boxes near their anchors, and scores on both sides of 0.5.
    detector.box_head.set_weights([0.3 * w if w.ndim > 1 else 0 * w for w in detector.box_head.get_weights()])
    detector.classification_head.set_weights([0.5 * w for w in detector.classification_head.get_weights()])
    detector.save_to_preset(str(tmp_path))

    X = np.random.default_rng(0).integers(0, 256, (3, 64, 96, 3)).astype(np.uint8)
    detector.prediction_decoder = hub.layers.NonMaxSuppression(
        "yxyx", from_logits=True, confidence_threshold=0.3, max_detections=20
    )
    inputs = detector.preprocessor(X.astype(np.float32))
    outputs = detector.decode_predictions(detector(inputs, training=False), inputs)
    ours = KerasHubDetector(tmp_path, classes=["a", "b", "c"], score_threshold=0.3, max_detections=20)
    for row, table in enumerate(ours.predict(X)):
        n = int(outputs["num_detections"][row])
        boxes = np.clip(np.asarray(outputs["boxes"][row, :n])[:, [1, 0, 3, 2]], 0, [96, 64, 96, 64])
        there = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        assert there.sum() > 5
        np.testing.assert_allclose(table[CORNERS].to_numpy(), boxes[there], atol=1e-3)
        np.testing.assert_allclose(table["score"], np.asarray(outputs["confidence"][row, :n])[there], atol=1e-5)
        codes = np.asarray(outputs["labels"][row, :n])[there]
        assert table["label"].tolist() == [("a", "b", "c")[code] for code in codes]
    # An image of another form: its boxes lie in it.
    (wide,) = ours.predict(np.random.default_rng(0).integers(0, 256, (1, 30, 90, 3)).astype(np.uint8))
    assert len(wide)
    assert wide[CORNERS].to_numpy().min() >= 0
    assert (wide[CORNERS].to_numpy() <= [90, 30, 90, 30]).all()
