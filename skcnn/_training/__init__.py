"""The floor on which every estimator stands that trains a network. It knows no task.

A task says what is trained (:class:`Stage`: a graph, how the rows of a batch are read, which groups of weights learn),
in which phases and how (:class:`Phase`, :class:`Settings`); :func:`train` does it, from any :class:`Progress` on.
The estimator owns the weights, and the process owns the compiled graphs (:func:`get_graph`).
"""

from skcnn._training._augmentation import AUGMENTATIONS, as_augmentation, augmented, augmented_together, seed_layers
from skcnn._training._batches import Read, Sampler, classes_by_images, in_order, make_batches, shuffled
from skcnn._training._checkpoints import Checkpoint, CheckpointError, check_resumable, run_identity
from skcnn._training._devices import shared_devices
from skcnn._training._fits import RememberedFit, fit_memory
from skcnn._training._graphs import Graph, Weights, clear_graphs, get_graph, n_graphs, trainer_class
from skcnn._training._layers import in_inference_mode, variable_dropout
from skcnn._training._map_estimator import Inputs, MapEstimator, Objective, TargetSet
from skcnn._training._optimizers import as_json, as_optimizer, keras_as_data, keras_from_data
from skcnn._training._pixels import batches_of_images, decoded_images, image_reader, report_bad_rows, undecodable
from skcnn._training._prefix import Cut, split_network
from skcnn._training._pretrained import Head, MapDesign, MapParts, map_strides
from skcnn._training._runs import (
    Driver,
    Monitor,
    Phase,
    Progress,
    Run,
    Settings,
    Stage,
    train,
    train_epoch,
)
from skcnn._training._saved_parameters import pack_parameters, shared_features, unpack_parameters
from skcnn._training._schedules import SCHEDULES, rate_at, still_falls
from skcnn._training._sizes import MAX_UNITS, check_maps
from skcnn._training._unfreeze import check_unfreeze, freeze_batch_norm, open_layers
from skcnn._training._validation import validation_split
from skcnn._training._views import FLIPS, Flips, Views, flipped_views

__all__ = [
    "AUGMENTATIONS",
    "FLIPS",
    "MAX_UNITS",
    "SCHEDULES",
    "Checkpoint",
    "CheckpointError",
    "Cut",
    "Driver",
    "Flips",
    "Graph",
    "Head",
    "Inputs",
    "MapDesign",
    "MapEstimator",
    "MapParts",
    "Monitor",
    "Objective",
    "Phase",
    "Progress",
    "Read",
    "RememberedFit",
    "Run",
    "Sampler",
    "Settings",
    "Stage",
    "TargetSet",
    "Views",
    "Weights",
    "as_augmentation",
    "as_json",
    "as_optimizer",
    "augmented",
    "augmented_together",
    "batches_of_images",
    "check_maps",
    "check_resumable",
    "check_unfreeze",
    "classes_by_images",
    "clear_graphs",
    "decoded_images",
    "fit_memory",
    "flipped_views",
    "freeze_batch_norm",
    "get_graph",
    "image_reader",
    "in_inference_mode",
    "in_order",
    "keras_as_data",
    "keras_from_data",
    "make_batches",
    "map_strides",
    "n_graphs",
    "open_layers",
    "pack_parameters",
    "rate_at",
    "report_bad_rows",
    "run_identity",
    "seed_layers",
    "shared_devices",
    "shared_features",
    "shuffled",
    "split_network",
    "still_falls",
    "train",
    "train_epoch",
    "trainer_class",
    "undecodable",
    "unpack_parameters",
    "validation_split",
    "variable_dropout",
]
