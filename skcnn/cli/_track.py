"""``skcnn track``: follow objects through the frames of a video."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skcnn._text import counted
from skcnn.cli._arguments import UnusableError, at_most_one, count, model_path, output_path
from skcnn.cli._common import add_command, add_features, features_from

if TYPE_CHECKING:
    import pandas as pd

_DETECTIONS = (".txt", ".csv")


def add_to(commands: Any) -> None:
    track = add_command(
        commands,
        "track",
        run,
        "follow detected objects through the frames of a video (SORT; with --appearance DeepSORT)",
        epilog="examples:\n"
        "  skcnn track det.txt -o tracks.txt                             detections as MOTChallenge has them\n"
        "  skcnn track det.csv --frames street/ --appearance -o t.txt    what objects look like finds them again\n"
        "  skcnn track street/ --detector people.skcnn -o tracks.txt     frames, and a saved detector\n"
        "  skcnn track street.mp4 --detector people.skcnn -o t.csv       a video file (extra `video`)",
    )
    track.add_argument(
        "source",
        type=_source,
        metavar="SOURCE",
        help="detections (.txt of MOTChallenge, or .csv with the columns frame, xmin, ymin, xmax, ymax and possibly "
        "label, score and image), or, with --detector, a folder of frames or a video file",
    )
    track.add_argument(
        "-o", "--output", type=_tracks_path, metavar="FILE", required=True, help="tracks: .txt (MOTChallenge) or .csv"
    )
    track.add_argument("--detector", type=model_path, metavar="MODEL", help="a saved detector, which finds the boxes")
    track.add_argument(
        "--frames", metavar="FOLDER", help="the frames of the detections, in the order of their names, the first is 1"
    )
    track.add_argument(
        "--appearance", action="store_true", help="compare what objects look like, by the features below; needs frames"
    )
    track.add_argument(
        "--max-age", type=count, metavar="N", help="frames that an object may be missing (default: 1, or 30)"
    )
    track.add_argument("--min-hits", type=count, default=3, metavar="N", help="(default: %(default)s)")
    track.add_argument("--iou-threshold", type=at_most_one, default=0.3, metavar="IOU", help="(default: %(default)s)")
    track.add_argument(
        "--score-threshold",
        type=float,
        metavar="SCORE",
        help="leave out detections with smaller scores (default: none)",
    )
    add_features(track)


def run(options: argparse.Namespace) -> None:
    from skcnn.tracking import ObjectTracker, write_mot

    if options.appearance and not (options.frames or options.detector or _names_images(options.source)):
        options.parser.error("--appearance needs the frames: --frames FOLDER, or a column 'image' of SOURCE")
    video = _boxes_of(options)
    tracker = ObjectTracker(
        features_from(options) if options.appearance else None,
        max_age=options.max_age,
        min_hits=options.min_hits,
        iou_threshold=options.iou_threshold,
        score_threshold=options.score_threshold,
    )
    if options.appearance:
        tracker.fit([video])
    (tracks,) = tracker.predict([video])
    if options.output.lower().endswith(".txt"):
        write_mot(tracks, options.output)
    else:
        from skcnn.cli._common import write_table

        write_table(tracks, options.output)
    n_frames = 0 if video.empty else int(video["frame"].max() - video["frame"].min() + 1)
    print(
        f"{options.output}: {counted(tracks['track'].nunique(), 'track')}, {counted(len(tracks), 'box')} in "
        f"{counted(n_frames, 'frame')}"
    )


def _source(text: str) -> str:
    path = os.path.expanduser(text)
    if not os.path.exists(path):
        raise FileNotFoundError(f"{path}: no such file or folder; expected detections, a folder of frames or a video")
    return path


def _tracks_path(text: str) -> str:
    if Path(text).suffix.lower() not in (".txt", ".csv"):
        raise argparse.ArgumentTypeError(f"got {text}; expected a name that ends in .txt or .csv")
    return output_path(text)


def _is_detections(source: str) -> bool:
    return os.path.isfile(source) and source.lower().endswith(_DETECTIONS)


def _names_images(source: str) -> bool:
    import pandas as pd

    return source.lower().endswith(".csv") and "image" in pd.read_csv(source, nrows=0).columns


def _boxes_of(options: argparse.Namespace) -> pd.DataFrame:
    """Return the detections, with the images of their frames where these are known."""
    import pandas as pd

    from skcnn.tracking import read_mot

    if not _is_detections(options.source):
        return _detected(options)
    if options.detector:
        raise UnusableError(f"{options.source} has detections already; --detector takes a folder of frames or a video")
    is_text = options.source.lower().endswith(".txt")
    video = read_mot(options.source) if is_text else pd.read_csv(options.source)
    video = video.drop(columns="track", errors="ignore")
    if options.frames:
        paths = _frame_paths(options.frames)
        beyond = video.loc[~video["frame"].isin(paths.index), "frame"]
        if len(beyond):
            raise UnusableError(
                f"{options.source} has boxes in frame {beyond.iloc[0]}, and {options.frames} has the frames 1 to "
                f"{len(paths)}; expected the images of all frames, in the order of their names"
            )
        video = video.assign(image=video["frame"].map(paths))
    return video


def _frame_paths(folder: str) -> pd.Series:
    from skcnn.datasets import load_image_folder

    paths = sorted(load_image_folder(folder, labels=None).frame["path"])
    import pandas as pd

    return pd.Series(paths, index=range(1, len(paths) + 1), dtype=object)


def _detected(options: argparse.Namespace) -> pd.DataFrame:
    """Return what a saved detector finds in frames."""
    import pandas as pd

    from skcnn.persistence import load

    if not options.detector:
        options.parser.error(
            f"{options.source} is neither .txt nor .csv with detections; frames need a --detector that finds boxes"
        )
    detector = load(options.detector)
    if os.path.isdir(options.source):
        paths = _frame_paths(options.source)
        found = detector.predict(list(paths))
        images: list[Any] = list(paths)
    else:
        from skcnn.tracking import read_frames

        found, images = [], []
        for frame in read_frames(options.source):
            found.append(detector.predict([frame])[0])
            images.append(frame if options.appearance else None)
    tables = []
    for number, (boxes, image) in enumerate(zip(found, images, strict=True), 1):
        if not hasattr(boxes, "columns"):
            raise UnusableError(f"{options.detector} predicts no boxes; expected a saved detector")
        column = pd.Series([image] * len(boxes), index=boxes.index, dtype=object)
        tables.append(boxes.assign(frame=number, image=column))
    return pd.concat(tables, ignore_index=True)
