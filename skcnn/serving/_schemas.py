"""What requests and answers look like, in the words of OpenAPI."""

from __future__ import annotations

from typing import Any

_IMAGE = {"type": "string", "format": "binary"}
_TEXTS = {"type": "array", "items": {"type": "string", "format": "byte"}}

IMAGES: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"images": {"type": "array", "items": _IMAGE}}}
            },
            "application/json": {
                "schema": {"type": "object", "properties": {"images": _TEXTS}, "required": ["images"]}
            },
            "image/*": {"schema": _IMAGE},
        },
    }
}

INFERENCE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "example": {"inputs": [{"name": "images", "shape": [1], "datatype": "BYTES", "data": ["base64"]}]},
                "schema": {"type": "object", "required": ["inputs"]},
            }
        },
    }
}

_BOX = {
    "type": "object",
    "properties": {
        "label": {},
        "score": {"type": "number"},
        **{side: {"type": "number"} for side in ("xmin", "ymin", "xmax", "ymax")},
    },
}
_ROW = {
    "type": "object",
    "properties": {
        "name": {"type": ["string", "null"], "description": "The file name that the client sent."},
        "error": {
            "type": "string",
            "description": "Why there is no prediction; then all other fields but `name` are missing.",
        },
        "label": {"description": "The predicted class."},
        "top": {
            "type": "array",
            "items": {"type": "object", "properties": {"label": {}, "probability": {"type": "number"}}},
        },
        "probabilities": {"type": "array", "items": {"type": "number"}},
        "numbers": {"type": "array", "items": {"type": "number"}},
        "distance": {
            "type": "number",
            "description": "Distance to the training set: about 1 for an image like those in it.",
        },
        "farther_than": {
            "type": "number",
            "description": "The fraction of the training images with a smaller distance.",
        },
        "boxes": {"type": "array", "items": _BOX, "description": "In pixels of the upright image."},
        "mask": {"type": "string", "format": "byte", "description": "PNG; a pixel is the number of its class."},
    },
}
_ANSWER = {
    "type": "object",
    "properties": {
        "model": {"type": "string"},
        "version": {"type": "string"},
        "images": {"type": "array", "items": _ROW},
    },
}


def _error(description: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"error": {"type": "string"}}}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


PREDICTED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "One row per image, in order. A damaged image among others has an `error`.",
        "content": {"application/json": {"schema": _ANSWER}},
    },
}
EXPLAINED: dict[int | str, dict[str, Any]] = {
    200: {"description": "The image with the heat laid over it.", "content": {"image/png": {"schema": _IMAGE}}},
    501: _error("The model cannot be explained, or the server explains none."),
}
PROTOCOL_ERRORS: dict[int | str, dict[str, Any]] = {
    400: _error("The request is malformed."),
    401: _error("The token is missing or wrong."),
    404: _error("There is no such model."),
    408: _error("The body did not arrive in time."),
    413: _error("The body is too long, or has too many images."),
    422: _error("An image cannot be read."),
    503: _error("Too many images wait; `Retry-After` says for how long."),
}
ERRORS: dict[int | str, dict[str, Any]] = {**PROTOCOL_ERRORS, 415: _error("The body is of another type.")}
