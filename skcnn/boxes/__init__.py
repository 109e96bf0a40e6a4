"""Boxes around the objects of an image: forms, checks, and what is computed of them.

y of a detector is a 1-D object array with one table per image, of the columns ``label, xmin, ymin, xmax, ymax`` and,
for predictions, ``score``. Coordinates are pixels of the upright image, measured at the edges of pixels: the box of a
whole image is ``0, 0, width, height``, and a box is ``xmax - xmin`` wide. An image without objects has an empty table.
:func:`as_boxes` makes this of other forms and checks it.

Of a video there is one table, which has a column ``frame``: :func:`as_videos` checks it. :func:`overlapping_pairs` and
:func:`best_pairs` match boxes one to one.

Nothing here needs Keras.
"""

from skcnn.boxes._arrays import BoxArrays, box_table
from skcnn.boxes._checks import as_boxes, check_boxes
from skcnn.boxes._forms import box_arrays
from skcnn.boxes._frame import boxes_from_frame, boxes_to_frame
from skcnn.boxes._iou import paired_iou, pairwise_iou
from skcnn.boxes._pairs import Pairs, best_pairs, joined, overlapping_pairs
from skcnn.boxes._videos import Video, as_videos, overlaps_by_frame

__all__ = [
    "BoxArrays",
    "Pairs",
    "Video",
    "as_boxes",
    "as_videos",
    "best_pairs",
    "box_arrays",
    "box_table",
    "boxes_from_frame",
    "boxes_to_frame",
    "check_boxes",
    "joined",
    "overlapping_pairs",
    "overlaps_by_frame",
    "paired_iou",
    "pairwise_iou",
]
