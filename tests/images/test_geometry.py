"""Boxes follow the pixels: a bright rectangle is found where the geometry says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from skcnn.images import BadImageError, Geometry, as_images, image_sizes, resize_image, upright_boxes

SIZES = st.tuples(st.integers(8, 90), st.integers(8, 90))


def bright(image):
    """Return the box of the bright pixels, weighed by their brightness at its edges."""
    pixels = np.asarray(image)[..., 0] / 255
    rows, columns = pixels.max(axis=1), pixels.max(axis=0)
    edges = [np.flatnonzero(line > 0.5) for line in (columns, rows)]
    return [edges[0][0], edges[1][0], edges[0][-1] + 1, edges[1][-1] + 1]


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
def test_a_rectangle_is_where_the_geometry_says(resize):
    for original, size in [((100, 200), (64, 64)), ((200, 100), (64, 96)), ((90, 120), (180, 160))]:
        box = [original[1] * 2 // 5, original[0] * 2 // 5, original[1] * 3 // 5, original[0] * 3 // 5]
        pixels = np.zeros((*original, 3), np.uint8)
        pixels[box[1] : box[3], box[0] : box[2]] = 255
        geometry = Geometry.of_resize(original, size, resize)
        found = bright(resize_image(Image.fromarray(pixels), size, resize))
        np.testing.assert_allclose(geometry.forth([box])[0], found, atol=1)


@settings(max_examples=20, deadline=None)
@given(SIZES, SIZES, st.sampled_from(["stretch", "crop", "pad"]))
def test_there_and_back(original, size, resize):
    geometry = Geometry.of_resize(original, size, resize)
    boxes = [[0, 0, original[1], original[0]], [1, 2, 5, 7]]
    np.testing.assert_allclose(geometry.back(geometry.forth(boxes)), boxes, atol=1e-9)
    assert geometry.forth([]).shape == (0, 4)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_of_stored_pixels_turn_with_the_image(orientation, tmp_path):
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[8:16, 4:24] = 255
    image = Image.fromarray(pixels)
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(tmp_path / "a.png", exif=exif)
    images = as_images([tmp_path / "a.png"])
    size = images.size(0)
    assert size == ((60, 40) if orientation >= 5 else (40, 60))
    assert upright_boxes([[4, 8, 24, 16]], orientation, (40, 60))[0].tolist() == bright(images.decode(0, size))


def test_sizes_name_the_images_that_have_none(tmp_path):
    Image.new("RGB", (5, 7)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"")
    with pytest.raises(BadImageError, match=r"row 1: .*b\.png: empty file"):
        image_sizes([tmp_path / "a.png", tmp_path / "b.png"])
    X = [tmp_path / "a.png", np.zeros((3, 4)), Image.new("L", (9, 2))]
    assert image_sizes(X).tolist() == [[7, 5], [3, 4], [2, 9]]
    with pytest.raises(ValueError, match="orientation=9"):
        upright_boxes([[0, 0, 1, 1]], 9, (1, 1))
    with pytest.raises(ValueError, match="resize='fit'"):
        Geometry.of_resize((1, 1), (1, 1), "fit")
