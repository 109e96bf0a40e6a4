import io
import os
import pickle
import struct
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from skcnn.images import (
    BadImageError,
    BadImageWarning,
    BadRow,
    Images,
    as_image_size,
    as_images,
    bad_rows_frame,
    check_images,
    decode_bytes,
    map_ahead,
    read_batches,
    resize_image,
    to_rgb,
)


def encoded(image: Image.Image, format: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def all_forms(images, paths):
    """The same images in every form that X may take."""
    as_bytes = [Path(path).read_bytes() for path in paths]
    objects = np.empty((len(images), 1), object)
    objects[:, 0] = list(images)
    return {
        "uint8 array": images,
        "float array": images.astype("float32"),
        "integer array": images.astype("int64"),
        "list of paths": paths,
        "list of Path": [Path(path) for path in paths],
        "tuple of paths": tuple(paths),
        "array of str": np.array(paths),
        "object array of paths": np.array(paths, object),
        "column of str": np.array(paths)[:, None],
        "column of objects": objects,
        "list of lists": [[path] for path in paths],
        "list of bytes": as_bytes,
        "object array of bytes": np.array(as_bytes, object),
        "PIL images": [Image.fromarray(pixels) for pixels in images],
        "list of arrays": list(images),
        "Series": pd.Series(paths, index=range(10, 10 + len(paths))),
        "frame": pd.DataFrame({"path": paths}),
        "frame of arrays": pd.DataFrame({"image": list(images)}),
        "polars Series": pl.Series(paths),
        "polars frame": pl.DataFrame({"path": paths}),
        "mixed": [paths[0], as_bytes[1], *images[2:4], Image.fromarray(images[4]), Path(paths[5])],
    }


def test_every_form_of_X_gives_the_same_pixels(images, image_files):
    for name, X in all_forms(images, image_files).items():
        checked = as_images(X)
        assert len(checked) == 6, name
        for row in range(6):
            assert np.array_equal(checked.decode(row, (40, 30)), images[row]), name


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ("one.png", r"single str: put it in a list"),
        (Path("one.png"), r"put it in a list"),
        (Image.new("RGB", (2, 2)), r"put it in a list"),
        (np.zeros((5, 7)), r"shape \(5, 7\)"),
        (np.zeros(5), r"shape \(5,\)"),
        (np.zeros((40, 30, 3), np.uint8), r"one image.*X\[np.newaxis\]"),
        (np.zeros((2, 3, 40, 30), np.uint8), r"Channels come last"),
        (np.zeros((2, 40, 30, 2), np.uint8), r"shape \(2, 40, 30, 2\)"),
        (np.zeros((2, 0, 30, 3), np.uint8), r"shape \(2, 0, 30, 3\)"),
        (np.array([b"a", b"b"]), r"loses trailing zero bytes"),
        (np.array([["a", "b"]]), r"shape \(1, 2\)"),
        (np.zeros((2, 8, 8), complex), r"dtype complex128"),
        (np.full((2, 8, 8), -1.0), r"\[-1.0, -1.0\].*not in \[0, 255\]"),
        (np.full((2, 8, 8), 256, np.int32), r"not in \[0, 255\]"),
        (np.full((2, 8, 8), np.nan), r"not in \[0, 255\]"),
        (np.full((2, 8, 8), 0.5), r"scaled to \[0, 1\].*Multiply by 255"),
        (pd.DataFrame({"path": ["a"], "size": [1]}), r"2 columns \(path, size\)"),
        ([1, 2, 3], r"sequence of numbers"),
        ([[1, 2], [3, 4]], r"shape \(2, 2\)"),
        ({"path": ["a"]}, r"a dict"),
        (5, r"a int"),
    ],
)
def test_anything_else_is_refused_with_what_is_accepted(X, message):
    with pytest.raises((TypeError, ValueError), match=message):
        as_images(X)


def test_grey_and_four_channel_arrays():
    grey = np.arange(2 * 8 * 6, dtype=np.uint8).reshape(2, 8, 6)
    expected = np.repeat(grey[0][..., None], 3, axis=2)
    assert np.array_equal(as_images(grey).decode(0, (8, 6)), expected)
    assert np.array_equal(as_images(grey[..., None]).decode(0, (8, 6)), expected)
    rgba = np.zeros((1, 8, 6, 4), np.uint8)
    rgba[..., 0] = 200
    assert np.array_equal(as_images(rgba).decode(0, (8, 6)), np.full((8, 6, 3), 255))  # wholly transparent
    rgba[..., 3] = 255
    assert np.array_equal(as_images(rgba).decode(0, (8, 6))[0, 0], [200, 0, 0])


def test_floats_are_rounded():
    X = np.full((1, 4, 4), 99.6)
    assert as_images(X).decode(0, (4, 4))[0, 0, 0] == 100


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("1", (4, 4), 1), (255, 255, 255)),
        (Image.new("L", (4, 4), 77), (77, 77, 77)),
        (Image.new("LA", (4, 4), (0, 0)), (255, 255, 255)),
        (Image.new("RGBA", (4, 4), (255, 0, 0, 0)), (255, 255, 255)),
        (Image.new("RGBA", (4, 4), (255, 0, 0, 255)), (255, 0, 0)),
        (Image.new("CMYK", (4, 4), (0, 255, 255, 0)), (255, 0, 0)),
        (Image.fromarray(np.full((4, 4), 0x80FF, np.uint16)), (128, 128, 128)),
        (Image.fromarray(np.full((4, 4), 200, np.int32)), (200, 200, 200)),
        (Image.fromarray(np.full((4, 4), 12.4, np.float32)), (12, 12, 12)),
    ],
)
def test_modes_become_rgb(image, expected):
    converted = to_rgb(image)
    assert converted.mode == "RGB"
    assert converted.getpixel((1, 1)) == expected


def test_half_transparent_is_over_white():
    # 255 * (1 - 128/255) + 0 * 128/255 = 127 for the channels that are 0.
    red, green, blue = to_rgb(Image.new("RGBA", (2, 2), (255, 0, 0, 128))).getpixel((0, 0))
    assert red == 255
    assert abs(green - 127) <= 1
    assert abs(blue - 127) <= 1


def test_palette_with_transparency():
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putdata([0, 1])
    decoded = decode_bytes(encoded(image, "PNG", transparency=1))
    assert [decoded.getpixel((x, 0)) for x in (0, 1)] == [(10, 20, 30), (255, 255, 255)]


def test_rgb_with_a_transparent_colour():
    image = Image.new("RGB", (2, 1), (1, 2, 3))
    image.putpixel((1, 0), (9, 9, 9))
    decoded = decode_bytes(encoded(image, "PNG", transparency=(9, 9, 9)))
    assert [decoded.getpixel((x, 0)) for x in (0, 1)] == [(1, 2, 3), (255, 255, 255)]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation):
    # The eight transposes of the EXIF standard, by hand: what has to be done to the stored array.
    upright = np.zeros((2, 3, 3), np.uint8)
    upright[..., 0] = [[10, 60, 110], [160, 210, 250]]
    store = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: a.transpose(1, 0, 2)[::-1],
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: a.transpose(1, 0, 2)[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(Image.fromarray(np.ascontiguousarray(store(upright))), "PNG", exif=exif)
    assert np.array_equal(np.asarray(decode_bytes(content)), upright)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_formats(format):
    decoded = decode_bytes(encoded(Image.new("RGB", (8, 8), (200, 100, 50)), format))
    assert np.abs(np.asarray(decoded, int) - [200, 100, 50]).max() <= 6


def test_first_frame_of_an_animation():
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode_bytes(content).getpixel((0, 0)) == (255, 0, 0)


def make_image(height, width):
    """Something like an image: smooth, with edges and a little noise."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8))
    smooth = coarse.resize((width, height), Image.Resampling.BICUBIC)
    pixels = np.asarray(smooth).astype(int)
    pixels[height // 4 : height // 2, width // 3 : width // 2] = [250, 20, 40]
    return Image.fromarray((pixels + rng.normal(0, 6, pixels.shape)).clip(0, 255).astype(np.uint8))


def differences(content, size, rule="stretch"):
    """How far pixels by way of a smaller decoding are from those of the full one: mean and largest, in levels."""
    drafted = np.asarray(resize_image(decode_bytes(content, size=size), size, rule)).astype(int)
    full = np.asarray(resize_image(decode_bytes(content), size, rule)).astype(int)
    assert np.array_equal(drafted, as_images([content]).decode(0, size, resize=rule))
    return np.abs(drafted - full).mean(), np.abs(drafted - full).max()


@pytest.mark.parametrize("rule", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("quality", [50, 95])
def test_a_large_jpeg_is_decoded_smaller(rule, quality):
    content = encoded(make_image(1200, 1600), "JPEG", quality=quality)
    assert decode_bytes(content).size == (1600, 1200)
    assert decode_bytes(content, size=(224, 224)).size == (800, 600)
    mean, largest = differences(content, (224, 224), rule)
    assert 0 < mean <= 1
    assert largest <= 40


@pytest.mark.parametrize(
    ("width", "height", "size", "expected"),
    [
        (1600, 1200, (224, 224), (800, 600)),
        (4000, 3000, (224, 224), (1000, 750)),
        (3000, 4000, (224, 224), (750, 1000)),
        (4000, 3000, (32, 32), (500, 375)),  # an eighth is as far as it goes
        (896, 896, (224, 224), (448, 448)),
        (1601, 901, (224, 224), (801, 451)),
        (895, 895, (224, 224), (895, 895)),
        (500, 375, (224, 224), (500, 375)),
        (4000, 880, (224, 224), (4000, 880)),  # the shorter side counts
        (2000, 2000, (100, 900), (2000, 2000)),  # and the longer side wanted
    ],
)
def test_a_jpeg_is_never_decoded_below_twice_the_size(width, height, size, expected):
    content = encoded(Image.new("RGB", (width, height), (200, 100, 50)), "JPEG")
    found = decode_bytes(content, size=size)
    assert found.size == expected
    assert found.size == (width, height) or min(found.size) >= 2 * max(size)


def test_a_jpeg_that_is_not_large_is_left_alone():
    content = encoded(make_image(375, 500), "JPEG")
    assert differences(content, (224, 224)) == (0, 0)
    for format in ("PNG", "WEBP", "TIFF", "BMP"):
        assert differences(encoded(make_image(600, 800), format), (64, 64)) == (0, 0)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_large_jpeg_is_turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(make_image(600, 1000), "JPEG", exif=exif)
    drafted = decode_bytes(content, size=(96, 120))
    assert drafted.size == ((500, 300) if orientation < 5 else (300, 500))
    assert differences(content, (96, 120))[0] <= 1


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_a_large_jpeg_of_another_mode(mode):
    content = encoded(make_image(800, 800).convert(mode), "JPEG")
    drafted = decode_bytes(content, size=(100, 100))
    assert (drafted.mode, drafted.size) == ("RGB", (200, 200))
    assert differences(content, (100, 100))[0] <= 1


def test_a_large_progressive_jpeg_and_one_without_subsampling():
    for options in ({"progressive": True}, {"subsampling": 0}, {"subsampling": 2}):
        content = encoded(make_image(800, 800), "JPEG", **options)
        assert decode_bytes(content, size=(100, 100)).size == (200, 200)
        assert differences(content, (100, 100))[0] <= 1, options


@pytest.mark.parametrize("fraction", [0.3, 0.7, 0.98])
@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=["baseline", "progressive"])
def test_a_large_jpeg_that_is_cut_off_is_refused(fraction, options):
    content = encoded(make_image(1200, 1600), "JPEG", **options)
    with pytest.raises(OSError, match="truncated"):
        decode_bytes(content[: int(fraction * len(content))], size=(64, 64))


def test_max_pixels_is_about_the_whole_image():
    content = encoded(make_image(600, 800), "JPEG")
    with pytest.raises(ValueError, match="800 x 600 = 480000 pixels, more than max_pixels=479999"):
        decode_bytes(content, 479_999, (32, 32))
    assert decode_bytes(content, 480_000, (32, 32)).size == (100, 75)


def test_resize_rules():
    image = Image.new("RGB", (40, 20), "white")
    image.paste((255, 0, 0), (0, 0, 10, 20))
    image.paste((0, 0, 255), (30, 0, 40, 20))
    stretched, cropped, padded = (
        np.asarray(resize_image(image, (20, 20), rule)) for rule in ("stretch", "crop", "pad")
    )
    assert np.array_equal(stretched, np.asarray(image.resize((20, 20), Image.Resampling.BILINEAR)))
    assert np.array_equal(cropped, np.asarray(image.crop((10, 0, 30, 20))))
    assert np.array_equal(padded[5:15], np.asarray(image.resize((20, 10), Image.Resampling.BILINEAR)))
    assert padded[:5].max() == padded[15:].max() == 0
    with pytest.raises(ValueError, match="expected 'stretch', 'crop', 'pad'"):
        resize_image(image, (20, 20), "squash")


def test_resize_is_antialiased():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    small = np.asarray(resize_image(Image.fromarray(stripes), (8, 8)))
    assert np.abs(small.astype(int) - 127).max() < 25  # without antialiasing: 0 or 255


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 50),
    st.integers(1, 50),
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from(["stretch", "crop", "pad"]),
)
def test_any_size_gives_the_size_asked_for(height, width, to_height, to_width, rule):
    pixels = np.full((1, height, width, 3), 9, np.uint8)
    assert as_images([pixels[0]]).decode(0, (to_height, to_width), resize=rule).shape == (to_height, to_width, 3)


def bad_inputs(tmp_path, image):
    (tmp_path / "text.jpg").write_text("this is no image")
    (tmp_path / "empty.jpg").write_bytes(b"")
    whole = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)), "JPEG")
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    return {
        str(tmp_path / "text.jpg"): "not an image",
        str(tmp_path / "empty.jpg"): "empty file",
        str(tmp_path / "cut.jpg"): "truncated",
        str(tmp_path / "none.jpg"): "no such file",
        str(tmp_path): "directory",
    }


def test_check_images_names_every_bad_row(tmp_path, images):
    bad = bad_inputs(tmp_path, images[0])
    X = [images[0], *bad, None, float("nan"), pd.NA, "", 7, np.zeros((4, 4, 5)), np.full((4, 4), 300.0), images[1]]
    frame = check_images(X)
    assert list(frame.columns) == ["row", "path", "reason"]
    assert list(frame["row"]) == list(range(1, 13))
    assert list(frame["path"][:5]) == list(bad)
    for reason, expected in zip(frame["reason"], bad.values(), strict=False):
        assert expected in reason.lower()
    for reason, expected in zip(
        frame["reason"][5:], ["missing"] * 4 + ["a int is not", "shape (4, 4, 5)", "not in [0, 255]"], strict=True
    ):
        assert expected in reason


def test_check_images_of_good_ones_is_empty(image_files):
    frame = check_images(image_files)
    assert frame.empty
    assert frame["row"].dtype == np.int64


def test_root(tmp_path, images, image_files, monkeypatch):
    names = [os.path.basename(path) for path in image_files]
    assert check_images(names, root=tmp_path).empty
    assert check_images(image_files, root="/elsewhere").empty  # absolute paths stay
    reason = check_images(names)["reason"][0]
    assert "root=" in reason
    assert os.getcwd() in reason
    monkeypatch.chdir(tmp_path)
    assert check_images(names).empty


def test_urls(images):
    import fsspec

    with fsspec.open("memory://folder/a.png", "wb") as file:
        file.write(encoded(Image.fromarray(images[0])))
    assert np.array_equal(as_images(["memory://folder/a.png"]).decode(0, (40, 30)), images[0])
    assert np.array_equal(as_images(["a.png"], root="memory://folder/").decode(0, (40, 30)), images[0])


def test_urls_without_the_extra_name_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "fsspec", None)
    assert "skcnn[remote]" in check_images(["s3://bucket/a.png"])["reason"][0]


def test_max_pixels_is_a_limit_that_moves(monkeypatch):
    content = encoded(Image.new("RGB", (30, 20)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    assert len(check_images([content])) == 1
    assert check_images([content], max_pixels=600).empty
    assert Image.MAX_IMAGE_PIXELS == 500  # put back
    big = encoded(Image.new("RGB", (100, 100)))  # over twice the limit: Pillow raises by itself
    assert len(check_images([big])) == 1
    assert check_images([big], max_pixels=10_000).empty


def test_max_pixels_below_pillows_limit():
    frame = check_images([encoded(Image.new("RGB", (30, 20)))], max_pixels=599)
    assert "30 x 20 = 600 pixels, more than max_pixels=599" in frame["reason"][0]


def test_batches_are_in_order_and_leave_bad_rows_out(images):
    X = [images[index % 6] for index in range(23)]
    X[4] = X[21] = b"broken"
    batches = list(read_batches(as_images(X), range(23), (40, 30), batch_size=5))
    rows = [row for batch in batches for row in batch.rows]
    assert rows == [row for row in range(23) if row not in (4, 21)]
    assert [bad.row for batch in batches for bad in batch.bad] == [4, 21]
    pixels = np.concatenate([batch.pixels for batch in batches])
    assert pixels.dtype == np.uint8
    assert all(np.array_equal(pixels[index], images[row % 6]) for index, row in enumerate(rows))
    assert max(len(batch.pixels) for batch in batches) == 5


def test_rows_of_ones_choice(images):
    checked = as_images(images)
    (batch,) = read_batches(checked, [5, 0, 5], (40, 30))
    assert batch.rows == [5, 0, 5]
    assert np.array_equal(batch.pixels, images[[5, 0, 5]])


def test_reading_ahead_is_bounded():
    started = []
    iterator = map_ahead(lambda row: started.append(row) or row, range(1000), 8)
    assert [next(iterator) for _ in range(3)] == [(0, 0), (1, 1), (2, 2)]
    assert len(started) <= 3 + 8
    iterator.close()
    assert len(started) <= 3 + 8


def test_reading_ahead_uses_threads_and_keeps_order():
    threads = set()
    both = threading.Barrier(2, timeout=30)

    def meet(row):
        if row < 2:
            both.wait()  # passes only if two rows are under way at once
        threads.add(threading.current_thread().name)
        return row * row

    assert [value for _, value in map_ahead(meet, range(50), 10)] == [row * row for row in range(50)]
    assert threading.current_thread().name not in threads


def test_errors_and_warnings_carry_the_frame_through_pickle():
    frame = bad_rows_frame([BadRow(3, "b.jpg", "cut"), BadRow(1, None, "missing value")])
    for kind in (BadImageError, BadImageWarning):
        again = pickle.loads(pickle.dumps(kind(frame, 9)))
        assert str(again) == str(kind(frame, 9))
        assert "2 of 9" in str(again)
        assert "row 3: b.jpg: cut" in str(again)
        pd.testing.assert_frame_equal(again.bad_rows, frame)
    assert list(frame["row"]) == [1, 3]
    assert "... and 5 more" in str(BadImageError(bad_rows_frame([BadRow(i, None, "x") for i in range(25)]), 30))


@pytest.mark.parametrize(
    ("given", "expected"), [(32, (32, 32)), ((20, 30), (20, 30)), (np.int64(5), (5, 5)), ([4, 5], (4, 5))]
)
def test_image_size(given, expected):
    assert as_image_size(given) == expected


@pytest.mark.parametrize("given", [0, -3, 1.5, "big", (1, 2, 3), (0, 4), (True, 4)])
def test_bad_image_size(given):
    with pytest.raises(ValueError, match="image_size="):
        as_image_size(given)


def test_real_images(shared):
    from sklearn.datasets import load_files  # an independent way to list them

    folder = shared / "data" / "caltech30"
    paths = load_files(folder, load_content=False, shuffle=False).filenames[:60]
    assert check_images(paths).empty
    for path in paths[:10]:
        expected = Image.open(path).convert("RGB").resize((50, 40), Image.Resampling.BILINEAR)
        assert np.array_equal(as_images([path]).decode(0, (40, 50)), np.asarray(expected))


def test_thumbnails_keep_their_aspect_ratio_and_are_never_enlarged():
    images = [np.zeros(shape, np.uint8) for shape in [(400, 300), (30, 300, 3), (20, 10), (3, 900, 3)]]
    checked = as_images(images)
    shapes = [checked.thumbnail(row, 100).shape for row in range(4)]
    assert shapes == [(100, 75, 3), (10, 100, 3), (20, 10, 3), (1, 100, 3)]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_pipe_is_a_bad_row_and_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    assert check_images([tmp_path / "pipe.png"])["reason"].tolist() == ["not a regular file"]


def test_a_name_in_a_message_is_one_line():
    with pytest.raises(BadImageError) as caught:
        raise BadImageError(bad_rows_frame([BadRow(0, "a\n  row 1: b.png", "no such file")]), 2)
    assert str(caught.value).splitlines()[1] == r"  row 0: a\n  row 1: b.png: no such file"
    assert caught.value.bad_rows["path"].tolist() == ["a\n  row 1: b.png"]


def test_a_digest_is_of_values_shape_and_dtype():
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    same = Images([pixels, pixels.copy(), np.asfortranarray(pixels)])
    other = Images([pixels, pixels.reshape(4, 2, 3), pixels.astype("int64"), pixels + 1, pixels.tobytes(), b""])
    assert len({same.digest(row) for row in range(3)}) == 1
    assert len({other.digest(row) for row in range(6)}) == 6


def test_a_digest_is_of_the_content_wherever_it_lies(image_files):
    content = Path(image_files[0]).read_bytes()
    forms = as_images([image_files[0], content, memoryview(content), image_files[1]])
    digests = [forms.digest(row) for row in range(4)]
    assert digests[0] == digests[1] == digests[2] != digests[3]
    assert len(digests[0]) == 32


def test_a_digest_of_what_cannot_be_read(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        as_images([tmp_path / "none.png"]).digest(0)


def test_digests_are_those_of_earlier_caches():
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert Images([b"an image"]).digest(0).hex()[:16] == "9f983b25f3099bae"
    assert Images([pixels]).digest(0).hex()[:16] == "5d460da7b06cb458"


def every_method(images):
    yield from (lambda: images.digest(0), lambda: images.decode(0, (8, 8)), lambda: images.thumbnail(0, 8))


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("x"), SyntaxError("x"), struct.error("x"), KeyError(1)])
def test_whatever_a_decoder_raises_is_one_of_three_errors(monkeypatch, error):
    def fail(*_args, **_kwargs):
        raise error

    content = encoded(Image.new("P", (8, 8)))
    for where in ("open", "Image.draft", "Image.load", "Image.convert"):
        with monkeypatch.context() as patch:
            patch.setattr(f"PIL.Image.{where}", fail)
            for call in list(every_method(as_images([content])))[1:]:
                with pytest.raises(OSError, match=type(error).__name__):
                    call()
    monkeypatch.setattr("PIL.Image.Image.resize", fail)
    for call in list(every_method(as_images([encoded(Image.new("RGB", (30, 20)))])))[1:]:
        with pytest.raises(OSError, match=type(error).__name__):
            call()


def test_what_a_remote_file_system_raises_is_an_oserror(monkeypatch):
    import fsspec

    class ClientResponseError(Exception):
        pass

    expected = {"ClientResponseError: 404": ClientResponseError("404"), "pip install s3fs": ImportError("no s3fs")}
    for reason, error in {**expected, "no such file": FileNotFoundError("gone")}.items():
        monkeypatch.setattr(
            fsspec.core, "url_to_fs", lambda *_args, error=error, **_kwargs: (_ for _ in ()).throw(error)
        )
        for call in every_method(as_images(["s3://bucket/a.png"])):
            with pytest.raises(OSError, match=reason):
                call()


@pytest.mark.parametrize(
    "row", [np.full((4, 4), None), np.zeros((4, 4), "datetime64[s]"), np.zeros((4, 4), complex), 3, object()]
)
def test_a_row_of_another_type_is_a_typeerror(row):
    for call in every_method(Images([row])):
        with pytest.raises(TypeError, match=r"is not an image"):
            call()
