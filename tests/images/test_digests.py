import numpy as np
from PIL import Image

from skcnn.images import ImageDigests, as_images


def test_contents_count_and_not_names(tmp_path):
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    for name, value in (("a", pixels), ("copy", pixels), ("other", 255 - pixels)):
        Image.fromarray(value).save(tmp_path / f"{name}.png")
    digests = ImageDigests.of([tmp_path / "a.png"])
    assert digests.contain(["copy.png", "other.png", "none.png"], root=tmp_path).tolist() == [True, False, False]
    assert digests.digests.dtype == np.uint64
    expected = as_images([tmp_path / "a.png"]).digest(0)[:8]
    assert digests.digests.astype("<u8").tobytes() == expected


def test_each_content_once_and_no_row_that_cannot_be_read(tmp_path):
    (tmp_path / "cut.png").write_bytes(b"")
    X = [b"one", b"two", b"one", str(tmp_path / "none.png")]
    digests = ImageDigests.of(X)
    assert len(digests) == 2
    assert digests.contain(X).tolist() == [True, True, True, False]
    assert len(ImageDigests.of([])) == 0
    assert ImageDigests.of([]).contain([b"one"]).tolist() == [False]


def test_a_forged_set_is_harmless():
    for forged in (np.array(3), np.array([["a"]]), np.array([np.nan]), np.array([], float)):
        assert ImageDigests(forged).contain([b"one"]).tolist() == [False]
