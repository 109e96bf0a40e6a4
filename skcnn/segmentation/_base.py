"""How a segmenter is trained: a head on the feature maps of a pretrained network, in one phase or two."""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import Tags, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from skcnn._image_input import ImageInputMixin
from skcnn._training import (
    SCHEDULES,
    Checkpoint,
    Cut,
    Flips,
    Graph,
    Head,
    MapDesign,
    Monitor,
    Phase,
    Progress,
    RememberedFit,
    Run,
    Settings,
    Stage,
    Weights,
    as_augmentation,
    as_optimizer,
    check_unfreeze,
    image_reader,
    map_strides,
    pack_parameters,
    report_bad_rows,
    run_identity,
    train,
    undecodable,
    unpack_parameters,
)
from skcnn.backbones import UnsavedWeights, as_backbone
from skcnn.cache import ActivationCache, activation_cache, as_cache
from skcnn.feature_extraction import Activations, BottleneckFeatures
from skcnn.images import (
    IGNORED,
    RESIZE_RULES,
    Images,
    as_image_size,
    as_masks,
    check_mask_lengths,
    fetched_once,
    image_sizes,
)
from skcnn.segmentation._examples import Inputs, Targets, changes_of, example_reader, views_of

#: Parameters that do not change what is learned.
_NOT_OF_THE_RUN = (
    "root",
    "cache",
    "checkpoint",
    "verbose",
    "predict_size",
    "tile_size",
    "tile_overlap",
    "test_time_flips",
)

_OBJECTS = ("optimizer", "augmentation")


class Objective(NamedTuple):
    """What is learned.

    Attributes
    ----------
    loss : callable
        From labels and logits to the loss of each image, tensors.
    identity : tuple
        Of the loss.
    """

    loss: Callable[[Any, Any], Any]
    identity: tuple[Any, ...]


class BaseSegmenter(ImageInputMixin, BaseEstimator, ABC):
    """Base of an estimator that learns masks with a head on the maps of a pretrained network.

    A subclass spells out the parameters, and says what the head is and what is learned (:class:`Objective`).
    """

    _parameter_constraints = {  # noqa: RUF012  (scikit-learn's own form)
        "backbone": "no_validation",  # resolved by as_backbone, with better messages
        "weights": "no_validation",
        "n_classes": [Interval(Integral, 2, 255, closed="both"), None],
        "colors": "no_validation",  # checked by as_masks
        "image_size": "no_validation",
        "resize": [StrOptions(set(RESIZE_RULES))],
        "n_channels": [Interval(Integral, 1, 2**12, closed="both")],
        "head_epochs": [Interval(Integral, 0, None, closed="left")],
        "head_learning_rate": [Interval(Real, 0, None, closed="neither")],
        "epochs": [Interval(Integral, 0, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "unfreeze": "no_validation",
        "learning_rate_schedule": [StrOptions(set(SCHEDULES))],
        "optimizer": "no_validation",
        "flips": [StrOptions({"horizontal", "both"}), None],
        "augmentation": "no_validation",
        "augmentation_views": [Interval(Integral, 1, None, closed="left"), None],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "cache": "no_validation",  # checked by as_cache, with better messages
        "root": "no_validation",
        "max_pixels": [Interval(Integral, 1, None, closed="left"), None],
        "checkpoint": "no_validation",
        "random_state": ["random_state"],
        "verbose": ["verbose", StrOptions({"auto"})],
    }

    _weights: Weights
    _history: list[dict[str, Any]]

    def fit(self, X: Any, y: Any) -> Self:
        """Train the head, and the open layers of the network if ``epochs`` > 0.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.
        y : array-like of length n_samples
            Masks of the sizes of the images: see :func:`skcnn.images.as_masks`. Pixels labelled 255 do not count.

        Returns
        -------
        self : estimator

        Raises
        ------
        BadImageError
            If rows have no image.
        BadMaskError
            If rows have no mask, one of another size than the image, or labels that are not classes; it names all of
            them.
        CheckpointError
            If the checkpoint is damaged, or belongs to another run.
        TypeError
            If a parameter, X or y has the wrong type.
        ValueError
            If a parameter is invalid, y has less than two classes, or the loss becomes infinite.
        """
        with fetched_once(self._check_input(X, reset=True)) as images:
            self.__dict__.pop("_token", None)  # a fit that fails leaves nothing to predict with
            phases = self._phases()
            masks = as_masks(y, colors=self.colors, root=self.root)
            check_mask_lengths(images, masks)
            self._seed = int(check_random_state(self.random_state).randint(2**31 - 1))
            self.image_size_ = self._fitted_size()
            targets = Targets(
                masks, image_sizes(images), self.image_size_, self.resize, self.n_classes, self.max_pixels
            )
            self._learn_classes(targets)
            strides = map_strides(self._backbone(), self.weights, self._seed, self.image_size_)
            self._strides = self._chosen_strides(strides)
            self._constants = self._design().initial_constants()
            self._initial, self._form = self._weights_id(), self._described()
            progress = self._train(images, targets, phases)
            self._weights, self._history, self._frozen = progress.weights, progress.history, phases[-1].unfreeze
            self.best_epoch_, self.n_iter_ = progress.best_epoch(Monitor()), len(progress.history)
            self._token = uuid.uuid4().hex
        return self

    @property
    def model_(self) -> Any:
        """A plain Keras model with the trained weights, from raw pixels to logits of the classes of each pixel."""
        check_is_fitted(self)
        return self._design().plain_model(self._weights)

    @property
    def history_(self) -> pd.DataFrame:
        """One row per epoch: phase, epoch, loss, learning rate, and the loss on the validation set."""
        check_is_fitted(self)
        return pd.DataFrame(self._history)

    @abstractmethod
    def _head(self, image_size: tuple[int, int]) -> Head:
        """Return the head for images of a size."""

    @abstractmethod
    def _chosen_strides(self, available: tuple[int, ...]) -> tuple[int, ...]:
        """Return the strides of the maps that the head takes, of those that the network has."""

    @abstractmethod
    def _objective(self) -> Objective:
        """Return what is learned."""

    @abstractmethod
    def _check_head(self, n_weights: int) -> None:
        """See that the head of a file has no more weights than these; raise ValueError if not."""

    @abstractmethod
    def _learn_class_weight(self, n_pixels: np.ndarray) -> None:
        """Learn how much each class counts, of the number of its pixels, (n_classes,)."""

    def _learn_classes(self, targets: Targets) -> None:
        self.classes_ = targets.classes
        if len(self.classes_) < 2:
            black_and_white = (
                " Masks of black and white have the labels 0 and 255, and 255 does not count: give "
                "colors={0: 0, 1: 255}."
                if targets.n_pixels[IGNORED]
                else ""
            )
            raise ValueError(
                f"y has the classes {self.classes_.tolist()}; expected at least two, or n_classes=.{black_and_white}"
            )
        self._learn_class_weight(targets.n_pixels[self.classes_])

    def _phases(self) -> list[Phase]:
        phases = [
            Phase("head", int(self.head_epochs), float(self.head_learning_rate), None),
            Phase("fine", int(self.epochs), float(self.learning_rate), check_unfreeze(self.unfreeze)),
        ]
        if not (phases := [phase for phase in phases if phase.epochs]):
            raise ValueError("head_epochs=0 and epochs=0; expected at least one of them > 0.")
        return phases

    def _backbone(self) -> Any:
        size = None if self.image_size is None else as_image_size(self.image_size)
        return as_backbone(self.backbone, image_size=size)

    def _fitted_size(self) -> tuple[int, int]:
        return self._backbone().image_size if self.image_size is None else as_image_size(self.image_size)

    def _described(self) -> str:
        """Return what the network is, beside its weights."""
        return repr((self._backbone().name, self.resize, self._head(self.image_size_)))

    def _weights_id(self) -> str:
        return self._backbone().weights_id(self.weights, self._seed)

    def _design(self, size: tuple[int, int] | None = None) -> MapDesign:
        """Return the network for images of a size; None is the size that it was trained with."""
        size = self.image_size_ if size is None else size
        return MapDesign(
            self._backbone(), self.weights, self._seed, size, self._strides, self._head(size),
            constants=getattr(self, "_constants", ""),
        )  # fmt: skip

    def _train(self, images: Images, targets: Targets, phases: list[Phase]) -> Progress:
        """Return the end of a run, which is remembered, or resumed, or made."""
        optimizer, optimizer_id = as_optimizer(self.optimizer)
        if self.early_stopping and optimizer.use_ema:
            raise ValueError(
                "early_stopping=True restores the weights of the best epoch, but the optimizer's use_ema=True averages "
                "those of all epochs; expected only one of them."
            )
        run_id, digests = self._identified(optimizer_id), targets.digests
        cache = as_cache(self.cache)
        checkpoint = self._checkpoint(run_id, images, digests)
        progress = None if checkpoint is None else checkpoint.load()
        memory = None
        if cache is not None and isinstance(self.random_state, Integral):
            memory = RememberedFit(cache, run_identity(run_id, images, digests, cache=cache))
            if (known := memory.load()) is not None:
                progress = known
        if progress is not None and progress.finished:
            return progress

        objective, design = self._objective(), self._design()
        compiled = (*objective.identity, optimizer_id)
        rows, validation = np.arange(len(images)), None
        if self.early_stopping:
            rows, validation = self._split(rows)

        def driver(model: Any, fit: Callable[[Any], dict[str, Any]]) -> None:
            if not model.compiled:
                model.compile(optimizer=as_optimizer(self.optimizer)[0], loss=objective.loss)
            fit(model)

        def stage(phase: Phase) -> Stage:
            inputs, held_out, on_pixels = self._inputs(images, design, phase, check=phase is phases[0])
            graph = design.pixel_graph if on_pixels else design.suffix_graph
            return Stage(
                lambda: graph(phase.unfreeze, compiled),
                example_reader(inputs, targets),
                lambda: {"base": design.initial_base()},
                ["head"] if phase.unfreeze is None else ["base", "head"],
                design.plain_model,
                example_reader(held_out, targets),
            )

        settings = Settings(
            driver=driver,
            schedule=self.learning_rate_schedule,
            patience=int(self.n_iter_no_change),
            batch_size=int(self.batch_size),
            seed=self._seed,
            verbose=self.verbose,
        )
        progress = Progress(weights={"head": design.initial_head()}) if progress is None else progress
        run = Run(stage, rows, validation, settings, None if checkpoint is None else checkpoint.save)
        train(run, progress, phases)
        if memory is not None:
            memory.save(progress)
        return progress

    def _split(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows of the training set and of the validation set."""
        try:
            kept, held_out = train_test_split(rows, test_size=self.validation_fraction, random_state=self._seed)
        except ValueError as error:
            raise ValueError(
                f"validation_fraction={self.validation_fraction} of {len(rows)} rows is not possible: {error} Use "
                "another fraction, or early_stopping=False."
            ) from None
        return np.sort(kept), np.sort(held_out)

    def _identified(self, optimizer: str) -> list[Any]:
        """Return what identifies a run, beside its data."""
        given = {name: value for name, value in self.get_params(deep=False).items() if name not in _NOT_OF_THE_RUN}
        given |= {
            "backbone": self._backbone().name,
            "weights": self._initial,
            "optimizer": optimizer,
            "augmentation": as_augmentation(self.augmentation)[1],
            "head": self._head(self.image_size_),
            "objective": self._objective().identity,
        }
        return [type(self).__name__, sorted((name, repr(value)) for name, value in given.items())]

    def _checkpoint(self, run_id: list[Any], images: Images, digests: np.ndarray) -> Checkpoint | None:
        if self.checkpoint is None:
            return None
        if not isinstance(self.random_state, Integral):
            raise ValueError(
                f"checkpoint={self.checkpoint!r} with random_state={self.random_state!r}; resuming requires an integer "
                "random_state."
            )
        return Checkpoint(self.checkpoint, run_identity(run_id, images, digests))

    def _inputs(self, images: Images, design: MapDesign, phase: Phase, *, check: bool) -> tuple[Inputs, Inputs, bool]:
        """Return what a phase is trained and validated on, and whether that is pixels."""
        views = views_of(
            images, self._view_options(), self.augmentation, self.augmentation_views, self.flips, self._seed
        )
        plain = Flips(images, None, **self._view_options())
        is_drawn = self.augmentation is not None and self.augmentation_views is None
        cut = None if is_drawn else design.frozen_prefix(phase.unfreeze)
        if cut is None:
            if check and (bad := undecodable(images, self.resize, self.max_pixels)):
                report_bad_rows(bad, len(images), "raise")
            inputs = Inputs(self._pixels(views), views.mask, views.n_views)
            if is_drawn:
                inputs = inputs._replace(change=changes_of(self.augmentation))
            return inputs, Inputs(self._pixels(plain), plain.mask, 1), True
        activations = self._activations(views, cut)
        failed = activations.keep()
        # Reported by rows of X, not by views.
        if check and failed != [] and (bad := undecodable(images, self.resize, self.max_pixels)):
            report_bad_rows(bad, len(images), "raise")
        held_out = self._activations(plain, cut)
        if self.early_stopping:
            held_out.keep()  # known already, unless views are changed
        return (
            Inputs(activations.read, views.mask, views.n_views),
            Inputs(held_out.read, plain.mask, 1),
            False,
        )

    def _view_options(self) -> dict[str, Any]:
        return {"size": self.image_size_, "resize": self.resize, "max_pixels": self.max_pixels}

    def _pixels(self, images: Images) -> Callable[[np.ndarray], np.ndarray]:
        return image_reader(images, self.image_size_, self.resize, self.max_pixels)

    def _activations(self, images: Images, cut: Cut) -> Activations:
        features = BottleneckFeatures(
            self.backbone,
            weights=self.weights,
            image_size=self.image_size_,
            resize=self.resize,
            cache=self.cache,
            max_pixels=self.max_pixels,
            random_state=self._seed,
            verbose="auto" if self.verbose == "auto" else min(int(self.verbose), 1),
        )
        cache = ActivationCache() if as_cache(self.cache) is None else activation_cache()
        return Activations(images, features, cut.layers, cut.n_values, cache)

    def _check_unchanged(self) -> None:
        # What a saved file left out is needed to fit again, not to predict.
        is_known = not isinstance(self.weights, UnsavedWeights)
        if self._described() != self._form or (is_known and self._weights_id() != self._initial):
            raise ValueError(
                "A parameter that decides the network was changed after fit: its trained weights are those of another "
                "one. Call fit again, or restore backbone, weights, resize and the parameters of the head."
            )

    def _frozen_prefix(self, design: MapDesign) -> Cut | None:
        """Return the part of the trained network whose outputs may be known; None where it runs as a whole."""
        return None if isinstance(self.weights, UnsavedWeights) else design.frozen_prefix(self._frozen)

    def _put(self, graph: Graph, design: MapDesign) -> None:
        weights = self._weights if "base" in self._weights else {"base": design.initial_base(), **self._weights}
        graph.put(weights, self._token)

    def __skcnn_pack__(self, members: dict[str, bytes]) -> dict[str, Any]:
        """Return the parameters that a saved file has otherwise; what they stand for goes into ``members``."""
        is_fine_tuned = "base" in getattr(self, "_weights", {})
        return pack_parameters(self.get_params(deep=False), members, _OBJECTS, is_fine_tuned=is_fine_tuned)

    def __skcnn_unpack__(self, members: dict[str, bytes]) -> dict[str, Any]:
        """Return the parameters that :meth:`__skcnn_pack__` returned as they were."""
        if self.__sklearn_is_fitted__():
            as_image_size(self.image_size_)  # bounded, and so what is computed per image
            self._check_head(sum(value.size for value in self._weights["head"]))
        return unpack_parameters(self.get_params(deep=False), members, _OBJECTS)

    def __sklearn_is_fitted__(self) -> bool:
        """Return whether there are weights, for scikit-learn."""
        return hasattr(self, "_token")

    def __sklearn_tags__(self) -> Tags:
        """Return scikit-learn's tags of the estimator."""
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.non_deterministic = self.random_state is None
        return tags
