"""What both autoencoders do: any form of X in, codes out, and images from codes."""

import copy

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from toy import TINY

from skcnn._training import _checkpoints, n_graphs
from skcnn.decomposition import ConvAutoencoder, VariationalAutoencoder, _base
from skcnn.feature_extraction import BottleneckFeatures
from skcnn.images import BadImageError, BadImageWarning
from skcnn.metrics import TrainingCurveDisplay


def test_codes_and_images(fitted, grey):
    codes = fitted.transform(grey)
    assert codes.shape == (24, 2)
    assert codes.dtype == np.float32
    back = fitted.inverse_transform(codes)
    assert back.shape == (24, 8, 8)
    assert back.dtype == np.uint8
    assert list(fitted.get_feature_names_out()) == [f"{type(fitted).__name__.lower()}{i}" for i in range(2)]
    out = (
        clone(fitted).set_output(transform="pandas").fit_transform(pd.DataFrame({"a": list(grey)}, index=range(5, 29)))
    )
    assert list(out.index) == list(range(5, 29))


def test_reconstruction_error_is_that_of_the_images(fitted, grey):
    back = fitted.inverse_transform(fitted.transform(grey))
    expected = ((back / 255 - grey / 255) ** 2).mean(axis=(1, 2))
    np.testing.assert_allclose(fitted.reconstruction_error(grey), expected, atol=2e-3)


def test_it_learns(autoencoder, grey):
    # Within reach of no constant image: bars differ.
    constant = ((grey / 255 - grey.mean(axis=0) / 255) ** 2).mean()
    error = autoencoder.reconstruction_error(grey).mean()
    assert error < 0.75 * constant
    assert autoencoder.history_["loss"].iloc[-1] == pytest.approx(error, rel=0.05)


def test_the_same_random_state_gives_the_same(fitted, grey):
    n_before = n_graphs()
    again = clone(fitted).fit(grey)
    assert n_graphs() == n_before
    np.testing.assert_array_equal(fitted.transform(grey), again.transform(grey))
    pd.testing.assert_frame_equal(fitted.history_, again.history_)
    other = clone(fitted).set_params(random_state=1, epochs=1).fit(grey)
    assert np.abs(other.history_["loss"][0] - fitted.history_["loss"][0]) > 1e-4


def test_forms_of_x(fitted, grey, tmp_path):
    codes = fitted.transform(grey[:3])
    paths = [str(tmp_path / f"{row}.png") for row in range(3)]
    for path, pixels in zip(paths, grey, strict=False):
        Image.fromarray(pixels).save(path)
    forms = (
        grey[:3, ..., np.newaxis],
        np.repeat(grey[:3, ..., np.newaxis], 3, axis=-1),
        grey[:3].astype("float64"),
        list(grey[:3]),
        [Image.fromarray(pixels) for pixels in grey[:3]],
        paths,
        pd.Series(paths, index=[3, 1, 4]),
    )
    for form in forms:
        np.testing.assert_allclose(fitted.transform(form), codes, atol=1e-6)


def test_what_is_learned_of_the_form_of_x(grey):
    colours = np.repeat(grey[..., np.newaxis], 3, axis=-1)
    open_size = {**TINY, "image_size": None}
    for X, color_mode, size, n_channels in [
        (grey, "auto", (8, 8), 1),
        (list(grey[:, :, :7]), "auto", (8, 7), 1),
        (grey[..., np.newaxis], "rgb", (8, 8), 3),
        (colours, "auto", (8, 8), 3),
        (colours, "grayscale", (8, 8), 1),
        ([*grey[:3], grey[3][:6]], "auto", (64, 64), 1),
        ([*grey[:3], colours[3]], "auto", (8, 8), 3),
        ([Image.fromarray(grey[0])] * 2, "auto", (64, 64), 3),
    ]:
        estimator = ConvAutoencoder(2, **open_size, color_mode=color_mode)
        images = estimator._check_input(X, reset=True)
        assert (_base._size_of(images), 1 if estimator._is_grey(images) else 3) == (size, n_channels)


def test_colours(images):
    fitted = ConvAutoencoder(3, **{**TINY, "image_size": (9, 7)}).fit(images)
    assert fitted.inverse_transform(fitted.transform(images)).shape == (6, 9, 7, 3)
    assert fitted.n_channels_ == 3
    pixels = np.stack([np.asarray(Image.fromarray(x).resize((7, 9), Image.Resampling.BILINEAR)) for x in images])
    np.testing.assert_allclose(fitted.encoder_.predict(pixels, verbose=0), fitted.transform(images), atol=1e-5)


def test_plain_models(fitted, grey):
    codes = fitted.transform(grey)
    pixels = np.repeat(grey[..., np.newaxis], 3, axis=-1).astype("float32")
    np.testing.assert_allclose(fitted.encoder_.predict(pixels, verbose=0), codes, atol=1e-5)
    found = fitted.decoder_.predict(codes, verbose=0)
    assert found.shape == (24, 8, 8, 1)
    np.testing.assert_allclose(found[..., 0], fitted.inverse_transform(codes), atol=0.51)


def test_the_encoder_is_a_backbone(vae, grey):
    features = BottleneckFeatures(vae.encoder_, pooling=None, engine="keras").fit_transform(grey)
    np.testing.assert_allclose(features, vae.transform(grey), atol=1e-5)


def test_grey_is_what_pillow_calls_grey(vae, images):
    small = np.stack([np.asarray(Image.fromarray(x).resize((8, 8), Image.Resampling.BILINEAR)) for x in images])
    grey = np.stack([np.asarray(Image.fromarray(x).convert("L")) for x in small])
    np.testing.assert_allclose(vae.transform(small), vae.transform(grey), atol=0.01)
    assert np.abs(vae.transform(small) - vae.transform(small[..., ::-1])).max() > 0.01


def test_early_stopping(grey):
    fitted = ConvAutoencoder(
        2,
        **TINY | {"epochs": 30},
        learning_rate=1e-9,
        early_stopping=True,
        validation_fraction=0.25,
        n_iter_no_change=2,
    ).fit(grey)
    history = fitted.history_
    assert len(history) < 30
    assert fitted.best_epoch_ == history["val_loss"].idxmin() + 1
    assert fitted.n_iter_ == len(history) == fitted.best_epoch_ + 2
    TrainingCurveDisplay(history)
    with pytest.raises(ValueError, match=r"validation_fraction=0.1 of 1 rows"):
        clone(fitted).set_params(validation_fraction=0.1).fit(grey[:1])


def test_bad_images(vae, grey):
    X = [grey[0], b"no image", grey[1]]
    with pytest.raises(BadImageError, match="1 of 3"):
        vae.transform(X)
    with pytest.raises(BadImageError):
        clone(vae).fit(X)
    lenient = clone(vae).set_params(on_error="nan", epochs=1)
    with pytest.warns(BadImageWarning):
        lenient.fit(X)
    for method in ("transform", "reconstruction_error", "score_samples"):
        with pytest.warns(BadImageWarning):
            found = getattr(lenient, method)(X)
        np.testing.assert_array_equal(np.isnan(found).reshape(3, -1).any(axis=1), [False, True, False])
    with pytest.warns(BadImageWarning), pytest.raises(ValueError, match="No row is left"):
        lenient.fit([b"no image"])


def test_images_that_do_not_fit_into_memory_are_read_in_every_epoch(vae, grey, monkeypatch):
    monkeypatch.setattr(_base, "MAX_DECODED_BYTES", 0)
    np.testing.assert_array_equal(clone(vae).fit(list(grey)).transform(grey), vae.transform(grey))


class KilledError(BaseException):
    pass


def test_a_killed_run_resumes(vae, grey, tmp_path, monkeypatch):
    save = _checkpoints.Checkpoint.save

    def killed(self, progress):
        save(self, progress)
        if progress.epoch == 2:
            raise KilledError

    resumed = clone(vae).set_params(checkpoint=tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(_checkpoints.Checkpoint, "save", killed)
        with pytest.raises(KilledError):
            resumed.fit(grey)
    assert len(list(tmp_path.iterdir())) == 1
    np.testing.assert_array_equal(resumed.fit(grey).transform(grey), vae.transform(grey))
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(ValueError, match="requires an integer random_state"):
        clone(resumed).set_params(random_state=None).fit(grey)


def test_in_pipelines_and_searches(grey):
    y = np.arange(24) % 2
    pipe = make_pipeline(VariationalAutoencoder(2, **TINY), LogisticRegression())
    assert pipe.fit(grey, y).predict(grey).shape == (24,)
    n_before = n_graphs()
    search = GridSearchCV(pipe[0], {"beta": [0.5, 2.0]}, cv=2).fit(grey)
    assert n_graphs() == n_before
    scores = search.cv_results_["mean_test_score"]
    assert (scores < 0).all()
    assert scores[0] != scores[1]
    frame = pd.DataFrame({"image": list(grey), "size": np.arange(24.0)})
    columns = ColumnTransformer([("codes", ConvAutoencoder(2, **TINY), ["image"]), ("rest", "passthrough", ["size"])])
    assert columns.fit_transform(frame).shape == (24, 3)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"filters": ()}, "filters="),
        ({"filters": (4, 0)}, "filters="),
        ({"filters": 4}, "filters="),
        ({"filters": (2**14,), "image_size": 4096}, "filters=.* values per image of 4096 x 4096"),
        ({"image_size": 0}, "image_size="),
        ({"color_mode": "L"}, "color_mode"),
        ({"n_components": 0}, "n_components"),
        ({"learning_rate_schedule": "step"}, "learning_rate_schedule"),
        ({"learning_rate": 1e30, "epochs": 2}, "loss is .* diverged"),
    ],
)
def test_errors(grey, parameters, message):
    with pytest.raises(ValueError, match=message):
        ConvAutoencoder(2, **TINY).set_params(**parameters).fit(grey)


def test_errors_of_codes(vae):
    with pytest.raises(ValueError, match=r"X has shape \(2, 3\); expected codes of shape \(n_samples, 2\)"):
        vae.inverse_transform(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="X contains NaN"):
        vae.inverse_transform([[0, np.nan]])


def test_parameters_that_change_after_fit_wait_for_the_next_one(fitted, grey):
    changed = copy.copy(fitted).set_params(n_components=5, filters=(3, 3))
    np.testing.assert_array_equal(changed.transform(grey), fitted.transform(grey))
