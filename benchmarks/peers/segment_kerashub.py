"""KerasHub: SegFormer with its smallest encoder, from random weights: its presets are downloads of its own."""

from pathlib import Path

import keras
import keras_hub
import numpy as np
from PIL import Image


def read(path, mode, resampling):
    return np.asarray(Image.open(path).convert(mode).resize((224, 224), resampling))


def fit(folder, weights, seed):
    keras.utils.set_random_seed(seed)
    masks = sorted(Path(folder, "masks").iterdir())
    images = sorted(Path(folder, "images").iterdir())
    X = np.stack([read(path, "RGB", Image.Resampling.BILINEAR) / 255 for path in images])
    y = np.stack([read(path, "L", Image.Resampling.NEAREST) for path in masks])
    encoder = keras_hub.models.MiTBackbone(
        image_shape=(224, 224, 3),
        num_layers=4,
        hidden_dims=[32, 64, 160, 256],
        layerwise_depths=[2, 2, 2, 2],
        layerwise_num_heads=[1, 2, 5, 8],
        layerwise_sr_ratios=[8, 4, 2, 1],
        layerwise_patch_sizes=[7, 3, 3, 3],
        layerwise_strides=[4, 2, 2, 2],
        max_drop_path_rate=0.1,
    )
    backbone = keras_hub.models.SegFormerBackbone(image_encoder=encoder, projection_filters=256)
    model = keras_hub.models.SegFormerImageSegmenter(backbone, num_classes=2)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(6e-5), loss)
    model.fit(X, y, batch_size=8, epochs=12, verbose=0)
    return model


def predict(model, folder):
    paths, masks = sorted(Path(folder, "images").iterdir()), []
    for path in paths:
        pixels = read(path, "RGB", Image.Resampling.BILINEAR)[None] / 255
        mask = model.predict(pixels, verbose=0)[0].argmax(-1).astype(np.uint8)
        masks.append(np.asarray(Image.fromarray(mask).resize(Image.open(path).size, Image.Resampling.NEAREST)))
    return paths, masks


def save(model, path):
    model.save(f"{path}.keras")


def load(path):
    return keras.saving.load_model(f"{path}.keras")
