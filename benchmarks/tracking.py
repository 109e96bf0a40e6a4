"""What appearance and fit add to SORT: synthetic videos in which faces walk behind pillars and each other.

    python benchmarks/tracking.py faces_orl/
    python benchmarks/tracking.py faces_orl/ --weights mobilenet_v2.weights.h5

The folder has one folder of images per person. Half of the people walk in the videos to fit on, the other half in those
to score on. A person's image changes every few frames, as heads turn; pillars hide people for
half a second or so, people hide each other, and a simulated detector misses some boxes, blurs all, and invents some.

Each tracker has a line with its mean over the test videos and 95 % intervals by a bootstrap over videos (10,000
resamples), and one with the mean difference from SORT's model with the same patience, video by video.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _rounds import describe, machine, table
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skcnn.feature_extraction import BottleneckFeatures
from skcnn.metrics import tracking_frame
from skcnn.tracking import ObjectTracker

WIDTH, HEIGHT, SIDE = 360, 240, (44, 54)
METRICS = ("switches", "idf1", "hota", "mota")


def video(people: list[list[Path]], folder: Path, seed: int, n_frames: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Write the frames of a video, and return the detections and the true tracks."""
    generator = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    n = len(people)
    faces = [[Image.open(path).convert("RGB") for path in paths] for paths in people]
    ground = Image.fromarray(generator.integers(60, 190, (4, 6, 3), dtype=np.uint8)).resize((WIDTH, HEIGHT), 2)
    pillars = np.sort(generator.choice(np.arange(60, WIDTH - 60, 70), 2, replace=False)) + generator.integers(
        -15, 15, 2
    )
    scale = generator.uniform(0.8, 1.2, n)
    size = np.array(SIDE) * scale[:, None]
    place = generator.uniform((0, 0), (WIDTH - 60, HEIGHT - 70), (n, 2))
    velocity = generator.normal(0, (3.5, 1.0), (n, 2))
    view = generator.integers(0, 100, n)
    found, true = [], []
    for frame in range(1, n_frames + 1):
        velocity += generator.normal(0, (0.25, 0.15), (n, 2))
        place += velocity
        beyond = (place < 0) | (place > np.array([WIDTH, HEIGHT]) - size)
        velocity[beyond] *= -1
        place = np.clip(place, 0, np.array([WIDTH, HEIGHT]) - size)
        image, owner = ground.copy(), np.full((HEIGHT, WIDTH), -1)
        for person in range(n):  # the last one is nearest
            shown = faces[person][(view[person] + frame // 8) % len(faces[person])]
            width, height = size[person].round().astype(int)
            left, top = place[person].round().astype(int)
            image.paste(shown.resize((width, height)), (int(left), int(top)))
            owner[top : top + height, left : left + width] = person
        for pillar in pillars:
            image.paste((90, 70, 50), (int(pillar), 0, int(pillar) + 34, HEIGHT))
            owner[:, pillar : pillar + 34] = -2
        path = str(folder / f"{frame:06d}.jpg")
        image.save(path, quality=92)
        for person in range(n):
            box = np.concatenate([place[person], place[person] + size[person]])
            seen = (owner == person).sum() / size[person].prod()
            if seen > 0.25:
                true.append((frame, *box, person))
            if seen > 0.5 and generator.random() > 0.05:
                blur = generator.normal(0, 0.04, 4) * np.tile(size[person], 2)
                found.append((frame, *(box + blur), generator.uniform(0.6, 1), path))
        if generator.random() < 0.1:
            corner = generator.uniform((0, 0), (WIDTH - 60, HEIGHT - 70))
            found.append((frame, *corner, *(corner + SIDE), generator.uniform(0.3, 0.8), path))
    names = ["frame", "xmin", "ymin", "xmax", "ymax"]
    return pd.DataFrame(found, columns=[*names, "score", "image"]), pd.DataFrame(true, columns=[*names, "track"])


def videos(people: list[list[Path]], folder: Path, seeds: range, n_frames: int) -> tuple[list, list]:
    """Return detections and true tracks of videos of six of the people each."""
    made = []
    for seed in seeds:
        chosen = np.random.default_rng(seed).choice(len(people), 6, replace=False)
        made.append(video([people[number] for number in chosen], folder / str(seed), seed, n_frames))
    return [found for found, _ in made], [true for _, true in made]


def small_pixels(crops: list[np.ndarray]) -> np.ndarray:
    """Return crops as rows of grey pixels, their brightness and contrast evened out."""
    rows = np.array([np.asarray(Image.fromarray(crop).convert("L").resize((20, 24)), float).ravel() for crop in crops])
    return (rows - rows.mean(axis=1, keepdims=True)) / (rows.std(axis=1, keepdims=True) + 1)


def interval(values: np.ndarray, digits: int) -> str:
    """Return a mean with its bootstrap interval."""
    draws = np.random.default_rng(0).integers(0, len(values), (10_000, len(values)))
    low, high = np.percentile(values[draws].mean(axis=1), [2.5, 97.5])
    return f"{values.mean():.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", help="of MobileNetV2, for a line with its features")
    parser.add_argument("--videos", type=int, default=30, help="to fit on; as many to score on")
    parser.add_argument("--frames", type=int, default=120)
    options = parser.parse_args(arguments)
    people = [
        sorted(path for path in person.iterdir() if path.suffix in (".png", ".jpg"))
        for person in sorted(options.folder.iterdir())
        if person.is_dir()
    ]
    half = len(people) // 2
    patient: dict[str, Any] = {"max_age": 30, "reconfirm": False}
    by_pixels = make_pipeline(FunctionTransformer(small_pixels), PCA(60, random_state=0), LinearDiscriminantAnalysis())
    trackers = {
        "SORT as published": (ObjectTracker(), False),
        "patient SORT": (ObjectTracker(**patient), False),
        "patient SORT, fit": (ObjectTracker(**patient), True),
        "pixels, not fit": (ObjectTracker(small_pixels), False),
        "pixels, fit": (ObjectTracker(small_pixels), True),
        "pixels, PCA and LDA, fit": (ObjectTracker(by_pixels), True),
    }
    if options.weights:
        features = BottleneckFeatures("MobileNetV2", weights=options.weights, image_size=96)
        trackers["MobileNetV2, fit"] = (ObjectTracker(features), True)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        n = options.videos
        X_train, y_train = videos(people[:half], Path(folder), range(n), options.frames)
        X_test, y_test = videos(people[half:], Path(folder), range(n, 2 * n), options.frames)
        scores = {}
        for name, (tracker, is_fitted) in trackers.items():
            tracker.fit(X_train, y_train if is_fitted else None)
            scores[name] = tracking_frame(y_test, list(tracker.predict(X_test)))[:-1]
    rows, differences = [], []
    for name, frame in scores.items():
        digits = {"switches": 1}
        rows.append([name, *(interval(frame[metric].to_numpy(float), digits.get(metric, 3)) for metric in METRICS)])
        if name not in ("SORT as published", "patient SORT"):
            other = scores["patient SORT"]
            change = [(frame[metric] - other[metric]).to_numpy(float) for metric in METRICS]
            differences.append(
                [name, *(interval(by, digits.get(metric, 3)) for metric, by in zip(METRICS, change, strict=True))]
            )
    boxes = sum(map(len, X_test))
    print(
        f"{n} videos of {options.frames} frames, {boxes:,} detections; {time.perf_counter() - started:.0f} s; "
        f"{describe(machine())}\n"
    )
    print(table(["mean per video", *METRICS], rows))
    print("\nDifferences from patient SORT, video by video:\n")
    print(table(["", *METRICS], differences))


if __name__ == "__main__":
    main()
