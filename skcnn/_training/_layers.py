"""Keras layers that graphs of the process need: modes and rates that are decided from outside."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from skcnn._keras import import_keras


@lru_cache(maxsize=1)
def in_inference_mode() -> Any:
    """Return a layer that runs another one in inference mode, whatever mode it is run in itself.

    ``base(x, training=False)`` alone does not: Keras 3 has the outer model's ``training=True`` win over it.
    """
    keras = import_keras()

    # Registered, and with a configuration, for callbacks that copy the model or write it down.
    @keras.saving.register_keras_serializable("skcnn")
    class InInferenceMode(keras.layers.Layer):  # type: ignore[name-defined]
        def __init__(self, inner: Any, name: str | None = None, trainable: bool = True, dtype: Any = None):
            super().__init__(name=name, trainable=trainable, dtype=dtype)
            self.inner = inner

        @classmethod
        def from_config(cls, config: dict[str, Any]) -> InInferenceMode:
            return cls(**{**config, "inner": keras.saving.deserialize_keras_object(config["inner"])})

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "inner": keras.saving.serialize_keras_object(self.inner)}

        def call(self, x: Any) -> Any:
            return self.inner(x, training=False)

    return InInferenceMode


@lru_cache(maxsize=1)
def variable_dropout() -> Any:
    """Return a dropout layer whose rate is a variable, so that candidates of a search share a compiled graph."""
    keras = import_keras()

    @keras.saving.register_keras_serializable("skcnn")
    class VariableDropout(keras.layers.Layer):  # type: ignore[name-defined]
        def __init__(self, name: str | None = None, trainable: bool = True, dtype: Any = "float32") -> None:
            super().__init__(name=name, trainable=trainable, dtype=dtype)
            self.seed_generator = keras.random.SeedGenerator(0)

        def build(self, input_shape: Any) -> None:
            self.rate = self.add_weight(shape=(), initializer="zeros", trainable=False, name="rate")

        def call(self, x: Any, training: bool = False) -> Any:
            if not training:
                return x
            keep = 1 - self.rate
            # Uniform numbers lie in [0, 1): a rate of 0 keeps every value as it is.
            drawn = keras.random.uniform(keras.ops.shape(x), seed=self.seed_generator)
            return keras.ops.where(drawn < keep, x / keep, 0.0)

    return VariableDropout
