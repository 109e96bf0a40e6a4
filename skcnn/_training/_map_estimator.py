"""What estimators share that learn with a head on the feature maps of a pretrained network, in one phase or two."""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from numbers import Integral, Real
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from skcnn._image_input import ImageInputMixin
from skcnn._training._augmentation import as_augmentation
from skcnn._training._batches import Read
from skcnn._training._checkpoints import Checkpoint, check_resumable, run_identity
from skcnn._training._fits import RememberedFit
from skcnn._training._graphs import Graph, Weights
from skcnn._training._optimizers import as_optimizer
from skcnn._training._pixels import batches_of_images, image_reader, report_bad_rows, undecodable
from skcnn._training._prefix import Cut
from skcnn._training._pretrained import Head, MapDesign, map_strides
from skcnn._training._runs import Monitor, Phase, Progress, Run, Settings, Stage, train
from skcnn._training._saved_parameters import pack_parameters, unpack_parameters
from skcnn._training._schedules import SCHEDULES
from skcnn._training._unfreeze import check_unfreeze
from skcnn._training._validation import validation_split
from skcnn._training._views import Flips, flipped_views
from skcnn.backbones import UnsavedWeights, as_backbone
from skcnn.cache import ActivationCache, activation_cache, as_cache
from skcnn.feature_extraction import Activations, BottleneckFeatures
from skcnn.images import RESIZE_RULES, BadImageError, Geometry, Images, as_image_size, image_sizes

#: Images that go through the network together in ``predict``.
_AT_ONCE = 64

#: Parameters that do not change what is learned.
_NOT_OF_THE_RUN = ("root", "cache", "checkpoint", "verbose")

#: Parameters that may be objects of Keras.
_OBJECTS = ("optimizer", "augmentation")


class Objective(NamedTuple):
    """What is learned.

    Attributes
    ----------
    loss : callable
        From targets and outputs to the loss of each image, tensors.
    identity : tuple
        Of the loss.
    """

    loss: Callable[[Any, Any], Any]
    identity: tuple[Any, ...]


class TargetSet(Protocol):
    """What is learned of all images: boxes, or masks."""

    @property
    def arrays(self) -> list[np.ndarray]:
        """All that there is, for the fingerprint of a run."""
        ...


class Inputs(NamedTuple):
    """What a network is trained on.

    Attributes
    ----------
    read : callable
        From numbers of views (``row * views.n_views + view``) to what these are: pixels, or activations.
    views : Flips
        Of all images; they move boxes and masks as well.
    change : callable or None, default=None
        What is drawn again in each epoch: as the task's reader of examples calls it.
    """

    read: Callable[[np.ndarray], np.ndarray]
    views: Flips
    change: Any = None


class MapEstimator(ImageInputMixin, BaseEstimator, ABC):
    """Base of estimators that learn with a head on the maps of a pretrained network.

    A subclass spells out the parameters, says what the head is and what is learned (:class:`Objective`), reads
    examples, and says what the outputs of the network mean. Its ``fit`` checks y, sets ``_seed`` and
    ``image_size_``, and calls :meth:`_learn`.
    """

    #: Whether maps are taken as the network widens them.
    _takes_wide_maps = False

    #: Parameters of ``predict`` alone: other values need no other fit.
    _of_prediction: tuple[str, ...] = ()

    _parameter_constraints = {  # noqa: RUF012  (scikit-learn's own form)
        "backbone": "no_validation",  # resolved by as_backbone, with better messages
        "weights": "no_validation",
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
        "test_time_flips": ["boolean"],
        "cache": "no_validation",  # checked by as_cache, with better messages
        "root": "no_validation",
        "max_pixels": [Interval(Integral, 1, None, closed="left"), None],
        "checkpoint": "no_validation",
        "random_state": ["random_state"],
        "verbose": ["verbose", StrOptions({"auto"})],
    }

    image_size_: tuple[int, int]
    _seed: int
    _weights: Weights
    _history: list[dict[str, Any]]

    @property
    def history_(self) -> pd.DataFrame:
        """One row per epoch: phase, epoch, loss, learning rate, and the loss on the validation set."""
        check_is_fitted(self)
        return pd.DataFrame(self._history)

    @abstractmethod
    def _head(self, image_size: tuple[int, int]) -> Head:
        """Return the head for images of a size."""

    @abstractmethod
    def _map_strides(self) -> tuple[int, ...]:
        """Return the strides of the maps that the head takes."""

    @abstractmethod
    def _objective(self) -> Objective:
        """Return what is learned."""

    @abstractmethod
    def _example_reader(self, inputs: Inputs, targets: Any) -> Read:
        """Return the function that reads the rows of a batch, one view of each, drawn at random; and their targets."""

    @abstractmethod
    def _drawn_change(self) -> Any | None:
        """Return what is drawn again in each epoch, and not kept in views: see :class:`Inputs`."""

    @abstractmethod
    def _check_head(self, n_weights: int) -> None:
        """See that the head of a file has no more weights than these; raise ValueError if not."""

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

    def _strides(self) -> tuple[int, ...]:
        """Return the strides of all maps that the network has."""
        return map_strides(self._backbone(), self.weights, self._seed, self.image_size_)

    def _described(self) -> str:
        """Return what the network is, beside its weights."""
        return repr((self._backbone().name, self.resize, self._head(self.image_size_)))

    def _weights_id(self) -> str:
        return self._backbone().weights_id(self.weights, self._seed)

    def _design(self, size: tuple[int, int] | None = None) -> MapDesign:
        """Return the network for images of a size; None is the size that it was trained with."""
        size = self.image_size_ if size is None else size
        return MapDesign(
            self._backbone(), self.weights, self._seed, size, self._map_strides(), self._head(size),
            self._takes_wide_maps, getattr(self, "_constants", ""),
        )  # fmt: skip

    def _geometry(self, size: Any) -> Geometry:
        """Return how images of a size (height, width) come to that of the network."""
        return Geometry.of_resize((int(size[0]), int(size[1])), self.image_size_, self.resize)

    def _learn(self, images: Images, targets: TargetSet, phases: list[Phase]) -> None:
        """Train the network, and keep what was learned."""
        self._constants = self._design().initial_constants()
        self._initial, self._form = self._weights_id(), self._described()
        progress = self._train(images, targets, phases)
        self._weights, self._history, self._frozen = progress.weights, progress.history, phases[-1].unfreeze
        self.best_epoch_, self.n_iter_ = progress.best_epoch(Monitor()), len(progress.history)
        self._token = uuid.uuid4().hex

    def _train(self, images: Images, targets: TargetSet, phases: list[Phase]) -> Progress:
        """Return the end of a run, which is remembered, or resumed, or made."""
        optimizer, optimizer_id = as_optimizer(self.optimizer)
        if self.early_stopping and optimizer.use_ema:
            raise ValueError(
                "early_stopping=True restores the weights of the best epoch, but the optimizer's use_ema=True averages "
                "those of all epochs; expected only one of them."
            )
        run_id = self._identified(optimizer_id)
        cache = as_cache(self.cache)
        arrays = targets.arrays
        checkpoint = self._checkpoint(run_id, images, arrays)
        progress = None if checkpoint is None else checkpoint.load()
        memory = None
        if cache is not None and isinstance(self.random_state, Integral):
            memory = RememberedFit(cache, run_identity(run_id, images, *arrays, cache=cache))
            if (known := memory.load()) is not None:
                progress = known
        if progress is not None and progress.finished:
            return progress

        objective, design = self._objective(), self._design()
        compiled = (*objective.identity, optimizer_id)
        rows, validation = np.arange(len(images)), None
        if self.early_stopping:
            rows, validation = validation_split(rows, self.validation_fraction, self._seed)

        def driver(model: Any, fit: Callable[[Any], dict[str, Any]]) -> None:
            if not model.compiled:
                model.compile(optimizer=as_optimizer(self.optimizer)[0], loss=objective.loss)
            fit(model)

        def stage(phase: Phase) -> Stage:
            inputs, held_out, on_pixels = self._inputs(images, design, phase, check=phase is phases[0])
            graph = design.pixel_graph if on_pixels else design.suffix_graph
            return Stage(
                lambda: graph(phase.unfreeze, compiled),
                self._example_reader(inputs, targets),
                lambda: {"base": design.initial_base()},
                ["head"] if phase.unfreeze is None else ["base", "head"],
                design.plain_model,
                self._example_reader(held_out, targets),
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
        save = None if checkpoint is None else checkpoint.save
        run = Run(stage, rows, validation, settings, save, is_shareable=True)
        train(run, progress, phases)
        if memory is not None:
            memory.save(progress)
        return progress

    def _identified(self, optimizer: str) -> list[Any]:
        """Return what identifies a run, beside its data."""
        left_out = (*_NOT_OF_THE_RUN, *self._of_prediction)
        given = {name: value for name, value in self.get_params(deep=False).items() if name not in left_out}
        given |= {
            "backbone": self._backbone().name,
            "weights": self._initial,
            "optimizer": optimizer,
            "augmentation": as_augmentation(self.augmentation)[1],
            "head": self._head(self.image_size_),
            "objective": self._objective().identity,
        }
        return [type(self).__name__, sorted((name, repr(value)) for name, value in given.items())]

    def _checkpoint(self, run_id: list[Any], images: Images, arrays: list[np.ndarray]) -> Checkpoint | None:
        if self.checkpoint is None:
            return None
        check_resumable(self.checkpoint, self.random_state)
        return Checkpoint(self.checkpoint, run_identity(run_id, images, *arrays))

    def _inputs(self, images: Images, design: MapDesign, phase: Phase, *, check: bool) -> tuple[Inputs, Inputs, bool]:
        """Return what a phase is trained and validated on, and whether that is pixels."""
        options = self._view_options()
        views = flipped_views(images, self.flips, self.augmentation, self.augmentation_views, self._seed, **options)
        plain = Flips(images, None, **options)
        change = self._drawn_change()
        cut = None if change is not None else design.frozen_prefix(phase.unfreeze)
        if cut is None:
            if check and (bad := undecodable(images, self.resize, self.max_pixels)):
                report_bad_rows(bad, len(images), "raise")
            return Inputs(self._pixels(views), views, change), Inputs(self._pixels(plain), plain), True
        activations = self._activations(views, cut)
        failed = activations.keep()
        # Reported by rows of X, not by views.
        if (failed or (failed is None and check)) and (bad := undecodable(images, self.resize, self.max_pixels)):
            report_bad_rows(bad, len(images), "raise")
        held_out = self._activations(plain, cut)
        if self.early_stopping:
            held_out.keep()  # known already, unless views are changed
        return Inputs(activations.read, views), Inputs(held_out.read, plain), False

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

    def _checked(self, X: Any) -> tuple[Images, np.ndarray]:
        """Return the images to predict, and their sizes (height, width)."""
        check_is_fitted(self)
        images = self._check_input(X, reset=False)
        self._check_unchanged()
        return images, image_sizes(images)

    def _outputs(self, images: Images) -> Iterator[tuple[int, np.ndarray, Flips]]:
        """Yield each row, the outputs of the head for each of its views, and these views."""
        views = Flips(images, self.flips if self.test_time_flips else None, **self._view_options())
        n, design = views.n_views, self._design()
        step = max(1, _AT_ONCE // n)
        for start in range(0, len(images), step):
            rows = range(start, min(start + step, len(images)))
            part = views.take([row * n + view for row in rows for view in range(n)])
            try:
                outputs = self._outputs_of(part, design)
            except BadImageError:  # which counts views of this part
                report_bad_rows(undecodable(images, self.resize, self.max_pixels), len(images), "raise")
                raise
            for place, row in enumerate(rows):
                yield row, outputs[place * n : (place + 1) * n], views

    def _frozen_prefix(self, design: MapDesign) -> Cut | None:
        """Return the part of the trained network whose outputs may be known; None where it runs as a whole."""
        return None if isinstance(self.weights, UnsavedWeights) else design.frozen_prefix(self._frozen)

    def _outputs_of(self, part: Flips, design: MapDesign) -> np.ndarray:
        """Return the outputs of the head for views."""
        cut = self._frozen_prefix(design)
        if cut is not None:
            values = self._activations(part, cut).read(np.arange(len(part)))
            with design.suffix_graph(self._frozen, None) as graph:
                self._put(graph, design)
                return graph.predict(values)
        with design.pixel_graph(None, None) as graph:
            self._put(graph, design)
            outputs = np.empty((len(part), *graph.model.output_shape[1:]), np.float32)
            batches = batches_of_images(part, self.image_size_, _AT_ONCE, self.resize, self.max_pixels, "raise")
            for numbers, pixels in batches:
                outputs[numbers] = graph.predict(pixels)
        return outputs

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
