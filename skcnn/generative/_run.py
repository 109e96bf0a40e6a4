"""A run of a GAN: epochs in which both players are trained in turn, and the comparisons between them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from skcnn._progress import progress_bar
from skcnn._training import Progress, Weights, rate_at, shuffled
from skcnn.generative._judge import Judge, drawer
from skcnn.generative._networks import Design, inputs_of
from skcnn.generative._objectives import Objective
from skcnn.generative._players import Game, generating_graph, training_game

#: Batches whose statistics are those of averaged weights.
_N_CALIBRATION = 30

#: Images that are kept of each comparison, and the group of weights that they travel as.
N_SNAPSHOT = 8
SNAPSHOTS = "snapshots"

#: Numbers that seeds of codes begin with, by what these are for.
_OF_STEPS, _OF_JUDGE, _OF_AVERAGE = 1, 2, 3


@dataclass(frozen=True)
class Plan:
    """What is trained, and how.

    Parameters
    ----------
    design, objective : Design, Objective
        Networks and losses.
    optimizer, identity : str or keras.optimizers.Optimizer, str
        Of both players.
    learning_rate, schedule : float, str
        Initial rate, and its course over all epochs.
    ema : float
        Momentum of the average of the generator's weights.
    epochs, batch_size, n_critic : int
        Epochs; images per step; steps of the discriminator per step of the generator.
    judged : frozenset of int
        Epochs, from 1 on, after which images are compared.
    patience : int or None
        Comparisons without a smaller kernel distance before training ends; None trains all epochs.
    seed : int
        Of order and codes.
    verbose : int or "auto"
        Whether to show progress.
    """

    design: Design
    objective: Objective
    optimizer: Any
    identity: str
    learning_rate: float
    schedule: str
    ema: float
    epochs: int
    batch_size: int
    n_critic: int
    judged: frozenset[int]
    patience: int | None
    seed: int
    verbose: int | str


@dataclass(frozen=True)
class Examples:
    """Images that a GAN is trained on.

    Parameters
    ----------
    rows : ndarray of int
        Which ones.
    read : callable
        From rows to pixels in [-1, 1], (n, height, width, n_channels) float32.
    labels : ndarray of shape (n_images, n_classes), float32, or None
        Indicators of the classes of all images.
    """

    rows: np.ndarray
    read: Callable[[np.ndarray], np.ndarray]
    labels: np.ndarray | None

    def asked(self, generator: np.random.Generator, n_images: int) -> np.ndarray | None:
        """Return indicators of classes, as often as these are among the images."""
        return None if self.labels is None else self.labels[generator.choice(self.rows, n_images)]


class full_batches(shuffled):  # noqa: N801  (read as a function)
    """Rows in a new order per epoch, without those that fill no batch: each batch has the same size."""

    def __len__(self) -> int:
        return max(1, len(self.rows) // self.batch_size)

    def __call__(self, generator: np.random.Generator) -> list[np.ndarray]:
        """Return the row numbers of each batch of one epoch."""
        return super().__call__(generator)[: len(self)]


def play(
    plan: Plan,
    examples: Examples,
    initial: Weights,
    progress: Progress,
    judge: Judge | None,
    save: Callable[[Progress], None] | None,
) -> None:
    """Train from the state ``progress`` on until its epochs are those of the plan; update it in place.

    Its weights are those of both networks, and "average", the generator's that images are made with. Images of each
    comparison travel with them, as :data:`SNAPSHOTS`.
    """
    sampler = full_batches(examples.rows, plan.batch_size)
    n_steps = len(sampler)
    draw = drawer((plan.seed, _OF_JUDGE), plan.design.n_components, examples.asked)
    with (
        training_game(plan.design, plan.objective, plan.optimizer, plan.identity, plan.ema) as game,
        progress_bar(
            total=(plan.epochs - progress.epoch) * n_steps * plan.batch_size,
            title="training",
            verbose="auto" if plan.verbose == "auto" else int(plan.verbose == 1),
        ) as bar,
    ):
        assert isinstance(game, Game)
        game.put({**initial, **progress.weights})
        game.reset(progress.optimizer or None)
        for epoch in range(progress.epoch, plan.epochs):
            game.start_epoch(plan.seed, epoch)
            row: dict[str, Any] = {"epoch": len(progress.history) + 1}
            row |= _played(plan, examples, sampler, game, epoch, bar.update)
            _check(row, plan)
            progress.history.append(row)
            progress.epoch = epoch + 1
            is_last = progress.epoch == plan.epochs
            is_judged = judge is not None and progress.epoch in plan.judged
            if is_judged or is_last or save is not None:
                codes = [_codes(plan, examples, (_OF_AVERAGE, number)) for number in range(_N_CALIBRATION)]
                taken = game.take(["generator", "discriminator"])
                progress.weights = {**progress.weights, **taken, "average": game.average(codes)}
                progress.optimizer = game.state()
            if is_judged and judge is not None:
                images = images_of(plan.design, progress.weights["average"], draw(judge.n_images))
                row |= judge(images)
                progress.weights[SNAPSHOTS] = [*progress.weights.get(SNAPSHOTS, []), images[:N_SNAPSHOT]]
                if _best_row(progress) is row and plan.patience is not None:
                    progress.best = {"average": progress.weights["average"]}
            if plan.verbose == 2:
                print(", ".join(f"{name} {value:.4g}" for name, value in row.items()))
            if _is_over(progress, plan):
                break
            if save is not None and not is_last:
                save(progress)
    progress.weights |= progress.best
    progress.best, progress.finished = {}, True
    if save is not None:
        save(progress)


def _played(
    plan: Plan,
    examples: Examples,
    sampler: full_batches,
    game: Game,
    epoch: int,
    update: Callable[[int], Any],
) -> dict[str, float]:
    """Train one epoch, and return its row of the history."""
    rows = sampler(np.random.default_rng((plan.seed, epoch)))
    of_discriminator: dict[str, Any] = {}
    of_generator: dict[str, Any] = {"loss": math.nan}  # where the discriminator takes all steps
    rate = plan.learning_rate
    for number, batch in enumerate(rows):
        step = epoch * len(rows) + number
        rate = rate_at(plan.schedule, plan.learning_rate, step / (plan.epochs * len(rows)), [], 1)
        game.set_rate(rate)
        seed = (_OF_STEPS, epoch, number)
        inputs = _codes(plan, examples, (*seed, 0), len(batch)) | {"pixels": examples.read(batch)}
        if examples.labels is not None:
            inputs["labels"] = examples.labels[batch]
        if plan.objective.loss == "wgan-gp":
            mix = np.random.default_rng((plan.seed, *seed, 2)).random((len(batch), 1, 1, 1))
            inputs["mix"] = mix.astype(np.float32)
        of_discriminator = game.step("discriminator", inputs)
        if (step + 1) % plan.n_critic == 0:
            of_generator = game.step("generator", _codes(plan, examples, (*seed, 1), len(batch)))
        update(len(batch))
    found = {"discriminator_loss": of_discriminator.pop("loss"), "generator_loss": of_generator["loss"]}
    return {name: float(value) for name, value in {**found, **of_discriminator}.items()} | {"learning_rate": rate}


def _codes(plan: Plan, examples: Examples, seed: tuple[int, ...], n_images: int | None = None) -> dict[str, np.ndarray]:
    draw = drawer((plan.seed, *seed), plan.design.n_components, examples.asked)
    codes: dict[str, np.ndarray] = draw(plan.batch_size if n_images is None else n_images)
    return codes


def _check(row: dict[str, Any], plan: Plan) -> None:
    for name in ("discriminator_loss", "generator_loss"):
        if math.isinf(row[name]) or (math.isnan(row[name]) and name == "discriminator_loss"):
            raise ValueError(
                f"The {name.replace('_', ' ')} is {row[name]} after epoch {row['epoch']}: training diverged. Use a "
                f"smaller learning rate than {plan.learning_rate}."
            )


def _best_row(progress: Progress) -> dict[str, Any] | None:
    """Return the row of the history with the smallest kernel distance."""
    rows = [row for row in progress.history if not math.isnan(row.get("kernel_distance", math.nan))]
    return min(rows, key=lambda row: row["kernel_distance"]) if rows else None


def best_epoch(progress: Progress) -> int:
    """Return the epoch with the smallest kernel distance; the last one where nothing was compared."""
    row = _best_row(progress)
    return len(progress.history) if row is None else int(row["epoch"])


def _is_over(progress: Progress, plan: Plan) -> bool:
    best = _best_row(progress)
    if plan.patience is None or best is None:
        return False
    since = [row for row in progress.history[best["epoch"] :] if "kernel_distance" in row]
    return len(since) >= plan.patience


def images_of(
    design: Design, weights: list[np.ndarray], inputs: dict[str, np.ndarray], token: str | None = None
) -> np.ndarray:
    """Return images of codes, uint8 (n, height, width, 3) or (n, height, width), made in parts."""
    codes, labels = inputs["codes"], inputs.get("labels")
    pixels = np.empty((len(codes), *design.image_shape), np.uint8)
    with generating_graph(design) as graph:
        graph.put({"generator": weights}, token)
        for start in range(0, len(codes), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            # A full batch always: of another size the graph would be compiled again.
            given = inputs_of(_filled(codes[part]), None if labels is None else _filled(labels[part]))
            made = np.asarray(graph.model.predict_on_batch(given))[: len(codes[part])]
            pixels[part] = np.rint(np.clip(127.5 * (made + 1), 0, 255)).astype(np.uint8)
    return pixels if design.n_channels == 3 else pixels[..., 0]


_AT_ONCE = 64


def _filled(array: np.ndarray) -> np.ndarray:
    return np.pad(array, ((0, _AT_ONCE - len(array)), (0, 0)), mode="edge") if len(array) < _AT_ONCE else array
