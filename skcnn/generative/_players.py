"""The two models that are trained in turn: they share both networks, and each moves the weights of one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any

import numpy as np

from skcnn._keras import has_gpu, import_keras
from skcnn._timing import timed
from skcnn._training import Graph, as_optimizer, get_graph
from skcnn.generative._networks import Design, build_discriminator, build_generator, inputs_of
from skcnn.generative._objectives import Objective, gradient_penalty, new_balance, of_discriminator, of_generator


@lru_cache(maxsize=1)
def _player_classes() -> tuple[Any, Any]:
    keras = import_keras()
    ops = keras.ops

    class Player(keras.Model):  # type: ignore[name-defined]
        """Trains the weights of one network; those of the other network are present, but do not change."""

        #: Names of what the history shows beside the loss.
        shown: Sequence[str] = ()

        def __init__(self, generator: Any, discriminator: Any, learning: Any, objective: Objective):
            super().__init__()
            self.generator, self.discriminator, self.objective = generator, discriminator, objective
            self.learning = learning
            self.means = [keras.metrics.Mean(name=name) for name in self.shown_of(objective)]

        @staticmethod
        def shown_of(objective: Objective) -> Sequence[str]:
            return ()

        @property
        def trainable_variables(self) -> list[Any]:
            return list(self.learning.trainable_variables)

        @property
        def non_trainable_variables(self) -> list[Any]:
            own = {id(variable) for variable in self.trainable_variables}
            return [variable for variable in super().variables if id(variable) not in own]

        @property
        def trainable_weights(self) -> list[Any]:
            return list(self.learning.trainable_weights)

        @property
        def non_trainable_weights(self) -> list[Any]:
            own = {id(variable) for variable in self.trainable_weights}
            return [variable for variable in super().weights if id(variable) not in own]

        def generated(self, x: dict[str, Any], training: bool | None) -> Any:
            return self.generator(inputs_of(x["codes"], x.get("labels")), training=training)

        def score(self, pixels: Any, x: dict[str, Any], training: bool | None) -> Any:
            return self.discriminator(inputs_of(pixels, x.get("labels")), training=training)

        def show(self, *values: Any) -> None:
            for mean, value in zip(self.means, values, strict=True):
                mean.update_state(value)

    class GeneratorPlayer(Player):
        """Makes images that the discriminator predicts to be real."""

        def call(self, x: dict[str, Any], training: bool | None = None) -> Any:
            return self.score(self.generated(x, training), x, training)

        def compute_loss(
            self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: Any = True
        ) -> Any:
            return of_generator(self.objective, y_pred)

    class DiscriminatorPlayer(Player):
        """Scores real and generated images."""

        def __init__(self, *parts: Any):
            super().__init__(*parts)
            self.balance = self.add_weight(shape=(), initializer="zeros", trainable=False, name="balance")

        @staticmethod
        def shown_of(objective: Objective) -> Sequence[str]:
            extra = {
                "wgan-gp": ("wasserstein", "penalty"),
                "wgan": ("wasserstein",),
                "began": ("convergence", "balance"),
            }
            return extra.get(objective.loss, ())

        def call(self, x: dict[str, Any], training: bool | None = None) -> Any:
            generated = ops.stop_gradient(self.generated(x, training))
            return self.score(x["pixels"], x, training), self.score(generated, x, training), generated

        def compute_loss(
            self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: Any = True
        ) -> Any:
            real, fake, generated = y_pred
            objective = self.objective
            loss = of_discriminator(objective, real, fake, self.balance)
            if objective.loss == "wgan":
                self.show(-loss)
            elif objective.loss == "wgan-gp":
                penalty = gradient_penalty(
                    lambda pixels: self.score(pixels, x, False), x["pixels"], generated, x["mix"]
                )  # fmt: skip
                self.show(-loss, penalty)
                loss = loss + objective.gradient_penalty * penalty
            elif objective.loss == "began":
                balance, convergence = new_balance(objective, self.balance, ops.mean(real), ops.mean(fake))
                self.show(convergence, balance)
                self.balance.assign(ops.stop_gradient(balance))
            return loss

    return GeneratorPlayer, DiscriminatorPlayer


class Game(Graph):
    """Both players, with the weights that they share.

    Parameters
    ----------
    generator, discriminator : keras.Model
        The players, compiled.
    """

    def __init__(self, generator: Any, discriminator: Any):
        networks = {"generator": [generator.generator], "discriminator": [generator.discriminator]}
        super().__init__(discriminator, networks)
        self.players = {"generator": Graph(generator, {}), "discriminator": Graph(discriminator, {})}

    def reset(self, state: Sequence[np.ndarray] | None) -> None:
        """Reset the optimizers and the balance to what :meth:`state` returned, or to their initial values."""
        n_first = None
        for player in self.players.values():
            player.reset_optimizer()
            if state is not None:
                n_first = len(player.model.optimizer.variables)
                player.reset_optimizer(list(state[:n_first]))
                state = state[n_first:]
        self.model.balance.assign(0.0 if state is None else state[0])

    def state(self) -> list[np.ndarray]:
        """Return copies of the state of both optimizers, and of the balance."""
        states = [value for player in self.players.values() for value in player.optimizer_state()]
        return [*states, np.array(import_keras().ops.convert_to_numpy(self.model.balance))]

    def set_rate(self, rate: float) -> None:
        """Set the learning rate of both optimizers."""
        for player in self.players.values():
            player.model.optimizer.learning_rate = rate

    def step(self, player: str, batch: dict[str, np.ndarray]) -> dict[str, float]:
        """Train a player on one batch, and return means since :meth:`start_epoch`."""
        with timed("model"):
            return self.players[player].model.train_on_batch(batch, return_dict=True)

    def start_epoch(self, *numbers: int) -> None:
        """Begin means again, and seed random layers with these numbers."""
        for player in self.players.values():
            player.model.reset_metrics()
        self.seed(*numbers)

    def average(self, batches: Iterable[dict[str, np.ndarray]]) -> list[np.ndarray]:
        """Return the generator's weights, averaged over steps where its optimizer averages them.

        ``batches`` are codes for statistics of batch normalisation, which belong to the weights and are no average.
        """
        player = self.players["generator"].model
        raw = self.take(["generator", "discriminator"])
        if not player.optimizer.use_ema or not int(player.optimizer.iterations):
            return raw["generator"]
        player.optimizer.finalize_variable_values(player.trainable_variables)
        if player.generator.non_trainable_variables:
            for batch in batches:
                player.generated(batch, True)
        averaged = self.take(["generator"])["generator"]
        self.put(raw)
        return averaged


def training_game(
    design: Design, objective: Objective, optimizer: Any, identity: str, ema: float
) -> AbstractContextManager[Graph]:
    """Return a context that yields the :class:`Game` of a configuration, with its lock held.

    Parameters
    ----------
    design, objective : Design, Objective
        The networks and the losses.
    optimizer : str or keras.optimizers.Optimizer
        Of both players.
    identity : str
        Its identity.
    ema : float
        Momentum of the average of the generator's weights; 0 for none.
    """

    def build() -> Game:
        generator, discriminator = build_generator(design), build_discriminator(design)
        generator_class, discriminator_class = _player_classes()
        first = generator_class(generator, discriminator, generator, objective)
        second = discriminator_class(generator, discriminator, discriminator, objective)
        # Measured on a CPU: XLA makes a step of dense layers twice as fast, and one of convolutions twice as slow.
        jit = "auto" if design.is_dense or has_gpu() else False
        first.compile(optimizer=_averaging(as_optimizer(optimizer)[0], ema), jit_compile=jit)
        second.compile(optimizer=as_optimizer(optimizer)[0], jit_compile=jit)
        if objective.loss == "wgan":
            clip = _clip_class()(objective.clip)
            for variable in discriminator.trainable_variables:
                variable.constraint = clip
        return Game(first, second)

    return get_graph(("train", "gan", design, objective, identity, ema), build)


def _averaging(optimizer: Any, momentum: float) -> Any:
    if not momentum:
        return optimizer
    config = {**optimizer.get_config(), "use_ema": True, "ema_momentum": momentum}
    return as_optimizer(type(optimizer).from_config(config))[0]


@lru_cache(maxsize=1)
def _clip_class() -> Any:
    keras = import_keras()

    class Clip(keras.constraints.Constraint):  # type: ignore[name-defined]
        """Keeps weights within bounds."""

        def __init__(self, bound: float):
            self.bound = bound

        def __call__(self, w: Any) -> Any:
            return keras.ops.clip(w, -self.bound, self.bound)

    return Clip


def generating_graph(design: Design) -> AbstractContextManager[Graph]:
    """Return a context that yields the graph from codes, and indicators of classes, to pixels in [-1, 1]."""

    def build() -> Graph:
        generator = build_generator(design)
        return Graph(generator, {"generator": [generator]})

    return get_graph(("predict", "generator", design), build)


def scoring_graph(design: Design) -> AbstractContextManager[Graph]:
    """Return a context that yields the graph from pixels in [-1, 1], and indicators of classes, to scores."""

    def build() -> Graph:
        discriminator = build_discriminator(design)
        return Graph(discriminator, {"discriminator": [discriminator]})

    return get_graph(("predict", "discriminator", design), build)
