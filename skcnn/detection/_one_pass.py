"""The network of a classifier of windows as one for whole images: whether there is one, and for how long it is kept."""

from __future__ import annotations

from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from skcnn.detection._fully_convolutional import pads, stride_of, to_fully_convolutional

Size = tuple[int, int]


class OnePass(NamedTuple):
    """A network for whole images, and every how many of its outputs, down and across, is a window."""

    network: Any
    step: Size

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """Return the probabilities (rows, columns, n_classes) in the windows of an image (height, width, 3)."""
        outputs = np.asarray(self.network.predict_on_batch(pixels[None].astype(np.float32)))[0]
        outputs = outputs[:: self.step[0], :: self.step[1]]
        if outputs.shape[-1] == 1:  # of two classes, the second
            return np.concatenate([1 - outputs, outputs], axis=-1)
        return outputs


#: By classifier: the ``classes_`` of the fit that they are of, and what was made of it, by window, stride and wish.
_made: WeakKeyDictionary[Any, tuple[Any, dict[tuple[Size, Size, bool], OnePass | None]]] = WeakKeyDictionary()


def one_pass_of(estimator: Any, window: Size, stride: Size, *, wanted: bool) -> OnePass | None:
    """Return what classifies all windows of an image at once; None where each has to be classified by itself.

    It is made once per fit of the classifier, and kept as long as that lives.

    Parameters
    ----------
    estimator : estimator
        A fitted classifier.
    window, stride : tuple of (height, width)
        In pixels.
    wanted : bool
        Whether a network that pads will do, which gives other outputs; and where there is none at all, to raise.

    Raises
    ------
    ValueError
        If it is wanted and there is none; the message says why.
    """
    fit, made = _made.get(estimator, (None, {}))
    if fit is not getattr(estimator, "classes_", None):
        made = {}
    key = window, stride, wanted
    if key not in made:
        made[key] = _make(estimator, window, stride, wanted)
        _made[estimator] = estimator.classes_, made
    return made[key]


def _make(estimator: Any, window: Size, stride: Size, wanted: bool) -> OnePass | None:
    model = getattr(estimator, "model_", None)
    fault = None
    if model is None:
        fault = f"estimator is a {type(estimator).__name__}, and no network; expected a CNNClassifier"
    elif tuple(model.input_shape[1:3]) != window:
        fault = f"the network takes {model.input_shape[1:3]} pixels, and window={window}; expected the same"
    elif not wanted and pads(model):
        return None
    if fault is None:
        network = to_fully_convolutional(model)
        own = stride_of(network, window)
        if all(step % single == 0 for step, single in zip(stride, own, strict=True)):
            return OnePass(network, (stride[0] // own[0], stride[1] // own[1]))
        fault = f"stride={stride}; expected multiples of the network's stride, {own}"
    if wanted:
        raise ValueError(f"one_pass=True: {fault}; or give one_pass='auto'.")
    return None
