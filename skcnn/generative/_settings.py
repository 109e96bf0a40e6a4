"""What the parameters of ImageGAN ask for: networks, losses, a plan, images that are compared with; and its file.

``gan`` is an :class:`~skcnn.generative.ImageGAN` everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from skcnn._keras import import_keras, is_keras_model, model_digest, model_to_bytes
from skcnn._labels import as_labels
from skcnn._network_files import check_archive, network_from_archive
from skcnn._text import values_text
from skcnn._training import (
    MAX_UNITS,
    Checkpoint,
    as_optimizer,
    check_resumable,
    keras_as_data,
    keras_from_data,
    run_identity,
    validation_split,
)
from skcnn.generative._judge import default_features
from skcnn.generative._networks import Design, check_given
from skcnn.generative._objectives import Objective
from skcnn.generative._pixels import are_grey, levels_of, reader_of, size_of
from skcnn.generative._run import Examples, Plan
from skcnn.images import Images, as_image_size

LAYERS = ("auto", "dense", "conv")

#: Images of up to so many pixels have dense layers where nothing else is asked for.
_MAX_DENSE = 1024
_MAX_FILTERS = 512

#: Steps of the discriminator per step of the generator.
_N_CRITIC = {"wgan-gp": 3, "wgan": 5}
#: Reaches back this fraction of a run, the average of weights.
_REACH = 1 / 20

_NOT_OF_THE_RUN = ("root", "checkpoint", "verbose")
_NETWORKS = ("generator", "discriminator")


def form_of(gan: Any, images: Images, n_classes: int) -> dict[str, Any]:
    """Return the arguments of the :class:`Design` that parameters and images ask for, as plain data and networks."""
    size = size_of(images) if gan.image_size is None else as_image_size(gan.image_size)
    is_grey = are_grey(images) if gan.color_mode == "auto" else gan.color_mode == "grayscale"
    is_dense = gan.layers == "dense"
    if gan.layers == "auto":
        is_dense = gan.loss == "gan" or (gan.loss != "dcgan" and size[0] * size[1] <= _MAX_DENSE)
    if gan.minibatch_discrimination and gan.loss in ("wgan-gp", "began"):
        raise ValueError(
            f"minibatch_discrimination={gan.minibatch_discrimination} with loss={gan.loss!r}, whose loss judges each "
            "image separately; expected 0, or loss='gan', 'dcgan' or 'wgan'."
        )
    if gan.label_smoothing and gan.loss not in ("gan", "dcgan"):
        raise ValueError(
            f"label_smoothing={gan.label_smoothing} with loss={gan.loss!r}, which has no targets; expected 0, or "
            "loss='gan' or 'dcgan'."
        )
    form: dict[str, Any] = {
        "loss": gan.loss,
        "image_size": size,
        "n_channels": 1 if is_grey else 3,
        "n_components": int(gan.n_components),
        "filters": _checked_filters(gan.filters, is_dense, size),
        "is_dense": bool(is_dense),
        "n_classes": n_classes,
        "n_embedding": int(gan.label_embedding or 0) if n_classes else 0,
        "n_kernels": int(gan.minibatch_discrimination),
        **{name: getattr(gan, name) for name in _NETWORKS},
    }
    shape = (*size, form["n_channels"])
    for name, first, output in (
        ("generator", (form["n_components"],), shape),
        ("discriminator", shape, (1,)),
    ):
        network = form[name]
        if network is None:
            continue
        if not is_keras_model(network):
            raise TypeError(f"{name} is a {type(network).__name__}; expected a Keras model or None.")
        check_given(network, name, first, n_classes, output)
    return form


def design_of(form: dict[str, Any]) -> Design:
    """Return the design of a form."""
    given = tuple(form[name] for name in _NETWORKS)
    digests = tuple(None if network is None else model_digest(network) for network in given)
    rest = {name: value for name, value in form.items() if name not in _NETWORKS}
    return Design(**{**rest, "image_size": tuple(form["image_size"])}, digests=digests, given=given)  # type: ignore[arg-type]


def _checked_filters(filters: Any, is_dense: bool, size: tuple[int, int]) -> tuple[int, ...]:
    if filters is None:
        if is_dense:
            return (256, 256)
        n_layers = max(1, int(np.ceil(np.log2(max(size) / 4))))
        return tuple(min(_MAX_FILTERS, 64 * 2**number) for number in range(n_layers))
    given = list(filters) if isinstance(filters, (Sequence, np.ndarray)) else []
    if not given or not all(isinstance(n, (int, np.integer)) and 0 < n <= MAX_UNITS for n in given):
        raise ValueError(f"filters={filters!r}; expected a sequence of ints in [1, {MAX_UNITS:,}], one per layer")
    return tuple(int(n) for n in given)


def labels_and_classes(
    gan: Any, y: Any, n_images: int, *, classes: Any = None, is_partial: bool = False
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return the numbers of the classes of images, and the classes; None each where images have none."""
    if not gan.conditional:
        return None, None
    if y is None:
        raise ValueError(
            "conditional=True requires y to be passed, but the target y is None: one label per image, or "
            "conditional=False."
        )
    labels = as_labels(y)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.shape != (n_images,):
        raise ValueError(f"y has shape {labels.shape} and X {n_images} images; expected one label per image.")
    if pd.isna(labels).any():
        raise ValueError(f"y is missing in the rows {values_text(np.flatnonzero(pd.isna(labels)))}; expected labels.")
    if is_partial and classes is None:
        raise ValueError("classes=None in the first call of partial_fit; expected all labels that any call has.")
    known = np.unique(labels if classes is None else as_labels(classes))
    if len(known) > MAX_UNITS:
        raise ValueError(f"y has {len(known):,} classes; expected at most {MAX_UNITS:,}.")
    return _numbers_of(labels, known), known


def _numbers_of(labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    numbers = pd.Index(classes).get_indexer(pd.Index(labels))
    if (numbers < 0).any():
        unknown = values_text(pd.unique(labels[numbers < 0]))
        raise ValueError(f"y contains the labels {unknown}; expected some of {values_text(classes, 20)}.")
    return np.asarray(numbers)


def asked_labels(gan: Any, y: Any, n_images: int) -> np.ndarray | None:
    """Return the indicators of the classes that images are asked for by, (n_images, n_classes) float32."""
    if not hasattr(gan, "classes_"):
        if y is not None:
            raise ValueError("y is given, but the images of this ImageGAN have no classes; expected conditional=True.")
        return None
    if y is None:
        raise ValueError(f"y=None; expected one of the classes {values_text(gan.classes_, 20)}, or one per image.")
    labels = as_labels([y] if np.ndim(y) == 0 else y)
    if labels.shape not in ((1,), (n_images,)):
        raise ValueError(f"y has shape {labels.shape}; expected one label, or one per image, {(n_images,)}.")
    indicators = np.eye(len(gan.classes_), dtype=np.float32)[_numbers_of(labels, gan.classes_)]
    return np.broadcast_to(indicators, (n_images, indicators.shape[1]))


def examples_of(
    gan: Any, images: Images, codes: np.ndarray | None, design: Design, seed: int, *, keep_all: bool = False
) -> tuple[Examples, np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """Return the images that are trained on, the rows that are compared with, and what reads pixels, uint8."""
    read = reader_of(images, design.image_size, gan.resize, gan.max_pixels)
    rows = np.arange(len(images))
    held_out = rows
    fewest = 2 if keep_all else 4
    if len(rows) < fewest:
        raise ValueError(f"X holds {len(rows)} images: n_samples={len(rows)}, while a minimum of {fewest} is required.")
    if gan.validation_fraction and gan.n_evaluations and not keep_all:
        rows, held_out = validation_split(rows, gan.validation_fraction, seed, otherwise="0")
        if len(rows) < 2:
            raise ValueError(
                f"validation_fraction={gan.validation_fraction} leaves {len(rows)} images to train on; expected at "
                "least 2. Use a smaller fraction, or 0."
            )
    indicators = None
    if codes is not None:
        indicators = np.eye(design.n_classes, dtype=np.float32)[codes]
    examples = Examples(rows, lambda some: levels_of(read(some), design.n_channels), indicators)
    return examples, held_out, read


def plan_of(gan: Any, design: Design, n_rows: int, seed: int, *, epochs: int | None = None) -> Plan:
    """Return what is trained and how; ``epochs`` are those of :meth:`ImageGAN.partial_fit`, at a constant rate."""
    optimizer, rate = _optimizer_of(gan.loss, design.is_dense)
    optimizer, rate = gan.optimizer or optimizer, gan.learning_rate or rate
    made, identity = as_optimizer(optimizer)
    if made.use_ema:
        raise ValueError("The optimizer has use_ema=True; expected False. Use the parameter ema of ImageGAN instead.")
    batch_size = min(int(gan.batch_size), n_rows)
    n_critic = int(gan.n_critic or _N_CRITIC.get(gan.loss, 1))
    n_steps = gan.epochs * max(1, n_rows // batch_size) // n_critic
    ema = min(float(gan.ema), 1 - 1 / max(1.0, _REACH * n_steps))
    if gan.early_stopping and not gan.n_evaluations:
        raise ValueError("early_stopping=True with n_evaluations=0, which compares nothing; expected an int >= 1.")
    last = int(gan.epochs)
    judged = {round(last * (number + 1) / gan.n_evaluations) for number in range(gan.n_evaluations)} - {0}
    return Plan(
        design=design,
        objective=Objective(
            loss=gan.loss,
            label_smoothing=float(gan.label_smoothing),
            clip=float(gan.clip),
            gradient_penalty=float(gan.gradient_penalty),
            diversity_ratio=float(gan.diversity_ratio),
        ),
        optimizer=optimizer,
        identity=identity,
        learning_rate=float(rate),
        schedule=gan.learning_rate_schedule if epochs is None else "constant",
        ema=float(np.round(ema, 4)),
        epochs=last if epochs is None else epochs,
        batch_size=batch_size,
        n_critic=n_critic,
        judged=frozenset(judged if epochs is None else ()),
        patience=int(gan.n_iter_no_change) if gan.early_stopping else None,
        seed=seed,
        verbose=gan.verbose,
    )


def _optimizer_of(loss: str, is_dense: bool) -> tuple[Any, float]:
    """Return the published optimizer and learning rate of a member of the family."""
    optimizers = import_keras().optimizers
    if loss == "wgan":
        return optimizers.RMSprop(), 5e-5
    if loss == "wgan-gp":
        return optimizers.Adam(beta_1=0.0, beta_2=0.9), 1e-3 if is_dense else 2e-4
    return optimizers.Adam(beta_1=0.5), 1e-4 if loss == "began" else 2e-4


def features_of(gan: Any) -> Any:
    """Return the transformer whose features are compared."""
    if gan.features is None:
        return default_features()
    if not hasattr(gan.features, "transform"):
        raise TypeError(
            f"features is a {type(gan.features).__name__}; expected a transformer from images to features, such as "
            "BottleneckFeatures."
        )
    return gan.features


def checkpoint_of(gan: Any, plan: Plan, images: Images, codes: np.ndarray | None) -> Checkpoint | None:
    """Return the checkpoint of a run; None where none is asked for."""
    if gan.checkpoint is None:
        return None
    check_resumable(gan.checkpoint, gan.random_state)
    given = {name: value for name, value in gan.get_params(deep=False).items() if name not in _NOT_OF_THE_RUN}
    given |= {"optimizer": plan.identity, "generator": None, "discriminator": None}
    identity = ["ImageGAN", repr(plan.design), sorted((name, repr(value)) for name, value in given.items())]
    return Checkpoint(gan.checkpoint, run_identity(identity, images, *([] if codes is None else [codes])))


def pack_networks(gan: Any, members: dict[str, bytes]) -> dict[str, Any]:
    """Return the attributes that a saved file has otherwise; networks that were given go into ``members``."""
    stored: dict[str, Any] = {"optimizer": keras_as_data(gan.optimizer, "optimizer"), "_resume": None}
    stored |= {name: _stored(getattr(gan, name), members) for name in _NETWORKS}
    if hasattr(gan, "_form"):
        stored["_form"] = {**gan._form, **{name: _stored(gan._form[name], members) for name in _NETWORKS}}
    return stored


def _stored(network: Any, members: dict[str, bytes]) -> Any:
    if network is None:
        return None
    if not is_keras_model(network):
        raise TypeError(f"A {type(network).__name__} cannot be saved as a network; expected a Keras model.")
    name = f"networks/{model_digest(network)}.keras"
    members[name] = model_to_bytes(network)
    check_archive(members[name])
    return {"member": name}


def unpack_networks(gan: Any, members: dict[str, bytes]) -> dict[str, Any]:
    """Return the attributes that :func:`pack_networks` returned as they were, once the sizes are known to fit."""

    def network(stored: Any) -> Any:
        return None if stored is None else network_from_archive(members[stored["member"]])

    given: dict[str, Any] = {"optimizer": keras_from_data(gan.optimizer, "optimizer")}
    given |= {name: network(getattr(gan, name)) for name in _NETWORKS}
    if gan.__sklearn_is_fitted__():
        form = {**gan._form, **{name: network(gan._form[name]) for name in _NETWORKS}}
        sizes = [*form["filters"], form["n_components"]]
        extra = [form["n_classes"], form["n_embedding"], form["n_kernels"]]
        is_sound = (
            form["n_channels"] in (1, 3)
            and sizes[:-1]
            and all(type(n) is int and 0 < n <= MAX_UNITS for n in sizes)
            and all(type(n) is int and 0 <= n <= MAX_UNITS for n in extra)
        )
        if not is_sound:
            raise ValueError(f"n_channels, filters and other sizes are {sizes + extra}; expected 1 or 3, and sizes")
        as_image_size(form["image_size"])
        if form["n_classes"] != len(getattr(gan, "classes_", ())):
            raise ValueError(f"classes_ are not the {form['n_classes']} of the networks")
        weights = gan._weights
        design_of(form).check_weights({"generator": weights["average"], "discriminator": weights["discriminator"]})
        given["_form"] = form
    return given
