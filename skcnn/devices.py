"""On which devices of a machine, or of several machines, networks are trained."""

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

    ``batch_size`` stays the number of images of a batch, of which each device gets an equal part. Gradients are those
    of the whole batch, also of a smaller last one, and so are loss and metrics of an epoch: the history of a classifier
    is the same as on one device, up to rounding.

    It is no parameter of estimators, since it changes nothing of what they learn: it belongs to the machine. So a saved
    model does not hold it, a search does not try it, and it reaches estimators that are inside of others. joblib's
    ``parallel_config`` and Keras's own distributions work in the same way.

    Parameters
    ----------
    devices : int or "auto", default="auto"
        Number of devices. "auto" takes all GPUs that Keras finds; where it finds none or one, nothing changes (without
        GPUs, the CPUs of the backend count, which are one unless it was configured otherwise). With JAX these are the
        devices of all processes, after ``keras.distribution.initialize``.
    linear_scaling : bool, default=False
        Whether ``batch_size`` is that of each device, so that batches are ``devices`` times as large. Learning rates
        are multiplied by as much: the linear scaling rule of [1]_, without its warm-up, which batches of thousands
        need. Fewer, larger steps use fast devices better, but they are other steps: what is learned differs.

    Raises
    ------
    TypeError
        If ``devices`` is neither "auto" nor an int.
    ValueError
        If it is less than 1. In ``fit``: if there are not as many devices, if ``batch_size`` is not a multiple of
        their number, or with ``batch_norm="train"``, which needs statistics of whole batches.
    RuntimeError
        In ``fit``: if the backend of Keras cannot train on them. PyTorch cannot, nor can TensorFlow on several hosts.

    See Also
    --------
    skcnn.profile : Whether it is the network that training takes long for.

    Notes
    -----
    It works for ``CNNClassifier``, ``CNNRegressor``, ``CNNLocalizer``, ``CNNDetector`` and ``CNNSegmenter``, on
    TensorFlow (``MirroredStrategy``) on one host and on JAX (``keras.distribution.DataParallel``) in any number of
    processes. Others train on one device, and so are frozen layers and predictions run.

    Three things are done by each device for its part of a batch, and so differ from one device: dropout and
    augmentation in the network are drawn, and the heads of detectors and segmenters normalise over the batch, for
    which a device should get eight images or more. The normalisation layers of the pretrained network are frozen.

    With several processes all of them call ``fit`` with the same data and the same integer ``random_state``; each
    reads its part of each batch, and all end with the same weights. The first one writes checkpoints.

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
