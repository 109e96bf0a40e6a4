"""Images and boxes that are changed at random while a network is trained."""

from __future__ import annotations

from typing import Any

import numpy as np

from skcnn._keras import building, import_keras
from skcnn._training import as_augmentation, augmented_together, seed_layers
from skcnn.detection._examples import MIN_LEFT, Change, Scene, area

#: Where the four parts of a mosaic meet: fractions of height and width.
_MEET = (0.3, 0.7)


def changes_of(augmentation: Any, mosaic: float) -> Change:
    """Return the function that makes mosaics and changes images as layers of Keras do, in another way each time.

    Parameters
    ----------
    augmentation : {"light", "standard"}, keras layer, list of layers or None
        See :func:`skcnn._training.as_augmentation`.
    mosaic : float
        Fraction of the images that become a mosaic.
    """
    layers = as_augmentation(augmentation)[0]

    def change(pixels: np.ndarray, scene: Scene, generator: np.random.Generator) -> tuple[np.ndarray, Scene]:
        if mosaic:
            pixels, scene = _mosaics(pixels, scene, mosaic, generator)
        return _augmented(pixels, scene, layers, generator) if layers else (pixels, scene)

    return change


def _augmented(
    pixels: np.ndarray, scene: Scene, layers: list[Any], generator: np.random.Generator
) -> tuple[np.ndarray, Scene]:
    ops = import_keras().ops
    padded = np.zeros((len(scene), max(1, *(len(xyxy) for xyxy, _ in scene)), 4), np.float32)
    for place, (xyxy, _) in enumerate(scene):
        padded[place, : len(xyxy)] = xyxy
    with building():
        seed_layers(layers, generator)
        changed, boxes, _ = augmented_together(
            ops.convert_to_tensor(pixels), layers, boxes=ops.convert_to_tensor(padded)
        )
        changed, boxes = (ops.convert_to_numpy(tensor) for tensor in (ops.round(changed), boxes))
    moved = [(found[: len(codes)], codes) for found, (_, codes) in zip(boxes, scene, strict=True)]
    return changed.astype(np.uint8), moved


def _mosaics(
    pixels: np.ndarray, scene: Scene, fraction: float, generator: np.random.Generator
) -> tuple[np.ndarray, Scene]:
    """Put together images of parts of four [1]_: one of the image itself, the others of any of the batch.

    References
    ----------
    .. [1] A. Bochkovskiy, C.-Y. Wang and H.-Y. M. Liao, "YOLOv4: Optimal Speed and Accuracy of Object Detection",
       arXiv:2004.10934, section 3.3.
    """
    made, scenes = pixels.copy(), list(scene)
    height, width = pixels.shape[1:3]
    for place in np.flatnonzero(generator.random(len(pixels)) < fraction):
        middle_y, middle_x = (round(side * generator.uniform(*_MEET)) for side in (height, width))
        rows, columns = ((0, middle_y), (middle_y, height)), ((0, middle_x), (middle_x, width))
        sources = [place, *generator.integers(len(pixels), size=3)]
        quarters = [(row, column) for row in rows for column in columns]
        parts = []
        for source, quarter in zip(sources, generator.permutation(4), strict=True):
            (top, bottom), (left, right) = quarters[quarter]
            # A part of the same size, from any place of the other image: objects keep their size.
            from_y = int(generator.integers(height - (bottom - top) + 1))
            from_x = int(generator.integers(width - (right - left) + 1))
            cut = pixels[source, from_y : from_y + bottom - top, from_x : from_x + right - left]
            made[place, top:bottom, left:right] = cut
            xyxy, codes = scene[source]
            moved = xyxy + np.tile([left - from_x, top - from_y], 2)
            inside = np.clip(moved, [left, top, left, top], [right, bottom, right, bottom])
            stays = area(inside) >= MIN_LEFT * area(moved)
            stays &= area(inside) > 0
            parts.append((inside[stays], codes[stays]))
        scenes[place] = np.concatenate([xyxy for xyxy, _ in parts]), np.concatenate([codes for _, codes in parts])
    return made, scenes
