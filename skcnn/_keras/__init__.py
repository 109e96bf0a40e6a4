"""The one seam to Keras: everything else in skcnn reaches Keras through here, and only when it needs it."""

from skcnn._keras._digests import model_digest
from skcnn._keras._gradients import gradient_of, inner_gradient
from skcnn._keras._models import copy_model, is_keras_model, model_to_bytes, set_weights
from skcnn._keras._settings import building, pinned
from skcnn._keras._starting import check_not_forked, has_gpu, import_keras, note_start, start_keras

__all__ = [
    "building",
    "check_not_forked",
    "copy_model",
    "gradient_of",
    "has_gpu",
    "import_keras",
    "inner_gradient",
    "is_keras_model",
    "model_digest",
    "model_to_bytes",
    "note_start",
    "pinned",
    "set_weights",
    "start_keras",
]
