"""Layers that the graphs have besides Keras's own.

Importing this module loads Keras and tells it of them. Whoever reads a file that ``keras.callbacks.ModelCheckpoint``
wrote during ``CNNClassifier.fit`` does so first::

    import skcnn.neural_network.layers

    model = keras.saving.load_model("model.keras")
"""

from __future__ import annotations

from typing import Any

from skcnn._keras import import_keras

keras = import_keras()


@keras.saving.register_keras_serializable(package="skcnn")
class InInferenceMode(keras.layers.Layer):  # type: ignore[name-defined]
    """Runs another layer in inference mode, whatever mode it is run in itself.

    ``inner(x, training=False)`` alone does not: Keras 3 has the outer model's ``training=True`` win over it.
    """

    def __init__(self, inner: Any, **options: Any):
        super().__init__(**options)
        self.inner = inner

    def call(self, x: Any) -> Any:
        """Run the other layer."""
        return self.inner(x, training=False)

    def get_config(self) -> dict[str, Any]:
        """Return the configuration, with that of the other layer."""
        return {**super().get_config(), "inner": keras.saving.serialize_keras_object(self.inner)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> InInferenceMode:
        """Make the layer, and the other layer, from their configuration."""
        return cls(**{**config, "inner": keras.saving.deserialize_keras_object(config["inner"])})


@keras.saving.register_keras_serializable(package="skcnn")
class VariableDropout(keras.layers.Layer):  # type: ignore[name-defined]
    """Dropout whose rate is a variable, so that candidates of a search share a compiled graph."""

    def __init__(self, **options: Any):
        super().__init__(**{**options, "dtype": "float32"})
        self.seed_generator = keras.random.SeedGenerator(0)

    def build(self, input_shape: Any) -> None:
        """Make the variable of the rate."""
        self.rate = self.add_weight(shape=(), initializer="zeros", trainable=False, name="rate")

    def call(self, x: Any, training: bool = False) -> Any:
        """Set values to 0 at random while training, and scale the others up."""
        if not training:
            return x
        keep = 1 - self.rate
        # Uniform numbers lie in [0, 1): a rate of 0 keeps every value as it is.
        drawn = keras.random.uniform(keras.ops.shape(x), seed=self.seed_generator)
        return keras.ops.where(drawn < keep, x / keep, 0.0)
