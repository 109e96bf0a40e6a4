"""The images and masks that a command is given: two folders, a table of paths, a folder of Pascal VOC, or COCO."""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from skcnn._text import counted
from skcnn.cli._arguments import folder_of_images, label_color
from skcnn.cli._common import names_text
from skcnn.cli._data import check_columns, header_of, images_text, is_table, without_bad

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from sklearn.utils import Bunch

Form = Literal["folders", "table", "voc", "coco"]

MASK_FORMS = (
    "a folder with images/ and masks/, a folder of images with --mask-folder, a .csv with path and mask, a folder of "
    "Pascal VOC (JPEGImages/ and SegmentationClass/), or a .json of COCO"
)

_MASK_COLUMN = "mask"


def add_masks(parser: argparse.ArgumentParser) -> Any:
    """Add the options of data with masks; return their group."""
    masks = parser.add_argument_group(
        "masks",
        textwrap.fill(f"The data of a segmenter are {MASK_FORMS}. Pixels of masks are labels, 255 = ignore.", 76),
    )
    masks.add_argument(
        "--mask-folder",
        type=folder_of_images,
        metavar="FOLDER",
        help="folder of masks: lossless files such as .png, named like the images (default: masks/ beside images/)",
    )
    masks.add_argument("--mask-suffix", metavar="TEXT", help="what the file names of masks end in, such as _mask")
    masks.add_argument(
        "--colors",
        nargs="+",
        type=label_color,
        metavar="COLOR",
        help="the colour of each class in the masks, from class 0 on, if pixels are not labels: 0 255 for black and "
        "white, 0,0,0 128,0,0 for RGB; 255=0,0,0 sets the colour to ignore",
    )
    masks.add_argument("--class-names", nargs="+", metavar="NAME", help="names of the classes from 0 on, for reports")
    return masks


def mask_form(options: argparse.Namespace) -> Form | None:
    """Return the form in which data have masks, if it is clear that they do, or may; None if they have none."""
    data = options.data
    if data.lower().endswith(".json"):
        return "coco"
    if is_table(data):
        return "table" if (options.label_column or _MASK_COLUMN) in header_of(data) else None
    folder = Path(data).expanduser()
    if options.mask_folder is not None or ((folder / "images").is_dir() and (folder / "masks").is_dir()):
        return "folders"
    return "voc" if (folder / "JPEGImages").is_dir() and (folder / "SegmentationClass").is_dir() else None


def has_masks_clearly(options: argparse.Namespace, form: Form | None) -> bool:
    """Tell whether data are meant as images with masks, where no task is named and they have no boxes."""
    if form == "table":
        return options.label_column is None and "label" not in header_of(options.data)
    return form in ("folders", "voc")


def check_mask_options(options: argparse.Namespace, form: Form | None) -> None:
    """See that options of masks fit the data."""
    if form is None:
        for option, value in given_mask_options(options).items():
            if value is not None:
                options.parser.error(f"{option} needs data with masks: {MASK_FORMS}; got {options.data}")
        return
    wanted = {
        "--mask-folder": (options.mask_folder, "folders", "a folder of images"),
        "--mask-suffix": (options.mask_suffix, "folders", "a folder of images and one of masks"),
        "--split": (options.split, "voc", "a folder of Pascal VOC"),
        "--image-folder": (options.image_folder, "coco", "a .json of COCO"),
        "--path-column": (options.path_column, "table", "a .csv"),
        "--label-column": (options.label_column, "table", "a .csv"),
    }
    for option, (value, of_form, expected) in wanted.items():
        if value is not None and form != of_form:
            options.parser.error(f"{option} {value} needs {expected}; got {options.data}")
    if options.invalid is not None:
        options.parser.error(f"--invalid {options.invalid} is of boxes; {options.data} has masks")


def given_mask_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return the values of the options of masks; None where one is not given."""
    return {
        "--mask-folder": options.mask_folder,
        "--mask-suffix": options.mask_suffix,
        "--colors": options.colors,
        "--class-names": options.class_names,
    }


def load_masks(options: argparse.Namespace, form: Form, *, colors: Any = None) -> Bunch:
    """Load images and their masks, without bad images if ``--skip-bad`` is given. All masks are read and checked.

    Parameters
    ----------
    options : Namespace
    form : {"folders", "table", "voc", "coco"}
    colors : mapping or None, default=None
        Colours of the classes where ``--colors`` is not given.

    Returns
    -------
    Bunch
        ``frame`` with the column ``path``, ``target`` (a mask per image, not decoded), ``labels`` (those that occur),
        ``class_names`` (a list, or None), ``colors``, ``n_bad``, the number of images that were left out, and
        ``present``, the labels in each image.

    Raises
    ------
    BadMaskError
        If masks do not fit; it names all of them.
    """
    import numpy as np
    from sklearn.utils import Bunch

    from skcnn.images import IGNORED, as_images, as_masks, image_sizes, read_masks

    X, y, names = _loaded(options, form)
    names = options.class_names or names
    dataset = without_bad(Bunch(frame=X, target=y, target_names=None), options)
    dataset.colors = colors_of(options) if options.colors else colors
    sizes = image_sizes(as_images(dataset.frame))
    labels: set[int] = set()
    present = []
    masks = as_masks(dataset.target, colors=dataset.colors)
    for _, mask in read_masks(masks, sizes, n_classes=None if names is None else len(names)):
        there = np.flatnonzero(np.bincount(mask.ravel(), minlength=IGNORED + 1)).tolist()
        labels.update(there)
        present.append([label for label in there if label != IGNORED])
    if labels - {IGNORED} == {0} and IGNORED in labels:
        raise ValueError(
            f"Masks of {options.data} have the values 0 and 255, and 255 does not count: if they are black and white, "
            "give --colors 0 255."
        )
    dataset.labels, dataset.class_names = sorted(labels - {IGNORED}), names
    dataset.present = present
    return dataset


def colors_of(options: argparse.Namespace) -> dict[int, Any]:
    """Return the colour of each class that ``--colors`` gives."""
    colors: dict[int, Any] = {}
    for label, color in options.colors:
        number = len([known for known in colors if known != 255]) if label is None else label
        if number in colors:
            options.parser.error(f"--colors gives class {number} twice")
        colors[number] = color
    return colors


def masks_text(dataset: Bunch) -> str:
    """Return what a dataset has, as a line."""
    names = dataset.class_names
    called = dataset.labels if names is None else [names[label] for label in dataset.labels]
    return f"{images_text(dataset)} with masks of {counted(len(called), 'class')}: {names_text(called)}"


def _loaded(options: argparse.Namespace, form: Form) -> tuple[pd.DataFrame, np.ndarray, list[Any] | None]:
    from skcnn.datasets import load_coco_masks, load_mask_folder, load_voc_masks

    if form == "coco":
        return load_coco_masks(options.data, options.image_folder)
    if form == "voc":
        return *load_voc_masks(options.data, split=options.split), None
    if form == "table":
        return *_load_table(options), None
    folder = Path(options.data).expanduser()
    images, masks = (folder, options.mask_folder) if options.mask_folder else (folder / "images", folder / "masks")
    return *load_mask_folder(images, masks, suffix=options.mask_suffix or ""), None


def _load_table(options: argparse.Namespace) -> tuple[pd.DataFrame, np.ndarray]:
    import pandas as pd

    from skcnn.datasets import load_image_table

    path, mask = options.path_column or "path", options.label_column or _MASK_COLUMN
    check_columns(options.data, header_of(options.data), {"--path-column": path, "--label-column": mask})
    images, masks = (load_image_table(options.data, path=name, label=None).frame[name] for name in (path, mask))
    return pd.DataFrame({"path": images}), masks.to_numpy(dtype=object)
