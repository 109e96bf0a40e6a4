"""The Open Inference Protocol, version 2: what Triton, KServe and MLServer speak, as JSON.

References
----------
https://github.com/kserve/open-inference-protocol
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from skcnn.serving._bodies import check_count, decoded_texts, read_json
from skcnn.serving._errors import RequestError
from skcnn.serving._limits import Limits
from skcnn.serving._models import Running
from skcnn.serving._predictors import Predicted

EXPECTED = (
    'expected one input "images": datatype BYTES with one base64 text per image, or UINT8 of shape [n, height, width, '
    "3] with RGB pixels"
)
EXTENSIONS: list[str] = []

_DATATYPES = {bool: "BOOL", int: "INT64", float: "FP64", str: "BYTES"}


def model_metadata(name: str, running: Running) -> dict[str, Any]:
    """Return what a model takes and gives."""
    predictor = running.predictor
    outputs = {
        "classes": [_about("label", _datatype(predictor.classes), [-1])]
        + ([_about("probabilities", "FP32", [-1, len(predictor.classes)])] if predictor.classes else []),
        "numbers": [_about("numbers", "FP32", [-1, -1])],
    }
    return {
        "name": name,
        "versions": [running.version],
        "platform": "skcnn_program" if predictor.runs_by == "program" else "skcnn_estimator",
        "inputs": [_about("images", "BYTES", [-1])],
        "outputs": outputs.get(predictor.kind, []),
        "parameters": {"classes": predictor.classes, "kind": predictor.kind, "note": predictor.note},
    }


def read_inputs(body: bytes, limits: Limits) -> tuple[str | None, list[bytes | np.ndarray]]:
    """Return the id of an inference request, and its images: encoded bytes, or pixels.

    Raises
    ------
    RequestError
        400 if it is malformed, 413 if it has too many images.
    """
    request = read_json(body)
    inputs = request.get("inputs") if isinstance(request, dict) else None
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise RequestError(400, f"Got other inputs; {EXPECTED}.")
    identity = request.get("id")
    if identity is not None and not isinstance(identity, str):
        raise RequestError(400, "The id is not text.")
    shape, datatype, data = (inputs[0].get(key) for key in ("shape", "datatype", "data"))
    whole = isinstance(shape, list) and all(type(side) is int and side >= 1 for side in shape)
    if not whole or not shape or not isinstance(data, list):
        raise RequestError(400, f"Got an input without shape or data; {EXPECTED}.")
    check_count(shape[0], limits)
    if datatype == "BYTES" and shape in ([len(data)], [len(data), 1]):
        return identity, [image.content for image in decoded_texts(data, limits)]
    if datatype == "UINT8" and len(shape) == 4 and shape[3] == 3:
        if math.prod(shape[1:3]) > limits.max_pixels:
            raise RequestError(413, f"Got images of {shape[1]} x {shape[2]} pixels; at most {limits.max_pixels:,}.")
        return identity, list(_pixels(data, shape))
    raise RequestError(400, f"Got {str(datatype)[:20]!r} of shape {shape[:8]}; {EXPECTED}.")


def _pixels(data: list[Any], shape: list[int]) -> np.ndarray:
    try:
        values = np.asarray(data)
    except ValueError:
        values = np.empty(0, object)
    if values.dtype.kind not in "iu" or values.size != math.prod(shape) or values.min() < 0 or values.max() > 255:
        raise RequestError(400, f"The data are not {math.prod(shape):,} integers in 0 to 255.")
    return values.astype(np.uint8).reshape(shape)


def as_outputs(name: str, running: Running, identity: str | None, results: list[Predicted]) -> dict[str, Any]:
    """Return the response to an inference request.

    Raises
    ------
    RequestError
        501 if the model predicts what the protocol has no tensors for.
    """
    kind, classes = running.predictor.kind, running.predictor.classes
    if kind == "classes":
        labels = [result.label for result in results]
        if any(isinstance(label, list) for label in labels):  # an image has several: only the probabilities
            outputs = []
        else:
            outputs = [{**_about("label", _datatype(classes), [len(labels)]), "data": labels}]
        if all(result.probabilities is not None for result in results):
            outputs.append(_tensor("probabilities", [result.probabilities for result in results]))
    elif kind == "numbers":
        outputs = [_tensor("numbers", [result.numbers for result in results])]
    else:
        raise RequestError(501, f"The model predicts {kind}; POST /predict/{name} gives them.")
    answer = {"model_name": name, "model_version": running.version, "outputs": outputs}
    return answer if identity is None else {**answer, "id": identity}


def _tensor(name: str, rows: list[Any]) -> dict[str, Any]:
    values = np.stack(rows)
    datatype = "FP64" if values.dtype == np.float64 else "FP32"
    return {**_about(name, datatype, list(values.shape)), "data": values.ravel().tolist()}


def _about(name: str, datatype: str, shape: list[int]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape}


def _datatype(classes: list[Any] | None) -> str:
    return _DATATYPES.get(type(classes[0]) if classes else str, "BYTES")
