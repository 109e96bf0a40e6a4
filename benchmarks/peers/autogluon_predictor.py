"""AutoGluon: MultiModalPredictor, which trains the whole network."""

import tempfile
from pathlib import Path

import _mobilenet
import pandas as pd
from autogluon.multimodal import MultiModalPredictor


def read(folder):
    paths = sorted(Path(folder).glob("*/*"))
    return pd.DataFrame({"image": map(str, paths), "label": [path.parent.name for path in paths]})


def fit(folder, weights, seed):
    model = MultiModalPredictor(label="label", path=tempfile.mkdtemp() + "/model", verbosity=0)
    parameters = {
        "model.names": ["timm_image"],
        "model.timm_image.checkpoint_name": _mobilenet.NAME,
        "optim.max_epochs": 10,
        "optim.lr": 1e-3,  # with the defaults, of 1e-4 and batches of 128, ten epochs are ten small steps
        "env.batch_size": 8,
        "env.num_workers": 0,
        "env.num_workers_inference": 0,
    }
    return model.fit(read(folder), hyperparameters=parameters, seed=seed)


def predict(model, folder):
    images = read(folder)
    probabilities = model.predict_proba(images[["image"]])
    return images["image"], probabilities[sorted(probabilities)].to_numpy()


def save(model, path):
    model.save(str(path))


def load(path):
    return MultiModalPredictor.load(str(path))


def refit(model, folder):
    return model.fit(read(folder))
