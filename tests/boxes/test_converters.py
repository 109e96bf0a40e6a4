"""Boxes from and to the forms of other tools."""

import io
from contextlib import redirect_stdout

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skcnn.boxes import (
    as_boxes,
    boxes_from_coco,
    boxes_from_voc,
    boxes_from_yolo,
    boxes_to_coco,
    boxes_to_supervision,
    boxes_to_torchvision,
    boxes_to_voc,
    boxes_to_yolo,
)

SIZE = (60, 80)


@st.composite
def image_boxes(draw):
    """Draw boxes of whole pixels in an image of ``SIZE``."""
    rows = []
    for _ in range(draw(st.integers(0, 4))):
        xmin, ymin = draw(st.integers(0, 78)), draw(st.integers(0, 58))
        xmax, ymax = draw(st.integers(xmin + 2, 80)), draw(st.integers(ymin + 2, 60))
        rows.append([xmin, ymin, xmax, ymax, draw(st.integers(0, 2))])
    return rows


def same(y, other):
    return all(a.equals(b) for a, b in zip(y, other, strict=True))


def named(rows):
    y = as_boxes(rows)
    for table in y:
        table["label"] = table["label"].map(["cat", "dog", "é"].__getitem__).astype(object)
    return y


@settings(max_examples=20, deadline=None)
@given(st.lists(image_boxes(), min_size=1, max_size=3))
def test_there_and_back(rows):
    y, classes = named(rows), ["cat", "dog", "é"]
    assert same(boxes_from_coco(boxes_to_coco(y, np.zeros((len(y), *SIZE, 3), np.uint8)))[1], y)
    assert same([boxes_from_voc(boxes_to_voc(table, SIZE)) for table in y], y)
    back = [boxes_from_yolo(boxes_to_yolo(table, SIZE, classes), SIZE, classes) for table in y]
    for table, again in zip(y, back, strict=True):
        assert table["label"].tolist() == again["label"].tolist()
        np.testing.assert_allclose(table.drop(columns="label"), again.drop(columns="label"), atol=1e-4)
    for table, item in zip(y, boxes_to_torchvision(y, classes=classes), strict=True):
        np.testing.assert_array_equal(item["boxes"], table.drop(columns="label"))
        assert [classes[label - 1] for label in item["labels"]] == table["label"].tolist()
    supervision = boxes_to_supervision(y, classes=classes)
    assert [item["data"]["class_name"].tolist() for item in supervision] == [table["label"].tolist() for table in y]


def test_pycocotools_reads_what_is_written():
    coco_module = pytest.importorskip("pycocotools.coco")
    y = named([[[1, 2, 11, 22, 0]], [], [[0, 0, 80, 60, 1]]])
    written = boxes_to_coco(y, np.zeros((3, *SIZE, 3), np.uint8), classes=["cat", "dog", "é"])
    coco = coco_module.COCO()
    coco.dataset = written
    with redirect_stdout(io.StringIO()):
        coco.createIndex()
    assert len(coco.getImgIds()) == 3
    assert coco.loadAnns(coco.getAnnIds(imgIds=[0]))[0]["bbox"] == [1, 2, 10, 20]
    assert [image["width"] for image in written["images"]] == [80] * 3


def test_crowds_of_coco_are_left_out_and_strangers_refused():
    coco = boxes_to_coco([[[0, 0, 5, 5]], [[0, 0, 5, 5]]], np.zeros((2, *SIZE, 3), np.uint8))
    coco["annotations"][0]["iscrowd"] = 1
    assert list(map(len, boxes_from_coco(coco)[1])) == [0, 1]
    coco["annotations"][1]["category_id"] = 99
    with pytest.raises(ValueError, match="Annotation 1 has category_id 99"):
        boxes_from_coco(coco)
    coco["annotations"][1].update(category_id=1, bbox=[1, 2])
    with pytest.raises(ValueError, match=r"Annotation 1 has the bbox \[1, 2\]"):
        boxes_from_coco(coco)
    with pytest.raises(ValueError, match="no 'images', 'categories'"):
        boxes_from_coco({"annotations": []})


def xml(corners, **tags):
    inside = "".join(
        f"<{name}>{value}</{name}>" for name, value in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=False)
    )
    more = "".join(f"<{name}>{value}</{name}>" for name, value in ({"name": "cat"} | tags).items())
    return f"<annotation><object>{more}<bndbox>{inside}</bndbox></object></annotation>"


def test_voc_counts_pixels_from_one_and_includes_the_last():
    assert boxes_from_voc(xml([1, 1, 10, 20])).iloc[0].tolist() == ["cat", 0, 0, 10, 20]
    assert boxes_from_voc(xml([7, 7, 7, 9])).iloc[0].tolist() == ["cat", 6, 6, 7, 9]
    with pytest.raises(ValueError, match="xmax must be greater than xmin"):
        as_boxes([boxes_from_voc(xml([7, 7, 7, 7]))])
    assert boxes_from_voc(xml([1, 1, 2, 2], difficult=1), difficult=False).empty


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotation>", "not XML"),
        ("<!DOCTYPE a [<!ENTITY b 'c'>]><annotation/>", "document type"),
        (xml([1, 2, 3]), "object 0 has no bndbox"),
        (xml([1, 2, 3, 4], name=""), "object 0 has no name"),
        (xml([1, 2, 3, "x"]), "expected numbers"),
    ],
)
def test_other_xml_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        boxes_from_voc(text)


def test_yolo_lines():
    table = boxes_from_yolo("0 0.5 0.5 0.2 0.2 0.9\n\n1 0.5 0.5 1 1 0.25\n", (100, 100))
    assert table["score"].tolist() == [0.9, 0.25]
    assert table["label"].tolist() == [0, 1]
    polygon = boxes_from_yolo("2 0.1 0.2 0.3 0.2 0.2 0.6", (100, 100), {2: "bird"})
    assert polygon.iloc[0].tolist() == ["bird", *map(pytest.approx, [10, 20, 30, 60])]
    assert boxes_from_yolo("", (100, 100)).empty
    for line, message in [("cat 1 1 1 1", "line 1 is 'cat"), ("0 1 1 1", "4 numbers"), ("9 .5 .5 1 1", "class 9")]:
        with pytest.raises(ValueError, match=message):
            boxes_from_yolo(line, (100, 100), ["a"])
