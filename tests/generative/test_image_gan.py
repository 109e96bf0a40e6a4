"""ImageGAN as an estimator: images out, the same for the same seed; what it learns, reports and refuses."""

import warnings

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from skcnn._keras import building
from skcnn._training import CheckpointError, _checkpoints, n_graphs
from skcnn.generative import CollapseWarning, ImageGAN, _run
from skcnn.generative._judge import warn_of_collapse
from skcnn.images import BadImageError
from skcnn.metrics import kernel_distance
from tests.generative.tiny_gan import TINY_GAN, Levels

#: A run of a second in which it learns.
LEARNS = {"filters": (64,), "epochs": 150, "ema": 0.9, "learning_rate": 1e-2}


def test_samples(gan):
    images = gan.sample(5, random_state=0)
    assert images.shape == (5, 6, 6)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, gan.sample(5, random_state=0))
    assert (images != gan.sample(5, random_state=1)).any()
    of_one = gan.sample(4, y="flat", random_state=0)
    np.testing.assert_array_equal(of_one, gan.sample(4, y=["flat"] * 4, random_state=0))
    assert (of_one != gan.sample(4, y="upright", random_state=0)).any()
    # More images than are made at once: each one is that of its code.
    codes = np.random.default_rng(0).normal(size=(70, 3))
    np.testing.assert_array_equal(gan.generate(codes, "flat")[65:], gan.generate(codes[65:], "flat"))


def test_plain_networks(gan):
    codes, labels = np.random.default_rng(0).normal(size=(5, 3)), np.eye(2)[[0, 1, 0, 1, 1]]
    levels = np.asarray(gan.generator_.predict([codes, labels], verbose=0))[..., 0]
    np.testing.assert_allclose(levels, gan.generate(codes, gan.classes_[[0, 1, 0, 1, 1]]), atol=0.51)
    assert gan.discriminator_.predict([levels[..., None], labels], verbose=0).shape == (5, 1)


def test_it_learns_the_classes(bars):
    """Images that are asked for have the bar that was asked for; those of the first weights do not."""
    X, y = bars
    fitted = ImageGAN(conditional=True, **TINY_GAN | LEARNS | {"n_evaluations": 3}).fit(X, y)

    def is_upright(images):
        images = images.astype(float)
        return images.mean(axis=1).std(axis=1) > images.mean(axis=2).std(axis=1)

    assert (is_upright(X) == (y == "upright")).all()
    asked = np.repeat(["flat", "upright"], 50)
    assert (is_upright(fitted.sample(100, asked, random_state=0)) == (asked == "upright")).mean() > 0.95
    distances = fitted.history_["kernel_distance"].dropna()
    assert fitted.score(X) == pytest.approx(-distances.iloc[-1], abs=0.3)
    assert fitted.history_["diversity"].dropna().between(0.8, 1.3).all()
    first = ImageGAN(conditional=True, **TINY_GAN | {"epochs": 1}).fit(X, y)
    assert fitted.score(X) > first.score(X)


def test_the_history_has_both_losses_and_comparisons(bars):
    with pytest.warns(CollapseWarning):  # it has not learned yet
        fitted = ImageGAN(**TINY_GAN | {"epochs": 4, "n_evaluations": 2}).fit(bars[0])
    history = fitted.history_
    assert history["epoch"].tolist() == [1, 2, 3, 4]
    assert {"discriminator_loss", "generator_loss", "wasserstein", "penalty", "learning_rate"} < set(history)
    assert history["kernel_distance"].notna().tolist() == [False, True, False, True]
    total = -history["wasserstein"] + 10 * history["penalty"]
    np.testing.assert_allclose(history["discriminator_loss"], total, rtol=1e-4, atol=1e-5)
    assert fitted.n_iter_ == 4
    assert history["learning_rate"].is_monotonic_decreasing


def test_the_score_is_minus_the_kernel_distance(gan, bars):
    X = bars[0]
    images = gan.sample(200, random_state=gan._seed)
    scale = np.sqrt(((X / 255) ** 2).mean())
    expected = -kernel_distance(*(np.reshape(part, (len(part), -1)) / 255 / scale for part in (X, images)))
    assert gan.score(X) == pytest.approx(expected)


def test_the_same_random_state_gives_the_same(gan, bars):
    n_before = n_graphs()
    again = clone(gan).fit(*bars)
    assert n_graphs() == n_before
    np.testing.assert_array_equal(gan.sample(3, random_state=0), again.sample(3, random_state=0))
    pd.testing.assert_frame_equal(gan.history_, again.history_)
    other = clone(gan).set_params(random_state=1).fit(*bars)
    assert (other.sample(3, random_state=0) != gan.sample(3, random_state=0)).any()


def test_forms_of_x(bars, tmp_path):
    X, _ = bars
    paths = [str(tmp_path / f"{row}.png") for row in range(10)]
    for path, pixels in zip(paths, X, strict=False):
        Image.fromarray(pixels).save(path)
    expected = ImageGAN(**TINY_GAN).fit(X[:10]).sample(2, random_state=0)
    for form in (X[:10, ..., None], list(X[:10]), pd.DataFrame({"image": list(X[:10])})):
        fitted = ImageGAN(**TINY_GAN).fit(form)
        np.testing.assert_array_equal(fitted.sample(2, random_state=0), expected)
    grey = {"image_size": 6, "color_mode": "grayscale"}
    fitted = ImageGAN(**TINY_GAN | grey).fit(paths)
    np.testing.assert_array_equal(fitted.sample(2, random_state=0), expected)
    assert ImageGAN(**TINY_GAN | {"image_size": 6}).fit(paths).sample().shape == (1, 6, 6, 3)


def test_default_sizes_of_layers():
    form = ImageGAN()
    for size, loss, is_dense, filters in [
        (32, "wgan-gp", True, (256, 256)),
        (64, "wgan-gp", False, (64, 128, 256, 512)),
        (8, "dcgan", False, (64,)),
        (32, "gan", True, (256, 256)),
        (256, "dcgan", False, (64, 128, 256, 512, 512, 512)),
    ]:
        gan = form.set_params(loss=loss, image_size=size)
        found = _form(gan)
        assert (found["is_dense"], found["filters"]) == (is_dense, filters)


def _form(gan):
    from skcnn.generative._settings import form_of

    return form_of(gan, gan._check_input(np.zeros((4, 9, 9), np.uint8), reset=True), 0)


@pytest.mark.parametrize("loss", ["gan", "dcgan", "wgan", "began"])
def test_every_member_of_the_family(loss, bars):
    extra = {"label_smoothing": 0.1, "minibatch_discrimination": 2} if loss == "gan" else {}
    fitted = ImageGAN(loss, **TINY_GAN | {"layers": "auto", "filters": (4,)} | extra).fit(bars[0])
    assert fitted.sample(3).shape == (3, 6, 6)
    assert fitted.discriminator_.output_shape == (None, 1)


def test_early_stopping_keeps_the_best(bars, monkeypatch):
    distances = iter([3.0, 1.0, 2.0, 1.5, 9.0])
    monkeypatch.setattr(_run.Judge, "distance", lambda self, generated: next(distances), raising=False)
    weights = {}
    average = _run.Game.average

    def kept(self, batches):
        weights[len(weights) + 1] = average(self, batches)
        return weights[len(weights)]

    monkeypatch.setattr(_run.Game, "average", kept)
    fitted = ImageGAN(**TINY_GAN | {"epochs": 5, "n_evaluations": 5, "early_stopping": True, "n_iter_no_change": 2})
    with pytest.warns(CollapseWarning):
        fitted.fit(bars[0])
    assert fitted.n_iter_ == 4
    assert fitted.best_epoch_ == 2
    for one, two in zip(fitted._weights["average"], weights[2], strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_run_that_was_killed_is_resumed(bars, tmp_path, monkeypatch):
    parameters = TINY_GAN | {"epochs": 4, "checkpoint": str(tmp_path)}
    expected = ImageGAN(**parameters | {"checkpoint": None}).fit(bars[0])
    save = _checkpoints.Checkpoint.save

    def killed(self, progress):
        save(self, progress)
        if progress.epoch == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(_checkpoints.Checkpoint, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        ImageGAN(**parameters).fit(bars[0])
    monkeypatch.setattr(_checkpoints.Checkpoint, "save", save)
    resumed = ImageGAN(**parameters).fit(bars[0])
    np.testing.assert_array_equal(resumed.sample(3, random_state=0), expected.sample(3, random_state=0))
    pd.testing.assert_frame_equal(resumed.history_, expected.history_)
    (path,) = tmp_path.iterdir()
    path.write_bytes(b"no")
    with pytest.raises(CheckpointError, match="damaged"):
        ImageGAN(**parameters).fit(bars[0])
    with pytest.raises(ValueError, match="resuming requires an integer random_state"):
        ImageGAN(**parameters | {"random_state": None}).fit(bars[0])


def test_partial_fit_goes_on(bars):
    X, y = bars
    parameters = TINY_GAN | {"conditional": True}
    fitted = ImageGAN(**parameters)
    for _ in range(2):
        fitted.partial_fit(X, y, classes=["flat", "upright"])
    assert fitted.n_iter_ == 2
    assert fitted.history_["epoch"].tolist() == [1, 2]
    before = fitted.sample(3, random_state=0)
    fitted.partial_fit(X[:20], y[:20])
    assert (before != fitted.sample(3, random_state=0)).any()
    with pytest.raises(ValueError, match=r"classes=None in the first call of partial_fit"):
        ImageGAN(**parameters).partial_fit(X, y)
    with pytest.raises(ValueError, match=r"y contains the labels.*oblique"):
        fitted.partial_fit(X, np.where(y == "flat", "oblique", y))


def test_networks_of_the_user(bars):
    layers = keras.layers
    with building():
        generator = keras.Sequential([keras.Input((3,)), layers.Dense(36, "tanh"), layers.Reshape((6, 6, 1))])
        discriminator = keras.Sequential([keras.Input((6, 6, 1)), layers.Flatten(), layers.Dense(1)])
    given = generator.get_weights()
    fitted = ImageGAN(generator=generator, discriminator=discriminator, **TINY_GAN).fit(bars[0])
    assert fitted.sample(2).shape == (2, 6, 6)
    for one, two in zip(generator.get_weights(), given, strict=True):
        np.testing.assert_array_equal(one, two)  # the architecture is used
    assert [value.shape for value in fitted._weights["average"]] == [value.shape for value in given]
    with pytest.raises(ValueError, match="generator is a Keras model from inputs of the shapes"):
        ImageGAN(generator=discriminator, **TINY_GAN).fit(bars[0])
    with pytest.raises(TypeError, match="generator is a str; expected a Keras model"):
        ImageGAN(generator="dcgan", **TINY_GAN).fit(bars[0])


def test_a_collapse_is_reported_and_a_healthy_run_is_not(bars):
    """A generator with a rate that drives it to one image; and one that is trained with care."""
    X, _ = bars
    planted = TINY_GAN | {"epochs": 20, "learning_rate": 0.05, "ema": 0.0, "n_evaluations": 2}
    with pytest.warns(CollapseWarning, match=r"too much alike since epoch \d+: they have 0\.\d+ of the variance"):
        ImageGAN("gan", **planted).fit(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error", CollapseWarning)
        ImageGAN(**TINY_GAN | LEARNS | {"epochs": 60, "n_evaluations": 1}).fit(X)


def test_the_warning_is_about_the_end():
    def row(epoch, diversity):
        return {"epoch": epoch, "diversity": diversity, "coverage": 0.5}

    with warnings.catch_warnings():
        warnings.simplefilter("error", CollapseWarning)
        warn_of_collapse([row(1, 0.1), row(2, 0.9)], 2)
        warn_of_collapse([{"epoch": 1}], 2)
    with pytest.warns(CollapseWarning, match="near too few real ones since epoch 2: "):
        warn_of_collapse([row(1, 0.9), row(2, 0.9) | {"coverage": 0.05}], 2)
    with pytest.warns(CollapseWarning, match="too much alike since epoch 5: "):
        warn_of_collapse([row(1, 0.1), row(3, 0.9), row(5, 0.2), {"epoch": 6}, row(7, 0.1)], 2)


def test_training_that_diverges_raises(bars):
    with pytest.raises(ValueError, match=r"training diverged\. Use a smaller learning rate than 1e"):
        ImageGAN("wgan-gp", **TINY_GAN | {"epochs": 30, "learning_rate": 1e20}).fit(bars[0])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"loss": "lsgan"}, "loss"),
        ({"filters": (0,)}, r"filters=\(0,\); expected a sequence of ints"),
        ({"minibatch_discrimination": 2}, "minibatch_discrimination=2 with loss='wgan-gp'"),
        ({"label_smoothing": 0.1}, "label_smoothing=0.1 with loss='wgan-gp'"),
        ({"validation_fraction": 0.99, "n_evaluations": 1}, "leaves 1 images to train on|is not possible"),
        ({"conditional": True}, "conditional=True requires y to be passed"),
        ({"optimizer": keras.optimizers.Adam(use_ema=True)}, "use_ema=True; expected False"),
        ({"batch_size": 1}, "batch_size"),
        ({"early_stopping": True}, "early_stopping=True with n_evaluations=0"),
    ],
)
def test_parameters_that_are_refused(bars, parameters, message):
    with pytest.raises(ValueError, match=message):
        ImageGAN(**TINY_GAN | parameters).fit(bars[0])


def test_data_that_is_refused(bars, gan):
    X, y = bars
    with pytest.raises(ValueError, match="X holds 3 images"):
        ImageGAN(**TINY_GAN).fit(X[:3])
    with pytest.raises(BadImageError, match="row 1"):
        ImageGAN(**TINY_GAN).fit([X[0], b"no image", *X[2:]])
    with pytest.raises(ValueError, match="expected one label per image"):
        clone(gan).fit(X, y[:5])
    with pytest.raises(ValueError, match="y is missing in the rows 3"):
        clone(gan).fit(X, [None if row == 3 else label for row, label in enumerate(y)])
    with pytest.raises(TypeError, match="features is a str; expected a transformer"):
        clone(gan).set_params(features="pixels", n_evaluations=1).fit(X, y)


def test_requests_that_are_refused(bars, gan):
    with pytest.raises(NotFittedError):
        ImageGAN().sample()
    with pytest.raises(ValueError, match="n_samples=0; expected an int >= 1"):
        gan.sample(0)
    with pytest.raises(ValueError, match=r"y contains the labels.*oblique.*flat, upright|y contains the labels"):
        gan.sample(2, y="oblique")
    with pytest.raises(ValueError, match=r"y has shape \(3,\); expected one label, or one per image, \(2,\)"):
        gan.sample(2, y=["flat"] * 3)
    with pytest.raises(ValueError, match="y=None; expected one of the classes"):
        gan.generate(np.zeros((1, 3)))
    with pytest.raises(ValueError, match=r"codes has shape \(1, 2\); expected finite numbers of shape \(n, 3\)"):
        gan.generate(np.zeros((1, 2)), "flat")
    with pytest.raises(ValueError, match="X holds one image"):
        gan.score(bars[0][:1])


def test_levels_is_a_transformer():
    assert Levels().fit_transform(np.zeros((2, 3, 3))).shape == (2, 9)
