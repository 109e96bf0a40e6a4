"""Each player moves its own weights alone, by the gradient of its own loss."""

import keras
import numpy as np
import pytest

from skcnn.generative._networks import LOSSES, Design
from skcnn.generative._objectives import Objective
from skcnn.generative._players import training_game

N = 6


def design_of(loss):
    return Design(loss, (4, 4), 1, 2, (3,), loss != "dcgan")


def batches(seed=0):
    generator = np.random.default_rng(seed)
    codes = {"codes": generator.normal(size=(N, 2)).astype("float32")}
    pixels = generator.uniform(-1, 1, (N, 4, 4, 1)).astype("float32")
    return {**codes, "pixels": pixels, "mix": generator.random((N, 1, 1, 1)).astype("float32")}, codes


def game_of(loss, optimizer=None, ema=0.0, **constants):
    optimizer = keras.optimizers.SGD(0.1) if optimizer is None else optimizer
    return training_game(design_of(loss), Objective(loss, **constants), optimizer, f"{optimizer.get_config()}", ema)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_other_players_weights_do_not_move(loss):
    with game_of(loss) as game:
        start = design_of(loss).initial_weights(0)
        game.put(start)
        game.reset(None)
        networks = {name: layers[0] for name, layers in game.groups.items()}

        def trainable():
            return {
                name: [np.array(keras.ops.convert_to_numpy(v)) for v in network.trainable_variables]
                for name, network in networks.items()
            }

        of_discriminator, of_generator = batches()
        if loss != "wgan-gp":
            del of_discriminator["mix"]
        for player, other, batch in (
            ("discriminator", "generator", of_discriminator),
            ("generator", "discriminator", of_generator),
        ):
            before = trainable()
            assert np.isfinite(game.step(player, batch)["loss"])
            after = trainable()
            for one, two in zip(before[other], after[other], strict=True):
                np.testing.assert_array_equal(one, two)
            assert any(np.abs(one - two).max() > 0 for one, two in zip(before[player], after[player], strict=True))


def test_a_step_is_that_of_the_gradient():
    """Finite differences of the whole loss of the discriminator, penalty included, give the step of SGD."""
    design, rate = design_of("wgan-gp"), 0.1
    batch, _ = batches()
    start = design.initial_weights(1)
    with game_of("wgan-gp") as game:

        def loss_at(weights):
            game.put({**start, "discriminator": weights})
            game.reset(None)
            game.start_epoch(0)
            return game.step("discriminator", batch)["loss"], game.take(["discriminator"])["discriminator"]

        _, after = loss_at(start["discriminator"])
        # Small steps: where a unit is switched, the gradient of the critic jumps.
        for place, index in ((0, (1, 2)), (0, (2, 2)), (2, (1, 0)), (2, (2, 0))):
            losses = []
            for step in (1e-3, -1e-3):
                moved = [value.copy() for value in start["discriminator"]]
                moved[place][index] += step
                losses.append(loss_at(moved)[0])
            expected = -rate * (losses[0] - losses[1]) / 2e-3
            assert after[place][index] - start["discriminator"][place][index] == pytest.approx(expected, rel=0.03)


def test_clipped_weights_stay_in_bounds():
    with game_of("wgan", clip=0.02) as game:
        game.put(design_of("wgan").initial_weights(0))
        game.reset(None)
        batch, _ = batches()
        del batch["mix"]
        for _ in range(3):
            game.step("discriminator", batch)
        for value in game.take(["discriminator"])["discriminator"]:
            assert np.abs(value).max() <= 0.02 + 1e-7


def test_balance_moves_as_published():
    with game_of("began", diversity_ratio=0.9) as game:
        game.put(design_of("began").initial_weights(0))
        game.reset(None)
        generator, discriminator = (game.groups[name][0] for name in ("generator", "discriminator"))
        batch, _ = batches()
        del batch["mix"]
        real = float(np.mean(discriminator(batch["pixels"])))
        fake = float(np.mean(discriminator(generator(batch["codes"]))))
        shown = game.step("discriminator", batch)
        expected = np.clip(1e-3 * (0.9 * real - fake), 0, 1)
        assert shown["balance"] == pytest.approx(expected, rel=1e-3)
        assert shown["convergence"] == pytest.approx(real + abs(0.9 * real - fake), rel=1e-4)
        assert game.state()[-1] == pytest.approx(expected, rel=1e-3)


def test_averaged_weights_are_those_of_the_recursion():
    with game_of("gan", ema=0.7) as game:
        game.put(design_of("gan").initial_weights(0))
        game.reset(None)
        _, codes = batches()
        expected = None
        for _ in range(4):
            game.step("generator", codes)
            raw = game.take(["generator"])["generator"]
            expected = raw if expected is None else [0.7 * a + 0.3 * b for a, b in zip(expected, raw, strict=True)]
        for found, value in zip(game.average([]), expected, strict=True):
            np.testing.assert_allclose(found, value, rtol=1e-4, atol=1e-6)
        for found, value in zip(game.take(["generator"])["generator"], raw, strict=True):
            np.testing.assert_array_equal(found, value)  # training goes on from the last ones


def test_averaged_weights_have_their_own_statistics():
    """Batch normalisation of averaged weights: the variances of what these compute, not of the last ones."""
    with game_of("dcgan", ema=0.9) as game:
        game.put(design_of("dcgan").initial_weights(0))
        game.reset(None)
        _, codes = batches()
        for seed in range(3):
            game.step("generator", batches(seed)[1])
        averaged = game.average([codes] * 60)
        raw = game.take(["generator", "discriminator"])
        network = game.groups["generator"][0]
        network.set_weights(averaged)
        # Of a batch that is always the same, training and prediction agree.
        np.testing.assert_allclose(network(codes["codes"], training=True), network(codes["codes"]), atol=0.02)
        game.put(raw)


def test_a_state_brings_a_game_back():
    optimizer = keras.optimizers.Adam(0.01)
    batch, codes = batches()
    with game_of("wgan-gp", optimizer) as game:
        game.put(design_of("wgan-gp").initial_weights(0))
        game.reset(None)
        game.step("discriminator", batch)
        game.step("generator", codes)
        weights, state = game.take(["generator", "discriminator"]), game.state()
        ends = []
        for _ in range(2):
            game.put(weights)
            game.reset(state)
            game.step("discriminator", batch)
            game.step("generator", codes)
            ends.append(game.take(["generator", "discriminator"]))
        for name in weights:
            for one, two in zip(ends[0][name], ends[1][name], strict=True):
                np.testing.assert_array_equal(one, two)
