"""From the parameters of a classifier: phases of training, the network, its features, and the training settings."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from skcnn._keras import import_keras
from skcnn.backbones import as_backbone
from skcnn.feature_extraction import BottleneckFeatures
from skcnn.images import Images, as_image_size
from skcnn.neural_network._augmentation import as_augmentation
from skcnn.neural_network._checkpoint import Checkpoint, run_identity
from skcnn.neural_network._loss import Objective, as_objective, as_optimizer
from skcnn.neural_network._network import Design, InitialBase, backbone_of, check_unfreeze
from skcnn.neural_network._training import Phase, Settings

if TYPE_CHECKING:
    from skcnn.neural_network._classifier import CNNClassifier

_NOT_OF_THE_RUN = ("root", "cache", "checkpoint", "callbacks", "verbose")
"""Parameters that are not part of the run's fingerprint: they do not change the result, or cannot be compared."""


def phases_of(classifier: CNNClassifier) -> list[Phase]:
    """Return the phases that have an epoch, at least one of them."""
    phases = [
        Phase("head", int(classifier.head_epochs), float(classifier.head_learning_rate), None),
        Phase("fine", int(classifier.epochs), float(classifier.learning_rate), check_unfreeze(classifier.unfreeze)),
    ]
    if not (phases := [phase for phase in phases if phase.epochs]):
        raise ValueError("head_epochs=0 and epochs=0; expected at least one of them > 0.")
    return phases


def design_of(classifier: CNNClassifier, n_classes: int, seed: int) -> tuple[Design, Objective]:
    """Return the network and its objective."""
    objective = as_objective(classifier.loss, n_classes)
    size = None if classifier.image_size is None else as_image_size(classifier.image_size)
    backbone = as_backbone(backbone_of(classifier.backbone, n_classes), image_size=size)
    hidden = tuple(np.atleast_1d(np.asarray(classifier.hidden_layer_sizes, dtype=object)).tolist())
    if not all(isinstance(units, (int, np.integer)) and units > 0 for units in hidden):
        raise ValueError(f"hidden_layer_sizes={classifier.hidden_layer_sizes!r}; expected a sequence of ints > 0")
    design = Design(
        backbone=backbone,
        weights=classifier.weights,
        seed=seed,
        image_size=size or backbone.image_size,
        pooling=classifier.pooling,
        hidden_layer_sizes=tuple(int(units) for units in hidden),
        n_outputs=objective.n_outputs,
        activation=objective.activation,
        precision=classifier.precision,
        batch_norm=classifier.batch_norm,
    )
    return design, objective


def extractor_of(classifier: CNNClassifier, n_classes: int, seed: int, on_error: str) -> BottleneckFeatures:
    """Return the transformer that computes the features of the untrained network."""
    return BottleneckFeatures(
        backbone_of(classifier.backbone, n_classes),
        weights=classifier.weights,
        pooling=classifier.pooling,
        image_size=classifier.image_size,
        resize=classifier.resize,
        batch_size=classifier.batch_size,
        precision=classifier.precision,
        cache=classifier.cache,
        on_error=on_error,
        max_pixels=classifier.max_pixels,
        random_state=seed,
        verbose=int(classifier.verbose > 0),
    )


def settings_of(classifier: CNNClassifier, objective: Objective, seed: int) -> Settings:
    """Return the settings of all phases."""
    callbacks = classifier.callbacks or ()
    if not isinstance(callbacks, (list, tuple)) or not all(callable(make) for make in callbacks):
        raise TypeError(
            f"callbacks={classifier.callbacks!r}; expected a sequence of callables that return a new Keras callback, "
            "such as [lambda: keras.callbacks.CSVLogger('log.csv')]"
        )
    optimizer = as_optimizer(classifier.optimizer)[0]
    if classifier.early_stopping and optimizer.use_ema:
        raise ValueError(
            "early_stopping=True restores the weights of the best epoch, but the optimizer's use_ema=True averages "
            "those of all epochs; expected only one of them."
        )
    return Settings(
        optimizer=lambda: as_optimizer(classifier.optimizer)[0],
        loss=objective.loss,
        schedule=classifier.learning_rate_schedule,
        patience=int(classifier.n_iter_no_change),
        dropout=float(classifier.dropout),
        batch_size=int(classifier.batch_size),
        seed=seed,
        verbose=int(classifier.verbose),
        callbacks=tuple(callbacks),
    )


def checkpoint_of(
    classifier: CNNClassifier,
    design: Design,
    objective: Objective,
    images: Images,
    y: np.ndarray,
    weights: np.ndarray,
) -> Checkpoint:
    """Return the checkpoint of a run, which is identified by its parameters and its data."""
    assert classifier.checkpoint is not None  # Else there is none to make.
    if not isinstance(classifier.random_state, (int, np.integer)):
        raise ValueError(
            f"checkpoint={classifier.checkpoint!r} with random_state={classifier.random_state!r}; resuming requires "
            "an integer random_state."
        )
    if not isinstance(classifier.loss, (str, import_keras().losses.Loss)):
        raise ValueError(
            f"checkpoint={classifier.checkpoint!r} with loss={classifier.loss!r}; resuming requires a named loss or an "
            "instance of keras.losses.Loss, since a function cannot be identified in another process."
        )
    given = {name: value for name, value in classifier.get_params(deep=False).items() if name not in _NOT_OF_THE_RUN}
    # Objects are identified by their configuration, not by their address.
    given |= {
        "backbone": design.backbone.name,
        "weights": design.backbone.weights_id(design.weights, design.seed),
        "optimizer": as_optimizer(classifier.optimizer)[1],
        "loss": objective.identity,
        "augmentation": as_augmentation(classifier.augmentation)[1],
    }
    parameters = sorted((name, repr(value)) for name, value in given.items())
    return Checkpoint(classifier.checkpoint, run_identity([parameters], images, np.asarray(y).astype(str), weights))


def warn_of_unlearned_statistics(classifier: CNNClassifier, initial: InitialBase, phases: list[Phase]) -> None:
    """Warn if a network is trained from scratch with normalisation layers that are not updated."""
    opens = any(phase.unfreeze is not None for phase in phases)
    if opens and classifier.weights is None and classifier.batch_norm == "inference" and initial.has_batch_norm:
        warnings.warn(
            "weights=None with batch_norm='inference': the statistics of the network's normalisation layers are never "
            "updated. Use batch_norm='train' to train from scratch.",
            stacklevel=4,
        )
