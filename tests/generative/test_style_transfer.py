"""The estimator: images in the style of others, at the size asked for."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.utils import estimator_checks as checks
from style_toy import LAYERS, build_style_toy, patterns

from skcnn.generative import StyleProgress, StyleTransfer
from skcnn.generative import _style_transfer as module
from skcnn.images import BadImageError

CONTENT, STYLE = patterns()


@pytest.fixture(scope="module")
def toy():
    return build_style_toy()


@pytest.fixture(scope="module")
def transfer(toy):
    """A fitted one; tests do not change it."""
    return StyleTransfer(toy, **LAYERS, max_iter=8, output_size=24, verbose=0).fit([STYLE])


def with_parameters(transfer, **parameters):
    """Return a fitted one with other parameters."""
    return clone(transfer).set_params(**parameters).fit([STYLE])


def test_the_loss_falls_and_the_image_takes_on_the_style(transfer):
    (image,), losses = transfer.transform([CONTENT], return_losses=True)
    assert image.dtype == np.uint8
    assert image.shape == (20, 24, 3)
    assert list(losses) == ["row", "level", "iteration", "loss", "content", "style", "total_variation"]
    assert losses["iteration"].tolist() == list(range(9))
    assert (np.diff(losses["loss"]) < 0).all()
    weighted = losses["content"] + 100 * losses["style"] + 5 * losses["total_variation"]
    np.testing.assert_allclose(losses["loss"], weighted, rtol=1e-6)
    assert losses["style"].iloc[-1] < 0.5 * losses["style"].iloc[0]
    assert np.abs(image.astype(int) - CONTENT[::2, ::2]).mean() > 5
    np.testing.assert_array_equal(transfer.transform([CONTENT])[0], image)


def test_weights_trade_off(transfer):
    def costs(**weights):
        _, losses = with_parameters(transfer, tv_weight=0, max_iter=12, **weights).transform(
            [CONTENT], return_losses=True
        )
        return losses.iloc[-1][["content", "style"]].to_numpy()

    much_style, little_style = costs(style_weight=500), costs(style_weight=0.01)
    assert much_style[1] < little_style[1]
    assert much_style[0] > little_style[0]
    much_content = costs(style_weight=500, content_weight=50)
    assert much_content[0] < much_style[0]
    assert much_content[1] > much_style[1]


def test_total_variation_makes_it_smooth(transfer):
    def variation(weight):
        smooth = with_parameters(transfer, tv_weight=weight, style_weight=0, init="noise", random_state=0)
        return smooth.transform([CONTENT], return_losses=True)[1]["total_variation"].iloc[-1]

    assert variation(1e6) < 0.5 * variation(0)


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_noise_becomes_an_image(transfer, optimizer):
    noise = with_parameters(
        transfer, init="noise", optimizer=optimizer, max_iter=12, random_state=0, style_weight=0, tv_weight=0
    )
    (image,), losses = noise.transform([CONTENT], return_losses=True)
    assert losses["content"].iloc[-1] < 0.5 * losses["content"].iloc[0]
    np.testing.assert_array_equal(noise.transform([CONTENT])[0], image)
    other = clone(noise).set_params(random_state=1).fit([STYLE]).transform([CONTENT])[0]
    assert (other != image).any()


@pytest.mark.parametrize(
    ("output_size", "sizes"),
    [(24, [(20, 24), (24, 12)]), (None, [(40, 48), (30, 15)]), ((21, 35), [(21, 35), (21, 35)]), (56, [(47, 56)])],
)
def test_sizes(transfer, output_size, sizes):
    X = [CONTENT, CONTENT[:30, :15]][: len(sizes)]
    images = clone(transfer).set_params(output_size=output_size, max_iter=1).fit([STYLE]).transform(X)
    assert [image.shape for image in images] == [(*size, 3) for size in sizes]
    assert images.dtype == (np.uint8 if isinstance(output_size, tuple) else object)


def test_levels_from_coarse_to_fine(transfer):
    seen = []
    pyramid = with_parameters(transfer, n_levels=2, max_iter=3)
    (image,), losses = pyramid.transform([CONTENT], callback=seen.append, return_losses=True)
    assert losses["level"].tolist() == [1] * 4 + [2] * 4
    assert [(step.level, step.n_levels, step.iteration) for step in seen[3:6]] == [(1, 2, 3), (2, 2, 0), (2, 2, 1)]
    assert all(isinstance(step, StyleProgress) for step in seen)
    assert [step.preview().shape for step in (seen[0], seen[-1])] == [(10, 12, 3), (20, 24, 3)]
    np.testing.assert_array_equal(seen[-1].preview(), image)
    assert seen[-1].loss == losses["loss"].iloc[-1]


def test_tiles_change_nothing_but_memory(transfer):
    whole, tiled = (
        with_parameters(transfer, tile_size=tile, max_iter=2).transform([CONTENT])[0] for tile in (None, 16)
    )
    assert np.abs(whole.astype(int) - tiled).max() <= 1


def test_several_styles_by_weight(transfer):
    other = CONTENT[::-1, :, ::-1]

    def made(styles, sample_weight=None):
        quick = clone(transfer).set_params(max_iter=3)
        return quick.fit(styles, sample_weight=sample_weight).transform([CONTENT])[0].astype(int)

    np.testing.assert_array_equal(made([STYLE, STYLE]), made([STYLE]))
    both = clone(transfer).fit([STYLE, other], sample_weight=[3, 1])
    np.testing.assert_allclose(both.sample_weight_, [0.75, 0.25])
    assert np.abs(made([STYLE, other], [1, 0]) - made([STYLE])).max() <= 1
    assert np.abs(made([STYLE, other], [1, 1]) - made([STYLE])).mean() > 1


def test_gram_matrices_are_averaged(transfer):
    other = CONTENT[::-1]
    both = clone(transfer).set_params(scale_maps=False).fit([STYLE, other], sample_weight=[3, 1])
    assert set(both.map_scales_.values()) == {1.0}
    with both._maps() as maps:
        averaged = both._grams(maps, both.styles_, 48)
        each = [maps.gram_matrices(style, None) for style in (STYLE, other)]
    for found, one, two in zip(averaged, *each, strict=True):
        np.testing.assert_allclose(found, 0.75 * one + 0.25 * two, rtol=1e-5)


def test_maps_are_divided_by_the_root_of_their_mean_square(transfer):
    with transfer._maps() as maps:
        for gram in transfer._grams(maps, transfer.styles_, 48):
            assert np.trace(gram) / len(gram) == pytest.approx(1, rel=1e-4)
    assert list(transfer.map_scales_) == ["middle", "fine", "pool", "coarse"]
    assert transfer.style_layers_ == dict.fromkeys(["fine", "pool", "coarse"], 1 / 3)


def test_only_layers_with_a_weight_count(transfer):
    layers = {"fine": 1.0, "pool": 0.0, "coarse": 0.0}
    some, one = (with_parameters(transfer, style_layers=given, max_iter=3) for given in (layers, "fine"))
    difference = some.transform([CONTENT])[0].astype(int) - one.transform([CONTENT])[0]
    assert np.abs(difference).max() <= 1


def test_forms_of_images(transfer, tmp_path):
    path = tmp_path / "content.png"
    Image.fromarray(CONTENT).save(path)
    quick = clone(transfer).set_params(max_iter=2)
    expected = clone(quick).fit([STYLE]).transform([CONTENT])[0]
    frame = pd.DataFrame({"image": [str(path)]})
    by_frame = clone(quick).fit(pd.DataFrame({"image": [STYLE]}))
    assert by_frame.n_features_in_ == 1
    np.testing.assert_array_equal(by_frame.transform(frame)[0], expected)
    by_root = clone(quick).set_params(root=tmp_path).fit([STYLE])
    np.testing.assert_array_equal(by_root.transform(["content.png"])[0], expected)


def test_large_styles_are_kept_smaller(transfer, monkeypatch):
    monkeypatch.setattr(module, "MAX_STYLE_SIDE", 24)
    assert clone(transfer).fit([STYLE]).styles_[0].shape == (20, 24, 3)


def test_a_loss_that_stops_being_finite_keeps_the_best_image(transfer, monkeypatch):
    class Failing(module.Objective):
        n_calls = 0

        def __call__(self, pixels):
            losses, gradient = super().__call__(pixels)
            self.n_calls += 1
            return losses, gradient if self.n_calls < 4 else gradient * np.nan

    monkeypatch.setattr(module, "Objective", Failing)
    with pytest.warns(ConvergenceWarning, match="not finite at 20 x 24 pixels: the best image so far is kept"):
        (image,), losses = transfer.transform([CONTENT], return_losses=True)
    assert np.isfinite(losses["loss"]).all()
    assert 1 <= losses["iteration"].max() <= 3
    assert (image != CONTENT[::2, ::2]).any()


def test_a_network_whose_maps_are_not_finite_is_refused():
    broken = build_style_toy()
    broken.get_layer("fine").bias.assign(np.full(4, np.nan, np.float32))
    transfer = StyleTransfer(broken, **LAYERS)
    with pytest.raises(ValueError, match="style_toy hold NaN or infinite values"):
        transfer.fit([STYLE])
    with pytest.raises(NotFittedError):
        transfer.transform([CONTENT])


def test_black_images(transfer):
    black = np.zeros((24, 24, 3), np.uint8)
    image = clone(transfer).fit([black]).transform([black])[0]
    assert image.shape == (24, 24, 3)
    assert image.max() <= 1


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"style_weight": -1}, "'style_weight' parameter"),
        ({"style_weight": np.inf}, "'style_weight' parameter"),
        ({"content_weight": np.nan}, "content_weight"),
        ({"content_weight": 0, "style_weight": 0}, "expected one of them to be > 0"),
        ({"output_size": 0}, "output_size=0; expected the longer side in pixels"),
        ({"output_size": (3, 4, 5)}, "output_size="),
        ({"output_size": 5000}, "at most 4,096"),
        ({"pooling": "mean"}, "'pooling' parameter"),
        ({"style_layers": "nose"}, "has no layer 'nose'"),
        ({"style_layers": []}, r"style_layers=\[\]; expected"),
        ({"content_layers": {"fine": -1}}, "content_layers gives 'fine' the weight -1"),
    ],
)
def test_parameters_that_are_invalid(transfer, parameters, message):
    with pytest.raises(ValueError, match=message):
        clone(transfer).set_params(**parameters).fit([STYLE])


def test_errors_name_what_was_given(transfer, tmp_path):
    with pytest.raises(BadImageError, match=r"none\.png"):
        transfer.transform([CONTENT, str(tmp_path / "none.png")])
    with pytest.raises(BadImageError):
        clone(transfer).fit([b"not an image"])
    with pytest.raises(ValueError, match=r"non-zero|0 for all styles"):
        clone(transfer).fit([STYLE], sample_weight=[0])
    with pytest.raises(ValueError, match="Negative values"):
        clone(transfer).fit([STYLE, STYLE], sample_weight=[2, -1])
    large = np.zeros((4, 4100, 3), np.uint8)
    with pytest.raises(ValueError, match="output_size=None with an image of 4 x 4100 pixels"):
        with_parameters(transfer, output_size=None).transform([large])


def test_a_bar_counts_iterations(transfer, capsys):
    with_parameters(transfer, verbose=1, max_iter=2).transform([CONTENT])
    shown = capsys.readouterr().err
    assert "image 1 of 1: 100%" in shown
    assert "2/2" in shown
    assert "iteration" in shown


@pytest.mark.parametrize(
    "check",
    [
        checks.check_estimator_cloneable,
        checks.check_estimator_repr,
        checks.check_estimator_tags_renamed,
        checks.check_get_params_invariance,
        checks.check_mixin_order,
        checks.check_no_attributes_set_in_init,
        checks.check_parameters_default_constructible,
        checks.check_set_params,
        checks.check_valid_tag_types,
    ],
)
def test_scikit_learns_checks_that_need_no_table(check):
    check("StyleTransfer", StyleTransfer(verbose=0))
