"""Readers of boxes keep images without objects, and name the file of what is wrong."""

import json
import sys

import pytest
from PIL import Image

from skcnn.boxes import COORDINATES, as_boxes, boxes_to_coco, boxes_to_voc, boxes_to_yolo
from skcnn.datasets import load_coco, load_voc, load_yolo
from skcnn.images import BadImageError, BadImageWarning

Y = as_boxes([[[0, 0, 8, 8]], [], [[4, 4, 16, 12], [0, 0, 16, 12]]])
SIZE = (12, 16)


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images" / "train"
    folder.mkdir(parents=True)
    for name in ("1", "2", "10"):
        Image.new("RGB", SIZE[::-1]).save(folder / f"{name}.png")
    return folder


def names(X):
    return [path.rpartition("/")[2] for path in X["path"]]


def same(y):
    return len(y) == len(Y) and all(a.equals(b) for a, b in zip(y, Y, strict=True))


def test_voc(images, tmp_path):
    for folder in ("Annotations", "ImageSets/Main"):
        (tmp_path / folder).mkdir(parents=True)
    images.rename(tmp_path / "JPEGImages")
    for name, table in zip(("1", "2", "10"), Y, strict=True):
        (tmp_path / "Annotations" / f"{name}.xml").write_text(boxes_to_voc(table, SIZE))
    (tmp_path / "ImageSets" / "Main" / "train.txt").write_text("2  -1\n1  1\n")
    X, y = load_voc(tmp_path)
    assert names(X) == ["1.png", "2.png", "10.png"]
    assert same(y)
    assert names(load_voc(tmp_path, split="train")[0]) == ["2.png", "1.png"]
    with pytest.raises(FileNotFoundError, match=r"split='trian'.* Did you mean 'train'"):
        load_voc(tmp_path, split="trian")
    bad = boxes_to_voc(Y[0], SIZE).replace("<xmax>8", "<xmax>99")
    (tmp_path / "Annotations" / "1.xml").write_text(bad)
    with pytest.raises(ValueError, match=r"1\.xml'\), box 0 .* it leaves the image"):
        load_voc(tmp_path)
    assert load_voc(tmp_path, invalid="clip")[1][0]["xmax"].tolist() == [16.0]
    (tmp_path / "Annotations" / "1.xml").write_text("no XML")
    with pytest.raises(ValueError, match=r"1\.xml': not XML"):
        load_voc(tmp_path)
    (tmp_path / "Annotations" / "1.xml").unlink()
    with pytest.warns(UserWarning, match="1 image without an XML file left out: 1"):
        assert len(load_voc(tmp_path)[0]) == 2


def test_coco(images, tmp_path):
    paths = [str(images / f"{name}.png") for name in ("1", "2", "10")]
    coco = boxes_to_coco(Y, paths)
    for image in coco["images"]:
        image["file_name"] = image["file_name"].rpartition("/")[2]
    (tmp_path / "boxes.json").write_text(json.dumps(coco))
    X, y = load_coco(tmp_path / "boxes.json", images)
    assert X["path"].tolist() == paths
    assert same(y)
    for annotation in coco["annotations"]:
        x, y, width, height = annotation["bbox"]
        annotation["segmentation"] = [[x, y, x + width, y, x + width, y + height]]
    (tmp_path / "boxes.json").write_text(json.dumps(coco))
    _, with_masks = load_coco(tmp_path / "boxes.json", images, masks=True)
    for table, boxes in zip(with_masks, Y, strict=True):
        assert len(table) == len(boxes)
        for mask, (xmin, ymin, xmax, ymax) in zip(table["mask"], boxes[COORDINATES].to_numpy(int), strict=True):
            assert mask.shape == (ymax - ymin, xmax - xmin)
            assert 0.3 < mask.mean() < 0.7
    with pytest.raises(FileNotFoundError, match="3 images not found"):
        load_coco(tmp_path / "boxes.json")
    (tmp_path / "boxes.json").write_text("[1]")
    with pytest.raises(ValueError, match=r"boxes\.json': a JSON list"):
        load_coco(tmp_path / "boxes.json")


def test_yolo(images, tmp_path):
    labels = tmp_path / "labels" / "train"
    labels.mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="None of the 3 images"):
        load_yolo(images)
    for name, table in zip(("1", "10"), Y[::2], strict=True):
        (labels / f"{name}.txt").write_text(boxes_to_yolo(table, SIZE, ["object"]))
    assert load_yolo(images)[1][0]["label"].tolist() == [0]
    (labels / "classes.txt").write_text("object\n")
    X, y = load_yolo(images)
    assert names(X) == ["1.png", "2.png", "10.png"]
    assert [len(table) for table in y] == [1, 0, 2]
    assert same(load_yolo(images, labels, classes={0: "object"})[1][:0]) is False
    (labels / "1.txt").write_text("0 1 2")
    with pytest.raises(ValueError, match=r"1\.txt': line 1 has 3 numbers"):
        load_yolo(images)


def test_images_that_cannot_be_read(images, tmp_path):
    for name in ("1", "2", "10"):
        (images / f"{name}.txt").write_text("0 0.5 0.5 0.5 0.5")
        (images / f"{name}.xml").write_text(boxes_to_voc(Y[0], SIZE))
    paths = [str(images / f"{name}.png") for name in ("1", "2", "10")]
    (tmp_path / "boxes.json").write_text(json.dumps(boxes_to_coco([[[0, 0, 8, 8]]] * 3, paths)))
    (images / "2.png").write_bytes(b"no image")
    for load, given in ((load_yolo, images), (load_voc, images), (load_coco, tmp_path / "boxes.json")):
        with pytest.raises(BadImageError, match=r"2\.png"):
            load(given)
        with pytest.warns(BadImageWarning, match=r"2\.png: not an image"):
            X, y = load(given, on_error="drop")
        assert names(X) == ["1.png", "10.png"]
        assert [len(table) for table in y] == [1, 1]
        with pytest.raises(ValueError, match="on_error='skip'; expected 'raise' or 'drop'"):
            load(given, on_error="skip")


NAMED = ["names: [cat, dog]", "path: x\nnames:\n  0: cat\n  1: dog\n", "nc: 2\nnames:\n- cat\n- 'dog'\n"]


@pytest.mark.parametrize("text", NAMED)
def test_names_of_a_data_yaml(text, images, tmp_path):
    labels = tmp_path / "labels" / "train"
    labels.mkdir(parents=True)
    (labels / "1.txt").write_text("1 0.5 0.5 0.5 0.5")
    (tmp_path / "data.yaml").write_text(text)
    assert load_yolo(images)[1][0]["label"].tolist() == ["dog"]
    assert load_yolo(images, classes=["a", "b"])[1][0]["label"].tolist() == ["b"]
    (labels / "classes.txt").write_text("cow\nhen\n")
    assert load_yolo(images)[1][0]["label"].tolist() == ["hen"]


def test_a_data_yaml_that_names_nothing(images, tmp_path, monkeypatch):
    (images / "1.txt").write_text("0 0.5 0.5 0.5 0.5")
    described = tmp_path / "data.yaml"
    for text, message in (("train: images", "names is None"), ("names: [", "not YAML"), ("names: {a: 0}", "by number")):
        described.write_text(text)
        with pytest.raises(ValueError, match=rf"data\.yaml': .*{message}"):
            load_yolo(images)
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ImportError, match=r"data\.yaml' names the classes.*skcnn\[detection\]"):
        load_yolo(images)


def test_blood_cells_have_bad_boxes(shared):
    folder = shared / "data" / "bccd"
    with pytest.raises(ValueError, match=r"BloodImage_00338\.xml'\), box 12 \('RBC', 504, .*xmax must be greater"):
        load_voc(folder, split="val")
    X, y = load_voc(folder, split="val", invalid="drop")
    assert len(X) == len(y) == 87
