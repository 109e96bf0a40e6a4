"""Tar files in WebDataset's layout: read where members lie, labels by their extension, damage named."""

import io
import os
import pickle
import tarfile

import numpy as np
import pytest
from PIL import Image

from skcnn.datasets import TarImages
from skcnn.images import BadImageError, as_images, check_images


def png(value):
    file = io.BytesIO()
    Image.new("RGB", (5, 4), (value, 0, 0)).save(file, "PNG")
    return file.getvalue()


def write_tar(path, members, mode="w", **options):
    with tarfile.open(path, mode, **options) as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    os.utime(path, (1e9, 1e9))
    return str(path)


@pytest.fixture
def shards(tmp_path):
    """Six samples in two shards, as WebDataset's writers have them."""
    paths = []
    for number, rows in enumerate([range(4), range(4, 6)]):
        members = []
        for row in rows:
            members += [(f"train/{row:04}.PNG", png(row)), (f"train/{row:04}.cls", b"%d\n" % (row % 3))]
        paths.append(write_tar(tmp_path / f"train-{number}.tar", members))
    return paths


def values(source):
    return [int(as_images(source).decode(row, (1, 1))[0, 0, 0]) for row in range(len(source))]


def test_images_and_labels(shards, tmp_path):
    source = TarImages(tmp_path / "train-*.tar")
    assert source.shape == (6,)
    assert source.read_many([5, 0, 5]) == [png(5), png(0), png(5)]
    assert values(source[::-1]) == [5, 4, 3, 2, 1, 0]
    assert source.labels().tolist() == [0, 1, 2, 0, 1, 2]
    assert source[[4, 4, 0]].labels().tolist() == [1, 1, 0]
    again = pickle.loads(pickle.dumps(source[4:]))
    assert values(again) == [4, 5]
    assert again.labels().tolist() == [1, 2]
    assert len({source.stamp(row) for row in range(6)}) == 6
    assert source.path(0) == f"{shards[0]}, offset 512"


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_format_of_tar_with_long_and_foreign_names(format, tmp_path):
    folder = "/".join(["f\u00f6lder" * 5] * 4) if format != tarfile.USTAR_FORMAT else "folder" * 20 + "/x"
    path = write_tar(tmp_path / "a.tar", [(f"{folder}/{row}.png", png(row)) for row in range(3)], format=format)
    assert values(TarImages(path)) == [0, 1, 2]


def test_text_labels_and_other_members(tmp_path):
    members = [
        ("a.txt", "süß".encode()),
        ("a.jpg", png(1)),
        ("a.json", b"{}"),
        ("README", b"no sample"),
        (".hidden", b""),
        ("b.seg.png", png(9)),
        ("b.txt", b"7"),
    ]
    source = TarImages(write_tar(tmp_path / "a.tar", members), label="txt")
    assert source.labels().tolist() == ["süß", "7"]
    assert values(source) == [1, 9]


def test_samples_that_are_not_right_are_bad_rows(tmp_path):
    members = [("a.cls", b"0"), ("b.png", png(1)), ("b.jpg", png(2)), ("c.png", png(3)), ("c.cls", b"1")]
    source = TarImages(path := write_tar(tmp_path / "a.tar", members))
    bad = check_images(source)
    assert bad["row"].tolist() == [0, 1]
    assert bad["reason"].tolist() == [
        "the sample has no image, expected one; its members are cls",
        "the sample has 2 images, expected one; its members are png, jpg",
    ]
    assert bad["path"][0] == f"{path}, offset 512"
    with pytest.raises(BadImageError, match=r"row 1: .*the sample has no member \.cls; label= sets another one"):
        source.labels()
    assert source[[0, 2]].labels().tolist() == [0, 1]


def test_a_key_that_comes_again_is_another_sample(tmp_path):
    source = TarImages(write_tar(tmp_path / "a.tar", [("a.png", png(1)), ("a.png", png(2))]))
    assert values(source) == [1, 2]


@pytest.mark.parametrize("row", [1, 3])
def test_a_damaged_header_is_one_bad_row(shards, row):
    offset = TarImages(shards)._offsets[row] - 512
    with open(shards[0], "r+b") as file:
        file.seek(int(offset) + 150)
        file.write(b"garbage!")
    source = TarImages(shards)
    bad = check_images(source)
    assert bad["row"].tolist() == [row]
    assert bad["path"].tolist() == [f"{shards[0]}, offset {offset}"]
    assert bad["reason"][0] == "damaged header of a member, and members after it are missing"
    assert values(source[np.arange(len(source)) != row]) == [*range(row), 4, 5]


def test_a_cut_shard_names_what_is_cut(shards):
    source = TarImages(shards)
    start = int(source._offsets[5])
    no_end = "the archive has no end, and members after it are missing"
    for size, reasons in [
        (start + 1536, [no_end]),  # all members, and no zeros behind
        (start + 1024, [no_end]),
        (start + 20, ["the shard ends within the image", no_end]),
        (start - 512, [no_end]),
    ]:
        os.truncate(shards[1], size)
        cut = TarImages(shards)
        assert check_images(cut)["reason"].tolist() == reasons
    assert check_images(source)["row"].tolist() == [4, 5]  # the shard has changed


def test_a_cut_label_is_named(shards):
    os.truncate(shards[1], int(TarImages(shards)._labels_at[5].offset) + 1)
    with pytest.raises(BadImageError, match=r"row 5: .*the shard ends within the label"):
        TarImages(shards)[:6].labels()


def test_damaged_pixels_are_found_by_the_decoder(shards):
    offset = int(TarImages(shards)._offsets[2])
    with open(shards[0], "r+b") as file:
        file.seek(offset + 40)
        file.write(bytes(8))
    assert check_images(TarImages(shards))["row"].tolist() == [2]


def test_other_files_are_refused(tmp_path):
    path = write_tar(tmp_path / "a.tar.gz", [("a.png", png(0))], "w:gz")
    with pytest.raises(ValueError, match=r"a\.tar\.gz is not an uncompressed tar archive"):
        TarImages(path)
    with pytest.raises(ValueError, match=r"empty\.tar holds no files; expected images, such as 0001.jpg"):
        TarImages(write_tar(tmp_path / "empty.tar", []))
