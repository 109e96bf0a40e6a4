"""Training of networks on several devices, of one machine or of several machines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from numbers import Integral
from typing import Literal, NamedTuple

__all__ = ["chosen_devices", "on_devices"]


class Choice(NamedTuple):
    """What :func:`on_devices` was given."""

    devices: int | Literal["auto"]
    linear_scaling: bool


_choice: ContextVar[Choice | None] = ContextVar("skcnn_devices", default=None)


@contextmanager
def on_devices(devices: int | Literal["auto"] = "auto", *, linear_scaling: bool = False) -> Iterator[None]:
    """Train networks within the block on several devices, which share each batch.

    ``batch_size`` is still the number of images per batch, and each device gets an equal part of a batch. Gradients are
    computed over the whole batch, even a smaller last one, and so are the loss and the metrics of an epoch: the history
    of a classifier is the same as on one device, up to rounding.

    Devices are not a parameter of estimators, because they belong to the machine and do not change what is learned. So
    a saved model does not store them, a search does not vary them, and they also apply to estimators inside of others.
    joblib's ``parallel_config`` and Keras's own distributions work in the same way.

    Parameters
    ----------
    devices : int or "auto", default="auto"
        Number of devices. "auto" takes all GPUs that Keras finds; if it finds none or one, nothing changes (without
        GPUs, the CPU devices of the backend are used: one, unless it was configured otherwise). With JAX these are the
        devices of all processes, after ``keras.distribution.initialize``.
    linear_scaling : bool, default=False
        Whether ``batch_size`` is the number of images per device, so that batches are ``devices`` times as large.
        Learning rates are multiplied by the same factor. This is the linear scaling rule of [1]_, without its warm-up,
        which batches of thousands of images need. Fewer, larger steps use fast devices better, but the trained model
        differs.

    Raises
    ------
    TypeError
        If ``devices`` is neither "auto" nor an int.
    ValueError
        If ``devices`` is less than 1. In ``fit``: if fewer devices are available, if ``batch_size`` is not a multiple
        of their number, or with ``batch_norm="train"``, which needs statistics of whole batches.
    RuntimeError
        In ``fit``: if the backend of Keras cannot train on several devices. PyTorch cannot, and TensorFlow cannot on
        several hosts.

    See Also
    --------
    skcnn.profile : Shows whether the network takes most of the time of training.

    Notes
    -----
    It works for ``CNNClassifier``, ``CNNRegressor``, ``CNNLocalizer``, ``CNNDetector`` and ``CNNSegmenter``, on
    TensorFlow (``MirroredStrategy``) on one host and on JAX (``keras.distribution.DataParallel``) in any number of
    processes. Other estimators train on one device. Frozen layers and predictions also run on one device.

    Three things are done by each device separately for its part of a batch, so that results differ from those on one
    device: dropout and augmentation in the network draw their random numbers, and the heads of detectors and segmenters
    normalise over the batch. For the latter, each device should get eight images or more. The normalisation layers of
    the pretrained network are frozen.

    With several processes, all of them call ``fit`` with the same data and the same integer ``random_state``. Each
    process reads its part of each batch, and all end with the same weights. The first process writes checkpoints.

    References
    ----------
    .. [1] P. Goyal et al. (2017). Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour. arXiv:1706.02677.

    Examples
    --------
    >>> import skcnn
    >>> from skcnn.datasets import load_digit_images
    >>> from skcnn.neural_network import CNNClassifier
    >>> X, y = load_digit_images(return_X_y=True)
    >>> classifier = CNNClassifier("ResNet20", image_size=8, head_epochs=1, epochs=0, random_state=0)
    >>> with skcnn.on_devices("auto"):  # all GPUs, or as without it
    ...     classifier.fit(X[:100], y[:100]).predict(X[:3]).shape
    (3,)
    """
    if isinstance(devices, bool) or not (devices == "auto" or isinstance(devices, Integral)):
        raise TypeError(f"devices={devices!r}; expected 'auto' or a number of devices")
    if devices != "auto" and devices < 1:
        raise ValueError(f"devices={devices!r}; expected at least 1")
    token = _choice.set(Choice(devices, bool(linear_scaling)))
    try:
        yield
    finally:
        _choice.reset(token)


def chosen_devices() -> Choice | None:
    """Return what the innermost block of :func:`on_devices` was given, or None outside of all."""
    return _choice.get()
