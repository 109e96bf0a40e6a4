"""Boxes with masks: all forms give the same, and no pixel is lost."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skcnn.boxes import (
    PlacedMask,
    as_boxes,
    as_instances,
    boxes_from_coco,
    boxes_to_coco,
    instance_arrays,
    pairwise_mask_iou,
    pixels_of_box,
    whole_masks,
)

COLUMNS = ["label", "xmin", "ymin", "xmax", "ymax"]
IMAGES = np.zeros((2, 12, 16, 3), np.uint8)
WHOLE = np.zeros((2, 12, 16), bool)
WHOLE[0, 2:6, 3:9] = True
WHOLE[0, 5, 8] = False
WHOLE[1, 8:12, 0:16] = True
ROWS = [["cat", 3, 2, 9, 6], ["dog", 0, 7.5, 16, 12]]
TABLE = pd.DataFrame(ROWS, columns=COLUMNS)
XYXY = TABLE[COLUMNS[1:]].to_numpy()
IN_BOX = [WHOLE[0, 2:6, 3:9], WHOLE[1, 7:12]]


def with_masks(masks):
    return TABLE.assign(mask=pd.Series(masks, dtype=object))


def run_lengths():
    coco = pytest.importorskip("pycocotools.mask")
    return [coco.encode(np.asfortranarray(mask, np.uint8)) for mask in WHOLE]


FORMS = {
    "of the image": lambda: [with_masks(list(WHOLE)), TABLE[:0]],
    "of the boxes": lambda: [with_masks(IN_BOX), TABLE[:0]],
    "of both": lambda: [with_masks([WHOLE[0], IN_BOX[1].astype(int)]), TABLE[:0]],
    "lists": lambda: [with_masks([mask.astype(int).tolist() for mask in WHOLE]), TABLE[:0]],
    "run lengths": lambda: [with_masks(run_lengths()), TABLE[:0]],
    "uncompressed run lengths": lambda: [
        with_masks([{"size": [12, 16], "counts": counts_of(mask)} for mask in WHOLE]), TABLE[:0]
    ],
    "of torchvision": lambda: [
        {"boxes": XYXY, "labels": ["cat", "dog"], "masks": WHOLE[:, None].astype(np.uint8)},
        {"boxes": np.empty((0, 4)), "labels": [], "masks": np.empty((0, 12, 16))},
    ],
    "detections": lambda: [
        SimpleNamespace(xyxy=XYXY, class_id=np.arange(2), data={"class_name": np.array(["cat", "dog"])}, mask=WHOLE),
        [],
    ],
}  # fmt: skip


def counts_of(mask):
    """Return run lengths, column by column, the first of False."""
    flat = mask.T.ravel().astype(int)
    return np.diff([0, *np.flatnonzero(np.diff(flat, prepend=0)), len(flat)]).tolist()


@pytest.mark.parametrize("form", FORMS)
def test_all_forms_give_the_same(form):
    y = as_instances(FORMS[form](), IMAGES)
    assert y.shape == (2,)
    assert [list(table.columns) for table in y] == [[*COLUMNS, "mask"]] * 2
    assert y[0]["label"].tolist() == ["cat", "dog"]
    for found, expected in zip(y[0]["mask"], IN_BOX, strict=True):
        assert found.dtype == bool
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(whole_masks(y[0], (12, 16)), WHOLE)
    assert whole_masks(y[1], (12, 16)).shape == (0, 12, 16)
    again = as_instances(y, IMAGES)
    pd.testing.assert_frame_equal(again[0].drop(columns="mask"), y[0].drop(columns="mask"))
    assert list(as_boxes(y)[0].columns) == COLUMNS  # masks are of no use to a detector


def test_polygons_are_those_of_pycocotools():
    coco = pytest.importorskip("pycocotools.mask")
    polygons = [[3.2, 2.1, 11.7, 2.9, 8.4, 10.6, 4.0, 9.5], [1, 1, 3, 1, 3, 3, 1, 3]]
    expected = coco.decode(coco.merge(coco.frPyObjects(polygons, 12, 16))).astype(bool)
    data = {
        "images": [{"id": 1, "file_name": "1.png"}],
        "categories": [{"id": 3, "name": "cat"}],
        "annotations": [{"image_id": 1, "category_id": 3, "bbox": [1, 1, 10.7, 9.6], "segmentation": polygons}],
    }
    _, y = boxes_from_coco(data, masks=True)
    assert y[0]["mask"][0] == polygons
    for X in (IMAGES[:1], None):
        np.testing.assert_array_equal(whole_masks(as_instances(y, X)[0], (12, 16))[0], expected)
    assert "mask" not in boxes_from_coco(data)[1][0]
    del data["annotations"][0]["segmentation"]
    with pytest.raises(ValueError, match="Annotation 0 has the segmentation None"):
        boxes_from_coco(data, masks=True)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_pixel_is_lost(data):
    height, width = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9))
    generator = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    masks = generator.random((2, height, width)) < data.draw(st.sampled_from([0.0, 0.2, 1.0]))
    low = generator.uniform(0, 0.9, (2, 2)) * (width, height)
    high = low + (np.array([width, height]) - low) * generator.uniform(0.1, 1, (2, 2))
    item = {"boxes": np.concatenate([low, high], axis=1), "labels": [0, 0], "masks": masks}
    (table,) = as_instances([item], np.zeros((1, height, width, 3), np.uint8))
    np.testing.assert_array_equal(whole_masks(table, (height, width)), masks)
    for mask, whole, box in zip(table["mask"], masks, item["boxes"], strict=True):
        top, left, bottom, right = pixels_of_box(box)
        fits = whole[top:bottom, left:right].sum() == whole.sum()
        assert mask.shape == ((bottom - top, right - left) if fits else (height, width))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_overlaps_are_those_of_whole_masks(seed):
    generator = np.random.default_rng(seed)

    def drawn():
        top, left = generator.integers(0, 6, 2)
        return PlacedMask(int(top), int(left), generator.random(generator.integers(0, 5, 2)) < 0.6, False)

    a, b = [drawn() for _ in range(3)], [drawn() for _ in range(2)]
    whole_a, whole_b = (np.stack([mask.window(0, 0, 12, 12) for mask in masks]) for masks in (a, b))
    shared = (whole_a[:, None] & whole_b[None]).sum(axis=(2, 3))
    either = (whole_a[:, None] | whole_b[None]).sum(axis=(2, 3))
    np.testing.assert_allclose(pairwise_mask_iou(a, b), shared / np.maximum(either, 1))


def test_boxes_that_are_cut_take_their_masks_along():
    mask = np.ones((6, 20), bool)
    y = [pd.DataFrame([["cat", -4, 2, 16, 8]], columns=COLUMNS).assign(mask=[mask])]
    with pytest.raises(ValueError, match="it leaves the image"):
        as_instances(y, IMAGES[:1])
    (table,) = as_instances(y, IMAGES[:1], "clip")
    assert table["mask"][0].shape == (6, 16)
    both = pd.concat([y[0], with_masks(IN_BOX)], ignore_index=True)
    (table,) = as_instances([both], IMAGES[:1], "drop")
    assert table["label"].tolist() == ["cat", "dog"]
    np.testing.assert_array_equal(whole_masks(table, (12, 16)), WHOLE)


WRONG = {
    "no column": (TABLE, "Image 0 of y has boxes without masks"),
    "another number": ({"boxes": XYXY, "labels": [1, 2], "masks": WHOLE[:1]}, "has 2 boxes and 1 masks"),
    "another size": (with_masks([WHOLE[0], np.ones((5, 5), bool)]), r"object 1 \('dog'\): a mask of 5 x 5 pixels, but"),
    "labels": (with_masks([WHOLE[0], WHOLE[1] * 2]), "is not the mask of one object"),
    "a number": (with_masks([WHOLE[0], 3]), "3 is not the mask of one object"),
    "None": (with_masks([WHOLE[0], None]), "None is not the mask of one object"),
    "text": (with_masks([WHOLE[0], "1.png"]), "'1.png' is not the mask"),
    "run lengths": (with_masks([WHOLE[0], {"size": [3, 3], "counts": [9]}]), "a mask of 3 x 3 pixels, but"),
    "NaN": (with_masks(list(WHOLE)).assign(xmin=np.nan), "coordinates must be finite"),
    "no area": (with_masks(list(WHOLE)).assign(xmax=0), "xmax must be greater than xmin"),
    "no label": (with_masks(list(WHOLE)).assign(label=None), "the label is missing"),
    "huge": (with_masks(list(WHOLE)).assign(xmax=1e9, ymax=1e9), "it leaves the image"),
    "a huge polygon": (
        with_masks([[[0, 0, 1e3, 0, 1e3, 1e3]]] * 2).assign(xmax=1e9, ymax=1e9), "it leaves the image"
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_errors_name_image_and_object(what):
    item, message = WRONG[what]
    with pytest.raises(ValueError, match=message):
        as_instances([item], IMAGES[:1])


def test_other_forms_of_y():
    with pytest.raises(ValueError, match="has boxes without masks"):
        as_instances(TABLE)
    with pytest.raises(ValueError, match="X has 2 images"):
        as_instances([with_masks(list(WHOLE))], IMAGES)
    with pytest.raises(ValueError, match="a mask of 3 x 3 pixels; expected 4 x 6"):
        as_instances([with_masks([np.ones((3, 3), bool), WHOLE[1]])])
    with pytest.raises(ValueError, match="reaches row 6 and column 9, but size"):
        whole_masks(with_masks(list(WHOLE))[:1].assign(mask=[IN_BOX[0]]), (5, 16))
    arrays = instance_arrays([with_masks(IN_BOX)])
    assert instance_arrays(arrays).masks[0] is arrays.masks[0]
    with pytest.raises(ValueError, match="have no masks"):
        _ = arrays._replace(mask=None).masks


def test_masks_go_to_coco_and_back():
    y = as_instances([with_masks(IN_BOX), TABLE.iloc[:0].assign(mask=None)], IMAGES)
    written = json.loads(json.dumps(boxes_to_coco(y, IMAGES, masks=True)))
    coco = pytest.importorskip("pycocotools.mask")
    for annotation, mask in zip(written["annotations"], WHOLE, strict=True):
        assert np.array_equal(coco.decode(annotation["segmentation"]), mask)
        assert annotation["area"] == mask.sum()
    _, back = boxes_from_coco(written, masks=True)
    assert np.array_equal(whole_masks(back[0], (12, 16)), WHOLE)
    assert not len(back[1])
    with pytest.raises(ValueError, match="masks=True without X"):
        boxes_to_coco(y, masks=True)
