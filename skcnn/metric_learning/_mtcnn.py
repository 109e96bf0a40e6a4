"""The only import of the package mtcnn: a published detector of faces."""

from __future__ import annotations

import importlib.resources
from functools import lru_cache
from threading import RLock
from typing import Any

import numpy as np

from skcnn._keras import building, import_keras

_NETWORKS = ("pnet", "rnet", "onet")

_lock = RLock()


def mtcnn_faces(images: list[np.ndarray]) -> list[np.ndarray]:
    """Return the faces that three cascaded networks (MTCNN) find in images (height, width, 3), uint8.

    Returns
    -------
    list of ndarray of shape (n_faces, 5), float64
        ``xmin, ymin, xmax, ymax`` in pixels, and the score in [0, 1].

    Raises
    ------
    ImportError
        If mtcnn is not installed; it comes with the extra ``faces``.
    RuntimeError
        If Keras does not run on TensorFlow.
    """
    with _lock:
        detector = _detector()
        found = [detector.detect_faces(image, box_format="xyxy") for image in images]
    return [
        np.array([[*face["box"], face["confidence"]] for face in faces], dtype=float).reshape(-1, 5) for faces in found
    ]


@lru_cache(maxsize=1)
def _detector() -> Any:
    keras = import_keras()
    if (backend := keras.backend.backend()) != "tensorflow":
        raise RuntimeError(
            f"Keras runs on {backend}, and mtcnn on TensorFlow only: set KERAS_BACKEND=tensorflow, or give another "
            "detector=."
        )
    try:
        from mtcnn import MTCNN
        from mtcnn.stages import StageONet, StagePNet, StageRNet
    except ImportError as error:
        raise ImportError(
            "FaceCrop finds faces by mtcnn, which is not installed: `pip install 'skcnn[faces]'`, or give another "
            "detector=."
        ) from error
    # By their names alone, mtcnn would take files of these names in the current folder, which it unpickles.
    folder = importlib.resources.files("mtcnn") / "assets" / "weights"
    with building():
        stages = [
            stage(weights=str(folder / f"{name}.lz4"))
            for stage, name in zip((StagePNet, StageRNet, StageONet), _NETWORKS, strict=True)
        ]
        return MTCNN(stages)
