"""What a network that learns boxes is trained on: views of images, and the boxes in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from skcnn._training import Inputs, Read
from skcnn.boxes import BoxArrays

#: A box of which less than this fraction is left in a cut image is not learned.
MIN_LEFT = 0.3


class Objects:
    """The boxes of all images and their classes, image by image.

    Parameters
    ----------
    boxes : BoxArrays
        In pixels of the resized images; labels are numbers of classes.
    """

    def __init__(self, boxes: BoxArrays):
        self.xyxy, self.codes = boxes.xyxy, boxes.label.astype(int)
        self._image = boxes.image
        self._ends = np.searchsorted(boxes.image, np.arange(boxes.n_images + 1))

    @classmethod
    def inside(cls, boxes: BoxArrays, classes: list[Any], size: tuple[int, int]) -> Objects:
        """Make them of boxes with labels; what is outside of the resized image, of (height, width), is cut off."""
        number_of = {label: number for number, label in enumerate(classes)}
        height, width = size
        xyxy = np.clip(boxes.xyxy, 0, [width, height, width, height])
        left = area(xyxy) >= MIN_LEFT * area(boxes.xyxy)
        codes = np.array([number_of[label] for label in boxes.label], dtype=int)
        return cls(boxes._replace(xyxy=xyxy, label=codes).take(left))

    def __getitem__(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the boxes (k, 4) and classes (k,) of an image."""
        here = slice(self._ends[row], self._ends[row + 1])
        return self.xyxy[here], self.codes[here]

    def __len__(self) -> int:
        return len(self._ends) - 1

    @property
    def arrays(self) -> list[np.ndarray]:
        """All that there is, for the fingerprint of a run."""
        return [self.xyxy, self.codes, self._image]


#: Boxes (k, 4) and classes (k,) of each image of a batch.
Scene = list[tuple[np.ndarray, np.ndarray]]

#: From pixels, boxes and classes to the same after changes that a generator draws.
Change = Callable[[np.ndarray, Scene, np.random.Generator], tuple[np.ndarray, Scene]]


def example_reader(inputs: Inputs, objects: Objects, targets: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Read:
    """Return the function that reads the rows of a batch, one view of each, drawn at random; and their targets."""
    moved: dict[int, np.ndarray] = {}

    def boxes_of(number: int) -> np.ndarray:
        if number not in moved:  # to move them may take as long as to change an image
            moved[number] = inputs.views.boxes(number, objects[number // inputs.views.n_views][0])
        return moved[number]

    def read(rows: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        numbers = rows * inputs.views.n_views + generator.integers(inputs.views.n_views, size=len(rows))
        values = inputs.read(numbers)
        scene = [(boxes_of(int(number)), objects[row][1]) for number, row in zip(numbers, rows, strict=True)]
        if inputs.change is not None:
            values, scene = inputs.change(values, scene, generator)
        wanted = []
        for xyxy, codes in scene:
            there = area(xyxy) > 0  # what left the image has no area
            wanted.append(targets(xyxy[there], codes[there]))
        return values, np.stack(wanted), np.ones(len(rows), np.float32)

    return read


def area(boxes: np.ndarray) -> np.ndarray:
    """Return the areas of boxes, (n_boxes,)."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
