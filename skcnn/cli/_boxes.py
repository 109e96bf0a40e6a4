"""The images and boxes that a command is given: a folder of Pascal VOC, a file of COCO, or a table of boxes."""

from __future__ import annotations

import argparse
import textwrap
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from skcnn._text import counted
from skcnn.cli._common import names_text, worded
from skcnn.cli._data import check_columns, header_of, images_text, is_table, label_column, report_bad

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from sklearn.utils import Bunch

Invalid = Literal["raise", "clip", "drop"]
Form = Literal["voc", "coco", "table"]

_COORDINATES = ("xmin", "ymin", "xmax", "ymax")
FORMS = (
    "a folder of Pascal VOC (Annotations/ and JPEGImages/, or .xml files beside the images), a .json of COCO, or a "
    ".csv with path, label, xmin, ymin, xmax and ymax"
)

#: What messages of Python's functions say, and what the options are called.
_WORDS = {"invalid='drop'": "--invalid drop", "('clip' cuts": "(--invalid clip cuts", "split=": "--split "}


def add_boxes(parser: argparse.ArgumentParser) -> Any:
    """Add the options of data with boxes; return their group."""
    boxes = parser.add_argument_group("boxes", textwrap.fill(f"The data of a detector are {FORMS}.", 76))
    boxes.add_argument(
        "--split",
        metavar="NAME",
        help="for Pascal VOC: the name of a list of images in ImageSets/Main, such as train, or for masks in "
        "ImageSets/Segmentation (default: all images)",
    )
    boxes.add_argument(
        "--image-folder",
        metavar="FOLDER",
        help="for COCO: the folder that file names are relative to (default: the folder of the .json)",
    )
    boxes.add_argument(
        "--invalid",
        choices=["raise", "clip", "drop"],
        help="what to do with boxes that extend beyond the image or have no area: stop, clip them to the image, "
        "or leave them out (default: raise)",
    )
    return boxes


def box_form(data: str) -> Form | None:
    """Return the form in which data have boxes; None if they have none."""
    if data.lower().endswith(".json"):
        return "coco"
    if is_table(data):
        return "table" if set(_COORDINATES) <= set(header_of(data)) else None
    folder = Path(data).expanduser()
    has_xml = any(next(place.glob("*.xml"), None) is not None for place in (folder / "Annotations", folder))
    return "voc" if has_xml else None


def check_box_options(options: argparse.Namespace, form: Form | None) -> None:
    """See that options of boxes fit the data."""
    wanted = {"--split": (options.split, "voc", "a folder of Pascal VOC")}
    wanted["--image-folder"] = (options.image_folder, "coco", "a .json of COCO")
    for option, (value, of_form, expected) in wanted.items():
        if value is not None and form != of_form:
            options.parser.error(f"{option} {value} needs {expected}; got {options.data}")
    for option, value in (("--path-column", options.path_column), ("--label-column", options.label_column)):
        if value is not None and form in ("voc", "coco"):
            options.parser.error(f"{option} {value} needs a .csv; got {options.data}")
    if options.invalid is not None and form is None:
        options.parser.error(f"--invalid {options.invalid} needs data with boxes: {FORMS}; got {options.data}")


def load_boxes(options: argparse.Namespace, form: Form) -> Bunch:
    """Load images and their boxes, without bad images if ``--skip-bad`` is given.

    Returns
    -------
    Bunch
        ``frame`` with the column ``path``, ``target`` (one table of boxes per image), ``target_names`` (the labels) and
        ``n_bad``, the number of images that were left out.
    """
    from sklearn.utils import Bunch

    from skcnn.boxes import box_arrays, sorted_labels
    from skcnn.images import BadImageError, BadImageWarning

    n_bad = 0
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            X, y = _loaded(options, form)
        except BadImageError as error:
            if not options.skip_bad:
                raise
            report_bad(worded(error.bad_rows), error.n_rows, options)  # raises: none is left
            raise
        except (ValueError, FileNotFoundError) as error:
            _raise_for_command(error)
    for warning in caught:
        if isinstance(warning.message, BadImageWarning):
            n_bad = len(warning.message.bad_rows)
            report_bad(worded(warning.message.bad_rows), warning.message.n_rows, options)
        else:
            warnings.warn(warning.message, stacklevel=2)
    return Bunch(frame=X, target=y, target_names=sorted_labels(box_arrays(y).label), n_bad=n_bad)


def _loaded(options: argparse.Namespace, form: Form) -> tuple[pd.DataFrame, np.ndarray]:
    from skcnn.datasets import load_coco, load_voc

    invalid: Invalid = options.invalid or "raise"
    on_error: Literal["raise", "drop"] = "drop" if options.skip_bad else "raise"
    if form == "voc":
        return load_voc(options.data, split=options.split, invalid=invalid, on_error=on_error)
    if form == "coco":
        return load_coco(options.data, options.image_folder, invalid=invalid, on_error=on_error)
    return _load_table(options, invalid)


def boxes_text(dataset: Bunch) -> str:
    """Return what a dataset has, as a line."""
    n_boxes = sum(map(len, dataset.target))
    names = dataset.target_names
    return (
        f"{images_text(dataset)} with {counted(n_boxes, 'box')} of {counted(len(names), 'class')}: {names_text(names)}"
    )


def _load_table(options: argparse.Namespace, invalid: Invalid) -> tuple[pd.DataFrame, np.ndarray]:
    import pandas as pd

    from skcnn.boxes import boxes_from_frame
    from skcnn.datasets import load_image_table
    from skcnn.images import drop_bad_images

    header = header_of(options.data)
    path, label = options.path_column or "path", label_column(options)
    if options.path_column is None and path not in header and "image" in header:
        path = "image"  # what boxes_to_frame calls it
    check_columns(options.data, header, {"--path-column": path, "--label-column": label})
    folder = Path(options.data).expanduser()
    # Text, so that a file or a label called 007 keeps its name.
    rows = pd.read_csv(folder, dtype={path: str, label: str}, encoding_errors="surrogateescape")
    rows = load_image_table(rows, path=path, label=None, root=folder.parent).frame
    rows[label] = _as_numbers(rows[label])
    paths = rows[path].drop_duplicates()
    if options.skip_bad:
        paths, _ = drop_bad_images(paths)
    X = pd.DataFrame({"path": paths.reset_index(drop=True)})
    return X, boxes_from_frame(rows[[path, label, *_COORDINATES]], X, image=path, label=label, invalid=invalid)


def _as_numbers(texts: pd.Series) -> pd.Series:
    """Return labels as integers where all are written as these are; missing ones, of images without objects, stay."""
    labels = texts.astype(object)
    there = labels.notna()
    with_digits = [str(label).removeprefix("-").isdecimal() for label in labels[there]]
    if all(with_digits) and all(str(int(label)) == label for label in labels[there]):
        labels[there] = [int(label) for label in labels[there]]
    return labels


def _raise_for_command(error: Exception) -> NoReturn:
    """Raise an error again in the words of options."""
    text = str(error)
    for python, option in _WORDS.items():
        text = text.replace(python, option)
    raise type(error)(text) from error
