"""Boxes around the objects of an image: forms, checks, and what is computed of them.

y of a detector is a 1-D object array with one table per image, of the columns ``label, xmin, ymin, xmax, ymax`` and,
for predictions, ``score``. Coordinates are pixels of the upright image, measured at the edges of pixels: the box of a
whole image is ``0, 0, width, height``, and a box is ``xmax - xmin`` wide. An image without objects has an empty table.
:func:`as_boxes` makes this of other forms and checks it.

Nothing here needs Keras.
"""

from skcnn.boxes._arrays import BoxArrays, box_table
from skcnn.boxes._checks import as_boxes, check_boxes
from skcnn.boxes._forms import box_arrays
from skcnn.boxes._frame import boxes_from_frame, boxes_to_frame
from skcnn.boxes._iou import paired_iou, pairwise_iou

__all__ = [
    "BoxArrays",
    "as_boxes",
    "box_arrays",
    "box_table",
    "boxes_from_frame",
    "boxes_to_frame",
    "check_boxes",
    "paired_iou",
    "pairwise_iou",
]
