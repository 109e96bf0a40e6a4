"""Objects through the frames of a video: detections in, tracks out.

:class:`ObjectTracker` is SORT, and with an embedder DeepSORT, as an estimator of scikit-learn whose samples are videos.
It takes the boxes of any detector. :func:`read_mot` and :func:`write_mot` read and write the text files of
MOTChallenge, and :func:`read_frames` and :func:`save_frames` take the frames out of a video file.

:func:`skcnn.metrics.tracking_frame` says how good tracks are, and :class:`skcnn.metrics.TrackDisplay` where they go
wrong.
"""

from skcnn.tracking._mot import read_mot, write_mot
from skcnn.tracking._noise import TrackNoise
from skcnn.tracking._object_tracker import ObjectTracker
from skcnn.tracking._video import read_frames, save_frames

__all__ = ["ObjectTracker", "TrackNoise", "read_frames", "read_mot", "save_frames", "write_mot"]

# Saved files know both by their public place.
ObjectTracker.__module__ = TrackNoise.__module__ = __name__
