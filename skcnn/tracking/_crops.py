"""What is in boxes: the pixels, cut out of frames, and what an embedder makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np

from skcnn.boxes import Video
from skcnn.images import BadImageError, BadRow, as_images, bad_rows_frame

#: Crops that an embedder gets at once: enough for a network's batches, little enough for memory.
_CROPS_AT_ONCE = 256

#: No frame is larger: thumbnails of this size are the frames themselves.
_ANY_SIZE = 2**30


def crop(frame: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Return the pixels (height, width, 3) of a box; of one that is not in the frame, the nearest pixel."""
    height, width = frame.shape[:2]
    xmin, ymin = np.clip(np.floor(box[:2]), 0, (width - 1, height - 1)).astype(int)
    xmax, ymax = np.clip(np.ceil(box[2:]), (xmin + 1, ymin + 1), (max(width, xmin + 1), max(height, ymin + 1))).astype(
        int
    )
    return frame[ymin:ymax, xmin:xmax]


def crops_of_video(video: Video, name: str) -> Iterator[np.ndarray]:
    """Yield the pixels of each box, in the order of the video; a frame is decoded once."""
    if not len(video.frames):
        return
    if video.images is None:
        raise ValueError(
            f"{name} has no column 'image', which the embedder needs: the path of each box's frame (or its pixels)."
        )
    for _, rows in video.by_frame():
        images = as_images([video.images[rows.start]])
        try:
            frame = images.thumbnail(0, _ANY_SIZE)
        except (OSError, TypeError, ValueError) as error:
            bad = BadRow(int(video.rows[rows.start]), images.path(0), str(error))
            raise BadImageError(bad_rows_frame([bad]), len(video.frames), f"It is an image of {name}.") from error
        for box in video.boxes[rows]:
            yield crop(frame, box)


def embedded(embedder: Any, crops: Iterator[np.ndarray] | list[np.ndarray]) -> np.ndarray:
    """Return what an embedder makes of crops, as unit vectors (n_crops, n_dimensions)."""
    crops, parts = iter(crops), []
    while chunk := list(islice(crops, _CROPS_AT_ONCE)):
        parts.append(_embedded(embedder, chunk))
    return np.concatenate(parts) if parts else np.empty((0, 1))


def _embedded(embedder: Any, crops: list[np.ndarray]) -> np.ndarray:
    said = embedder.transform(crops) if hasattr(embedder, "transform") else embedder(crops)
    vectors = np.asarray(said.toarray() if hasattr(said, "toarray") else said)
    if vectors.ndim != 2 or len(vectors) != len(crops) or vectors.dtype.kind not in "uifb":
        raise ValueError(
            f"embedder returned an array of shape {vectors.shape} and dtype {vectors.dtype} for {len(crops)} crops; "
            f"expected numbers of shape ({len(crops)}, n_dimensions)."
        )
    vectors = vectors.astype(float)
    if not np.isfinite(vectors).all():
        raise ValueError("embedder returned NaN or infinite numbers; expected finite ones.")
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    # A vector of zeros says nothing: it is at a right angle to all others.
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
