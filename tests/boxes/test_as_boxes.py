"""The forms of y, and boxes that cannot be right."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from skcnn.boxes import as_boxes, box_arrays, boxes_from_frame, boxes_to_frame

COLUMNS = ["label", "xmin", "ymin", "xmax", "ymax"]
IMAGES = np.zeros((2, 20, 30, 3), np.uint8)
TABLE = pd.DataFrame([["cat", 0, 0, 10, 10], ["dog", 2, 3, 30, 20]], columns=COLUMNS)


def values(y):
    return [table[COLUMNS].to_numpy().tolist() for table in y]


EXPECTED = [[["cat", 0.0, 0.0, 10.0, 10.0], ["dog", 2.0, 3.0, 30.0, 20.0]], []]
XYXY = TABLE[COLUMNS[1:]].to_numpy()
FORMS = {
    "tables": [TABLE, TABLE[:0]],
    "tables with other columns in another order": [TABLE.assign(crowd=0)[::1][["crowd", *COLUMNS[::-1]]], TABLE[:0]],
    "dicts": [{"boxes": XYXY, "labels": ["cat", "dog"]}, {"boxes": np.empty((0, 4)), "labels": []}],
    "detections": [
        SimpleNamespace(xyxy=XYXY, class_id=np.array([3, 5]), data={"class_name": np.array(["cat", "dog"])}),
        SimpleNamespace(xyxy=np.empty((0, 4)), class_id=None, confidence=None, data={}),
    ],
    "an empty frame without columns": [TABLE, pd.DataFrame()],
}


@pytest.mark.parametrize("form", FORMS)
def test_all_forms_give_the_same(form):
    y = as_boxes(FORMS[form], IMAGES)
    assert values(y) == EXPECTED
    assert y.shape == (2,)
    assert y.dtype == object
    for table in y:
        assert list(table.columns) == COLUMNS
        assert table.dtypes.tolist() == [object, *[np.float64] * 4]
    assert values(as_boxes(y)) == EXPECTED


def test_arrays():
    assert values(as_boxes([XYXY, []])) == [[["object", *row] for row in XYXY.astype(float).tolist()], []]
    numbered = as_boxes([np.column_stack([XYXY, [7, 8]]), np.empty((0, 5))])
    assert [row[0] for row in values(numbered)[0]] == [7, 8]
    assert values(as_boxes(np.stack([XYXY, XYXY]).astype(float)))[0] == values(as_boxes([XYXY]))[0]


def test_tables_of_equal_length_that_numpy_made_three_dimensional():
    y = as_boxes([TABLE, TABLE])
    cube = np.asarray(list(map(np.asarray, y)))
    assert cube.shape == (2, 2, 5)
    assert values(as_boxes(cube)) == values(y)


def test_one_box_per_image():
    frame = pd.DataFrame([["cat", 0, 0, 10, 10], [None, *[np.nan] * 4]], columns=COLUMNS)
    assert values(as_boxes(frame, IMAGES)) == [EXPECTED[0][:1], []]
    assert values(as_boxes(frame.to_numpy(object))) == [EXPECTED[0][:1], []]
    with pytest.raises(ValueError, match=r"Image 1, box 0 \('cat', nan, 0, 1, 1\): coordinates must be finite"):
        as_boxes(pd.DataFrame([["cat", 0, 0, 1, 1], ["cat", np.nan, 0, 1, 1]], columns=COLUMNS))


def test_scores_are_kept():
    (table, empty) = as_boxes([{"boxes": XYXY, "labels": [1, 2], "scores": [0.5, 0.25]}, []])
    assert table["score"].tolist() == [0.5, 0.25]
    assert list(empty.columns) == [*COLUMNS, "score"]


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (None, TypeError, "expected one table of boxes per image"),
        (5, TypeError, "expected one table of boxes per image"),
        ({"boxes": [], "labels": []}, TypeError, "y is a dict"),
        (np.zeros((2, 4)), ValueError, r"shape \(2, 4\)"),
        ([None], TypeError, "image 0 of y is None; an image without objects has an empty table"),
        ([[], "cat"], TypeError, "image 1 of y is 'cat'"),
        ([[[1, 2, 3]]], ValueError, r"image 0 of y has shape \(1, 3\)"),
        ([[[1, 2, 3, 4], [1, 2]]], ValueError, "ragged"),
        ([TABLE.drop(columns="ymax")], ValueError, "image 0 of y has no column 'ymax'"),
        ([{"boxes": XYXY}], ValueError, "image 0 of y is a dict with the keys"),
        ([{"boxes": XYXY, "labels": [1]}], ValueError, "expected one label"),
        ([TABLE.assign(xmin="left")], ValueError, "The boxes of image 0 of y are not all numbers"),
    ],
)
def test_other_forms_are_refused(y, error, message):
    with pytest.raises(error, match=message):
        as_boxes(y)


BAD = {
    "coordinates must be finite": ["cat", np.inf, 0, 1, 1],
    "xmax must be greater": ["cat", 5, 0, 5, 1],
    "ymax must be greater": ["cat", 0, 5, 1, 4],
    "it leaves the image, which is 30 wide and 20 high": ["cat", 25, 0, 31, 5],
    "the label is missing": [None, 0, 0, 1, 1],
    "the label is unknown": ["bird", 0, 0, 1, 1],
}


@pytest.mark.parametrize("reason", BAD)
def test_bad_boxes_are_named_cut_or_dropped(reason, tmp_path):
    paths = [str(tmp_path / "a.png"), str(tmp_path / "b.png")]
    for path in paths:
        Image.new("RGB", (30, 20)).save(path)
    y = [TABLE[:0], pd.DataFrame([["cat", 0, 0, 5, 5], BAD[reason]], columns=COLUMNS)]
    with pytest.raises(ValueError, match=f"b.png'\\), box 1 .*{reason}"):
        as_boxes(y, paths, classes=["cat", "dog"])
    assert list(map(len, as_boxes(y, paths, "drop", classes=["cat", "dog"]))) == [0, 1]
    clipped = as_boxes(y, paths, "clip", classes=["cat", "dog"])
    assert list(map(len, clipped)) == [0, 2 if "leaves" in reason else 1]
    assert clipped[1]["xmax"].max() <= 30


def test_hairs_outside_are_cut_off_without_a_word():
    (table,) = as_boxes([[[-0.004, 0, 30.004, 20]]], IMAGES[:1])
    assert table[["xmin", "xmax"]].to_numpy().tolist() == [[0.0, 30.0]]


def test_sizes_are_those_of_the_upright_image(tmp_path):
    image = Image.new("RGB", (30, 20))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.jpg", exif=exif)
    assert len(as_boxes([[[0, 0, 20, 30]]], [tmp_path / "a.jpg"])[0]) == 1


def test_y_and_X_of_different_length():
    with pytest.raises(ValueError, match="boxes of 1 image and X has 2 images"):
        as_boxes([[]], IMAGES)
    with pytest.raises(ValueError, match="invalid='fix'"):
        as_boxes([[]], invalid="fix")


def test_frames_and_back():
    y = as_boxes([TABLE, [], TABLE[1:]])
    X = np.zeros((3, 20, 30, 3), np.uint8)
    frame = boxes_to_frame(y, X)
    assert frame["image"].tolist() == [0, 0, 2]
    assert values(boxes_from_frame(frame[::-1], X)) == [values(y)[0][::-1], [], values(y)[2]]


def test_frames_with_paths(tmp_path):
    paths = [str(tmp_path / folder / "1.png") for folder in "ab"]
    for path in paths:
        (tmp_path / path).parent.mkdir()
        Image.new("RGB", (30, 20)).save(path)
    frame = TABLE.assign(image=["b/1.png", "elsewhere.png"])
    y = boxes_from_frame(frame, paths)
    assert values(y) == [[], EXPECTED[0][:1]]
    assert boxes_to_frame(y, paths)["image"].tolist() == paths[1:]
    with pytest.raises(ValueError, match="the end of 2 paths of X"):
        boxes_from_frame(TABLE.assign(image="1.png"), paths)
    with pytest.raises(ValueError, match="No row of annotations belongs to an image of X"):
        boxes_from_frame(TABLE.assign(image="x.png"), paths)
    with pytest.raises(ValueError, match="no column 'image'"):
        boxes_from_frame(TABLE, paths)
    with pytest.raises(ValueError, match="expected positions in X"):
        boxes_from_frame(TABLE.assign(image=[0, 2]), paths)


def test_rows_of_missing_coordinates_say_that_there_is_no_object():
    frame = pd.DataFrame({"image": [0, 1], **TABLE.astype({"xmin": float}).to_dict("list")})
    frame.loc[0, COLUMNS[1:]] = np.nan
    assert list(map(len, boxes_from_frame(frame, IMAGES))) == [0, 1]


def test_ten_thousand_boxes_of_one_image():
    start = np.random.default_rng(0).uniform(0, 10, (10_000, 2))
    arrays = box_arrays([np.column_stack([start, start + 1])])
    assert len(as_boxes(arrays)[0]) == 10_000
