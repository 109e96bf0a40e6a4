"""Windows decide each pixel once, with surroundings on both sides of every seam."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from skcnn.images import RESIZE_RULES, Geometry
from skcnn.segmentation._scores import mask_of, probabilities_of, strips_of
from skcnn.segmentation._windows import cut_windows, mirrored, windows_of


@settings(max_examples=40, deadline=None)
@given(st.tuples(st.integers(1, 150), st.integers(1, 150)), st.integers(8, 40), st.integers(0, 3))
def test_each_pixel_is_decided_once_away_from_seams(size, side, overlap):
    tile = (side, side + 3)
    windows = windows_of(size, tile, overlap)
    pixels = np.arange(size[0] * size[1]).reshape(size)
    seen, n_times = np.full(size, -1), np.zeros(size, int)
    for window, cut in zip(windows, cut_windows(pixels, windows, tile), strict=True):
        assert cut.shape == tile
        seen[window.rows, window.columns] = cut[window.kept]
        n_times[window.rows, window.columns] += 1
        for kept, start, length, whole in zip(
            (window.rows, window.columns), (window.top, window.left), tile, size, strict=True
        ):
            assert kept.start == 0 or kept.start - start >= overlap
            assert kept.stop == whole or start + length - kept.stop >= overlap
    assert_array_equal(seen, pixels)
    assert (n_times == 1).all()


def test_edges_are_mirrored():
    assert mirrored(np.arange(-3, 9), 3).tolist() == [2, 1, 0, 0, 1, 2, 2, 1, 0, 0, 1, 2]


@settings(max_examples=25, deadline=None)
@given(
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.sampled_from(RESIZE_RULES),
)
def test_scores_of_the_upright_image(original, size, resize):
    geometry = Geometry.of_resize(original, size, resize)
    # A plane stays a plane, where nothing was cut and away from the edges.
    scores = np.stack(np.broadcast_arrays(*np.ogrid[: size[0], : size[1]]), axis=-1).astype(np.float32)
    found = np.concatenate([values for _, values in strips_of(scores, geometry)])
    assert found.shape == (*original, 2)
    for axis, side in enumerate(original):
        places = (np.arange(side) + 0.5) * geometry.scale[axis] + geometry.offset[axis] - 0.5
        expected = np.clip(places, 0, size[axis] - 1)
        assert_allclose(found[:, 0, 0] if axis == 0 else found[0, :, 1], expected, atol=1e-3)
    labels = mask_of(scores, geometry, np.array([3, 7], np.uint8))
    assert set(np.unique(labels)) <= {3, 7, 255}
    assert_array_equal(labels == 255, geometry.back_mask(np.zeros(size, np.uint8)) == 255)


def test_probabilities():
    found = probabilities_of(np.array([[1000.0, 0.0], [0.0, 0.0]], np.float32))
    assert_allclose(found, [[1, 0], [0.5, 0.5]])
