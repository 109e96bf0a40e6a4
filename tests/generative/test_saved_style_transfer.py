"""A fitted style transfer in one file, from which no code is run; and as a pickle."""

import copy
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from style_toy import LAYERS, build_style_toy, patterns

import skcnn
from skcnn.generative import StyleTransfer
from skcnn.persistence import ModelFileError

CONTENT, STYLE = patterns((24, 24))


@pytest.fixture(scope="module")
def transfer():
    """A fitted one; tests do not change it."""
    return StyleTransfer(build_style_toy(), **LAYERS, max_iter=2, output_size=24, verbose=0).fit([STYLE, CONTENT])


def test_a_trip(transfer, tmp_path):
    skcnn.save(transfer, tmp_path / "a.skcnn")
    again = skcnn.load(tmp_path / "a.skcnn")
    assert np.abs(again.transform([CONTENT])[0].astype(int) - transfer.transform([CONTENT])[0]).max() <= 1
    assert again.style_layers_ == transfer.style_layers_
    assert again.map_scales_ == transfer.map_scales_
    np.testing.assert_array_equal(again.sample_weight_, [0.5, 0.5])
    for one, other in zip(again.styles_, transfer.styles_, strict=True):
        np.testing.assert_array_equal(one, other)


def test_one_with_a_named_network_and_one_that_is_not_fitted(tmp_path):
    transfer = StyleTransfer("ResNet20", output_size=(24, 32))
    skcnn.save(transfer, tmp_path / "a.skcnn")
    assert skcnn.load(tmp_path / "a.skcnn").get_params() == transfer.get_params()


def test_copies(transfer):
    expected = transfer.transform([CONTENT])[0]
    for again in (pickle.loads(pickle.dumps(transfer)), copy.deepcopy(transfer)):
        np.testing.assert_array_equal(again.transform([CONTENT])[0], expected)
    assert clone(transfer).get_params() == transfer.get_params()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("styles_", []),
        ("styles_", [STYLE.astype(float), STYLE]),
        ("styles_", [STYLE]),
        ("styles_", [STYLE[..., 0], STYLE]),
        ("sample_weight_", np.array([np.nan, 1.0])),
        ("map_scales_", {"fine": 1.0}),
        ("map_scales_", dict.fromkeys(["middle", "fine", "pool", "coarse"], float("nan"))),
        ("style_layers_", {}),
        ("style_layers_", {"fine": -1.0, "pool": 1.0, "coarse": 1.0}),
        ("output_size", 10**6),
    ],
)
def test_what_no_fit_learns_is_refused(transfer, tmp_path, name, value):
    forged = copy.copy(transfer)
    setattr(forged, name, value)
    skcnn.save(forged, tmp_path / "a.skcnn")
    with pytest.raises(ModelFileError, match="damaged or forged"):
        skcnn.load(tmp_path / "a.skcnn")
