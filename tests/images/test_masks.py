"""Masks: labels stay labels in every form, follow the pixels of their image, and errors name image and value."""

import json
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from PIL import Image

from skcnn.images import (
    RESIZE_RULES,
    BadMaskError,
    CocoSegments,
    Geometry,
    as_images,
    as_masks,
    check_masks,
    masks_from_coco,
    read_masks,
    upright_mask,
)

COLORS = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 255: (224, 224, 192)}
SIDES = st.integers(1, 40)


@pytest.fixture
def labels():
    """A mask (9, 7) of the classes 0 to 2, and pixels to ignore."""
    return np.random.default_rng(0).choice(np.array([0, 1, 2, 255], np.uint8), (9, 7))


def colored(labels):
    pixels = np.zeros((*labels.shape, 3), np.uint8)
    for label, color in COLORS.items():
        pixels[labels == label] = color
    return pixels


def palette(labels):
    image = Image.fromarray(labels, "L")
    image.putpalette([value for color in range(256) for value in (color, 255 - color, 7)])
    assert image.mode == "P"
    return image


def as_file(image, folder, name="mask.png", **options):
    image.save(folder / name, **options)
    return folder / name


@pytest.mark.parametrize(
    "form",
    [
        lambda labels, folder: labels[None],
        lambda labels, folder: labels[None].astype(np.int64),
        lambda labels, folder: [labels[..., None]],
        lambda labels, folder: [labels.astype(float)],
        lambda labels, folder: [palette(labels)],
        lambda labels, folder: [as_file(palette(labels), folder)],
        lambda labels, folder: pd.DataFrame({"mask": [str(as_file(Image.fromarray(labels), folder))]}),
        lambda labels, folder: [as_file(Image.fromarray(labels), folder).read_bytes()],
        lambda labels, folder: [{"bytes": None, "path": str(as_file(Image.fromarray(labels), folder))}],
    ],
)
def test_forms(labels, tmp_path, form):
    masks = as_masks(form(labels, tmp_path))
    assert len(masks) == 1
    assert_array_equal(masks.labels(0), labels)
    assert masks.labels(0).dtype == np.uint8
    assert as_masks(masks) is masks


def test_colours_and_numbers_of_a_table(labels, tmp_path):
    pixels = colored(labels)
    for item in (pixels, as_file(Image.fromarray(pixels), tmp_path), Image.fromarray(pixels).quantize(8)):
        assert_array_equal(as_masks([item], colors=COLORS).labels(0), labels)
    listed = as_masks([Image.fromarray(pixels)], colors=list(COLORS.values()))
    assert_array_equal(listed.labels(0), np.where(labels == 255, 3, labels))
    black_and_white = np.where(labels == 1, 255, 0).astype(np.uint8)
    assert_array_equal(as_masks([black_and_white], colors={0: 0, 1: 255}).labels(0), labels == 1)
    one_bit = Image.fromarray(labels == 1)
    assert one_bit.mode == "1"
    assert_array_equal(as_masks([one_bit]).labels(0), labels == 1)


@pytest.mark.parametrize(
    ("item", "colors", "message"),
    [
        (np.full((2, 2), 300), None, r"label 300; expected 0 to 254, or 255"),
        (np.full((2, 2), -1), None, "label -1"),
        (np.full((2, 2), 0.5), None, "float64 is not a mask"),
        (np.zeros((2, 2, 3), np.uint8), None, r"pixels are colours; give colors="),
        (np.ones((2, 2, 3), np.uint8), COLORS, r"colour \(1, 1, 1\) in 4 pixels, which colors= does not have"),
        (np.ones((2, 2), np.uint8), {0: 0, 1: 255}, "value 1 in 4 pixels"),
        (np.ones((2, 2), np.uint8), COLORS, "pixels are numbers, and colors= has colours"),
        (np.ones((2,), np.uint8), None, r"shape \(2,\) is not a mask"),
        (b"", None, "empty file"),
        (None, None, "missing value"),
    ],
)
def test_what_is_no_mask_says_why(item, colors, message):
    with pytest.raises((OSError, TypeError, ValueError), match=message):
        as_masks([item], colors=colors).labels(0)


def test_jpeg_is_refused(tmp_path):
    path = as_file(Image.new("L", (8, 8)), tmp_path, "mask.jpg")
    with Image.open(path) as image:
        for item in (path, image):
            with pytest.raises(ValueError, match="JPEG file, which changes labels"):
                as_masks([item]).labels(0)


def test_what_is_no_sequence_of_masks_says_what_is():
    for y in ("mask.png", 3, [1, 2], np.zeros((4, 4)), np.zeros((2, 2, 2, 2, 2), int)):
        with pytest.raises((TypeError, ValueError), match=r"y .*Accepted: an array \(n, height, width\)"):
            as_masks(y)
    for colors in ({}, {0: (1, 2)}, {0: 0, 1: (1, 2, 3)}, {0: 0, 1: 0}, {0: 256}, {300: 0}, {"cat": 1}):
        with pytest.raises(ValueError, match="colors"):
            as_masks([], colors=colors)


def test_errors_name_image_and_value(labels, tmp_path):
    bad = labels.copy()
    bad[4, 4] = 7
    paths = [str(as_file(Image.fromarray(mask), tmp_path, f"{n}.png")) for n, mask in enumerate([labels, bad])]
    y = [*paths, labels.T, str(tmp_path / "gone.png")]
    sizes = np.array([[9, 7]] * 4)
    with pytest.raises(BadMaskError, match="3 of 4 masks cannot be used") as caught:
        list(read_masks(as_masks(y), sizes, n_classes=3))
    text = str(caught.value)
    assert f"row 1: {paths[1]}: label 7, but classes are 0..2" in text
    assert "row 2: 7 x 9 pixels, but the image has 9 x 7. If it was drawn on the image as it is stored" in text
    assert "gone.png: no such file" in text
    assert pickle.loads(pickle.dumps(caught.value)).bad_rows.equals(caught.value.bad_rows)
    frame = check_masks(np.zeros((4, 9, 7, 3), np.uint8), y, n_classes=3)
    assert frame["row"].tolist() == [1, 2, 3]
    assert check_masks(np.zeros((1, 9, 7, 3), np.uint8), y[:1]).empty
    with pytest.raises(ValueError, match="X has 2 images, and y 4 masks"):
        check_masks(np.zeros((2, 9, 7, 3), np.uint8), y)


def test_digests_know_labels_and_colours(labels):
    masks = as_masks([labels, labels.copy(), labels + 1])
    assert masks.digest(0) == masks.digest(1) != masks.digest(2)
    assert as_masks([labels], colors={0: 0}).digest(0) != masks.digest(0)
    assert_array_equal(masks.take([2]).labels(0), labels + 1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_masks_turn_with_their_image(labels, tmp_path, orientation):
    image = Image.fromarray(labels)
    exif = image.getexif()
    exif[0x0112] = orientation
    path = as_file(image, tmp_path, exif=exif)
    size = as_images([path]).size(0)
    turned = as_masks([path]).labels(0)
    assert turned.shape == size
    assert_array_equal(turned, upright_mask(labels, orientation))
    assert_array_equal(turned, as_images([path]).decode(0, size)[..., 0])
    with pytest.raises(ValueError, match="orientation=0"):
        upright_mask(labels, 0)


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(SIDES, SIDES),
    st.tuples(SIDES, SIDES),
    st.sampled_from(RESIZE_RULES),
    st.sampled_from(range(1, 9)),
    st.integers(0, 9),
)
def test_masks_round_trip_through_geometry(stored, size, resize, orientation, seed):
    generator = np.random.default_rng(seed)
    upright = upright_mask(generator.integers(0, 5, stored).astype(np.uint8), orientation)
    geometry = Geometry.of_resize(upright.shape, size, resize)
    # A mask of the resized image, there and back, where the upright image has at least as many pixels ...
    small = generator.integers(0, 5, size).astype(np.uint8)
    there = geometry.forth_mask(geometry.back_mask(small))
    added = geometry.forth_mask(np.zeros(upright.shape, np.uint8)) == 255
    if max(geometry.scale) <= 1:
        assert_array_equal(there[~added], small[~added])
    # ... and the other way round, where the resized one has.
    back = geometry.back_mask(geometry.forth_mask(upright))
    cut = geometry.back_mask(np.zeros(size, np.uint8)) == 255
    if min(geometry.scale) >= 1:
        assert_array_equal(back[~cut], upright[~cut])
    if resize == "stretch":
        assert not added.any()
        assert not cut.any()
    # No label is made up, whatever the scale.
    assert set(np.unique(back)) <= {*np.unique(upright), 255}
    assert (geometry.forth_mask(upright) == 255).sum() == added.sum()
    with pytest.raises(ValueError, match="The mask has"):
        geometry.forth_mask(np.zeros((99, 99), np.uint8))


@pytest.mark.parametrize("resize", RESIZE_RULES)
def test_masks_move_as_images_do(resize):
    pixels = np.zeros((60, 100, 3), np.uint8)
    pixels[20:40, 30:60] = 255
    mask = (pixels[..., 0] > 0).astype(np.uint8)
    small = as_images([pixels]).decode(0, (30, 40), resize=resize)[..., 0]
    moved = Geometry.of_resize((60, 100), (30, 40), resize).forth_mask(mask, fill=0)
    clear = (small < 30) | (small > 225)  # not on an edge
    assert clear.mean() > 0.8
    assert_array_equal(moved[clear] == 1, small[clear] > 127)


COCO = {
    "images": [
        {"id": 7, "file_name": "a.jpg", "height": 6, "width": 8},
        {"id": 9, "file_name": "b.jpg", "height": 2, "width": 3},
    ],
    "categories": [{"id": 3, "name": "dog"}, {"id": 1, "name": "cat"}],
    "annotations": [
        {"image_id": 7, "category_id": 1, "area": 4, "segmentation": [[0, 0, 2, 0, 2, 2, 0, 2]]},
        {"image_id": 7, "category_id": 3, "area": 16, "segmentation": [[0, 0, 4, 0, 4, 4, 0, 4]]},
        {"image_id": 9, "category_id": 1, "iscrowd": 1, "segmentation": {"size": [2, 3], "counts": [4, 2]}},
    ],
}


def test_coco_segments():
    names, y, classes = masks_from_coco(json.loads(json.dumps(COCO)))
    assert names == ["a.jpg", "b.jpg"]
    assert classes == ["background", "cat", "dog"]
    masks = as_masks(y)
    expected = np.zeros((6, 8), np.uint8)
    expected[:4, :4] = 2
    expected[:2, :2] = 1  # the smaller object lies on top
    assert_array_equal(masks.labels(0), expected)
    assert masks.labels(1).tolist() == [[0, 0, 255], [0, 0, 255]]
    assert masks.digest(0) != masks.digest(1)
    assert masks_from_coco(COCO, classes=["dog"])[1][0].labels().max() == 1
    with pytest.raises(ValueError, match="classes has 'bird'"):
        masks_from_coco(COCO, classes=["bird"])
    with pytest.raises(ValueError, match="has no 'categories'"):
        masks_from_coco({"images": [], "annotations": []})
    with pytest.raises(ValueError, match="Annotation 0 has the segmentation None"):
        masks_from_coco({**COCO, "annotations": [{"image_id": 7, "category_id": 1}]})


def test_coco_segments_that_are_broken_say_so(monkeypatch):
    with pytest.raises(ValueError, match="a segment of class 1 cannot be read"):
        CocoSegments((2, 2), ((1, [["a"]]),)).labels()
    with pytest.raises(ValueError, match=r"run lengths of size \[3, 3\]"):
        CocoSegments((2, 2), ((1, {"size": [3, 3], "counts": [9]}),)).labels()
    monkeypatch.setitem(__import__("sys").modules, "faster_coco_eval", None)
    with pytest.raises(ImportError, match=r"skcnn\[detection\]"):
        CocoSegments((2, 2), ((1, [[0, 0, 1, 0, 1, 1]]),)).labels()
