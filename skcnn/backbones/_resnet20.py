"""ResNet20, the 32 x 32 network of He et al. (2016), section 4.2, which ``keras.applications`` lacks."""

from __future__ import annotations

from typing import Any

from skcnn._keras import import_keras

#: The output of every residual unit, by the name of the layer that gives it, shallow to deep.
UNITS = tuple(f"stage{stage}_unit{unit}" for stage in (1, 2, 3) for unit in (1, 2, 3))


def build_resnet20(
    *,
    input_shape: tuple[int, int, int] = (32, 32, 3),
    classes: int = 10,
    include_top: bool = True,
    classifier_activation: str | None = "softmax",
    name: str = "ResNet20",
) -> Any:
    """Build ResNet20 with freshly initialised weights.

    A 3 x 3 convolution, three stages of three residual units with 16, 32 and 64 channels (the second and the third
    stage halve the image), global average pooling and a dense classifier: 20 weighted layers, 0.27 million
    parameters. Skips carry no parameters (the paper's option A): where the shape changes they take every second
    pixel and pad the new channels with zeros.

    Parameters
    ----------
    input_shape : tuple of 3 ints, default=(32, 32, 3)
        Height, width and channels. The network is fully convolutional, so other sizes work too.
    classes : int, default=10
        Units of the classifier (10 as in CIFAR-10).
    include_top : bool, default=True
        Whether the pooling and the classifier are part of the model. Without them the output is the last feature
        map, ``(n, height / 4, width / 4, 64)``.
    classifier_activation : str or None, default="softmax"
        Activation of the classifier; None gives logits.
    name : str, default="ResNet20"
        Name of the Keras model.

    Returns
    -------
    keras.Model
        Takes float pixels scaled to [-1, 1] (``preprocess_input(mode="tf")``).

    References
    ----------
    K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning for image recognition", CVPR 2016, section 4.2.
    """
    keras = import_keras()
    layers = keras.layers

    def convolution(x: Any, filters: int, strides: int, name: str) -> Any:
        x = layers.Conv2D(
            filters, 3, strides, padding="same", use_bias=False, kernel_initializer="he_normal", name=f"{name}_conv"
        )(x)
        return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_bn")(x)

    inputs = keras.Input(input_shape, name="image")
    x = layers.ReLU(name="stem_relu")(convolution(inputs, 16, 1, "stem"))
    for unit_name in UNITS:
        filters = 16 * 2 ** (int(unit_name[5]) - 1)
        strides = 1 if filters == x.shape[-1] else 2
        residual = layers.ReLU(name=f"{unit_name}_1_relu")(convolution(x, filters, strides, f"{unit_name}_1"))
        residual = convolution(residual, filters, 1, f"{unit_name}_2")
        if strides == 2:
            # Option A. Pooling over one pixel with stride 2 is "every second pixel".
            x = layers.MaxPooling2D(1, 2, name=f"{unit_name}_skip")(x)
            added = filters - x.shape[-1]
            x = keras.ops.pad(x, [(0, 0), (0, 0), (0, 0), (added // 2, added - added // 2)])
        x = layers.ReLU(name=unit_name)(layers.Add(name=f"{unit_name}_add")([x, residual]))
    if include_top:
        x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
        x = layers.Dense(classes, activation=classifier_activation, kernel_initializer="he_normal", name="predictions")(
            x
        )
    return keras.Model(inputs, x, name=name)
