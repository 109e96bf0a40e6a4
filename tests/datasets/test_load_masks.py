"""Readers of masks pair files by name, and name what is missing."""

import json

import numpy as np
import pytest
from PIL import Image

from skcnn.datasets import VOC_CLASSES, load_coco_masks, load_mask_folder, load_voc_masks
from skcnn.images import as_masks, check_masks


@pytest.fixture
def root(tmp_path):
    """Three images, and a mask for each: label 1 in 4 x its number pixels."""
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("1", "2", "10"):
        Image.new("RGB", (16, 12)).save(tmp_path / "JPEGImages" / f"{name}.jpg")
        labels = np.zeros((12, 16), np.uint8)
        labels[:4, : int(name)] = 1
        mask = Image.fromarray(labels, "L")
        mask.putpalette([0, 0, 0, 128, 0, 0])
        mask.save(tmp_path / "SegmentationClass" / f"{name}.png")
    (tmp_path / "ImageSets" / "Segmentation" / "train.txt").write_text("2\n1\n")
    return tmp_path


def counts(y):
    masks = as_masks(y)
    return [int((masks.labels(row) == 1).sum()) for row in range(len(masks))]


def names(X):
    return [path.rpartition("/")[2] for path in X["path"]]


def test_folders(root):
    X, y = load_mask_folder(root / "JPEGImages", root / "SegmentationClass")
    assert names(X) == ["1.jpg", "2.jpg", "10.jpg"]
    assert counts(y) == [4, 8, 40]
    assert check_masks(X, y, n_classes=2).empty
    assert check_masks(X, y, n_classes=1)["row"].tolist() == [0, 1, 2]
    (root / "SegmentationClass" / "2.png").unlink()
    with pytest.warns(UserWarning, match="1 image without a mask left out: 2"):
        assert counts(load_mask_folder(root / "JPEGImages", root / "SegmentationClass")[1]) == [4, 40]
    (root / "JPEGImages" / "10.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"1 image not found .*: 10"):
        load_mask_folder(root / "JPEGImages", root / "SegmentationClass")


def test_names_with_a_suffix(root):
    for path in (root / "SegmentationClass").iterdir():
        path.rename(path.with_name(f"{path.stem}_mask.png"))
    X, y = load_mask_folder(root / "JPEGImages", root / "SegmentationClass", suffix="_mask")
    assert names(X) == ["1.jpg", "2.jpg", "10.jpg"]
    assert counts(y) == [4, 8, 40]
    with pytest.raises(FileNotFoundError, match=r"no mask named \.\.\._seg"):
        load_mask_folder(root / "JPEGImages", root / "SegmentationClass", suffix="_seg")


def test_voc(root):
    X, y = load_voc_masks(root)
    assert names(X) == ["1.jpg", "2.jpg", "10.jpg"]
    X, y = load_voc_masks(root, split="train")
    assert names(X) == ["2.jpg", "1.jpg"]
    assert counts(y) == [8, 4]
    assert len(VOC_CLASSES) == 21
    with pytest.raises(FileNotFoundError, match=r"split='trian'.* Did you mean 'train'"):
        load_voc_masks(root, split="trian")
    (root / "SegmentationClass" / "2.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"1 mask not found .*: 2"):
        load_voc_masks(root, split="train")
    with pytest.raises(FileNotFoundError, match="There is no folder"):
        load_voc_masks(root / "JPEGImages")


def test_coco(root):
    square = {"image_id": 1, "category_id": 3, "segmentation": [[0, 0, 2, 0, 2, 2, 0, 2]]}
    coco = {
        "images": [{"id": 1, "file_name": "JPEGImages/1.jpg", "height": 12, "width": 16}],
        "categories": [{"id": 3, "name": "square"}],
        "annotations": [square],
    }
    (root / "masks.json").write_text(json.dumps(coco))
    X, y, labels = load_coco_masks(root / "masks.json")
    assert (names(X), counts(y), labels) == (["1.jpg"], [4], ["background", "square"])
    (root / "JPEGImages" / "1.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"1 image not found .*1\.jpg"):
        load_coco_masks(root / "masks.json")
    (root / "masks.json").write_text("[]")
    with pytest.raises(ValueError, match=r"masks\.json': a JSON list"):
        load_coco_masks(root / "masks.json")
