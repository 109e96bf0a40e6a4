"""fastai: vision_learner with a frozen body, and its one-cycle schedule."""

import _mobilenet
from fastai.vision.all import (
    ImageDataLoaders,
    Resize,
    get_image_files,
    load_learner,
    set_seed,
    vision_learner,
)


def fit(folder, weights, seed):
    set_seed(seed, reproducible=True)
    images = ImageDataLoaders.from_folder(folder, valid_pct=0.1, seed=seed, item_tfms=Resize(224), bs=32, num_workers=0)
    model = vision_learner(images, _mobilenet.NAME)
    with model.no_bar(), model.no_logging():
        model.fit_one_cycle(10, 3e-3)
    return model


def predict(model, folder):
    paths = sorted(get_image_files(folder))
    with model.no_bar():
        probabilities, _ = model.get_preds(dl=model.dls.test_dl(paths, num_workers=0))
    return paths, probabilities.numpy()


def save(model, path):
    model.export(path)


def load(path):
    return load_learner(path)


def refit(model, folder):
    with model.no_bar(), model.no_logging():
        model.fit_one_cycle(10, 3e-3)
    return model
