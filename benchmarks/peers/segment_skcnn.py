"""skcnn: CNNSegmenter with its defaults."""

import skcnn
from skcnn.datasets import load_mask_folder
from skcnn.segmentation import CNNSegmenter

save, load = skcnn.save, skcnn.load


def fit(folder, weights, seed):
    X, y = load_mask_folder(f"{folder}/images", f"{folder}/masks")
    return CNNSegmenter(weights=weights, random_state=seed, verbose=0).fit(X, y)


def predict(model, folder):
    X, _ = load_mask_folder(f"{folder}/images", f"{folder}/masks")
    return X["path"], model.predict(X)
