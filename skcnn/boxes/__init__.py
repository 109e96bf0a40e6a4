"""Boxes around the objects of an image: forms, checks, and what is computed of them.

y of a detector is a 1-D object array with one table per image, of the columns ``label, xmin, ymin, xmax, ymax`` and,
for predictions, ``score``. Coordinates are pixels of the upright image, measured at the edges of pixels: the box of a
whole image is ``0, 0, width, height``, and a box is ``xmax - xmin`` wide. An image without objects has an empty table.
:func:`as_boxes` makes this of other forms and checks it.

Where each object has a mask, a table has a column ``mask``: :func:`as_instances` checks it.

Of a video there is one table, which has a column ``frame``: :func:`as_videos` checks it. :func:`overlapping_pairs` and
:func:`best_pairs` match boxes one to one.

Nothing here needs Keras.
"""

from skcnn.boxes._arrays import BoxArrays, box_table, sorted_labels
from skcnn.boxes._checks import INVALID, as_boxes, check_boxes
from skcnn.boxes._coco import boxes_from_coco, boxes_to_coco
from skcnn.boxes._dicts import boxes_to_supervision, boxes_to_torchvision
from skcnn.boxes._forms import box_arrays
from skcnn.boxes._frame import boxes_from_frame, boxes_to_frame
from skcnn.boxes._instances import (
    PlacedMask,
    as_instances,
    compact_masks,
    instance_arrays,
    pairwise_mask_iou,
    pixels_of_box,
    whole_masks,
)
from skcnn.boxes._iou import COORDINATES, paired_iou, pairwise_iou
from skcnn.boxes._pairs import Pairs, best_pairs, joined, overlapping_pairs
from skcnn.boxes._strata import stratify_by_boxes
from skcnn.boxes._suppression import non_max_suppression
from skcnn.boxes._videos import Video, as_videos, overlaps_by_frame
from skcnn.boxes._voc import boxes_from_voc, boxes_to_voc
from skcnn.boxes._yolo import boxes_from_yolo, boxes_to_yolo

__all__ = [
    "COORDINATES",
    "INVALID",
    "BoxArrays",
    "Pairs",
    "PlacedMask",
    "Video",
    "as_boxes",
    "as_instances",
    "as_videos",
    "best_pairs",
    "box_arrays",
    "box_table",
    "boxes_from_coco",
    "boxes_from_frame",
    "boxes_from_voc",
    "boxes_from_yolo",
    "boxes_to_coco",
    "boxes_to_frame",
    "boxes_to_supervision",
    "boxes_to_torchvision",
    "boxes_to_voc",
    "boxes_to_yolo",
    "check_boxes",
    "compact_masks",
    "instance_arrays",
    "joined",
    "non_max_suppression",
    "overlapping_pairs",
    "overlaps_by_frame",
    "paired_iou",
    "pairwise_iou",
    "pairwise_mask_iou",
    "pixels_of_box",
    "sorted_labels",
    "stratify_by_boxes",
    "whole_masks",
]
