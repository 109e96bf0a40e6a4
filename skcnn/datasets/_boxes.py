"""Images with boxes around their objects, as Pascal VOC, COCO and YOLO keep them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from skcnn._text import counted
from skcnn.boxes import as_instances, box_arrays, boxes_from_coco, boxes_from_voc, boxes_from_yolo, check_boxes
from skcnn.datasets._folder import text_column
from skcnn.datasets._layout import (
    check_found,
    check_there,
    existing_folder,
    images_by_stem,
    read_annotations,
    read_coco,
    split_of,
    warn_unlabelled,
)
from skcnn.datasets._natural import natural_key
from skcnn.images import as_images, drop_bad_images, image_sizes

#: Folders above that of the images in which a ``data.yaml`` is looked for: ``data.yaml`` beside ``images/train/``.
_LEVELS = 3
#: About images without a file, in a warning.
_LISTS_NONE = "An image without objects has one that lists none."


def load_voc(
    root: str | os.PathLike[str],
    *,
    split: str | None = None,
    invalid: Literal["raise", "clip", "drop"] = "raise",
    on_error: Literal["raise", "drop"] = "raise",
    difficult: bool = True,
) -> tuple[pd.DataFrame, np.ndarray]:
    """Load images with boxes from a folder of Pascal VOC.

    Parameters
    ----------
    root : str or path-like
        A folder with ``Annotations/`` (an XML file per image), ``JPEGImages/`` and perhaps ``ImageSets/Main/``; or one
        in which XML files and images lie side by side, as labelImg writes them. An image and its XML file have the same
        name but for the extension.
    split : str or None, default=None
        Name of a list of images in ``ImageSets/Main``, such as "train". None takes all images with an XML file.
    invalid : {"raise", "clip", "drop"}, default="raise"
        How to handle boxes that cannot be right: see :func:`skcnn.boxes.as_boxes`.
    on_error : {"raise", "drop"}, default="raise"
        How to handle images that cannot be read. ``"raise"`` names those of which not even the size is known;
        ``"drop"`` decodes all images, and leaves out those that fail, with their boxes.
    difficult : bool, default=True
        Whether to keep objects that are marked as difficult.

    Returns
    -------
    X : DataFrame of shape (n_images, 1)
        Column "path", in natural order or that of the list. An image whose XML file has no object is among them.
    y : ndarray of shape (n_images,), object
        One table of boxes per image, in pixels from 0 (VOC counts from 1): see :func:`skcnn.boxes.boxes_from_voc`.

    Raises
    ------
    BadImageError
        If images cannot be read; with ``on_error="drop"`` if none is left.
    FileNotFoundError
        If a folder, a list, an image or an XML file is missing.
    ValueError
        If an XML file is not an annotation of VOC, or a box is invalid; the message names the file.

    Warns
    -----
    BadImageWarning
        If images were left out, which ``bad_rows`` lists.
    UserWarning
        If there are images without an XML file, and no ``split``: they are left out, since nobody has said that
        they show no object.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from skcnn.boxes import as_boxes, boxes_to_voc
    >>> from skcnn.datasets import load_voc
    >>> root = Path(tempfile.mkdtemp())
    >>> for name, boxes in zip(["1", "2"], as_boxes([[[0, 0, 8, 8]], []])):
    ...     Image.new("RGB", (16, 16)).save(root / f"{name}.png")
    ...     _ = (root / f"{name}.xml").write_text(boxes_to_voc(boxes, (16, 16)))
    >>> X, y = load_voc(root)
    >>> [len(table) for table in y]
    [1, 0]
    """
    folder = existing_folder(root)
    xml_folder = folder / "Annotations" if (folder / "Annotations").is_dir() else folder
    image_folder = folder / "JPEGImages" if (folder / "JPEGImages").is_dir() else folder
    by_stem = images_by_stem(image_folder)
    if split is None:
        stems = sorted((path.stem for path in xml_folder.glob("*.xml")), key=natural_key)
        check_found(stems, xml_folder, "XML file")
        warn_unlabelled(sorted(set(by_stem) - set(stems)), "an XML file", _LISTS_NONE)
    else:
        stems = split_of(folder / "ImageSets" / "Main", split)
    check_there([stem for stem in stems if stem not in by_stem], image_folder, "image")
    sources = [str(xml_folder / f"{stem}.xml") for stem in stems]
    tables = [
        read_annotations(source, lambda content: boxes_from_voc(content, difficult=difficult)) for source in sources
    ]
    return _checked([by_stem[stem] for stem in stems], tables, invalid, on_error, sources)


def load_coco(
    annotations: str | os.PathLike[str],
    root: str | os.PathLike[str] | None = None,
    *,
    masks: bool = False,
    invalid: Literal["raise", "clip", "drop"] = "raise",
    on_error: Literal["raise", "drop"] = "raise",
) -> tuple[pd.DataFrame, np.ndarray]:
    """Load images with boxes, and perhaps masks, from a JSON file of COCO.

    Parameters
    ----------
    annotations : str or path-like
        The JSON file.
    root : str or path-like or None, default=None
        Folder that file names start from. None is the folder of the JSON file.
    masks : bool, default=False
        Whether to read the segment of each object, its mask (extra ``detection``).
    invalid : {"raise", "clip", "drop"}, default="raise"
        How to handle boxes that cannot be right: see :func:`skcnn.boxes.as_boxes`.
    on_error : {"raise", "drop"}, default="raise"
        How to handle images that cannot be read. ``"raise"`` names those of which not even the size is known;
        ``"drop"`` decodes all images, and leaves out those that fail, with their boxes.

    Returns
    -------
    X : DataFrame of shape (n_images, 1)
        Column "path", in the order of the file, images without annotations included.
    y : ndarray of shape (n_images,), object
        One table of boxes per image, without those that surround crowds: see :func:`skcnn.boxes.boxes_from_coco`. With
        ``masks``, they have a column ``mask``: see :func:`skcnn.boxes.as_instances`.

    Raises
    ------
    BadImageError
        If images cannot be read; with ``on_error="drop"`` if none is left.
    FileNotFoundError
        If the file or an image is missing.
    ImportError
        If masks are read and ``faster-coco-eval`` is not installed.
    ValueError
        If the file is not JSON of COCO's form, or a box or a mask is invalid.

    See Also
    --------
    load_coco_masks : The class of each pixel.

    Warns
    -----
    BadImageWarning
        If images were left out, which ``bad_rows`` lists.

    Examples
    --------
    >>> import json
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from skcnn.boxes import boxes_to_coco
    >>> from skcnn.datasets import load_coco
    >>> root = Path(tempfile.mkdtemp())
    >>> Image.new("RGB", (16, 16)).save(root / "1.png")
    >>> coco = boxes_to_coco([[[0, 0, 8, 8]]], [str(root / "1.png")])
    >>> _ = (root / "boxes.json").write_text(json.dumps(coco))
    >>> X, y = load_coco(root / "boxes.json")
    >>> y[0]["xmax"].tolist()
    [8.0]
    """
    files, tables = read_coco(annotations, root, lambda coco: boxes_from_coco(coco, masks=masks))
    return _checked(files, tables, invalid, on_error, None, masks=masks)


def load_yolo(
    images: str | os.PathLike[str],
    labels: str | os.PathLike[str] | None = None,
    *,
    classes: Sequence[Any] | Mapping[int, Any] | None = None,
    invalid: Literal["raise", "clip", "drop"] = "raise",
    on_error: Literal["raise", "drop"] = "raise",
) -> tuple[pd.DataFrame, np.ndarray]:
    """Load images with boxes from a folder of images and one of YOLO's text files.

    Parameters
    ----------
    images : str or path-like
        Folder of the images, such as "data/images/train".
    labels : str or path-like or None, default=None
        Folder of the text files, with the names of the images. None takes the folder whose path has "labels" in place
        of the last "images", if there is one, and else the folder of the images.
    classes : sequence or mapping or None, default=None
        Labels by number. None takes the lines of a ``classes.txt`` among the text files; else ``names`` of a
        ``data.yaml`` in the folder of the images or up to three folders above it, where such data sets have it; else
        the numbers.
    invalid : {"raise", "clip", "drop"}, default="raise"
        How to handle boxes that cannot be right: see :func:`skcnn.boxes.as_boxes`.
    on_error : {"raise", "drop"}, default="raise"
        How to handle images that cannot be read. ``"raise"`` names those of which not even the size is known;
        ``"drop"`` decodes all images, and leaves out those that fail, with their boxes.

    Returns
    -------
    X : DataFrame of shape (n_images, 1)
        Column "path", in natural order.
    y : ndarray of shape (n_images,), object
        One table of boxes per image. An image without a text file has no object: such is YOLO's convention.

    Raises
    ------
    BadImageError
        If images cannot be read; with ``on_error="drop"`` if none is left.
    FileNotFoundError
        If a folder is missing, there are no images, or none of them has a text file.
    ImportError
        If names are in a ``data.yaml`` and PyYAML is not installed; it comes with the extra ``detection``.
    ValueError
        If a text file or a ``data.yaml`` has another form, or a box is invalid; the message names the file.

    Warns
    -----
    BadImageWarning
        If images were left out, which ``bad_rows`` lists.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from skcnn.datasets import load_yolo
    >>> root = Path(tempfile.mkdtemp())
    >>> Image.new("RGB", (16, 16)).save(root / "1.png")
    >>> _ = (root / "1.txt").write_text("0 0.25 0.25 0.5 0.5")
    >>> X, y = load_yolo(root, classes=["cat"])
    >>> y[0]
      label  xmin  ymin  xmax  ymax
    0   cat   0.0   0.0   8.0   8.0
    """
    image_folder = existing_folder(images)
    text_folder = _beside(image_folder) if labels is None else existing_folder(labels)
    by_stem = images_by_stem(image_folder)
    stems = sorted(by_stem, key=natural_key)
    check_found(stems, image_folder, "image")
    sources = [str(text_folder / f"{stem}.txt") for stem in stems]
    if not any(map(os.path.exists, sources)):
        raise FileNotFoundError(
            f"None of the {counted(len(stems), 'image')} of {str(image_folder)!r} has a text file in "
            f"{str(text_folder)!r}; the first would be {sources[0]!r}. Give their folder as labels=."
        )
    classes = _class_names(image_folder, text_folder) if classes is None else classes
    files = [by_stem[stem] for stem in stems]
    readable = _readable(files, on_error)
    files, sources = [files[row] for row in readable], [sources[row] for row in readable]
    sizes = image_sizes(as_images(files)).tolist()

    def read(source: str, size: tuple[int, int]) -> pd.DataFrame:
        if not os.path.exists(source):
            return boxes_from_yolo("", size)
        return read_annotations(source, lambda content: boxes_from_yolo(content.decode("utf-8"), size, classes))

    tables = [read(source, tuple(size)) for source, size in zip(sources, sizes, strict=True)]
    return _checked(files, tables, invalid, "raise", sources)


def _readable(files: list[str], on_error: str) -> list[int]:
    """Return the rows of images to take: all, or those that can be read."""
    if on_error not in ("raise", "drop"):
        raise ValueError(f"on_error={on_error!r}; expected 'raise' or 'drop'.")
    rows = list(range(len(files)))
    return drop_bad_images(files, rows)[1] if on_error == "drop" else rows


def _checked(
    files: list[str],
    tables: Any,
    invalid: Literal["raise", "clip", "drop"],
    on_error: str,
    sources: list[str] | None,
    *,
    masks: bool = False,
) -> tuple[pd.DataFrame, np.ndarray]:
    readable = _readable(files, on_error)
    files, tables = [files[row] for row in readable], [tables[row] for row in readable]
    sources = None if sources is None else [sources[row] for row in readable]
    if masks:
        return pd.DataFrame({"path": text_column(files)}), as_instances(tables, files, invalid)
    y = check_boxes(box_arrays(tables), files, invalid, sources=sources).tables()
    return pd.DataFrame({"path": text_column(files)}), y


def _class_names(images: Path, texts: Path) -> list[str] | dict[int, str] | None:
    """Return the names of classes that a data set of YOLO's form has."""
    listed = texts / "classes.txt"
    if listed.is_file():
        names = listed.read_text(encoding="utf-8").split("\n")
        return [name.strip() for name in names if name.strip()]
    folders = (images.absolute(), *images.absolute().parents)[: 1 + _LEVELS]
    described = next((path for folder in folders if (path := folder / "data.yaml").is_file()), None)
    if described is None:
        return None
    return read_annotations(str(described), lambda content: _names_of_yaml(content, described))


def _names_of_yaml(content: bytes, path: Path) -> list[str] | dict[int, str]:
    try:
        import yaml
    except ImportError:
        raise ImportError(
            f"{str(path)!r} names the classes, and PyYAML, which reads it, is not installed: `pip install "
            "'skcnn[detection]'`, or give the names as classes=."
        ) from None
    try:
        described = yaml.safe_load(content)
    except yaml.YAMLError as error:
        raise ValueError(f"not YAML: {error}. Repair it, or give the names as classes=") from None
    names = described.get("names") if isinstance(described, dict) else None
    if isinstance(names, list) and names:
        return [str(name) for name in names]
    if isinstance(names, dict) and names and all(isinstance(number, int) for number in names):
        return {number: str(name) for number, name in names.items()}
    raise ValueError(f"names is {names!r}; expected a list, or names by number. Or give them as classes=")


def _beside(images: Path) -> Path:
    places = [place for place, part in enumerate(images.parts) if part == "images"]
    if places:
        other = Path(*images.parts[: places[-1]], "labels", *images.parts[places[-1] + 1 :])
        if other.is_dir():
            return other
    return images
