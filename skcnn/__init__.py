r"""Pretrained Keras CNNs as scikit-learn estimators: for tables that have a column of images.

Images become features, features become a classifier, and a report evaluates it. Every file has its place on this path::

    datasets -> images -> backbones, engines -> feature_extraction -> ensemble -> metrics, report
                                       \-> cache (an image goes through a network once)

Or the network is fine-tuned::

    datasets -> images -> neural_network (head on cached features, then layers unfrozen) -> metrics, report

``metric_learning`` compares images of people, or of anything that has identities.

``inspection`` shows where in an image either of them looked. ``decomposition`` has autoencoders, which are trained
without labels. ``generative`` makes images.

Importing ``skcnn`` loads neither Keras nor matplotlib: these come when something needs them.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_LAZY = {
    "export": "skcnn.exporting",
    "load": "skcnn.persistence",
    "on_devices": "skcnn.devices",
    "profile": "skcnn.profiling",
    "save": "skcnn.persistence",
}
_MODULES = (
    "backbones",
    "boxes",
    "cache",
    "datasets",
    "decomposition",
    "detection",
    "devices",
    "distributed",
    "engines",
    "ensemble",
    "exporting",
    "feature_extraction",
    "generative",
    "images",
    "inspection",
    "metric_learning",
    "metrics",
    "model_selection",
    "neural_network",
    "persistence",
    "profiling",
    "programs",
    "report",
    "segmentation",
    "serving",
    "tracking",
)

__all__ = ["__version__", "export", "load", "on_devices", "profile", "save", *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"skcnn.{name}")
    raise AttributeError(f"module 'skcnn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
