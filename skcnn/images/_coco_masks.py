"""Segments of objects in COCO's JSON, polygons and run lengths, as masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from skcnn._text import values_text


@dataclass(frozen=True)
class CocoSegments:
    """The segments of an image in COCO's form, as a row of y: see :func:`as_masks`.

    Parameters
    ----------
    size : tuple of (height, width)
        Of the image, in pixels.
    segments : tuple of (int, list or dict)
        Class and segmentation of each object: polygons, ``[[x, y, x, y, ...], ...]``, or run lengths, ``{"size",
        "counts"}``. Where they overlap, later ones cover earlier ones. The class 255 stands for pixels to ignore.
    """

    size: tuple[int, int]
    segments: tuple[tuple[int, Any], ...]

    def labels(self) -> np.ndarray:
        """Return the labels of the pixels.

        Returns
        -------
        ndarray of shape (height, width), uint8
            0 where there is no object.

        Raises
        ------
        ImportError
            If ``faster-coco-eval`` is not installed; it comes with the extra ``detection``.
        ValueError
            If a segmentation has another form.
        """
        labels = np.zeros(self.size, np.uint8)
        for label, segmentation in self.segments:
            try:
                labels[segment_mask(segmentation, self.size)] = label
            except ValueError as error:
                raise ValueError(f"a segment of class {label} cannot be read ({error})") from None
        return labels


def segment_mask(segmentation: Sequence[Sequence[float]] | Mapping[str, Any], size: tuple[int, int]) -> np.ndarray:
    """Return the pixels of a segment of COCO.

    Parameters
    ----------
    segmentation : list or dict
        Polygons, ``[[x, y, x, y, ...], ...]``, or run lengths, ``{"size", "counts"}``.
    size : tuple of (height, width)
        Of the image, in pixels.

    Returns
    -------
    ndarray of shape (height, width), bool

    Raises
    ------
    ImportError
        If ``faster-coco-eval`` is not installed; it comes with the extra ``detection``.
    ValueError
        If the segment has another form, or run lengths are of another size.

    Examples
    --------
    >>> from skcnn.images import segment_mask
    >>> segment_mask([[0, 0, 2, 0, 2, 1, 0, 1]], (2, 3)).astype(int)
    array([[1, 1, 0],
           [0, 0, 0]])
    """
    try:
        from faster_coco_eval import mask as coco
    except ImportError:
        raise ImportError(
            "Segments of COCO need faster-coco-eval: `pip install 'skcnn[detection]'` to read them."
        ) from None
    height, width = size
    if isinstance(segmentation, Mapping) and list(segmentation.get("size", ())) != [height, width]:
        raise ValueError(f"run lengths of size {segmentation.get('size')}; expected {[height, width]}")
    try:
        runs = segmentation
        if not isinstance(segmentation, Mapping) or isinstance(segmentation["counts"], list):
            runs = coco.frPyObjects(segmentation, height, width)
        inside = coco.decode(coco.merge(runs) if isinstance(runs, list) else runs)
    except Exception as error:  # whatever a broken segment does to the decoder
        raise ValueError(str(error) or type(error).__name__) from None
    return np.asarray(inside, bool)


def mask_segment(mask: np.ndarray) -> dict[str, Any]:
    """Return the pixels of an object as run lengths of COCO, for ``json.dump``.

    Parameters
    ----------
    mask : ndarray of shape (height, width), bool
        Of the whole image.

    Returns
    -------
    dict
        ``{"size", "counts"}``, with the counts compressed to text.

    Raises
    ------
    ImportError
        If ``faster-coco-eval`` is not installed; it comes with the extra ``detection``.

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.images import mask_segment, segment_mask
    >>> mask = np.eye(3, dtype=bool)
    >>> bool((segment_mask(mask_segment(mask), (3, 3)) == mask).all())
    True
    """
    try:
        from faster_coco_eval import mask as coco
    except ImportError:
        raise ImportError(
            "Segments of COCO need faster-coco-eval: `pip install 'skcnn[detection]'` to write them."
        ) from None
    encoded = coco.encode(np.asfortranarray(mask, np.uint8))
    counts = encoded["counts"]
    return {
        "size": [int(side) for side in mask.shape],
        "counts": counts.decode("ascii") if isinstance(counts, bytes) else counts,
    }


def masks_from_coco(
    coco: Mapping[str, Any], *, classes: Sequence[Any] | None = None
) -> tuple[list[str], np.ndarray, list[Any]]:
    """Return the files and masks of a data set in COCO's form.

    Masks are made of the segments when they are read. Smaller objects lie over larger ones; crowds are pixels to
    ignore, where no object is.

    Parameters
    ----------
    coco : dict
        What ``json.load`` makes of such a file: "images", "categories" and "annotations".
    classes : sequence or None, default=None
        Names of the categories to keep, in the order of their classes 1, 2, ... None keeps all, by their id.

    Returns
    -------
    file_names : list of str
        Of all images, in their order, also of those without an annotation.
    y : ndarray of shape (n_images,), object
        Their :class:`CocoSegments`: masks for :func:`as_masks`.
    names : list
        Names of the classes: ``"background"`` and the categories.

    Raises
    ------
    ValueError
        If a part is missing, there are more than 254 categories, or an annotation names an image or a category that is
        not there, or has no segmentation.

    Examples
    --------
    >>> from skcnn.images import as_masks, masks_from_coco
    >>> coco = {
    ...     "images": [{"id": 7, "file_name": "a.jpg", "height": 3, "width": 4}],
    ...     "categories": [{"id": 5, "name": "cat"}],
    ...     "annotations": [
    ...         {"image_id": 7, "category_id": 5, "area": 4, "segmentation": [[0, 0, 2, 0, 2, 2, 0, 2]]}
    ...     ],
    ... }
    >>> names, y, classes = masks_from_coco(coco)
    >>> names, classes
    (['a.jpg'], ['background', 'cat'])
    >>> as_masks(y).labels(0).tolist()
    [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]]
    """
    missing = [key for key in ("images", "categories", "annotations") if key not in coco]
    if missing:
        raise ValueError(
            f"The data set has no {', '.join(map(repr, missing))}; its parts are {values_text(list(coco))}. Expected "
            "COCO's 'images', 'categories' and 'annotations'."
        )
    by_id = {category["id"]: category["name"] for category in coco["categories"]}
    kept = [by_id[number] for number in sorted(by_id)] if classes is None else list(classes)
    if unknown := [name for name in kept if name not in by_id.values()]:
        raise ValueError(f"classes has {unknown[0]!r}; the categories are {values_text(list(by_id.values()))}.")
    if len(kept) > 254:
        raise ValueError(f"{len(kept)} categories; expected at most 254. Choose some by classes=.")
    label_of = {number: kept.index(name) + 1 for number, name in by_id.items() if name in kept}
    rows = {image["id"]: row for row, image in enumerate(coco["images"])}
    found: list[list[tuple[float, int, Any]]] = [[] for _ in rows]
    for number, annotation in enumerate(coco["annotations"]):
        for key, known in (("image_id", rows), ("category_id", by_id)):
            if annotation.get(key) not in known:
                raise ValueError(
                    f"Annotation {number} has {key} {annotation.get(key)!r}, which is not there; known are "
                    f"{values_text(list(known))}."
                )
        segmentation = annotation.get("segmentation")
        if not isinstance(segmentation, (list, Mapping)) or not segmentation:
            raise ValueError(
                f"Annotation {number} has the segmentation {segmentation!r}; expected polygons or run lengths."
            )
        if (label := label_of.get(annotation["category_id"])) is not None:
            is_crowd = bool(annotation.get("iscrowd"))
            area = float("inf") if is_crowd else float(annotation.get("area", 0))
            found[rows[annotation["image_id"]]].append((area, 255 if is_crowd else label, segmentation))
    y = np.empty(len(rows), object)
    for row, image in enumerate(coco["images"]):
        segments = sorted(found[row], key=lambda one: -one[0])
        size = int(image["height"]), int(image["width"])
        y[row] = CocoSegments(size, tuple((label, segmentation) for _, label, segmentation in segments))
    return [image["file_name"] for image in coco["images"]], y, ["background", *kept]
