"""Boxes in COCO's JSON: ``x, y, width, height`` in pixels, counted from the edge of the first pixel as here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from skcnn._text import values_text
from skcnn.boxes._arrays import BoxArrays, sorted_labels
from skcnn.boxes._checks import check_boxes
from skcnn.boxes._forms import box_arrays
from skcnn.boxes._instances import instance_arrays
from skcnn.images import as_images, image_sizes, mask_segment


def boxes_from_coco(coco: Mapping[str, Any], *, masks: bool = False) -> tuple[list[str], np.ndarray]:
    """Return the files and boxes of a data set in COCO's form.

    Parameters
    ----------
    coco : dict
        What ``json.load`` makes of such a file: "images", "categories" and "annotations". Annotations with
        ``iscrowd`` 1, which surround many objects at once, are left out.
    masks : bool, default=False
        Whether to keep the segment of each object, in a column ``mask``: see :func:`as_instances`.

    Returns
    -------
    file_names : list of str
        Of all images, in their order, also of those without an annotation.
    y : ndarray of shape (n_images,), object
        Their boxes (see :func:`as_boxes`), with names of categories as labels. They are not checked yet.

    Raises
    ------
    ValueError
        If a part is missing, or an annotation names an image or a category that is not there, or has no box or, with
        ``masks``, no segmentation.

    See Also
    --------
    skcnn.datasets.load_coco : Reads the file, checks the boxes and finds the images.

    Examples
    --------
    >>> from skcnn.boxes import boxes_from_coco
    >>> coco = {
    ...     "images": [{"id": 7, "file_name": "a.jpg"}, {"id": 9, "file_name": "b.jpg"}],
    ...     "categories": [{"id": 1, "name": "cat"}],
    ...     "annotations": [{"image_id": 9, "category_id": 1, "bbox": [10, 20, 30, 40]}],
    ... }
    >>> names, y = boxes_from_coco(coco)
    >>> names, [len(table) for table in y]
    (['a.jpg', 'b.jpg'], [0, 1])
    >>> y[1]
      label  xmin  ymin  xmax  ymax
    0   cat  10.0  20.0  40.0  60.0
    """
    missing = [key for key in ("images", "categories", "annotations") if key not in coco]
    if missing:
        raise ValueError(
            f"The data set has no {', '.join(map(repr, missing))}; its parts are {values_text(list(coco))}. Expected "
            "COCO's 'images', 'categories' and 'annotations'."
        )
    rows = {image["id"]: row for row, image in enumerate(coco["images"])}
    names = {category["id"]: category["name"] for category in coco["categories"]}
    image, label, xyxy, segments = [], [], [], []
    for number, annotation in enumerate(coco["annotations"]):
        if annotation.get("iscrowd"):
            continue
        for key, known in (("image_id", rows), ("category_id", names)):
            if annotation.get(key) not in known:
                raise ValueError(
                    f"Annotation {number} has {key} {annotation.get(key)!r}, which is not there; known are "
                    f"{values_text(list(known))}."
                )
        box = annotation.get("bbox")
        if not isinstance(box, (list, tuple)) or len(box) != 4:
            raise ValueError(f"Annotation {number} has the bbox {box!r}; expected [x, y, width, height].")
        segment = annotation.get("segmentation")
        if masks and (not isinstance(segment, (list, Mapping)) or not segment):
            raise ValueError(f"Annotation {number} has the segmentation {segment!r}; expected polygons or run lengths.")
        segments.append(segment)
        image.append(rows[annotation["image_id"]])
        label.append(names[annotation["category_id"]])
        xyxy.append([box[0], box[1], box[0] + box[2], box[1] + box[3]])
    order = np.argsort(np.array(image, dtype=int), kind="stable")
    arrays = BoxArrays(
        np.array(image, dtype=int)[order],
        np.array([*label, None], dtype=object)[:-1][order],
        np.array(xyxy, dtype=float).reshape(-1, 4)[order],
        None,
        len(rows),
        np.array([*segments, None], dtype=object)[:-1][order] if masks else None,
    )
    return [entry["file_name"] for entry in coco["images"]], arrays.tables()


def boxes_to_coco(
    y: Any, X: Any = None, *, classes: Sequence[Any] | None = None, masks: bool = False
) -> dict[str, list[dict[str, Any]]]:
    """Return boxes as a data set in COCO's form, for ``json.dump`` and other tools.

    Parameters
    ----------
    y : array-like of length n_images
        Boxes: see :func:`as_boxes`. With scores, "annotations" is what COCO calls results.
    X : array-like of length n_images or None, default=None
        The images, which "images" then describes by file name and size. None leaves both out.
    classes : sequence or None, default=None
        Labels in the order of their numbers, which begin with 1. None takes those that occur, sorted.
    masks : bool, default=False
        Whether to write the mask of each object, as run lengths, with its pixels as "area". y then has masks (see
        :func:`as_instances`), and X is needed for the sizes.

    Returns
    -------
    dict
        "images", "categories" and "annotations", of numbers and strings alone.

    Raises
    ------
    ImportError
        If ``masks`` and ``faster-coco-eval`` is not installed; it comes with the extra ``detection``.
    ValueError
        If a box or a mask is invalid or a label is not in ``classes``, y and X differ in length, or ``masks`` is given
        without X.

    Examples
    --------
    >>> from skcnn.boxes import boxes_to_coco
    >>> boxes_to_coco([[[10, 20, 40, 60]]])["annotations"]
    [{'id': 1, 'image_id': 0, 'category_id': 1, 'bbox': [10.0, 20.0, 30.0, 40.0], 'area': 1200.0, 'iscrowd': 0}]
    """
    if masks and X is None:
        raise ValueError("masks=True without X; expected the images, whose sizes run lengths are of.")
    arrays = check_boxes(instance_arrays(y, X) if masks else box_arrays(y), X, classes=classes)
    labels = sorted_labels(arrays.label) if classes is None else list(classes)
    number_of = {label: number for number, label in enumerate(labels, 1)}
    images: list[dict[str, Any]] = [{"id": row} for row in range(arrays.n_images)]
    if X is not None:
        found = as_images(X)
        for image, (height, width) in zip(images, image_sizes(found).tolist(), strict=True):
            path = found.path(image["id"])
            image.update(file_name=str(image["id"]) if path is None else path, width=width, height=height)
    sides = np.concatenate([arrays.xyxy[:, :2], arrays.xyxy[:, 2:] - arrays.xyxy[:, :2]], axis=1)
    annotations = []
    for place, side in enumerate(sides.tolist()):
        annotation: dict[str, Any] = {
            "id": place + 1,
            "image_id": int(arrays.image[place]),
            "category_id": number_of[arrays.label[place]],
            "bbox": side,
            "area": side[2] * side[3],
            "iscrowd": 0,
        }
        if masks:
            image = images[annotation["image_id"]]
            mask = arrays.masks[place].window(0, 0, image["height"], image["width"])
            annotation.update(segmentation=mask_segment(mask), area=float(mask.sum()))
        if arrays.score is not None:
            annotation["score"] = float(arrays.score[place])
        annotations.append(annotation)
    categories = [
        {"id": number, "name": label if isinstance(label, str) else str(label)} for label, number in number_of.items()
    ]
    return {"images": images, "categories": categories, "annotations": annotations}
