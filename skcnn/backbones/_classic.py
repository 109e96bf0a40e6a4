"""Classic networks that ``keras.applications`` lacks, to be trained from the beginning: they come without weights."""

from __future__ import annotations

from typing import Any

from skcnn._keras import import_keras


def lenet5(
    *,
    include_top: bool = True,
    weights: None = None,
    input_shape: tuple[int, int, int] = (32, 32, 3),
    classes: int = 10,
) -> Any:
    """Build LeNet-5 by the signature of ``keras.applications``, for colour images.

    Three 5 x 5 convolutions (6, 16 and 120 channels, tanh) with average pooling between them, then 84 units and the
    classifier. Without the top the output is the last feature map, 1 x 1 at 32 pixels.

    References
    ----------
    Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document recognition", Proceedings
    of the IEEE 86, 1998, section II.B.
    """
    keras = import_keras()
    layers = keras.layers
    inputs = keras.Input(input_shape, name="image")
    x = layers.Conv2D(6, 5, activation="tanh", name="conv1")(inputs)
    x = layers.AveragePooling2D(2, name="pool1")(x)
    x = layers.Conv2D(16, 5, activation="tanh", name="conv2")(x)
    x = layers.AveragePooling2D(2, name="pool2")(x)
    x = layers.Conv2D(120, 5, activation="tanh", name="conv3")(x)
    if include_top:
        x = layers.Flatten(name="flatten")(x)
        x = layers.Dense(84, activation="tanh", name="dense")(x)
        x = layers.Dense(classes, activation="softmax", name="predictions")(x)
    return keras.Model(inputs, x, name="LeNet5")


def alexnet(
    *,
    include_top: bool = True,
    weights: None = None,
    input_shape: tuple[int, int, int] = (227, 227, 3),
    classes: int = 1000,
) -> Any:
    """Build AlexNet by the signature of ``keras.applications``: one tower, without local response normalisation.

    Five convolutions (96, 256, 384, 384 and 256 channels, ReLU), overlapping max pooling after the first, the second
    and the last; then twice 4096 units with dropout, and the classifier.

    References
    ----------
    A. Krizhevsky, I. Sutskever, G. E. Hinton, "ImageNet classification with deep convolutional neural networks",
    NeurIPS 2012, section 3.5.
    """
    keras = import_keras()
    layers = keras.layers

    def convolution(x: Any, number: int, filters: int, size: int, strides: int = 1, padding: str = "same") -> Any:
        return layers.Conv2D(
            filters, size, strides, padding, activation="relu", kernel_initializer="he_normal", name=f"conv{number}"
        )(x)

    inputs = keras.Input(input_shape, name="image")
    x = layers.MaxPooling2D(3, 2, name="pool1")(convolution(inputs, 1, 96, 11, 4, "valid"))
    x = layers.MaxPooling2D(3, 2, name="pool2")(convolution(x, 2, 256, 5))
    x = convolution(convolution(x, 3, 384, 3), 4, 384, 3)
    x = layers.MaxPooling2D(3, 2, name="pool5")(convolution(x, 5, 256, 3))
    if include_top:
        x = layers.Flatten(name="flatten")(x)
        for number in (6, 7):
            x = layers.Dense(4096, activation="relu", kernel_initializer="he_normal", name=f"dense{number}")(x)
            x = layers.Dropout(0.5, name=f"dropout{number}")(x)
        x = layers.Dense(classes, activation="softmax", name="predictions")(x)
    return keras.Model(inputs, x, name="AlexNet")


def resnet34(
    *,
    include_top: bool = True,
    weights: None = None,
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
) -> Any:
    """Build ResNet-34 by the signature of ``keras.applications``.

    A 7 x 7 convolution and four stages of 3, 4, 6 and 3 residual units of two 3 x 3 convolutions, with 64 to 512
    channels. A unit's input is added to its output as it is; where a stage begins, by a strided 1 x 1 convolution.

    References
    ----------
    K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning for image recognition", CVPR 2016, section 4.1, option B.
    """
    keras = import_keras()
    layers = keras.layers

    def convolution(x: Any, filters: int, size: int, strides: int, name: str) -> Any:
        x = layers.Conv2D(
            filters, size, strides, "same", use_bias=False, kernel_initializer="he_normal", name=f"{name}_conv"
        )(x)
        return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_bn")(x)

    inputs = keras.Input(input_shape, name="image")
    x = layers.ReLU(name="stem_relu")(convolution(inputs, 64, 7, 2, "stem"))
    x = layers.MaxPooling2D(3, 2, "same", name="stem_pool")(x)
    for stage, n_units in enumerate((3, 4, 6, 3), start=1):
        for unit in range(1, n_units + 1):
            name, filters = f"stage{stage}_unit{unit}", 32 * 2**stage
            strides = 2 if unit == 1 and stage > 1 else 1
            residual = layers.ReLU(name=f"{name}_1_relu")(convolution(x, filters, 3, strides, f"{name}_1"))
            residual = convolution(residual, filters, 3, 1, f"{name}_2")
            skip = convolution(x, filters, 1, strides, f"{name}_skip") if strides == 2 else x
            x = layers.ReLU(name=name)(layers.Add(name=f"{name}_add")([skip, residual]))
    if include_top:
        x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
        x = layers.Dense(classes, activation="softmax", name="predictions")(x)
    return keras.Model(inputs, x, name="ResNet34")
