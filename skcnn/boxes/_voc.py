"""Boxes in the XML files of Pascal VOC, one file per image.

VOC counts pixels from 1 and names the first and the last pixel that belongs to an object. Here edges are counted, from
0: one is subtracted from ``xmin`` and ``ymin``, and ``xmax`` and ``ymax`` are the same numbers.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd

from skcnn.boxes._arrays import box_table
from skcnn.boxes._checks import check_boxes
from skcnn.boxes._forms import box_arrays

_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def boxes_from_voc(xml: str | bytes, *, difficult: bool = True) -> pd.DataFrame:
    """Return the boxes of one image from an XML file of Pascal VOC.

    Parameters
    ----------
    xml : str or bytes
        The content of the file.
    difficult : bool, default=True
        Whether to keep the objects that are marked as difficult.

    Returns
    -------
    DataFrame of shape (n_boxes, 5)
        ``label, xmin, ymin, xmax, ymax``, of edges counted from 0: a VOC box 1, 1, 10, 10 is 0, 0, 10, 10. A box whose
        two corners are the same pixel is a slip of the mouse and not an object: it comes without an area, as two equal
        corners, which :func:`as_boxes` finds. Boxes are not checked yet.

    Raises
    ------
    ValueError
        If it is not XML or has a document type (which such files do not have), an object has no name or box, or a
        coordinate is not a number.

    See Also
    --------
    skcnn.datasets.load_voc : Reads all files of a folder, checks the boxes and finds the images.

    Examples
    --------
    >>> from skcnn.boxes import boxes_from_voc
    >>> box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>10</xmax><ymax>20</ymax></bndbox>"
    >>> boxes_from_voc(f"<annotation><object><name>cat</name>{box}</object></annotation>")
      label  xmin  ymin  xmax  ymax
    0   cat   0.0   0.0  10.0  20.0
    """
    content = xml.encode() if isinstance(xml, str) else xml
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise ValueError("the XML has a document type, which annotations of VOC do not have; it is not read")
    try:
        root = ET.fromstring(content)
    except ET.ParseError as error:
        raise ValueError(f"not XML: {error}") from None
    labels, corners = [], []
    for number, found in enumerate(root.iter("object")):
        if not difficult and (found.findtext("difficult") or "0").strip() == "1":
            continue
        label = (found.findtext("name") or "").strip()
        texts = [found.findtext(f"bndbox/{corner}") for corner in _CORNERS]
        if not label or None in texts:
            raise ValueError(f"object {number} has no {'bndbox with ' + ', '.join(_CORNERS) if label else 'name'}")
        try:
            corners.append([float(str(text)) for text in texts])
        except ValueError:
            raise ValueError(f"object {number} has the corners {texts}; expected numbers") from None
        labels.append(label)
    xyxy = np.array(corners, dtype=float).reshape(-1, 4)
    is_click = (xyxy[:, :2] == xyxy[:, 2:]).all(axis=1)
    xyxy[~is_click, :2] -= 1
    return box_table(np.array(labels, dtype=object), xyxy)


def boxes_to_voc(boxes: pd.DataFrame, size: tuple[int, int], file_name: str = "") -> str:
    """Return the boxes of one image as an XML file of Pascal VOC.

    Parameters
    ----------
    boxes : DataFrame of shape (n_boxes, 5 or 6)
        One table of y; scores are left out.
    size : tuple of (height, width)
        Of the upright image, in pixels.
    file_name : str, default=""
        Name of the image file.

    Returns
    -------
    str
        Coordinates are rounded to pixels: VOC has no others. A box of a single pixel does not come back from
        :func:`boxes_from_voc`, which takes it for a slip.

    Raises
    ------
    ValueError
        If a box is invalid.

    Examples
    --------
    >>> from skcnn.boxes import as_boxes, boxes_from_voc, boxes_to_voc
    >>> (boxes,) = as_boxes([[[0, 0, 10, 20]]])
    >>> boxes_from_voc(boxes_to_voc(boxes, (24, 32))).equals(boxes)
    True
    """
    arrays = check_boxes(box_arrays([boxes]))
    root = ET.Element("annotation")
    ET.SubElement(root, "filename").text = file_name
    image = ET.SubElement(root, "size")
    for name, value in (("width", size[1]), ("height", size[0]), ("depth", 3)):
        ET.SubElement(image, name).text = str(value)
    for label, box in zip(arrays.label, np.rint(arrays.xyxy).astype(int), strict=True):
        entry = ET.SubElement(root, "object")
        ET.SubElement(entry, "name").text = str(label)
        ET.SubElement(entry, "difficult").text = "0"
        corners = ET.SubElement(entry, "bndbox")
        # Of a box thinner than a pixel, the pixel that it lies in.
        first, last = box[:2] + 1, np.maximum(box[2:], box[:2] + 1)
        for name, value in zip(_CORNERS, (*first, *last), strict=True):
            ET.SubElement(corners, name).text = str(value)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"
