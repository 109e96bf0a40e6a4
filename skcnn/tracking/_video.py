"""The frames of a video file, by PyAV (extra ``video``)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from skcnn._files import check_regular, replacing


def read_frames(path: str | os.PathLike[str]) -> Iterator[np.ndarray]:
    """Decode the frames of a video file, one after the other.

    Parameters
    ----------
    path : path-like
        A file that FFmpeg's libraries read, such as ``.mp4``. Needs PyAV: ``pip install "skcnn[video]"``.

    Yields
    ------
    ndarray of shape (height, width, 3), uint8
        RGB, for a detector and for :meth:`ObjectTracker.update`.

    Raises
    ------
    ImportError
        If PyAV is not installed.
    OSError
        If the file cannot be opened.
    ValueError
        If it is not a video, or broken; the message has the number of the frame.

    Notes
    -----
    A rotation that is noted in the file is not applied.

    Examples
    --------
    >>> from skcnn.tracking import read_frames
    >>> for frame in read_frames("street.mp4"):  # doctest: +SKIP
    ...     tracks = tracker.update(detector.predict([frame])[0], image=frame)
    """
    try:
        import av
    except ImportError as error:
        raise ImportError('reading videos needs PyAV: pip install "skcnn[video]"') from error
    path = os.fspath(path)
    if not os.path.exists(path):
        raise FileNotFoundError(f"{path}: no such file; expected a video")
    check_regular(path, "a video")
    number = 0
    try:
        with av.open(path) as container:
            if not container.streams.video:
                raise ValueError(f"{path} has no video stream; expected a video.")
            container.streams.video[0].thread_type = "AUTO"
            for frame in container.decode(video=0):
                number += 1
                yield frame.to_ndarray(format="rgb24")
    except av.FFmpegError as error:
        where = f"broken after frame {number}" if number else "not a video that FFmpeg reads"
        raise ValueError(f"{path} is {where}: {error.strerror or error}.") from error


def save_frames(path: str | os.PathLike[str], folder: str | os.PathLike[str], *, every: int = 1) -> pd.DataFrame:
    """Write the frames of a video file as images, so that a table can name them.

    Parameters
    ----------
    path : path-like
        A video: see :func:`read_frames`.
    folder : path-like
        Where to; it is made if it does not exist. Frames become ``000001.png`` and so on. PNG keeps pixels as they are.
    every : int, default=1
        Keep each frame whose number is 1 more than a multiple of this, >= 1.

    Returns
    -------
    DataFrame of shape (n_frames, 2)
        Columns "frame", the number of those that were kept, from 1 on by ones, and "image", the path.

    Raises
    ------
    ImportError
        If PyAV is not installed.
    OSError
        If the video cannot be opened or an image not be written.
    ValueError
        If it is not a video, or ``every`` is less than 1.

    Examples
    --------
    >>> from skcnn.tracking import save_frames
    >>> frames = save_frames("street.mp4", "street/")  # doctest: +SKIP
    >>> X = boxes.merge(frames, on="frame")  # doctest: +SKIP
    """
    if not isinstance(every, (int, np.integer)) or every < 1:
        raise ValueError(f"every={every!r}; expected an int >= 1.")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[str] = []
    for number, frame in enumerate(read_frames(path)):
        if number % every == 0:
            target = folder / f"{len(paths) + 1:06d}.png"
            with replacing(target, durable=False) as unfinished:
                Image.fromarray(frame).save(unfinished, format="PNG")
            paths.append(str(target))
    return pd.DataFrame({"frame": np.arange(1, len(paths) + 1), "image": pd.Series(paths, dtype=object)})
