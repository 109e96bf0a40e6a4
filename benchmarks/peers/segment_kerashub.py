"""KerasHub: DeepLabV3 on the MobileNetV2 of Keras, all of it trained. Its own presets would have to be downloaded."""

from pathlib import Path

import keras
import keras_hub
import numpy as np


def read(path, mode, interpolation):
    image = keras.utils.load_img(path, color_mode=mode, target_size=(224, 224), interpolation=interpolation)
    return np.asarray(image)


def pixels_of(folder):
    paths = sorted(Path(folder, "images").iterdir())
    return paths, keras.applications.mobilenet_v2.preprocess_input(
        np.stack([read(path, "rgb", "bilinear") for path in paths]).astype("float32")
    )


def build(weights):
    base = keras.applications.MobileNetV2((224, 224, 3), include_top=False, weights=weights)
    base.pyramid_outputs = {
        "P2": base.get_layer("block_2_add").output,
        "P4": base.get_layer("block_12_add").output,
    }
    backbone = keras_hub.models.DeepLabV3Backbone(
        base,
        spatial_pyramid_pooling_key="P4",
        low_level_feature_key="P2",
        upsampling_size=4,
        dilation_rates=[6, 12, 18],
    )
    return keras_hub.models.DeepLabV3ImageSegmenter(backbone, num_classes=2, activation="softmax")


def fit(folder, weights, seed):
    keras.utils.set_random_seed(seed)
    _, pixels = pixels_of(folder)
    masks = np.stack([read(path, "grayscale", "nearest") for path in sorted(Path(folder, "masks").iterdir())])
    model = build(weights)
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.9  # with that of Keras, 36 steps leave averages at where they began
    model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=[])
    model.fit(pixels, masks, batch_size=8, epochs=12, verbose=0)
    return model


def predict(model, folder):
    paths, pixels = pixels_of(folder)
    found = model.predict(pixels, verbose=0).argmax(-1).astype("uint8")[..., None]
    sizes = [keras.utils.load_img(path).size[::-1] for path in paths]
    resized = [keras.ops.image.resize(one, size, "nearest") for one, size in zip(found, sizes, strict=True)]
    return paths, [np.asarray(mask)[..., 0] for mask in resized]


def save(model, path):
    model.save(f"{path}.keras")


def load(path):
    return keras.saving.load_model(f"{path}.keras")
