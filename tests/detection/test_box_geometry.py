"""Boxes from the file to what a network is trained on, and back: they stay where the pixels are."""

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from skcnn._training import Flips
from skcnn.boxes import as_boxes, box_arrays, boxes_from_frame, check_boxes
from skcnn.detection._changes import changes_of
from skcnn.images import RESIZE_RULES, Geometry, as_images

CORNERS = ["xmin", "ymin", "xmax", "ymax"]
#: Of the network: no image has this aspect ratio.
SIZE = (96, 128)
#: Width and height upright, EXIF orientation, and objects (channel, and box upright).
SCENES = [
    (200, 120, 1, [(0, (80, 30, 120, 70)), (2, (130, 50, 160, 80))]),
    (120, 210, 6, [(0, (40, 80, 80, 130))]),
    (160, 160, 8, []),
    (150, 180, 3, [(2, (50, 60, 90, 120)), (0, (95, 90, 125, 130))]),
]
#: What has to be done to an upright image so that its orientation turns it back.
STORED = {1: None, 3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    """Files of images that are stored turned, and the boxes of the upright ones by way of a table."""
    folder = tmp_path_factory.mktemp("turned")
    paths, rows = [], []
    for number, (width, height, orientation, objects) in enumerate(SCENES):
        pixels = np.zeros((height, width, 3), np.uint8)
        paths.append(str(folder / f"{number}.png"))
        for channel, (xmin, ymin, xmax, ymax) in objects:
            pixels[ymin:ymax, xmin:xmax, channel] = 255
            rows.append([paths[-1], "rgb"[channel], xmin, ymin, xmax, ymax])
        image = Image.fromarray(pixels)
        image = image if STORED[orientation] is None else image.transpose(STORED[orientation])
        exif = Image.Exif()
        exif[0x0112] = orientation
        image.save(paths[-1], exif=exif)
    annotations = pd.DataFrame(rows, columns=["image", "label", *CORNERS])
    return paths, boxes_from_frame(annotations, paths)


def seen(pixels, label):
    """Return the box of what is bright in the channel of a label."""
    ys, xs = np.nonzero(pixels[..., "rgb".index(label)] > 127)
    return np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])


@pytest.mark.parametrize("resize", RESIZE_RULES)
def test_there_and_back(task, resize):
    paths, y = task
    check_boxes(box_arrays(y), paths)  # they lie in the upright images
    images = as_images(paths)
    views = Flips(images, "both", size=SIZE, resize=resize, max_pixels=None)
    for row, boxes in enumerate(y):
        geometry = Geometry.of_resize(images.size(row), SIZE, resize)
        forth = geometry.forth(boxes[CORNERS].to_numpy())
        for number in range(views.n_views * row, views.n_views * (row + 1)):
            pixels = views.decode(number, SIZE)
            for box, label in zip(views.boxes(number, forth), boxes["label"], strict=True):
                np.testing.assert_allclose(seen(pixels, label), box, atol=1)
            again = geometry.back(views.boxes(number, views.boxes(number, forth)))
            np.testing.assert_allclose(again, boxes[CORNERS].to_numpy(), atol=1e-9)
            # What is found in the pixels of the network is where it is in the file, to a pixel of the network.
            found = np.reshape([seen(pixels, label) for label in boxes["label"]], (-1, 4)).astype(float)
            back = geometry.back(views.boxes(number, found))
            np.testing.assert_allclose(back, boxes[CORNERS].to_numpy(), atol=1 / min(geometry.scale) + 1e-9)


@pytest.mark.parametrize("resize", RESIZE_RULES)
def test_changed_in_between(task, resize):
    """Images with none, one and two objects are changed together, so that their boxes are filled up with zeros."""
    paths, y = task
    images = as_images(paths)
    layers = [
        keras.layers.RandomFlip("horizontal_and_vertical"),
        keras.layers.RandomTranslation(0.05, 0.05, fill_mode="constant"),
        keras.layers.RandomZoom((0.0, 0.1), fill_mode="constant"),
    ]
    pixels = np.stack([images.decode(row, SIZE, resize=resize) for row in range(len(images))])
    scene = []
    for row, boxes in enumerate(y):
        geometry = Geometry.of_resize(images.size(row), SIZE, resize)
        codes = np.array(["rgb".index(label) for label in boxes["label"]], int)
        scene.append((geometry.forth(boxes[CORNERS].to_numpy()), codes))
    changed, moved = changes_of(layers, 0.0)(pixels, scene, np.random.default_rng(0))
    assert [len(codes) for _, codes in moved] == [2, 1, 0, 2]
    far = 0.0
    for image, (boxes, codes), (before, _) in zip(changed, moved, scene, strict=True):
        for box, code, old in zip(boxes, codes, before, strict=True):
            # Each layer rounds to whole pixels.
            np.testing.assert_allclose(box, seen(image, "rgb"[code]), atol=2.5)
            far = max(far, np.abs(box - old).max())
    assert far > 10
    as_boxes([boxes for boxes, _ in moved])  # finite, and with an area
