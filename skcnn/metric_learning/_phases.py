"""How an embedding is trained: the head, then open layers, in batches of a few images each of a few people."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from skcnn._training import (
    Phase,
    Progress,
    Run,
    Settings,
    Stage,
    as_optimizer,
    check_unfreeze,
    classes_by_images,
    image_reader,
    train,
)
from skcnn.cache import ActivationCache, activation_cache, as_cache
from skcnn.feature_extraction import Activations, BottleneckFeatures
from skcnn.images import Images
from skcnn.metric_learning._losses import make_loss, spread
from skcnn.metric_learning._network import Base, Design


class Examples(NamedTuple):
    """What an embedding is trained on.

    Parameters
    ----------
    images : Images
        All of X.
    features : ndarray of shape (n, n_features)
        Of the untrained network.
    codes : ndarray of shape (n,), int
        Identities.
    rows : ndarray of shape (n_rows,), int
        Rows that have an image.
    """

    images: Images
    features: np.ndarray
    codes: np.ndarray
    rows: np.ndarray


def check_people(codes: np.ndarray, identities_per_batch: int) -> None:
    """Raise an error unless a triplet can be made of the identities of images; warn of few people."""
    counts = np.bincount(codes)
    counts = counts[counts > 0]
    if len(counts) < 2 or counts.max() < 2:
        raise ValueError(
            f"y has {len(counts)} identities, of which {int((counts > 1).sum())} have two images or more "
            f"(n_samples={len(codes)}); expected at least two, and one of these."
        )
    if len(counts) < identities_per_batch:
        warnings.warn(
            f"y has {len(counts)} identities, fewer than identities_per_batch={identities_per_batch}: every "
            "batch has all of them. What is learned of so few people hardly holds for others.",
            stacklevel=3,
        )


def train_embedding(
    embedding: Any,
    examples: Examples,
    design: Design,
    extractor: BottleneckFeatures,
    seed: int,
    progress: Progress,
) -> None:
    """Train from first weights, in the phases that have an epoch, and update ``progress``.

    Parameters
    ----------
    embedding : TripletEmbedding
        Its parameters decide how.
    examples : Examples
        Images and identities.
    design : Design
        The network.
    extractor : BottleneckFeatures
        Computes features of the untrained network; rows without an image are NaN.
    seed : int
        Of the batches.
    progress : Progress
        The first weights of the head.
    """
    phases = _phases_of(embedding)
    if not phases:
        return
    margin = float(embedding.margin)
    loss = make_loss(embedding.loss, embedding.mining, margin)
    compiled = (embedding.loss, embedding.mining, margin, as_optimizer(embedding.optimizer)[1])
    images, features, codes, rows = examples

    def driver(model: Any, fit: Callable[[Any], dict[str, Any]]) -> None:
        if not model.compiled:
            model.compile(optimizer=as_optimizer(embedding.optimizer)[0], loss=loss, metrics=[spread])
        fit(model)

    def reader(read: Callable[[np.ndarray], np.ndarray]) -> Callable[..., Any]:
        return lambda rows, generator: (read(rows), codes[rows], np.ones(len(rows), np.float32))

    def plain(weights: dict[str, Any]) -> Any:
        return design.plain(weights.get("base"), weights["head"])

    def stage(phase: Phase) -> Stage:
        if phase.unfreeze is None:
            head_graph = lambda: design.head_graph(features.shape[1], compiled)  # noqa: E731
            return Stage(head_graph, reader(features.__getitem__), dict, ["head"], plain)
        base = design.build_base()
        if not design.opens(base, phase.unfreeze):
            raise ValueError(
                f"unfreeze={embedding.unfreeze!r} opens no layer up to layer={design.layer!r}; expected earlier "
                "layers, or epochs=0."
            )
        first = list(base.model.get_weights())
        read = _prefix_reader(images, design, base, phase.unfreeze, extractor)
        on_pixels = read is None
        if read is None:
            read = image_reader(images, design.image_size, embedding.resize, embedding.max_pixels)
        return Stage(
            lambda: design.open_graph(phase.unfreeze, compiled, on_pixels=on_pixels),
            reader(read),
            lambda: {"base": first},
            ["base", "head"],
            plain,
        )

    n_people, n_images = int(embedding.identities_per_batch), int(embedding.images_per_identity)
    settings = Settings(
        driver=driver,
        schedule=embedding.learning_rate_schedule,
        patience=1,
        batch_size=n_people * n_images,
        seed=seed,
        verbose=embedding.verbose,
    )
    run = Run(
        stage,
        rows,
        None,
        settings,
        sampler=lambda rows, batch_size: classes_by_images(rows, codes[rows], n_people, n_images),
    )
    train(run, progress, phases)


def _phases_of(embedding: Any) -> list[Phase]:
    """Return the phases that have an epoch."""
    unfreeze = check_unfreeze(embedding.unfreeze)
    phases = [
        Phase("head", int(embedding.head_epochs), float(embedding.head_learning_rate), None),
        Phase("fine", int(embedding.epochs), float(embedding.learning_rate), unfreeze),
    ]
    return [phase for phase in phases if phase.epochs and (phase.name == "head" or phase.unfreeze is not None)]


def _prefix_reader(
    images: Images, design: Design, base: Base, unfreeze: Any, extractor: BottleneckFeatures
) -> Callable[[np.ndarray], np.ndarray] | None:
    """Return what reads the output of the frozen layers, computed once per image; None where none are frozen."""
    cut = design.cut(base, unfreeze)
    if cut is None:
        return None
    cache = ActivationCache() if as_cache(extractor.cache) is None else activation_cache()
    activations = Activations(images, extractor, cut.layers, cut.n_values, cache)
    activations.keep()
    return activations.read
