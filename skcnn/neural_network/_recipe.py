"""From the parameters of an estimator: phases of training, the network, its features, and the training settings."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, StrOptions

from skcnn._keras import import_keras
from skcnn._training import (
    SCHEDULES,
    Checkpoint,
    Driver,
    Phase,
    RememberedFit,
    Settings,
    as_augmentation,
    as_optimizer,
    check_resumable,
    check_unfreeze,
    run_identity,
    still_falls,
)
from skcnn.backbones import PartialWeights, as_backbone
from skcnn.cache import as_cache
from skcnn.feature_extraction import BottleneckFeatures
from skcnn.images import RESIZE_RULES, Images, as_image_size
from skcnn.neural_network._loss import Objective
from skcnn.neural_network._network import Design, InitialBase, backbone_of

_NOT_OF_THE_RUN = ("root", "cache", "checkpoint", "callbacks", "verbose")
"""Parameters that are not part of the run's fingerprint: they do not change the result, or cannot be compared."""


CONSTRAINTS: dict[str, Any] = {
    "backbone": "no_validation",  # resolved by as_backbone, with better messages
    "weights": "no_validation",
    "weight_layers": "no_validation",
    "image_size": "no_validation",
    "resize": [StrOptions(set(RESIZE_RULES))],
    "pooling": [StrOptions({"avg", "max"}), None],
    "hidden_layer_sizes": ["array-like"],
    "dropout": [Interval(Real, 0, 1, closed="left")],
    "head_epochs": [Interval(Integral, 0, None, closed="left")],
    "head_learning_rate": [Interval(Real, 0, None, closed="neither")],
    "epochs": [Interval(Integral, 0, None, closed="left")],
    "learning_rate": [Interval(Real, 0, None, closed="neither")],
    "unfreeze": "no_validation",
    "learning_rate_schedule": [StrOptions(set(SCHEDULES))],
    "optimizer": "no_validation",
    "loss": "no_validation",
    "batch_norm": [StrOptions({"inference", "train"})],
    "augmentation": "no_validation",
    "augmentation_views": [Interval(Integral, 1, None, closed="left"), None],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
    "batch_size": [Interval(Integral, 1, None, closed="left")],
    "precision": [StrOptions({"float32", "bfloat16"})],
    "cache": "no_validation",  # checked by BottleneckFeatures, with better messages
    "root": "no_validation",
    "on_error": [StrOptions({"raise", "nan"})],
    "max_pixels": [Interval(Integral, 1, None, closed="left"), None],
    "checkpoint": "no_validation",
    "callbacks": "no_validation",
    "random_state": ["random_state"],
    "verbose": ["verbose", StrOptions({"auto"})],
}
"""What the parameters of all estimators may be, in scikit-learn's form."""


@dataclass(frozen=True)
class Recipe:
    """The parameters of an estimator that decide how it is trained. Made by `from_params`; the names are its own."""

    given: Mapping[str, Any]
    """All parameters, by name."""
    backbone: Any
    weights: Any
    weight_layers: Any
    image_size: int | tuple[int, int] | None
    resize: str
    pooling: str | None
    hidden_layer_sizes: Sequence[int]
    dropout: float
    head_epochs: int
    head_learning_rate: float
    epochs: int
    learning_rate: float
    unfreeze: Any
    learning_rate_schedule: str
    optimizer: Any
    loss: Any
    batch_norm: str
    augmentation: Any
    early_stopping: bool
    n_iter_no_change: int
    batch_size: int
    precision: str
    cache: Any
    max_pixels: int | None
    checkpoint: Any
    callbacks: Sequence[Callable[[], Any]] | None
    random_state: Any
    verbose: int | str

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Recipe:
        """Take what matters from the parameters of an estimator, as its ``get_params(deep=False)`` returns them."""
        return cls(params, **{field.name: params[field.name] for field in fields(cls) if field.name != "given"})


def weights_of(recipe: Recipe) -> Any:
    """Return the weights that the network begins with, for :meth:`skcnn.backbones.Backbone.build`."""
    layers = recipe.weight_layers
    if layers is None:
        return recipe.weights
    names = (layers,) if isinstance(layers, str) else tuple(layers) if isinstance(layers, (list, tuple)) else ()
    if not names or not all(isinstance(name, str) for name in names):
        raise TypeError(
            f"weight_layers={layers!r}; expected the name of a layer, a pattern of names, such as 'conv*', a list of "
            "these, or None"
        )
    if recipe.weights is None:
        raise ValueError(
            f"weight_layers={layers!r} with weights=None; expected weights to take these layers from: a path, or "
            "'pretrained'"
        )
    return PartialWeights(recipe.weights, names)


def phases_of(recipe: Recipe) -> list[Phase]:
    """Return the phases that have an epoch, at least one of them."""
    phases = [
        Phase("head", int(recipe.head_epochs), float(recipe.head_learning_rate), None),
        Phase("fine", int(recipe.epochs), float(recipe.learning_rate), check_unfreeze(recipe.unfreeze)),
    ]
    if not (phases := [phase for phase in phases if phase.epochs]):
        raise ValueError("head_epochs=0 and epochs=0; expected at least one of them > 0.")
    return phases


def design_of(recipe: Recipe, objective: Objective, seed: int) -> Design:
    """Return the network."""
    size = None if recipe.image_size is None else as_image_size(recipe.image_size)
    backbone = as_backbone(backbone_of(recipe.backbone, objective), image_size=size)
    hidden = tuple(np.atleast_1d(np.asarray(recipe.hidden_layer_sizes, dtype=object)).tolist())
    if not all(isinstance(units, (int, np.integer)) and units > 0 for units in hidden):
        raise ValueError(f"hidden_layer_sizes={recipe.hidden_layer_sizes!r}; expected a sequence of ints > 0")
    return Design(
        backbone=backbone,
        weights=weights_of(recipe),
        seed=seed,
        image_size=size or backbone.image_size,
        pooling=recipe.pooling,
        hidden_layer_sizes=tuple(int(units) for units in hidden),
        n_outputs=objective.n_outputs,
        activation=objective.activation,
        precision=recipe.precision,
        batch_norm=recipe.batch_norm,
    )


def extractor_of(recipe: Recipe, objective: Objective, seed: int, on_error: str) -> BottleneckFeatures:
    """Return the transformer that computes the features of the untrained network, as arrays."""
    features = BottleneckFeatures(
        backbone_of(recipe.backbone, objective),
        weights=weights_of(recipe),
        pooling=recipe.pooling,
        image_size=recipe.image_size,
        resize=recipe.resize,
        batch_size=recipe.batch_size,
        precision=recipe.precision,
        cache=recipe.cache,
        on_error=on_error,
        max_pixels=recipe.max_pixels,
        random_state=seed,
        verbose="auto" if recipe.verbose == "auto" else min(int(recipe.verbose), 1),
    )
    return features.set_output(transform="default")


def settings_of(recipe: Recipe, driver: Driver, seed: int) -> Settings:
    """Return the settings of all phases."""
    callbacks = recipe.callbacks or ()
    if not isinstance(callbacks, (list, tuple)) or not all(callable(make) for make in callbacks):
        raise TypeError(
            f"callbacks={recipe.callbacks!r}; expected a sequence of callables that return a new Keras callback, "
            "such as [lambda: keras.callbacks.CSVLogger('log.csv')]"
        )
    optimizer = as_optimizer(recipe.optimizer)[0]
    if recipe.early_stopping and optimizer.use_ema:
        raise ValueError(
            "early_stopping=True restores the weights of the best epoch, but the optimizer's use_ema=True averages "
            "those of all epochs; expected only one of them."
        )
    return Settings(
        driver=driver,
        schedule=recipe.learning_rate_schedule,
        patience=int(recipe.n_iter_no_change),
        dropout=float(recipe.dropout),
        batch_size=int(recipe.batch_size),
        seed=seed,
        verbose=recipe.verbose,
        callbacks=tuple(callbacks),
    )


def checkpoint_of(
    recipe: Recipe, design: Design, objective: Objective, images: Images, *arrays: np.ndarray
) -> Checkpoint:
    """Return the checkpoint of a run, which is identified by its parameters and its data."""
    check_resumable(recipe.checkpoint, recipe.random_state)
    if not isinstance(recipe.loss, (str, import_keras().losses.Loss)):
        raise ValueError(
            f"checkpoint={recipe.checkpoint!r} with loss={recipe.loss!r}; resuming requires a named loss or an "
            "instance of keras.losses.Loss, since a function cannot be identified in another process."
        )
    parameters = _identified(recipe, design, objective)
    return Checkpoint(recipe.checkpoint, run_identity(parameters, images, *arrays))


def remembered_fit_of(
    recipe: Recipe, design: Design, objective: Objective, images: Images, *arrays: np.ndarray
) -> RememberedFit | None:
    """Return where the end of a run is remembered, or None where a fit is to be repeated.

    It is where the result may differ (``random_state`` is no integer), where more is wanted of a fit than its result
    (callbacks, a warning of each bad image), and with ``cache=None``.
    """
    cache = as_cache(recipe.cache)
    is_certain = isinstance(recipe.random_state, (int, np.integer))
    is_named = isinstance(recipe.loss, (str, import_keras().losses.Loss))
    if cache is None or not is_certain or not is_named or recipe.callbacks or recipe.given["on_error"] != "raise":
        return None
    parameters = _identified(recipe, design, objective)
    return RememberedFit(cache, run_identity(parameters, images, *arrays, cache=cache))


def _identified(recipe: Recipe, design: Design, objective: Objective) -> list[Any]:
    """Return what identifies a run, beside its data. Objects do by their configuration, not by their address."""
    given = {name: value for name, value in recipe.given.items() if name not in _NOT_OF_THE_RUN}
    given |= {
        "backbone": design.backbone.name,
        "weights": design.backbone.weights_id(design.weights, design.seed),
        "optimizer": as_optimizer(recipe.optimizer)[1],
        "loss": objective.identity,
        "augmentation": as_augmentation(recipe.augmentation)[1],
    }
    return [sorted((name, repr(value)) for name, value in given.items()), objective.targets, objective.n_outputs]


def warn_of_what_stays_random(recipe: Recipe, initial: InitialBase, phases: list[Phase]) -> None:
    """Warn if a network is trained from scratch with layers that stay frozen, or statistics that are not updated."""
    opened = [phase.unfreeze for phase in phases if phase.unfreeze is not None]
    if not opened or recipe.weights is not None:
        return
    if "all" not in opened:
        warnings.warn(
            f"weights=None with unfreeze={recipe.unfreeze!r}: the frozen layers keep their random weights. Use "
            "unfreeze='all' to train from scratch.",
            stacklevel=4,
        )
    if recipe.batch_norm == "inference" and initial.has_batch_norm:
        warnings.warn(
            "weights=None with batch_norm='inference': the statistics of the network's normalisation layers are never "
            "updated. Use batch_norm='train' to train from scratch.",
            stacklevel=4,
        )


def warn_if_cut_short(recipe: Recipe, history: list[dict[str, Any]], phase: Phase) -> None:
    """Warn if the training loss still fell at the end of the last phase, whose epochs were given, not found out."""
    losses = [row["loss"] for row in history if row["phase"] == phase.name]
    if recipe.early_stopping or len(losses) < phase.epochs or not still_falls(losses):
        return
    name = "head_epochs" if phase.name == "head" else "epochs"
    warnings.warn(
        ConvergenceWarning(
            f"The training loss still fell in the last epoch, from {losses[-2]:.3g} to {losses[-1]:.3g}: increase "
            f"{name}={phase.epochs}, or the learning rate."
        ),
        stacklevel=4,
    )
