"""What people use today to get features of a network: each of these returns a function to be timed.

Whatever is not installed raises ImportError, and is named among what was skipped.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from skcnn._keras import import_keras

Run = Callable[[], np.ndarray]

#: The networks that torchvision has too, by its names.
TORCHVISION = {
    "MobileNetV2": "mobilenet_v2",
    "ResNet50": "resnet50",
    "EfficientNetB0": "efficientnet_b0",
    "ConvNeXtTiny": "convnext_tiny",
}


def batches(pixels: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Return pixels in batches; the last one may be smaller."""
    return [pixels[start : start + batch_size] for start in range(0, len(pixels), batch_size)]


def predict(model: Any, pixels: np.ndarray, batch_size: int) -> Run:
    """Return Keras's ``predict`` on an array of floats."""
    values = pixels.astype(np.float32)
    return lambda: model.predict(values, batch_size=batch_size, verbose=0)


def predict_on_batch(model: Any, pixels: np.ndarray, batch_size: int) -> Run:
    """Return Keras's ``predict_on_batch`` in a loop."""
    values = batches(pixels.astype(np.float32), batch_size)
    return lambda: np.concatenate([np.asarray(model.predict_on_batch(batch)) for batch in values])


def predict_from_files(model: Any, folder: Path, batch_size: int) -> Run:
    """Return Keras's ``image_dataset_from_directory`` and ``predict``; both are part of what is timed."""
    import tensorflow  # noqa: F401  (on another backend Keras would fail later, with a longer message)

    keras = import_keras()
    options = {
        "labels": None,
        "shuffle": False,
        "image_size": model.input_shape[1:3],
        "interpolation": "bilinear",
        "batch_size": batch_size,
        "verbose": False,
    }
    return lambda: model.predict(keras.utils.image_dataset_from_directory(folder, **options), verbose=0)


def onnxruntime(model: Any, pixels: np.ndarray, batch_size: int, folder: Path) -> Run:
    """Return ONNX Runtime on Keras's own export of the model (with TensorFlow it needs the package tf2onnx)."""
    from onnxruntime import InferenceSession, get_available_providers

    path = folder / "network.onnx"
    model.export(str(path), format="onnx", verbose=False)
    session = InferenceSession(str(path), providers=get_available_providers())
    path.unlink()
    (name,) = (entry.name for entry in session.get_inputs())
    values = batches(pixels.astype(np.float32), batch_size)
    return lambda: np.concatenate([session.run(None, {name: batch})[0] for batch in values])


def torchvision(name: str, pixels: np.ndarray, batch_size: int) -> Run:
    """Return torchvision's network of that name with random weights, channels last: for its time alone."""
    import torch
    import torchvision

    if name not in TORCHVISION:
        raise ImportError(f"torchvision has no {name}")
    network = torchvision.models.get_model(TORCHVISION[name], weights=None).eval()
    if hasattr(network, "fc"):
        network.fc = torch.nn.Identity()
    else:
        network.classifier[-1] = torch.nn.Identity()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network.to(device=device, memory_format=torch.channels_last)
    # (n, height, width, 3) seen as (n, 3, height, width) is what torch calls channels last.
    values = [
        torch.from_numpy(batch.astype(np.float32) / 255).permute(0, 3, 1, 2) for batch in batches(pixels, batch_size)
    ]

    def run() -> np.ndarray:
        with torch.inference_mode():
            return np.concatenate([network(batch.to(device)).cpu().numpy() for batch in values])

    return run
