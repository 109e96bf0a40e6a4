"""Views of images: changed at random, and always in the same way."""

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from skcnn._training import Flips, Views
from skcnn.cache import MemoryCache
from skcnn.images import as_images, read_batches


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), np.uint8)


def views_of(X, augmentation="light", *, n_views=3, seed=0, size=(16, 16), resize="stretch"):
    return Views(as_images(X), n_views, augmentation, seed=seed, size=size, resize=resize, max_pixels=None)


def test_views_are_images(pixels):
    views = views_of(pixels)
    assert len(views) == 12
    (batch,) = read_batches(views, range(12), (16, 16), batch_size=12)
    assert_array_equal(batch.pixels, [views.read(row) for row in range(12)])
    assert len({view.tobytes() for view in batch.pixels}) == 12
    for row in range(4):
        for view in range(3):  # still more like its own image than like the others
            distances = np.abs(batch.pixels[3 * row + view].mean((0, 1)) - pixels.mean((1, 2))).sum(1)
            assert distances.argmin() == row


def test_a_view_depends_on_its_image_alone(pixels):
    views = views_of(pixels)
    others = views_of(pixels[[2, 0]])
    for view in range(3):
        assert_array_equal(others.read(view), views.read(6 + view))
        assert others.digest(view) == views.digest(6 + view)
    taken = views.take([7, 0])
    assert len(taken) == 2
    assert_array_equal(taken.read(0), views.read(7))
    assert taken.digest(1) == views.digest(0)


@pytest.mark.parametrize(
    "changed", [{"augmentation": "standard"}, {"seed": 1}, {"augmentation": keras.layers.RandomFlip()}]
)
def test_other_augmentations_and_seeds_are_other_views(pixels, changed):
    views, others = views_of(pixels), views_of(pixels, **changed)
    digests = [{one.digest(row) for row in range(12)} for one in (views, others)]
    assert len(digests[0] | digests[1]) == 24
    assert any(not np.array_equal(views.read(row), others.read(row)) for row in range(12))


def test_what_the_layers_do_is_done():
    X = np.zeros((1, 8, 8, 3), np.uint8)
    X[0, :, :4] = 200
    found = {
        views_of(X, keras.layers.RandomFlip("horizontal"), n_views=20, size=(8, 8)).read(row).tobytes()
        for row in range(20)
    }
    assert found == {X[0].tobytes(), X[0, :, ::-1].tobytes()}
    views = views_of(X, keras.layers.Rescaling(2.0), n_views=1, size=(8, 8))
    assert_array_equal(views.read(0), np.where(X[0] > 0, 255, 0))


def test_files_are_resized_before_and_known_by_their_content(pixels, tmp_path):
    paths = [tmp_path / f"{row}.png" for row in range(4)]
    for path, image in zip(paths, pixels, strict=True):
        Image.fromarray(image).save(path)
    views = views_of(paths, size=(8, 8), resize="crop")
    assert views.path(0) is None
    assert views.read(0).shape == (8, 8, 3)
    cache = MemoryCache()
    found = dict(cache.digests(views, range(12)))
    assert len(set(found.values())) == 12
    paths[1].write_bytes(b"no image")
    (batch,) = read_batches(views, range(3, 6), (8, 8), batch_size=3)
    assert [bad.row for bad in batch.bad] == [3, 4, 5]
    assert "not an image" in batch.bad[0].reason


@pytest.fixture
def spots():
    """Images of a bright rectangle each, (4, 16, 24, 3), and its box."""
    generator = np.random.default_rng(0)
    X, boxes = np.zeros((4, 16, 24, 3), np.uint8), []
    for image in X:
        left, top = generator.integers(2, 5, 2)
        image[top : top + 5, left : left + 8] = 255
        boxes.append([[left, top, left + 8, top + 5]])
    return X, np.array(boxes, float)


def bounds(pixels):
    """Return the box around what is bright."""
    rows, columns = (np.flatnonzero((pixels[..., 0] > 127).any(axis=axis)) for axis in (1, 0))
    return [[columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]]


@pytest.mark.parametrize("layer", [keras.layers.RandomFlip(), keras.layers.RandomTranslation(0.1, 0.1)])
def test_boxes_move_with_views(spots, layer):
    X, boxes = spots
    views = views_of(X, layer, size=(16, 24))
    for row in range(12):
        assert_allclose(views.boxes(row, boxes[row // 3]), bounds(views.read(row)), atol=1)
    assert views.boxes(0, np.empty((0, 4))).shape == (0, 4)


def flips_of(X, flips, size=(16, 24)):
    return Flips(as_images(X), flips, size=size, resize="stretch", max_pixels=None)


@pytest.mark.parametrize(("flips", "n_views"), [(None, 1), ("horizontal", 2), ("both", 4)])
def test_mirror_images_and_their_boxes(spots, flips, n_views):
    X, boxes = spots
    views = flips_of(X, flips)
    assert (len(views), views.n_views) == (4 * n_views, n_views)
    assert len({views.read(view).tobytes() for view in range(n_views)}) == n_views
    for row in range(len(views)):
        moved = views.boxes(row, boxes[row // n_views])
        assert_allclose(moved, bounds(views.read(row)))
        assert_allclose(views.boxes(row, moved), boxes[row // n_views])
    assert_array_equal(views.read(n_views), X[1])
    taken = views.take([len(views) - 1])
    assert_array_equal(taken.read(0), views.read(len(views) - 1))


def test_the_first_view_is_known_as_its_image(spots, tmp_path):
    Image.fromarray(spots[0][0]).save(tmp_path / "a.png")
    for X in (spots[0], [tmp_path / "a.png"]):
        views, images = flips_of(X, "both", size=(8, 8)), as_images(X)
        assert views.path(0) == images.path(0)
        found = dict(MemoryCache().digests(views, range(4)))
        assert found[0] == images.digest(0)
        assert len(set(found.values())) == 4
    assert flips_of(spots[0], "both", size=(8, 12)).digest(1) != flips_of(spots[0], "both").digest(1)


def test_masks_move_with_views(spots):
    X, layer = spots[0], keras.layers.RandomTranslation(0.2, 0.2, fill_mode="constant")
    views = views_of(X, layer, size=(16, 24))
    n_outside = 0
    for row in range(4):
        image, mask = views.read(row), views.mask(row, (X[row // 3, ..., 0] > 0).astype(np.uint8) + 1)
        there = mask != 255  # what came from outside
        n_outside += (~there).sum()
        assert np.mean((image[..., 0] > 127)[there] == (mask == 2)[there]) > 0.97
        assert not image[~there].any()
    assert n_outside > 0


def test_mirrored_masks(spots):
    views = flips_of(spots[0], "both")
    for row in range(8):
        moved = views.mask(row, spots[0][row // 4])
        assert_array_equal(moved, views.read(row))
        assert_array_equal(views.mask(row, moved), spots[0][row // 4])
