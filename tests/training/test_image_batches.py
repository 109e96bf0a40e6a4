"""Images as inputs of a network: decoded once, or batch by batch, and what is said of those that cannot be."""

import numpy as np
import pytest

from skcnn._training import batches_of_images, decoded_images
from skcnn.images import BadImageError, BadImageWarning, as_images


@pytest.fixture
def mixed(images):
    """Five rows; the second and the fourth one are no images."""
    return as_images([images[0], b"no image", images[1], b"nor this", images[2]])


def test_decoded_images(mixed, images):
    pixels, bad = decoded_images(mixed, (40, 30), "stretch", None)
    assert [row.row for row in bad] == [1, 3]
    np.testing.assert_array_equal(pixels[[0, 2, 4]], images[:3])
    assert not pixels[[1, 3]].any()
    assert decoded_images(as_images(images), (40, 30), "stretch", None)[0] is images  # nothing to decode
    assert decoded_images(as_images(images), (8, 8), "stretch", None)[0].shape == (6, 8, 8, 3)


def test_batches_of_images(mixed, images):
    batches = batches_of_images(mixed, (40, 30), 2, "stretch", None, "nan")
    with pytest.warns(BadImageWarning, match="2 of 5"):
        found = list(batches)
    assert [rows for rows, _ in found] == [[0], [2], [4]]
    np.testing.assert_array_equal(np.concatenate([pixels for _, pixels in found]), images[:3])


def test_nothing_comes_after_a_bad_row_that_raises(mixed):
    found = []
    with pytest.raises(BadImageError, match="2 of 5"):
        found.extend(rows for rows, _ in batches_of_images(mixed, (40, 30), 3, "stretch", None, "raise"))
    assert not found
