"""Videos of coloured squares that pass behind a pillar: detections, truth, and frames to look at."""

import numpy as np
import pandas as pd

COLOURS = np.array([(220, 40, 40), (40, 200, 60), (50, 80, 230), (230, 210, 40)], np.uint8)
CORNERS = ["xmin", "ymin", "xmax", "ymax"]


def squares(seed=0, n_frames=40, jitter=1.0, pillar=(90, 130), with_images=True):
    """Return the detections and the true tracks of four squares, two in a line each way, that cross behind a pillar."""
    generator = np.random.default_rng(seed)
    found, true = [], []
    for frame in range(1, n_frames + 1):
        pixels = np.full((100, 220, 3), 128, np.uint8)
        boxes = []
        for number in range(4):
            step = 5.0 * frame
            left = (step if number % 2 == 0 else 200 - step) + 0.5 * number
            box = np.array([left, 15 + 22 * (number // 2) + number, left + 18, 33 + 22 * (number // 2) + number])
            boxes.append(box)
            x, y = box[:2].round().astype(int).clip(0)
            pixels[y : y + 18, x : x + 18] = COLOURS[number]
        pixels[:, pillar[0] : pillar[1]] = 60
        for number, box in enumerate(boxes):
            true.append((frame, *box, f"square {number}"))
            if not pillar[0] - 9 < box[0] < pillar[1] - 9:
                image = pixels if with_images else None
                found.append((frame, *(box + generator.normal(0, jitter, 4)), image))
    names = ["frame", *CORNERS]
    detections = pd.DataFrame(found, columns=[*names, "image"])
    return detections if with_images else detections.drop(columns="image"), pd.DataFrame(
        true, columns=[*names, "track"]
    )


def mean_colour(crops):
    """An embedder: the mean colour, in which 0 is grey."""
    return np.array([crop.reshape(-1, 3).mean(axis=0) - 128 for crop in crops])
