"""Segment Anything of KerasHub: by a stand-in, and by KerasHub itself where it is installed."""

import sys
from types import ModuleType, SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import skcnn
from skcnn.boxes import whole_masks
from skcnn.images import BadImageError
from skcnn.segmentation import InstanceSegmenter, KerasHubSAM, _keras_hub

COLUMNS = ["label", "xmin", "ymin", "xmax", "ymax"]


class Encoder:
    """Hands on the brightness of each pixel of images of 64 x 64."""

    input_shape = (None, 64, 64, 3)

    def __init__(self):
        self.seen = []

    def __call__(self, images, training):
        assert not training
        self.seen.append(keras.ops.convert_to_numpy(images))
        return images[..., 0]


class Decoder:
    """Finds what is bright, at half of the size, and only in the box; keeps the numbers of boxes."""

    def __init__(self):
        self.seen = []

    def __call__(self, image_embeddings, boxes):
        image, boxes = (keras.ops.convert_to_numpy(values) for values in (image_embeddings, boxes))
        self.seen.append(boxes)
        small = image[0, ::2, ::2]
        masks = np.full((len(boxes), 4, *small.shape), 9.0, np.float32)
        for mask, ((xmin, ymin), (xmax, ymax)) in zip(masks[:, 0], boxes[:, 0], strict=True):
            mask[:] = -1
            inside = slice(int(ymin // 2), int(ymax // 2)), slice(int(xmin // 2), int(xmax // 2))
            mask[inside] = small[inside] - 0.5
        return {"masks": masks}


@pytest.fixture
def preset(tmp_path, monkeypatch):
    """A folder of a preset, and what KerasHub would make of it."""
    converter = SimpleNamespace(
        image_size=(64, 64), scale=1 / 255, offset=None, crop_to_aspect_ratio=True, pad_to_aspect_ratio=False
    )
    backbone = SimpleNamespace(
        image_encoder=Encoder(), prompt_encoder=lambda boxes: {"boxes": boxes}, mask_decoder=Decoder()
    )
    model = SimpleNamespace(backbone=backbone, preprocessor=SimpleNamespace(image_converter=converter))
    hub = ModuleType("keras_hub")
    hub.models = SimpleNamespace(SAMImageSegmenter=SimpleNamespace(from_preset=lambda folder: model))
    monkeypatch.setitem(sys.modules, "keras_hub", hub)
    (tmp_path / "config.json").write_text("{}")
    _keras_hub._load.cache_clear()
    yield tmp_path, backbone
    _keras_hub._load.cache_clear()


@pytest.fixture
def task():
    """Images of 32 x 48 with two bright rectangles, and boxes around them; the second has none."""
    X = np.zeros((3, 32, 48, 3), np.uint8)
    X[0, 4:16, 6:18] = 255
    X[0, 12:28, 30:40] = 255
    X[2, 8:24, 8:40] = 255
    rows = [[["a", 4, 2, 20, 18], ["b", 28, 10, 44, 30]], [], [["a", 8, 8, 40, 24]]]
    return X, [pd.DataFrame(boxes, columns=COLUMNS) for boxes in rows]


def overlap(found, true):
    """Return the intersection over union: of a map of half of the size, edges lie a pixel beside."""
    return (found & true).sum() / (found | true).sum()


def test_masks_are_where_objects_are(preset, task):
    folder, backbone = preset
    X, boxes = task
    found = KerasHubSAM(folder).predict_masks(X, boxes)
    assert [len(table) for table in found] == [2, 0, 1]
    assert list(found[1].columns) == [*COLUMNS, "mask"]
    assert found[0]["mask"][0].shape == (16, 16)
    for row in (0, 2):
        assert overlap(whole_masks(found[row], (32, 48)).any(axis=0), X[row, ..., 0] > 0) > 0.8
    # An image goes through the encoder once, and one without boxes not at all.
    assert len(backbone.image_encoder.seen) == 2
    # The longer side fills the network's image, and what is missing below is padded.
    seen = backbone.image_encoder.seen[1][0, ..., 0]
    assert seen.max() == pytest.approx(1)
    assert not seen[43:].any()
    np.testing.assert_allclose(backbone.mask_decoder.seen[1][0, 0] * 0.75, [[8, 8], [40, 24]], atol=0.2)


def test_a_part_of_an_instance_segmenter(preset, task):
    folder, _ = preset
    X, boxes = task
    y = [
        table.assign(mask=pd.Series([np.ones((int(b - t), int(r - x)), bool) for x, t, r, b in rows], dtype=object))
        for table, rows in ((table, table[COLUMNS[1:]].to_numpy().tolist()) for table in boxes)
    ]
    instances = InstanceSegmenter(None, KerasHubSAM(folder)).fit(X, y)
    found = instances.predict_masks(X, [table.assign(score=0.5) for table in boxes])
    assert list(found[0].columns) == [*COLUMNS, "score", "mask"]
    assert overlap(whole_masks(found[2], (32, 48))[0], X[2, ..., 0] > 0) > 0.8


def test_what_is_no_preset(preset, task, tmp_path, monkeypatch):
    folder, _ = preset
    X, boxes = task
    with pytest.raises(FileNotFoundError, match="Names of presets are not taken"):
        KerasHubSAM("sam_base_sa1b").predict_masks(X, boxes)
    with pytest.raises(TypeError, match="KerasHubSAM cannot be saved: its model is the folder"):
        skcnn.save(KerasHubSAM(folder), tmp_path / "hub.skcnn")
    Image.fromarray(X[0]).save(tmp_path / "0.png")
    (tmp_path / "0.png").write_bytes((tmp_path / "0.png").read_bytes()[:60])
    with pytest.raises(BadImageError, match=r"0\.png"):
        KerasHubSAM(folder).predict_masks([X[0], str(tmp_path / "0.png")], [boxes[0], boxes[2]])
    monkeypatch.setattr(sys.modules["keras_hub"].models.SAMImageSegmenter, "from_preset", lambda folder: None)
    _keras_hub._load.cache_clear()
    with pytest.raises(ValueError, match=r"cannot be loaded as Segment Anything \(AttributeError"):
        KerasHubSAM(folder).fit(X)
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(ImportError, match=r"pip install 'skcnn\[hub\]'"):
        KerasHubSAM(folder).fit(X)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # KerasHub's own
def test_outputs_are_those_of_keras_hub(tmp_path):
    hub = pytest.importorskip("keras_hub", reason="KerasHub is not installed: pip install 'skcnn[hub]'")
    _keras_hub._load.cache_clear()
    keras.utils.set_random_seed(0)
    backbone = hub.models.SAMBackbone(
        image_encoder=hub.models.ViTDetBackbone(
            hidden_size=16, num_layers=2, intermediate_dim=32, num_heads=4, global_attention_layer_indices=[1],
            patch_size=16, num_output_channels=16, window_size=2, image_shape=(128, 128, 3),
        ),
        prompt_encoder=hub.layers.SAMPromptEncoder(
            hidden_size=16, image_embedding_size=(8, 8), input_image_size=(128, 128), mask_in_channels=16
        ),
        mask_decoder=hub.layers.SAMMaskDecoder(
            num_layers=2, hidden_size=16, intermediate_dim=32, num_heads=4, embedding_dim=16, num_multimask_outputs=3,
            iou_head_depth=3, iou_head_hidden_dim=16,
        ),
        dtype="float32",
    )  # fmt: skip
    converter = hub.layers.SAMImageConverter(image_size=(128, 128), scale=[0.01, 0.02, 0.03], offset=[-1.0, -2.0, -1.0])
    sam = hub.models.SAMImageSegmenter(backbone, hub.models.SAMImageSegmenterPreprocessor(image_converter=converter))
    sam.save_to_preset(str(tmp_path))
    X = np.random.default_rng(0).integers(0, 256, (2, 128, 128, 3)).astype(np.uint8)
    boxes = np.array([[10, 20, 90, 100], [40, 30, 128, 128.0]])
    expected = sam.predict({"images": X.astype(np.float32), "boxes": boxes.reshape(2, 1, 2, 2)})["masks"][:, 0]
    loaded = KerasHubSAM(tmp_path)._loaded()
    for pixels, box, logits in zip(X, boxes, expected, strict=True):
        (found,) = loaded.logits(pixels, box[None])
        np.testing.assert_allclose(found, logits, rtol=1e-3, atol=1e-4 * np.abs(logits).max())
    tables = KerasHubSAM(tmp_path).predict_masks(X, [box[None] for box in boxes])
    for table, box, logits in zip(tables, boxes.astype(int), expected, strict=True):
        large = np.asarray(Image.fromarray(logits).resize((128, 128), Image.Resampling.BILINEAR)) > 0
        inside = large[box[1] : box[3], box[0] : box[2]]
        assert (table["mask"][0] == inside).mean() > 0.99
        assert 0 < table["mask"][0].mean() < 1
    _keras_hub._load.cache_clear()
