"""Images with masks: two folders with the same names, Pascal VOC's lists, and COCO's segments."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from skcnn.datasets._folder import text_column
from skcnn.datasets._layout import (
    check_found,
    check_there,
    existing_folder,
    images_by_stem,
    read_coco,
    split_of,
    warn_unlabelled,
)
from skcnn.datasets._natural import natural_key
from skcnn.images import masks_from_coco

#: The classes of Pascal VOC's masks, in the order of their labels.
VOC_CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip


def load_mask_folder(
    images: str | os.PathLike[str], masks: str | os.PathLike[str], *, suffix: str = ""
) -> tuple[pd.DataFrame, np.ndarray]:
    """Load images with masks from a folder of images and a folder of masks.

    Parameters
    ----------
    images : str or path-like
        Folder of the images.
    masks : str or path-like
        Folder of the masks: image files whose pixels are labels, with the same names as the images, except for the
        extension.
    suffix : str, default=""
        What the names of masks have at their end in addition, such as ``"_mask"``.

    Returns
    -------
    X : DataFrame of shape (n_images, 1)
        Column "path", in natural order.
    y : ndarray of shape (n_images,), object
        Paths of the masks: see :func:`skcnn.images.as_masks`. They are not read yet.

    Raises
    ------
    FileNotFoundError
        If a folder is missing, there are no masks, or a mask has no image.
    ValueError
        If two images, or two masks, have the same name, except for the extension.

    Warns
    -----
    UserWarning
        If there are images without a mask, which are left out.

    See Also
    --------
    skcnn.images.check_masks : Reads all masks and lists those that do not fit.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from skcnn.datasets import load_mask_folder
    >>> root = Path(tempfile.mkdtemp())
    >>> for name, mode in [("images", "RGB"), ("masks", "L")]:
    ...     (root / name).mkdir()
    ...     Image.new(mode, (16, 16)).save(root / name / "1.png")
    >>> X, y = load_mask_folder(root / "images", root / "masks")
    >>> len(X), Path(y[0]).name
    (1, '1.png')
    """
    image_folder, mask_folder = existing_folder(images), existing_folder(masks)
    by_stem = images_by_stem(image_folder)
    found = images_by_stem(mask_folder)
    mask_of = {stem.removesuffix(suffix): path for stem, path in found.items() if stem.endswith(suffix)}
    check_found(sorted(mask_of), mask_folder, f"mask named ...{suffix}" if suffix else "mask")
    check_there(sorted(set(mask_of) - set(by_stem), key=natural_key), image_folder, "image")
    warn_unlabelled(sorted(set(by_stem) - set(mask_of)), "a mask", "One without objects is labelled 0 everywhere.")
    stems = sorted(mask_of, key=natural_key)
    return _paths([by_stem[stem] for stem in stems], [mask_of[stem] for stem in stems])


def load_voc_masks(root: str | os.PathLike[str], *, split: str | None = None) -> tuple[pd.DataFrame, np.ndarray]:
    """Load images with masks from a folder of Pascal VOC.

    Parameters
    ----------
    root : str or path-like
        A folder with ``JPEGImages/``, ``SegmentationClass/`` (PNG files with palettes, whose indices are labels) and
        perhaps ``ImageSets/Segmentation/``.
    split : str or None, default=None
        Name of a list of images in ``ImageSets/Segmentation``, such as "train". None takes all images with a mask.

    Returns
    -------
    X : DataFrame of shape (n_images, 1)
        Column "path", in natural order or that of the list.
    y : ndarray of shape (n_images,), object
        Paths of the masks: labels are positions in ``VOC_CLASSES``, and 255 at the edges of objects, which are ignored.
        They are not read yet.

    Raises
    ------
    FileNotFoundError
        If a folder, a list, an image or a mask is missing.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from skcnn.datasets import load_voc_masks
    >>> root = Path(tempfile.mkdtemp())
    >>> for name, file in [("JPEGImages", "1.jpg"), ("SegmentationClass", "1.png")]:
    ...     (root / name).mkdir()
    ...     Image.new("L", (16, 16)).save(root / name / file)
    >>> X, y = load_voc_masks(root)
    >>> len(X), Path(y[0]).name
    (1, '1.png')
    """
    folder = existing_folder(root)
    image_folder = existing_folder(folder / "JPEGImages")
    mask_folder = existing_folder(folder / "SegmentationClass")
    by_stem, mask_of = images_by_stem(image_folder), images_by_stem(mask_folder)
    if split is None:
        stems = sorted(mask_of, key=natural_key)
        check_found(stems, mask_folder, "mask")
    else:
        stems = split_of(folder / "ImageSets" / "Segmentation", split)
    check_there([stem for stem in stems if stem not in by_stem], image_folder, "image")
    check_there([stem for stem in stems if stem not in mask_of], mask_folder, "mask")
    return _paths([by_stem[stem] for stem in stems], [mask_of[stem] for stem in stems])


def load_coco_masks(
    annotations: str | os.PathLike[str],
    root: str | os.PathLike[str] | None = None,
    *,
    classes: Sequence[Any] | None = None,
) -> tuple[pd.DataFrame, np.ndarray, list[Any]]:
    """Load images with masks from a JSON file of COCO.

    Parameters
    ----------
    annotations : str or path-like
        The JSON file.
    root : str or path-like or None, default=None
        Folder that file names start from. None is the folder of the JSON file.
    classes : sequence or None, default=None
        Names of the categories to keep, in the order of their labels 1, 2, ... None keeps all, by their id.

    Returns
    -------
    X : DataFrame of shape (n_images, 1)
        Column "path", in the order of the file, images without annotations included.
    y : ndarray of shape (n_images,), object
        Masks: see :func:`skcnn.images.masks_from_coco`. Reading them needs the extra ``detection``.
    names : list
        Names of the classes, ``"background"`` first.

    Raises
    ------
    FileNotFoundError
        If the file or an image is missing.
    ValueError
        If the file is not JSON of COCO's form.

    Examples
    --------
    >>> import json
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from skcnn.datasets import load_coco_masks
    >>> root = Path(tempfile.mkdtemp())
    >>> Image.new("RGB", (16, 16)).save(root / "1.png")
    >>> image = {"id": 1, "file_name": "1.png", "height": 16, "width": 16}
    >>> square = {"image_id": 1, "category_id": 1, "segmentation": [[2, 2, 6, 2, 6, 6, 2, 6]]}
    >>> coco = {"images": [image], "categories": [{"id": 1, "name": "square"}], "annotations": [square]}
    >>> _ = (root / "masks.json").write_text(json.dumps(coco))
    >>> X, y, names = load_coco_masks(root / "masks.json")
    >>> names
    ['background', 'square']
    """
    files, y, labels = read_coco(annotations, root, lambda coco: masks_from_coco(coco, classes=classes))
    return pd.DataFrame({"path": text_column(files)}), y, labels


def _paths(images: list[str], masks: list[str]) -> tuple[pd.DataFrame, np.ndarray]:
    return pd.DataFrame({"path": text_column(images)}), np.array(masks, dtype=object)
