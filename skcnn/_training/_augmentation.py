"""Augmentation: images are shifted, rotated, zoomed, mirrored and recoloured at random in training."""

from __future__ import annotations

from typing import Any

from skcnn._keras import building, import_keras, is_keras_model
from skcnn._training._optimizers import as_json

AUGMENTATIONS = ("light", "standard")


def as_augmentation(augmentation: Any) -> tuple[list[Any], str]:
    """Return new layers for the parameter ``augmentation``, and their identity.

    Parameters
    ----------
    augmentation : {"light", "standard"}, keras layer, list of layers or None
        Layers take and return pixels in [0, 255], float32 (n, height, width, 3). They are copied, never used.

    Returns
    -------
    layers : list of keras.layers.Layer
        Empty for None.
    identity : str

    Raises
    ------
    TypeError
        If it contains something that is not a Keras layer.
    ValueError
        If it is an unknown name.
    """
    if augmentation is None:
        return [], ""
    if isinstance(augmentation, str):
        if augmentation not in AUGMENTATIONS:
            raise ValueError(
                f"augmentation={augmentation!r}; expected None, {', '.join(map(repr, AUGMENTATIONS))}, or Keras layers"
            )
        with building():
            return _preset(augmentation), augmentation
    layers = import_keras().layers
    given = list(augmentation) if isinstance(augmentation, (list, tuple)) else [augmentation]
    flat: list[Any] = []
    for layer in given:
        if is_keras_model(layer) and hasattr(layer, "layers"):
            flat += [inner for inner in layer.layers if not isinstance(inner, layers.InputLayer)]
        elif isinstance(layer, layers.Layer):
            flat.append(layer)
        else:
            raise TypeError(
                f"augmentation holds {layer!r}; expected None, {', '.join(map(repr, AUGMENTATIONS))}, a Keras layer, "
                "a list of layers, or a keras.Sequential of them"
            )
    configs = [_config(layer) for layer in flat]
    with building():
        copies = [type(layer).from_config({**config}) for layer, config in zip(flat, configs, strict=True)]
    kinds = [[type(layer).__name__, {**config, "name": ""}] for layer, config in zip(flat, configs, strict=True)]
    return copies, as_json(kinds)


def _config(layer: Any) -> dict[str, Any]:
    """Return the configuration of a layer for pixels as they are here, whatever Keras was set to when it was made."""
    config = layer.get_config()
    ours = {"dtype": "float32", "data_format": "channels_last"}
    return {**config, **{name: value for name, value in ours.items() if name in config}}


def _preset(name: str) -> list[Any]:
    layers = import_keras().layers
    light = [
        layers.RandomFlip("horizontal"),
        layers.RandomTranslation(0.08, 0.08, fill_mode="reflect"),
        layers.RandomZoom((-0.1, 0.1), fill_mode="reflect"),
    ]
    if name == "light":
        return light
    return [
        *light,
        layers.RandomRotation(0.04, fill_mode="reflect"),
        layers.RandomContrast(0.2, value_range=(0, 255)),
        layers.RandomBrightness(0.1, value_range=(0, 255)),
        layers.RandomSaturation((0.4, 0.6), value_range=(0, 255)),
        layers.RandomHue(0.03, value_range=(0, 255)),
        layers.Rescaling(1 / 255),  # GaussianNoise takes no more than 1
        layers.GaussianNoise(0.015),
        layers.Rescaling(255.0),
    ]


def seed_layers(layers: list[Any], generator: Any) -> None:
    """Seed the random layers among these by numbers that a NumPy generator draws."""
    for layer in layers:
        for variable in layer.variables:
            if variable.name == "seed_generator_state":
                variable.assign(generator.integers(0, 2**31 - 1, variable.shape).astype("uint32"))


def augmented(pixels: Any, layers: list[Any]) -> Any:
    """Return pixels (n, height, width, 3), float32 in [0, 255], put through the layers."""
    ops = import_keras().ops
    x = ops.cast(pixels, "float32")
    for layer in layers:
        x = layer(x)
    return ops.clip(x, 0, 255) if layers else x


def augmented_together(
    pixels: Any, layers: list[Any], *, boxes: Any = None, masks: Any = None
) -> tuple[Any, Any | None, Any | None]:
    """Return pixels put through the layers, and the boxes and masks of the images moved alike, in training.

    Layers of Keras that move pixels move boxes and masks as well; those that change values alone see the pixels only.

    Parameters
    ----------
    pixels : tensor of shape (n, height, width, 3)
        In [0, 255].
    layers : list of keras.layers.Layer
        Of :func:`as_augmentation`.
    boxes : tensor of shape (n, n_boxes, 4) or None, default=None
        ``xmin, ymin, xmax, ymax`` in pixels. Rows of zeros fill up images with fewer boxes, and stay zeros.
    masks : tensor of shape (n, height, width, n_masks) or None, default=None
        Integers from 0 to 255, such as classes. They move by the nearest pixel; what comes from outside of the image is
        255.

    Returns
    -------
    pixels : tensor of shape (n, height, width, 3), float32
    boxes : tensor of shape (n, n_boxes, 4), float32, or None
        Cut off at the borders of the image. What has left the image is zeros.
    masks : tensor of shape (n, height, width, n_masks) or None
        As given, in kind.

    Raises
    ------
    TypeError
        If a layer moves pixels and is not one that can move boxes and masks.
    """
    ops = import_keras().ops
    together: dict[str, Any] = {"images": ops.cast(pixels, "float32")}
    is_there = None
    if boxes is not None:
        boxes = ops.cast(boxes, "float32")
        is_there = _area(boxes) > 0
        together["bounding_boxes"] = {"boxes": boxes, "labels": ops.where(is_there, 0, -1)}
    if masks is not None:
        # Layers fill up with zeros.
        together["segmentation_masks"] = (ops.cast(masks, "int32") + 1) % 256
    for layer in layers:
        if _moves_together(layer):
            together = {**together, **layer(together)}
        else:
            together["images"] = layer(together["images"])
    if layers:
        together["images"] = ops.clip(together["images"], 0, 255)
    if boxes is not None:
        height, width = ops.shape(pixels)[1:3]
        most = ops.cast(ops.stack([width, height, width, height]), "float32")
        boxes = ops.clip(together["bounding_boxes"]["boxes"], 0, most)
        boxes = ops.where((is_there & (_area(boxes) > 0))[..., None], boxes, 0.0)
    if masks is not None:
        moved = ops.cast(ops.round(together["segmentation_masks"]), "int32")
        masks = ops.cast((moved + 255) % 256, masks.dtype)
    return together["images"], boxes, masks


def _area(boxes: Any) -> Any:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


#: Layers that are given the pixels alone: they leave each where it is.
_IN_PLACE = ("Rescaling", "GaussianNoise", "GaussianDropout", "Identity", "Normalization")


def _moves_together(layer: Any) -> bool:
    """Tell whether a layer takes boxes and masks; raise TypeError if it does not, and may move pixels."""
    if hasattr(layer, "transform_bounding_boxes"):
        layer.bounding_box_format = "xyxy"
        return True
    if type(layer).__name__ not in _IN_PLACE:
        raise TypeError(
            f"augmentation has the layer {type(layer).__name__}, which does not say how it moves boxes and masks; "
            "expected layers of Keras that do, such as RandomFlip or RandomTranslation, or a preset, such as 'light'"
        )
    return False
