"""skcnn: CNNDetector with its defaults."""

from pathlib import Path

import pandas as pd

import skcnn
from skcnn.boxes import boxes_from_frame
from skcnn.detection import CNNDetector

save, load = skcnn.save, skcnn.load


def fit(folder, weights, seed):
    X = pd.DataFrame({"path": sorted(map(str, Path(folder, "images").iterdir()))})
    y = boxes_from_frame(pd.read_csv(f"{folder}/boxes.csv"), X)
    return CNNDetector(weights=weights, random_state=seed, verbose=0).fit(X, y)


def predict(model, folder):
    X = pd.DataFrame({"path": sorted(map(str, Path(folder, "images").iterdir()))})
    labels = {label: number for number, label in enumerate(model.classes_)}
    columns = ["label", "xmin", "ymin", "xmax", "ymax", "score"]
    return X["path"], [table.replace({"label": labels})[columns].to_numpy(float) for table in model.predict(X)]
