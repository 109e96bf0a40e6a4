"""What estimators share that learn boxes with a head on the feature maps of a pretrained network."""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
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
    Flips,
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
    batches_of_images,
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
from skcnn.boxes import BoxArrays, box_arrays, check_boxes, sorted_labels
from skcnn.cache import ActivationCache, activation_cache, as_cache
from skcnn.detection._changes import changes_of
from skcnn.detection._examples import Inputs, Objects, example_reader, views_of
from skcnn.feature_extraction import Activations, BottleneckFeatures
from skcnn.images import RESIZE_RULES, BadImageError, Geometry, Images, as_image_size, fetched_once, image_sizes

#: Images that go through the network together in ``predict``.
_AT_ONCE = 64

#: Parameters that do not change what is learned.
_NOT_OF_THE_RUN = ("root", "cache", "checkpoint", "verbose")

#: Parameters that may be objects of Keras.
_OBJECTS = ("optimizer", "augmentation")


class Objective(NamedTuple):
    """What is learned of an image's boxes.

    Attributes
    ----------
    targets : callable
        From boxes (k, 4), in pixels of the resized image, and their classes (k,) to an array: what the loss takes.
    loss : callable
        From targets and outputs to the loss of each image, tensors.
    identity : tuple
        Of the loss.
    """

    targets: Callable[[np.ndarray, np.ndarray], np.ndarray]
    loss: Callable[[Any, Any], Any]
    identity: tuple[Any, ...]


class BaseBoxNetwork(ImageInputMixin, BaseEstimator, ABC):
    """Base of estimators that learn boxes with a head on the maps of a pretrained network, in one phase or two.

    A subclass spells out the parameters, and says what the head is, what is learned (:class:`Objective`) and what the
    outputs of the network say.
    """

    #: Whether maps are taken as the network widens them.
    _takes_wide_maps = False

    #: Fraction of images that are put together of parts of four, in training.
    _mosaic = 0.0

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

    _weights: Weights
    _history: list[dict[str, Any]]

    def fit(self, X: Any, y: Any) -> Self:
        """Train the head, and the open layers of the network if ``epochs`` > 0.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.
        y : array-like of length n_samples
            Boxes: see :func:`skcnn.boxes.as_boxes`.

        Returns
        -------
        self : estimator

        Raises
        ------
        BadImageError
            If rows have no image.
        CheckpointError
            If the checkpoint is damaged, or belongs to another run.
        TypeError
            If a parameter, X or y has the wrong type.
        ValueError
            If a parameter or a box is invalid, there is no box at all, or the loss becomes infinite.
        """
        with fetched_once(self._check_input(X, reset=True)) as images:
            self.__dict__.pop("_token", None)  # a fit that fails leaves nothing to predict with
            phases = self._phases()
            boxes = self._check_boxes(check_boxes(box_arrays(y), images))
            labels = sorted_labels(boxes.label)
            if not labels:
                raise ValueError("y has no boxes; expected at least one to train on.")
            self._seed = int(check_random_state(self.random_state).randint(2**31 - 1))
            self.classes_ = np.array(labels, dtype=object)
            sizes = image_sizes(images)
            self.image_size_ = self._fitted_size(sizes)
            objects = self._objects(boxes, sizes)
            self._learn_form(objects)
            self._constants = self._design().initial_constants()
            self._initial, self._form = self._weights_id(), self._described()
            progress = self._train(images, objects, phases)
            self._weights, self._history, self._frozen = progress.weights, progress.history, phases[-1].unfreeze
            self.best_epoch_, self.n_iter_ = progress.best_epoch(Monitor()), len(progress.history)
            self._token = uuid.uuid4().hex
        return self

    @property
    def model_(self) -> Any:
        """A plain Keras model with the trained weights, from raw pixels to the outputs of the head."""
        check_is_fitted(self)
        return self._design().plain_model(self._weights)

    @property
    def history_(self) -> pd.DataFrame:
        """One row per epoch: phase, epoch, loss, learning rate, and the loss on the validation set."""
        check_is_fitted(self)
        return pd.DataFrame(self._history)

    def _check_boxes(self, boxes: BoxArrays) -> BoxArrays:
        """Return the boxes of y, or raise an error where an image has more than can be learned."""
        return boxes

    def _default_size(self, sizes: np.ndarray, own: tuple[int, int]) -> tuple[int, int]:
        """Return the size that images are resized to if the parameter is None: by their sizes, or the network's own."""
        return own

    def _learn_form(self, objects: Objects) -> None:
        """Learn of the boxes what decides the form of the head."""

    @abstractmethod
    def _head(self) -> Head:
        """Return the head that was learned the form of."""

    @abstractmethod
    def _map_strides(self) -> tuple[int, ...]:
        """Return the strides of the maps that the head takes."""

    @abstractmethod
    def _objective(self) -> Objective:
        """Return what is learned."""

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

    def _fitted_size(self, sizes: np.ndarray) -> tuple[int, int]:
        if self.image_size is not None:
            return as_image_size(self.image_size)
        backbone = self._backbone()
        network = backbone.network
        if network is not None and None not in network.input_shape[1:3]:
            return backbone.image_size
        return self._default_size(sizes, backbone.image_size)

    def _strides(self) -> tuple[int, ...]:
        """Return the strides of all maps that the network has."""
        return map_strides(self._backbone(), self.weights, self._seed, self.image_size_)

    def _described(self) -> str:
        """Return what the network is, beside its weights."""
        return repr((self._backbone().name, self.resize, self._head()))

    def _weights_id(self) -> str:
        return self._backbone().weights_id(self.weights, self._seed)

    def _design(self) -> MapDesign:
        return MapDesign(
            self._backbone(), self.weights, self._seed, self.image_size_, self._map_strides(), self._head(),
            self._takes_wide_maps, getattr(self, "_constants", ""),
        )  # fmt: skip

    def _objects(self, boxes: BoxArrays, sizes: np.ndarray) -> Objects:
        """Return boxes where they are in the resized images, and their classes as numbers."""
        xyxy = np.empty_like(boxes.xyxy)
        for size in np.unique(sizes, axis=0):
            rows = (sizes[boxes.image] == size).all(axis=1)
            xyxy[rows] = self._geometry(tuple(size)).forth(boxes.xyxy[rows])
        objects = Objects.inside(boxes._replace(xyxy=xyxy), self.classes_.tolist(), self.image_size_)
        if not len(objects.codes):
            raise ValueError(
                f"resize={self.resize!r} cuts off all boxes of y; expected at least one to train on. Give 'stretch' or "
                "'pad'."
            )
        return objects

    def _geometry(self, size: tuple[int, ...]) -> Geometry:
        return Geometry.of_resize((int(size[0]), int(size[1])), self.image_size_, self.resize)

    def _train(self, images: Images, objects: Objects, phases: list[Phase]) -> Progress:
        """Return the end of a run, which is remembered, or resumed, or made."""
        optimizer, optimizer_id = as_optimizer(self.optimizer)
        if self.early_stopping and optimizer.use_ema:
            raise ValueError(
                "early_stopping=True restores the weights of the best epoch, but the optimizer's use_ema=True averages "
                "those of all epochs; expected only one of them."
            )
        run_id = self._identified(optimizer_id)
        cache = as_cache(self.cache)
        arrays = objects.arrays
        checkpoint = self._checkpoint(run_id, images, arrays)
        progress = None if checkpoint is None else checkpoint.load()
        memory = None
        if cache is not None and isinstance(self.random_state, Integral):
            memory = RememberedFit(cache, run_identity(run_id, images, *arrays, cache=cache))
            if (known := memory.load()) is not None:
                progress = known
        if progress is not None and progress.finished:
            return progress

        objective = self._objective()
        design = self._design()
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
                example_reader(inputs, objects, objective.targets),
                lambda: {"base": design.initial_base()},
                ["head"] if phase.unfreeze is None else ["base", "head"],
                design.plain_model,
                example_reader(held_out, objects, objective.targets),
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
        left_out = (*_NOT_OF_THE_RUN, *self._of_prediction)
        given = {name: value for name, value in self.get_params(deep=False).items() if name not in left_out}
        given |= {
            "backbone": self._backbone().name,
            "weights": self._initial,
            "optimizer": optimizer,
            "augmentation": as_augmentation(self.augmentation)[1],
            "head": self._head(),
        }
        return [type(self).__name__, sorted((name, repr(value)) for name, value in given.items())]

    def _checkpoint(self, run_id: list[Any], images: Images, arrays: list[np.ndarray]) -> Checkpoint | None:
        if self.checkpoint is None:
            return None
        if not isinstance(self.random_state, Integral):
            raise ValueError(
                f"checkpoint={self.checkpoint!r} with random_state={self.random_state!r}; resuming requires an integer "
                "random_state."
            )
        return Checkpoint(self.checkpoint, run_identity(run_id, images, *arrays))

    def _inputs(self, images: Images, design: MapDesign, phase: Phase, *, check: bool) -> tuple[Inputs, Inputs, bool]:
        """Return what a phase is trained and validated on, and whether that is pixels."""
        views = views_of(
            images, self._view_options(), self.augmentation, self.augmentation_views, self.flips, self._seed
        )
        plain = Flips(images, None, **self._view_options())
        is_drawn = self._drawn() is not None or self._mosaic > 0
        cut = None if is_drawn else design.frozen_prefix(phase.unfreeze)
        if cut is None:
            if check and (bad := undecodable(images, self.resize, self.max_pixels)):
                report_bad_rows(bad, len(images), "raise")
            reader = self._pixels(views)
            inputs = Inputs(reader, views.boxes, views.n_views)
            if is_drawn:
                inputs = Inputs(reader, views.boxes, views.n_views, changes_of(self._drawn(), self._mosaic))
            return inputs, Inputs(self._pixels(plain), plain.boxes, 1), True
        activations = self._activations(views, cut)
        failed = activations.keep()
        if failed is None and check:
            failed = [
                bad._replace(row=bad.row * views.n_views) for bad in undecodable(images, self.resize, self.max_pixels)
            ]
        if failed:
            numbers = dict.fromkeys(bad.row // views.n_views for bad in failed)
            first = {bad.row // views.n_views: bad for bad in reversed(failed)}
            report_bad_rows(
                [first[row]._replace(row=row, path=images.path(row)) for row in numbers], len(images), "raise"
            )
        held_out = self._activations(plain, cut)
        if self.early_stopping:
            held_out.keep()  # known already, unless views are changed
        return (
            Inputs(activations.read, views.boxes, views.n_views),
            Inputs(held_out.read, plain.boxes, 1),
            False,
        )

    def _drawn(self) -> Any:
        """Return the augmentation if it is drawn again in each epoch, and not kept in views."""
        return self.augmentation if self.augmentation_views is None else None

    def _view_options(self) -> dict[str, Any]:
        return {"size": self.image_size_, "resize": self.resize, "max_pixels": self.max_pixels}

    def _pixels(self, images: Images) -> Callable[[np.ndarray], np.ndarray]:
        return image_reader(images, self.image_size_, self.resize, self.max_pixels)

    def _activations(self, images: Images, cut: Any) -> Activations:
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

    def _outputs(self, images: Images) -> Iterator[tuple[int, list[np.ndarray], Flips]]:
        """Yield each row, the outputs of the head for each of its views, and these views."""
        # What a saved file left out is needed to fit again, not to predict.
        is_known = not isinstance(self.weights, UnsavedWeights)
        if self._described() != self._form or (is_known and self._weights_id() != self._initial):
            raise ValueError(
                "A parameter that decides the network was changed after fit: its trained weights are those of another "
                "one. Call fit again, or restore backbone, weights and the parameters of the head."
            )
        views = Flips(images, self.flips if self.test_time_flips else None, **self._view_options())
        design = self._design()
        n = views.n_views
        for start in range(0, len(images), max(1, _AT_ONCE // n)):
            rows = range(start, min(start + max(1, _AT_ONCE // n), len(images)))
            part = views.take([row * n + view for row in rows for view in range(n)])
            try:
                outputs = self._outputs_of(part, design)
            except BadImageError:  # which counts views of this part
                report_bad_rows(undecodable(images, self.resize, self.max_pixels), len(images), "raise")
                raise
            for place, row in enumerate(rows):
                yield row, list(outputs[place * n : (place + 1) * n]), views

    def _outputs_of(self, part: Flips, design: MapDesign) -> np.ndarray:
        """Return the outputs of the head for views."""
        is_known = not isinstance(self.weights, UnsavedWeights)
        cut = design.frozen_prefix(self._frozen) if is_known else None  # else the trained network runs as a whole
        weights = self._weights if "base" in self._weights else {"base": design.initial_base(), **self._weights}
        if cut is None:
            with design.pixel_graph(None, None) as graph:
                graph.put(weights, self._token)
                outputs = np.empty((len(part), *graph.model.output_shape[1:]), np.float32)
                batches = batches_of_images(part, self.image_size_, _AT_ONCE, self.resize, self.max_pixels, "raise")
                for numbers, pixels in batches:
                    outputs[numbers] = graph.model.predict_on_batch(pixels)
            return outputs
        values = self._activations(part, cut).read(np.arange(len(part)))
        with design.suffix_graph(self._frozen, None) as graph:
            graph.put(weights, self._token)
            return np.asarray(graph.model.predict_on_batch(values))

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
