"""The only import of SciKeras, and a lazy one: importing it replaces ``__reduce__`` on Keras's own classes.

SciKeras takes an array as X, and no stream. So it is given row numbers. It routes optimizer and loss to the compiler,
calls the builder by its contract, ``build(meta, compile_kwargs)``, and encodes labels; the training itself is ours.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from sklearn import config_context, get_config


def fitted_wrapper(model: Any, y: np.ndarray, *, optimizer: Any, loss: Any) -> Any:
    """Return SciKeras's own wrapper of a trained model, fitted.

    Parameters
    ----------
    model : keras.Model
        From pixels to probabilities or numbers.
    y : ndarray of shape (n, ) or (n, n_outputs)
        Targets that show what y is like: every class, indicators (int), or numbers (float).
    optimizer, loss
        With which ``partial_fit`` and ``fit`` train it further, or from the beginning.
    """
    from scikeras.wrappers import KerasClassifier, KerasRegressor

    wrapper = KerasRegressor if y.dtype.kind == "f" else KerasClassifier
    fitted = wrapper(model, optimizer=optimizer, loss=loss, verbose=0)
    with config_context(transform_output="default"):
        return fitted.initialize(np.zeros((len(y), *model.input_shape[1:]), np.float32), y)


@lru_cache(maxsize=1)
def _driver_classes() -> Any:
    from scikeras.wrappers import KerasClassifier, KerasRegressor

    class OfRowNumbers:
        _train: Callable[[Any], dict[str, Any]]
        _transform_output: Any
        model_: Any

        def _fit_keras_model(self, X: Any, y: Any, *args: Any, **kwargs: Any) -> None:
            with config_context(transform_output=self._transform_output):
                self.history_ = self._train(self.model_)

    class RowNumberClassifier(OfRowNumbers, KerasClassifier):
        pass

    class RowNumberRegressor(OfRowNumbers, KerasRegressor):
        pass

    return RowNumberClassifier, RowNumberRegressor


def drive(
    model: Any, y: np.ndarray, *, optimizer: Any, loss: Any, metric: str, train: Callable[[Any], dict[str, Any]]
) -> None:
    """Have SciKeras compile a model, unless it is compiled, and call ``train`` with it.

    Parameters
    ----------
    model : keras.Model
        Compiled with ``optimizer`` and ``loss`` unless it is compiled already.
    y : ndarray of shape (n_rows,) or (n_rows, n_outputs)
        Indices of classes or indicators of them (int), or numbers (float), of the rows to train on.
    optimizer, loss, metric
        Parameters of SciKeras's wrapper.
    train : callable
        From the compiled model to Keras's history, a dict of lists.
    """

    def build(meta: dict[str, Any], compile_kwargs: dict[str, Any]) -> Any:
        if not model.compiled:
            model.compile(**compile_kwargs)
        return model

    # random_state=None: a number would enable TensorFlow's op determinism for the whole process.
    classifier, regressor = _driver_classes()
    wrapper = regressor if y.dtype.kind == "f" else classifier
    driver = wrapper(build, optimizer=optimizer, loss=loss, metrics=[metric], random_state=None, verbose=0)
    driver._train = train
    # SciKeras encodes labels by scikit-learn's transformers, to arrays; callbacks see the user's setting.
    driver._transform_output = get_config()["transform_output"]
    with config_context(transform_output="default"):
        driver.fit(np.arange(len(y))[:, None], y)
