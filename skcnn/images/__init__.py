"""What X may be, and how an image becomes pixels.

One rule serves every estimator of skcnn: :func:`as_images` takes images in all usual forms (arrays, paths, URLs,
encoded bytes, PIL images, a column of a frame) and :class:`Images` decodes any row of it to 8-bit RGB of the size that
a network takes. :func:`read_batches` does so in threads, ahead of the network, so that memory does not grow with the
length of X.

Images that are not in memory come from an :class:`ImageSource`.

Masks, whose pixels are labels, take a road of their own, on which no value changes: :func:`as_masks`.
"""

from skcnn.images._bad_rows import BadImageError, BadImageWarning, BadRow, bad_rows_frame
from skcnn.images._coco_masks import CocoSegments, mask_segment, masks_from_coco, segment_mask
from skcnn.images._decode import (
    FORMATS,
    RESIZE_RULES,
    as_image_size,
    decode_bytes,
    readable_formats,
    resize_image,
    to_rgb,
)
from skcnn.images._digests import ImageDigests
from skcnn.images._dropping import drop_bad_images
from skcnn.images._geometry import Geometry, image_sizes, upright_boxes, upright_mask
from skcnn.images._held import HeldImages
from skcnn.images._hugging_face import HuggingFaceImages
from skcnn.images._input import Images, as_images
from skcnn.images._masks import (
    IGNORED,
    BadMaskError,
    Masks,
    as_masks,
    check_labels,
    check_mask_lengths,
    check_masks,
    read_masks,
)
from skcnn.images._masks import Colors as Colors  # for type hints
from skcnn.images._once import fetched_once, one_pass, remembered
from skcnn.images._reading import Batch, check_images, map_ahead, map_images, read_batches
from skcnn.images._remote import RemoteImages
from skcnn.images._shrinking import warn_if_shrunk
from skcnn.images._source import ImageSource

__all__ = [
    "FORMATS",
    "IGNORED",
    "RESIZE_RULES",
    "BadImageError",
    "BadImageWarning",
    "BadMaskError",
    "BadRow",
    "Batch",
    "CocoSegments",
    "Geometry",
    "HeldImages",
    "HuggingFaceImages",
    "ImageDigests",
    "ImageSource",
    "Images",
    "Masks",
    "RemoteImages",
    "as_image_size",
    "as_images",
    "as_masks",
    "bad_rows_frame",
    "check_images",
    "check_labels",
    "check_mask_lengths",
    "check_masks",
    "decode_bytes",
    "drop_bad_images",
    "fetched_once",
    "image_sizes",
    "map_ahead",
    "map_images",
    "mask_segment",
    "masks_from_coco",
    "one_pass",
    "read_batches",
    "read_masks",
    "readable_formats",
    "remembered",
    "resize_image",
    "segment_mask",
    "to_rgb",
    "upright_boxes",
    "upright_mask",
    "warn_if_shrunk",
]
