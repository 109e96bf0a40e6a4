"""The graph of a fitted GAN: from codes to images."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skcnn import __version__
from skcnn._keras import import_keras, pinned
from skcnn.generative import ImageGAN

#: How far levels of the graph may be from those of the estimator, which are rounded.
_TOLERANCE = 0.51


def generation_of(gan: ImageGAN) -> tuple[Any, dict[str, Any]]:
    """Return the graph of a fitted GAN, once it gives what the estimator gives, and what is to be known beside it.

    Returns
    -------
    model : keras.Model
        From ``codes``, float32 (n, n_components + n_classes), whose last columns are indicators of classes if there are
        any, to ``images``, float32 (n, height, width, n_channels) in [0, 255].
    about : dict of str to object
        Classes and sizes.

    Raises
    ------
    NotFittedError
        If it is not fitted.
    ValueError
        If the graph does not give what the estimator generates.
    """
    check_is_fitted(gan)
    keras = import_keras()
    classes = getattr(gan, "classes_", None)
    n_classes = 0 if classes is None else len(classes)
    with pinned():
        generator = gan.generator_
        n_components = int(generator.inputs[0].shape[-1])
        codes = keras.Input((n_components + n_classes,), name="codes")
        parts = [codes[:, :n_components], codes[:, n_components:]] if n_classes else codes
        made = keras.layers.Activation("linear", dtype="float32", name="images")(generator(parts))
        model = keras.Model(codes, made, name="generator")
        _check(gan, model, n_components, classes)
    about = {
        "classes": None if classes is None else classes.tolist(),
        "n_components": n_components,
        "image_size": list(gan.image_size_),
        "estimator": "ImageGAN",
        "skcnn": __version__,
    }
    return model, about


def _check(gan: ImageGAN, model: Any, n_components: int, classes: np.ndarray | None) -> None:
    """See that the graph gives what the estimator gives."""
    random = np.random.default_rng(0)
    codes = random.standard_normal((8, n_components)).astype(np.float32)
    places = None if classes is None else random.integers(0, len(classes), len(codes))
    asked = None if classes is None else classes[places]
    given = codes if classes is None else np.hstack([codes, np.eye(len(classes), dtype=np.float32)[places]])
    found = np.asarray(model.predict_on_batch(given), np.float64)
    difference = np.abs(found - gan.generate(codes, asked).reshape(found.shape)).max()
    if not difference <= _TOLERANCE:
        raise ValueError(
            f"The graph of ImageGAN does not give what it generates: levels differ by {difference:.2g}. This is a bug "
            "in skcnn: please report it with the parameters of the estimator."
        )
