"""The backbones that are there, by name."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from skcnn._text import did_you_mean
from skcnn.backbones._backbone import Backbone
from skcnn.backbones._table import TABLE

if TYPE_CHECKING:
    import pandas as pd

_registered: dict[str, Backbone] = {}
_lock = threading.Lock()


def _all() -> dict[str, Backbone]:
    with _lock:
        return {**TABLE, **_registered}


def list_backbones() -> pd.DataFrame:
    """Return the table of backbones: those of ``keras.applications``, classic ones, and registered ones.

    Returns
    -------
    DataFrame
        One row each: ``name``; ``image_size``, (height, width) in pixels; ``n_features`` of the last layer;
        ``n_parameters`` without the classifier; ``preprocessing``, see :func:`scale_pixels`; ``layers``, tuple of the
        names of the bottleneck layers, shallow to deep; ``weights``, tuple of the names of published weights.

    Examples
    --------
    >>> from skcnn.backbones import list_backbones
    >>> table = list_backbones().set_index("name")
    >>> table.loc["ResNet50", "preprocessing"], table.loc["ResNet50", "layers"][-1]
    ('caffe', 'conv5_block3_out')
    >>> small = table[table["n_parameters"] < 3_000_000]
    >>> small.index.tolist()
    ['MobileNetV2', 'MobileNetV3Large', 'MobileNetV3Small', 'ResNet20', 'LeNet5']
    """
    import pandas as pd

    backbones = list(_all().values())
    columns = {
        "name": [backbone.name for backbone in backbones],
        "image_size": [backbone.image_size for backbone in backbones],
        "n_features": [backbone.n_features for backbone in backbones],
        "n_parameters": [backbone.n_parameters for backbone in backbones],
        "preprocessing": [backbone.preprocessing for backbone in backbones],
        "layers": [tuple(layer.name for layer in backbone.layers) for backbone in backbones],
        "weights": [backbone.weights for backbone in backbones],
    }
    return pd.DataFrame(columns)


def backbone_names() -> list[str]:
    """Return the names of the backbones, in the order of :func:`list_backbones`.

    Returns
    -------
    list of str

    Examples
    --------
    >>> from skcnn.backbones import backbone_names
    >>> backbone_names()[:2]
    ['ConvNeXtBase', 'ConvNeXtLarge']
    """
    return list(_all())


def get_backbone(name: str) -> Backbone:
    """Return a backbone by its name.

    Parameters
    ----------
    name : str
        A name of :func:`list_backbones`.

    Returns
    -------
    Backbone

    Raises
    ------
    ValueError
        If there is no such backbone; the message suggests similar names.

    Examples
    --------
    >>> from skcnn.backbones import get_backbone
    >>> get_backbone("VGG16").n_features
    512
    """
    backbones = _all()
    if name in backbones:
        return backbones[name]
    raise ValueError(
        f"There is no backbone {name!r}.{did_you_mean(str(name), backbones)} "
        "skcnn.backbones.list_backbones() shows all of them."
    )


def register_backbone(backbone: Backbone) -> None:
    """Add a backbone, which can be given by name from then on, in this process.

    Parameters
    ----------
    backbone : Backbone
        Its name must be a new one.

    Raises
    ------
    TypeError
        If it is not a :class:`Backbone`.
    ValueError
        If there is a backbone of this name.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from skcnn.backbones import get_backbone, register_backbone
    >>> register_backbone(replace(get_backbone("VGG16"), name="VGG16-128", image_size=(128, 128)))
    >>> get_backbone("VGG16-128").image_size
    (128, 128)
    """
    if not isinstance(backbone, Backbone):
        raise TypeError(
            f"{type(backbone).__name__} is not a Backbone; a Keras model needs no registration: give it as backbone=, "
            "or make a Backbone of it with skcnn.backbones.backbone_from_model"
        )
    with _lock:
        if backbone.name in TABLE or backbone.name in _registered:
            raise ValueError(f"There is a backbone {backbone.name!r} already: give yours another name.")
        _registered[backbone.name] = backbone
