"""What estimators share that are a pretrained network with a new head: training in phases, and prediction."""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted

from skcnn._image_input import ImageInputMixin
from skcnn._keras import building
from skcnn._training import (
    Graph,
    Monitor,
    Phase,
    Progress,
    Run,
    Settings,
    Stage,
    Views,
    Weights,
    as_optimizer,
    batches_of_images,
    check_unfreeze,
    image_reader,
    open_layers,
    report_bad_rows,
    shared_devices,
    train,
    train_epoch,
    undecodable,
)
from skcnn.backbones import UnsavedWeights, as_backbone
from skcnn.cache import ActivationCache, activation_cache, as_cache
from skcnn.engines import Engine, SavedNetwork, get_saved_engine
from skcnn.feature_extraction import Activations, BottleneckFeatures
from skcnn.images import BadRow, Images, as_image_size, remembered, warn_if_shrunk
from skcnn.neural_network._loss import Objective
from skcnn.neural_network._network import Design, frozen_prefix, initial_base, initial_head
from skcnn.neural_network._recipe import (
    CONSTRAINTS,
    Recipe,
    checkpoint_of,
    design_of,
    extractor_of,
    remembered_fit_of,
    settings_of,
    warn_if_cut_short,
    warn_of_what_stays_random,
)
from skcnn.neural_network._scikeras import drive, fitted_wrapper
from skcnn.neural_network._stages import Examples, Inputs, Trained, base_graph, head_graph, network_graph, suffix_graph
from skcnn.neural_network._state import check_sizes, pack, unpack

if TYPE_CHECKING:
    from scikeras.wrappers import KerasClassifier, KerasRegressor


class Source(NamedTuple):
    """What a phase is trained on: its stage, for given targets; and which rows have no image, (n_rows,) bool."""

    stage: Callable[[Examples], Stage]
    bad: np.ndarray


def _kept(source: Source, weights: np.ndarray) -> np.ndarray:
    """Return the numbers of the rows to train on."""
    keep = np.flatnonzero(~source.bad & (weights > 0))
    if not len(keep):
        raise ValueError("No row is left for training; expected at least one row with an image and a weight > 0.")
    return keep


class BaseCNN(ImageInputMixin, BaseEstimator, ABC):
    """Base of estimators that train a pretrained network with a new head in two phases.

    A subclass spells out the parameters, checks y, and says what the network is to learn of it: :meth:`_objective`. It
    passes what that encodes (class indices, indicators or numbers) to :meth:`_fit` or :meth:`_fit_epoch`, and decodes
    :meth:`_outputs`.
    """

    _parameter_constraints = CONSTRAINTS

    _weights: Weights
    _history: list[dict[str, Any]]
    _optimizer: dict[tuple[str, Any], list[np.ndarray]]

    def features(self, X: Any) -> np.ndarray:
        """Return the input of the head, computed by the trained network.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.

        Returns
        -------
        ndarray of shape (n_samples, n_features), float32
            NaN for rows without an image if ``on_error="nan"``.

        Raises
        ------
        BadImageError
            If rows have no image and ``on_error="raise"``.
        ValueError
            If a parameter that determines the architecture was changed after ``fit``.
        """
        check_is_fitted(self)
        images = self._check_input(X, reset=False)
        if "base" not in self._weights:
            return self._extractor(self.on_error).transform(images)
        design = self._design()
        return self._ask(images, design, self.on_error, base_graph(design))

    @property
    def model_(self) -> Any:
        """A plain Keras model with the trained weights, from raw pixels to what is predicted."""
        check_is_fitted(self)
        return self._trained(self._design()).plain(self._weights)

    @property
    def history_(self) -> pd.DataFrame:
        """One row per epoch: phase, epoch, loss, metric, learning rate, and the same on the validation set."""
        check_is_fitted(self)
        return pd.DataFrame(self._history)

    def to_scikeras(self) -> KerasClassifier | KerasRegressor:
        """Return a plain SciKeras wrapper of the trained network, fitted, which predicts the same.

        It is for code that works with SciKeras's own estimators. It takes arrays of pixels of the network's size, and
        none of the other forms of X.

        Returns
        -------
        scikeras.wrappers.KerasClassifier or scikeras.wrappers.KerasRegressor
            X is (n_samples, height, width, 3), with values in [0, 255].

        Examples
        --------
        >>> from skcnn.datasets import load_digit_images
        >>> from skcnn.neural_network import CNNClassifier
        >>> X, y = load_digit_images(return_X_y=True)
        >>> classifier = CNNClassifier("ResNet20", image_size=8, head_epochs=1, epochs=0, random_state=0)
        >>> classifier.fit(X[:100], y[:100]).to_scikeras().predict(X[:3].astype("float32")).shape
        (3,)
        """
        check_is_fitted(self)
        with building(self._seed):
            optimizer = as_optimizer(self.optimizer)[0]
        return fitted_wrapper(self.model_, self._typical_y(), optimizer=optimizer, loss=self._objective().loss)

    @abstractmethod
    def _typical_y(self) -> np.ndarray:
        """Return targets that show what y is like."""

    @abstractmethod
    def _objective(self) -> Objective:
        """Return the loss, and the targets and the head that it needs, of what was learned of y."""

    @abstractmethod
    def _split(self, rows: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows of the training set and of the validation set."""

    def _scaling(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Return by what the outputs are multiplied, and what is added to them, to give what is predicted."""
        return None

    def _begin(self) -> None:
        """Reset the fitted state."""
        self.__dict__.pop("_token", None)  # a fit that fails leaves nothing to predict with
        self._seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        self._weights, self._history, self._optimizer, self._frozen = {}, [], {}, None

    def _fit(self, images: Images, y: np.ndarray, weights: np.ndarray, phases: list[Phase]) -> None:
        """Train from the beginning, or from a checkpoint of the same run.

        Parameters
        ----------
        images : Images
            All rows.
        y : ndarray of shape (n_rows,) or (n_rows, n_outputs)
            What the objective encodes.
        weights : ndarray of shape (n_rows,), float32
            Weights of the rows.
        phases : list of Phase
            In order.
        """
        design = self._design(phases)
        if self.image_size is None:
            warn_if_shrunk(images, design.image_size, design.backbone.name)
        progress = self._train(images, y, weights, phases, design)
        self._weights, self._history, self._frozen = progress.weights, progress.history, phases[-1].unfreeze
        self.best_epoch_, self.n_iter_ = progress.best_epoch(Monitor()), len(progress.history)
        self._token = uuid.uuid4().hex
        warn_if_cut_short(self._recipe(), self._history, phases[-1])

    def _train(
        self, images: Images, y: np.ndarray, weights: np.ndarray, phases: list[Phase], design: Design
    ) -> Progress:
        """Return the end of a run, which is remembered, or resumed, or made."""
        objective = self._objective()
        run = (self._recipe(), design, objective, images, y, weights)
        checkpoint = None if self.checkpoint is None else checkpoint_of(*run)
        progress = None if checkpoint is None else checkpoint.load()
        remembered_fit = remembered_fit_of(*run)
        if remembered_fit is not None and (known := remembered_fit.load()) is not None:
            progress = known
        if progress is not None and progress.finished:
            return progress
        first = self._source(design, phases[0], images, check=True)
        rows = _kept(first, weights)
        validation = None
        if self.early_stopping:
            rows, validation = self._split(rows, y[rows])
        examples = Examples(objective.encode(y), weights)
        settings = self._settings(y[rows])
        if progress is None:
            progress = Progress(weights={"head": self._initial_head(design)})

        def stage(phase: Phase) -> Stage:
            source = first if phase is phases[0] else self._source(design, phase, images, check=False)
            return source.stage(examples)

        save = None if checkpoint is None else checkpoint.save
        train(Run(stage, rows, validation, settings, save, is_shareable=self._is_shareable()), progress, phases)
        if remembered_fit is not None:
            remembered_fit.save(progress)
        return progress

    def _fit_epoch(self, images: Images, y: np.ndarray, weights: np.ndarray, *, is_first: bool) -> None:
        """Train for one epoch on the given rows; parameters as in :meth:`_fit`."""
        phase = Phase("partial", 1, float(self.learning_rate), check_unfreeze(self.unfreeze))
        design = self._design([phase] if is_first else None)
        if is_first:
            self._weights = {"head": self._initial_head(design)}
        source = self._source(design, phase, images, check=True)
        rows = _kept(source, weights)
        examples = Examples(self._objective().encode(y), weights)
        settings = replace(self._settings(y[rows]), schedule="constant")
        # The state is of use only to the same optimizer, over the same layers.
        kind = (as_optimizer(self.optimizer)[1], phase.unfreeze)
        progress = Progress(weights=self._weights, history=[*self._history], optimizer=self._optimizer.get(kind, []))

        run = Run(
            lambda phase: source.stage(examples),
            rows,
            None,
            settings,
            keep_optimizer=True,
            is_shareable=self._is_shareable(),
        )
        train_epoch(run, progress, phase)
        self._frozen = phase.unfreeze if "base" not in self._weights or self._frozen == phase.unfreeze else None
        self._weights, self._history = progress.weights, progress.history
        self._optimizer = {kind: progress.optimizer}
        self.n_iter_ = self.best_epoch_ = len(progress.history)
        self._token = uuid.uuid4().hex

    def _is_shareable(self) -> bool:
        """Return whether devices may share batches; raise if they are to and cannot."""
        if self.batch_norm == "train" and shared_devices() is not None:
            raise ValueError(
                "batch_norm='train' computes statistics of a batch, of which each device has only a part; expected "
                "batch_norm='inference', or training on one device (outside of skcnn.on_devices)."
            )
        return True

    def _recipe(self) -> Recipe:
        return Recipe.from_params(self.get_params(deep=False))

    def _settings(self, y: np.ndarray) -> Settings:
        objective, make = self._objective(), lambda: as_optimizer(self.optimizer)[0]

        def driver(model: Any, fit: Callable[[Any], dict[str, Any]]) -> None:
            drive(model, y, optimizer=make(), loss=objective.loss, metric=objective.metric, train=fit)

        return settings_of(self._recipe(), driver, self._seed)

    def _design(self, phases: list[Phase] | None = None) -> Design:
        """Return the network; ``phases`` are given if training is about to begin."""
        objective = self._objective()
        design = design_of(self._recipe(), objective, self._seed)
        # Where the weights learned are the head's alone, the network's own are part of what was fitted.
        weights = None if "base" in self._weights else design.backbone.weights_id(design.weights, self._seed)
        form = {
            "backbone": design.backbone.name,
            "weights": weights,
            "pooling": design.pooling,
            "image_size": design.image_size if design.pooling is None else None,  # a flattened map has its size
            "hidden_layer_sizes": design.hidden_layer_sizes,
            "loss": design.activation,
        }
        if phases is not None:
            self._initial = weights
            self._form, self._constants = form, ""
            if not all(self._uses_features(phase) for phase in phases):
                initial = initial_base(design)
                for phase in phases:  # fail early, on an unknown layer for example
                    open_layers(design.backbone, initial.network, phase.unfreeze)
                self._constants = initial.constants
                warn_of_what_stays_random(self._recipe(), initial, phases)
        for name, value in form.items():
            if value is not None and value != self._form[name]:
                raise ValueError(
                    f"{name} was changed after fit to {getattr(self, name)!r}; the trained weights are those of "
                    "another network. Call fit again, or restore the parameter."
                )
        return replace(design, constants=self._constants)

    def _initial_head(self, design: Design) -> list[np.ndarray]:
        if design.pooling is not None or design.backbone.layers[-1].n_features == 0:
            n_features = design.backbone.n_features
        else:
            n_features = len(self._extractor("raise").get_feature_names_out())
        return initial_head(n_features, [*design.hidden_layer_sizes, design.n_outputs], self._seed)

    def _extractor(self, on_error: str) -> BottleneckFeatures:
        return extractor_of(self._recipe(), self._objective(), self._seed, on_error)

    def _uses_features(self, phase: Phase) -> bool:
        """Return whether a phase can use cached features: its network is frozen, and images are as they are known."""
        is_known = self.augmentation is None or self._keeps_views(phase)
        return phase.unfreeze is None and is_known and "base" not in self._weights

    def _keeps_views(self, phase: Phase) -> bool:
        """Return whether images are trained on in a few views, instead of new changes in each epoch."""
        # An epoch of partial_fit is of images that may not be seen again: nothing is kept of them.
        return self.augmentation is not None and self.augmentation_views is not None and phase.name != "partial"

    def _views(self, images: Images, design: Design) -> Views:
        return Views(
            images,
            int(self.augmentation_views),
            self.augmentation,
            seed=self._seed,
            size=design.image_size,
            resize=self.resize,
            max_pixels=self.max_pixels,
        )

    def _activations(self, design: Design, unfreeze: Any, images: Images) -> Activations | None:
        """Return what the layers before the open ones give for images, or None where there are no such layers."""
        cut = frozen_prefix(design, unfreeze)
        if cut is None:
            return None
        cache = ActivationCache() if as_cache(self.cache) is None else activation_cache()
        return Activations(images, self._extractor("nan"), cut.layers, cut.n_values, cache)

    def _source(self, design: Design, phase: Phase, images: Images, *, check: bool) -> Source:
        """Return what a phase is trained on; with ``check``, rows without an image are reported before it begins."""
        views = self._views(images, design) if self._keeps_views(phase) else None
        if self._uses_features(phase):
            return self._on_features(design, images, views)
        is_known = phase.name != "partial" and (self.augmentation is None or views is not None)
        activations = self._activations(design, phase.unfreeze, images) if is_known else None
        failed = activations.keep() if activations is not None and views is None else None
        if failed is None:
            # Before the first epoch, and not in the midst of it.
            failed = undecodable(images, self.resize, self.max_pixels) if check else []
        bad = np.zeros(len(images), bool)
        if check and failed:
            report_bad_rows(failed, len(images), self.on_error)
            bad[[row.row for row in failed]] = True
        trained = self._trained(design)
        if activations is None:
            pixels = Inputs(image_reader(images, design.image_size, self.resize, self.max_pixels))
            return Source(lambda examples: trained.on_pixels(pixels, phase.unfreeze, examples), bad)
        inputs = Inputs(activations.read)
        if views is not None and (of_views := self._activations(design, phase.unfreeze, views)) is not None:
            of_views.keep()
            inputs = Inputs(activations.read, of_views.read, views.n_views)
        return Source(lambda examples: trained.on_activations(inputs, phase.unfreeze, examples), bad)

    def _on_features(self, design: Design, images: Images, views: Views | None) -> Source:
        """Return what a phase is trained on if that is features of images, or of their views."""
        features = self._extractor(self.on_error).transform(images)
        inputs = Inputs(features.__getitem__)
        if views is not None:
            inputs = Inputs(features.__getitem__, self._extractor("nan").transform(views).__getitem__, views.n_views)
        trained, n_features = self._trained(design), features.shape[1]
        bad = np.isnan(features).all(axis=1)
        return Source(lambda examples: trained.on_features(n_features, inputs, examples), bad)

    def _trained(self, design: Design) -> Trained:
        compiled = (self._objective().identity, as_optimizer(self.optimizer)[1])
        return Trained(design, self.augmentation, float(self.dropout), compiled, self._scaling())

    def _outputs(self, X: Any, on_error: str) -> np.ndarray:
        """Return what the head gives for images, decoded: (n_rows, n_values), float64."""
        check_is_fitted(self)
        images = self._check_input(X, reset=False)
        program = self._program_engine()
        if program is not None:
            return remembered(self, images, lambda: self._outputs_by(program, images, on_error))
        return remembered(self, images, lambda: self._objective().decode(self._computed_outputs(images, on_error)))

    def _program_engine(self) -> Engine | None:
        """Return what runs the program of the file that this was loaded from, if this is still what was saved."""
        saved, given = vars(self).get("_program") or (None, ())
        if saved is None or given != self._of_outputs():
            return None
        return get_saved_engine(saved, "outputs")

    def _of_outputs(self) -> tuple[Any, ...]:
        """Return what decides the outputs: parameters, and which fit it was."""
        names = "backbone", "weights", "pooling", "image_size", "resize", "precision", "hidden_layer_sizes", "loss"
        return (*(getattr(self, name) for name in names), self._token)

    def _outputs_by(self, program: Engine, images: Images, on_error: str) -> np.ndarray:
        """Return what a program gives for images, as :meth:`_outputs` does."""
        size = as_backbone(self.backbone).image_size if self.image_size is None else as_image_size(self.image_size)
        outputs = np.full((len(images), *program.output_shapes[0]), np.nan)
        batches = batches_of_images(images, size, self.batch_size, self.resize, self.max_pixels, on_error)
        for rows, pixels in batches:
            outputs[rows] = program.run(pixels)
        scaling = self._scaling()
        if scaling is None:  # probabilities, in float32
            return np.asarray(outputs / outputs.sum(axis=1, keepdims=True))
        return (outputs - scaling[1]) / scaling[0]

    def _computed_outputs(self, images: Images, on_error: str) -> np.ndarray:
        design = self._design()
        if "base" in self._weights:
            activations = self._known_activations(images, design)
            if activations is None:
                return self._ask(images, design, on_error, network_graph(design))
            return self._ask_from(activations, len(images), design, on_error)
        features = self._extractor(on_error).transform(images)
        with head_graph(design, features.shape[1]) as graph:
            graph.put(self._weights, self._token)
            parts = [graph.predict(features[start : start + 1024]) for start in range(0, len(features), 1024)]
        outputs = np.concatenate(parts)
        outputs[np.isnan(features).all(axis=1)] = np.nan
        return outputs

    def _known_activations(self, images: Images, design: Design) -> Activations | None:
        """Return what frozen layers give for images, where this process has trained behind the same layers."""
        if self._frozen is None or isinstance(self.weights, UnsavedWeights) or as_cache(self.cache) is None:
            return None
        if self._initial != design.backbone.weights_id(design.weights, self._seed):
            return None  # the parameter was changed after fit
        activations = self._activations(design, self._frozen, images)
        return activations if activations is not None and activations.is_known else None

    def _ask_from(self, activations: Activations, n_rows: int, design: Design, on_error: str) -> np.ndarray:
        """Return what is predicted from activations."""
        bad: list[BadRow] = []
        with suffix_graph(design, self._frozen) as graph:
            graph.put(self._weights, self._token)
            outputs = np.full((n_rows, graph.model.output_shape[-1]), np.nan, np.float32)
            for start in range(0, n_rows, self.batch_size):
                rows = np.arange(start, min(start + self.batch_size, n_rows))
                values, failed = activations.read_or_report(rows)
                bad += failed
                if not (bad and on_error == "raise"):
                    outputs[rows] = graph.predict(values)
        outputs[[row.row for row in bad]] = np.nan
        if bad:
            report_bad_rows(bad, n_rows, on_error)
        return outputs

    def _ask(self, images: Images, design: Design, on_error: str, context: AbstractContextManager[Graph]) -> np.ndarray:
        """Return the output of a graph for the pixels of images."""
        with context as graph:
            graph.put(self._weights, self._token)
            outputs = np.full((len(images), graph.model.output_shape[-1]), np.nan, np.float32)
            batches = batches_of_images(
                images, design.image_size, self.batch_size, self.resize, self.max_pixels, on_error
            )
            for rows, pixels in batches:
                outputs[rows] = graph.predict(pixels)
        return outputs

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for pickle and for a saved file; the optimizer's is left behind."""
        state = dict(super().__getstate__())
        if "_optimizer" in state:
            state["_optimizer"] = {}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the state of a pickle or a file, also of one that was written when groups of weights had no names."""
        state = {"weight_layers": None, "augmentation_views": None, **state}
        if "_head" in state:
            base, head = state.pop("_base"), state.pop("_head")
            state["_weights"] = {"base": base, "head": head} if base else {"head": head}
        if "_weights" in state:
            state.setdefault("_frozen", None)  # of an earlier version, not known: the whole network predicts
        super().__setstate__(state)

    def __skcnn_pack__(self, members: dict[str, bytes]) -> dict[str, Any]:
        """Return the parameters that a saved file has otherwise; what they stand for goes into ``members``."""
        stored = pack(self.get_params(deep=False), members, is_fine_tuned="base" in getattr(self, "_weights", {}))
        return stored | ({"_program": None} if "_program" in vars(self) else {})

    def __skcnn_unpack__(self, members: dict[str, bytes]) -> dict[str, Any]:
        """Return the parameters that :meth:`__skcnn_pack__` returned as they were."""
        check_sizes(self.hidden_layer_sizes, getattr(self, "_weights", {}).get("head", []))
        given = unpack(self.get_params(deep=False), members)
        return given | ({"_program": None} if "_program" in vars(self) else {})

    def __skcnn_run_by__(self, program: SavedNetwork) -> None:
        """Let the program of a file run instead of Keras, as long as parameters and weights stay as they are."""
        self._program = program, self._of_outputs()

    def __sklearn_is_fitted__(self) -> bool:
        """Return whether there are weights, for scikit-learn."""
        return hasattr(self, "_token")

    def __sklearn_tags__(self) -> Tags:
        """Return scikit-learn's tags of the estimator."""
        tags = super().__sklearn_tags__()
        tags.non_deterministic = self.random_state is None
        return tags
