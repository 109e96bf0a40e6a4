"""The text files of MOTChallenge: a line per box."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd

from skcnn._files import check_regular, replacing
from skcnn.boxes import as_videos

_EXPECTED = "lines of 'frame,track,left,top,width,height,score,...', as MOTChallenge has them"


def read_mot(path: str | os.PathLike[str], *, label: str = "object") -> pd.DataFrame:
    r"""Read detections or tracks of a video from a text file of MOTChallenge [1]_.

    Parameters
    ----------
    path : path-like
        Such as ``det/det.txt`` or ``gt/gt.txt``: lines of frame, track (-1 for a detection), left, top, width, height,
        score, and more numbers that are not read.
    label : str, default="object"
        Label of the boxes: the files of the first benchmarks have none.

    Returns
    -------
    DataFrame
        A row per line, with the columns "frame", "label", "xmin", "ymin", "xmax", "ymax", "score" (1 where the line has
        none) and, unless all tracks are -1, "track". It is one video: put it in a list for
        :class:`~skcnn.tracking.ObjectTracker` and the metrics.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If the file has another form, or a box has no area; the message names the line.

    Notes
    -----
    Pixels are taken as they are written, xmin = left and xmax = left + width. Ground truth of MOT16 and later marks
    boxes to ignore by a score of 0; these are rows as any other here: choose by the column "score".

    References
    ----------
    .. [1] L. Leal-Taixe, A. Milan, I. Reid, S. Roth and K. Schindler, "MOTChallenge 2015: towards a benchmark for
       multi-target tracking", arXiv:1504.01942, 2015.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from skcnn.tracking import read_mot
    >>> path = Path(tempfile.mkdtemp()) / "gt.txt"
    >>> _ = path.write_text("1,3,10,20,30,40,1,-1,-1,-1\n")
    >>> read_mot(path)[["frame", "xmin", "xmax", "track"]].to_dict("records")
    [{'frame': 1, 'xmin': 10.0, 'xmax': 40.0, 'track': 3}]
    """
    path = os.fspath(path)
    check_regular(path, "a text file of MOTChallenge")
    frames, tracks, values = [], [], []
    for number, line in enumerate(Path(path).read_text("utf-8", errors="replace").splitlines(), 1):
        if not line.strip():
            continue
        fields = line.replace(",", " ").split()
        try:
            frame, track = float(fields[0]), float(fields[1])
            left, top, width, height = map(float, fields[2:6])
            score = float(fields[6]) if len(fields) > 6 else 1.0
        except (IndexError, ValueError):
            raise ValueError(f"{path}, line {number}: {line.strip()[:80]!r}; expected {_EXPECTED}.") from None
        box = (left, top, left + width, top + height, score)
        if not (np.isfinite(box).all() and frame.is_integer() and track.is_integer() and width > 0 and height > 0):
            raise ValueError(
                f"{path}, line {number}: {line.strip()[:80]!r}; expected {_EXPECTED}, whole numbers of frame and "
                "track, and a width and a height > 0."
            )
        frames.append(int(frame))
        tracks.append(int(track))
        values.append(box)
    table = pd.DataFrame(np.array(values, float).reshape(-1, 5), columns=["xmin", "ymin", "xmax", "ymax", "score"])
    table.insert(0, "frame", np.array(frames, np.int64))
    table.insert(1, "label", label)
    return table if set(tracks) <= {-1} else table.assign(track=np.array(tracks, np.int64))


def write_mot(table: pd.DataFrame, path: str | os.PathLike[str]) -> None:
    r"""Write tracks or detections of a video as a text file of MOTChallenge.

    Parameters
    ----------
    table : DataFrame
        One video, such as an element of what :meth:`ObjectTracker.predict` returns. Tracks that are not whole numbers
        are numbered from 1; without the column "track" it is -1. Labels are not written: the format has none.
    path : path-like
        Where to. The file appears whole or not at all.

    Raises
    ------
    OSError
        If the file cannot be written.
    ValueError
        If the table is invalid: see :func:`skcnn.boxes.as_videos`.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import pandas as pd
    >>> from skcnn.tracking import write_mot
    >>> path = Path(tempfile.mkdtemp()) / "tracks.txt"
    >>> write_mot(pd.DataFrame({"frame": [1], "xmin": 1, "ymin": 2, "xmax": 5, "ymax": 9, "track": 7}), path)
    >>> path.read_text()
    '1,7,1.00,2.00,4.00,7.00,1,-1,-1,-1\n'
    """
    (video,) = as_videos([table], name="table", tracked="track" in table)
    tracks = np.full(len(video.frames), -1)
    if video.tracks is not None:
        is_whole = all(isinstance(track, (int, np.integer)) for track in video.tracks)
        tracks = video.tracks if is_whole else pd.factorize(video.tracks)[0] + 1
    with replacing(path, durable=False) as unfinished, open(unfinished, "w", encoding="utf-8", newline="\n") as file:
        for frame, track, box, score in zip(video.frames, tracks, video.boxes, video.scores, strict=True):
            xmin, ymin, xmax, ymax = box
            size = f"{xmin:.2f},{ymin:.2f},{xmax - xmin:.2f},{ymax - ymin:.2f}"
            file.write(f"{frame},{track},{size},{score:.6g},-1,-1,-1\n")
