"""TFRecord files: as TensorFlow has them, written whole or not at all, and damage is a row that is named."""

import contextlib
import gzip
import io
import json
import os
import pickle
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from skcnn.datasets import TFRecordImages, load_digit_images, write_tfrecords
from skcnn.datasets._shards import ShardedImages, find_shards
from skcnn.datasets._tfrecord_format import example, features_of, masked_crc, record
from skcnn.images import BadImageError, ImageSource, as_images, check_images, drop_bad_images


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Ten JPEG files of different sizes."""
    folder, paths = tmp_path_factory.mktemp("files"), []
    rng = np.random.default_rng(0)
    for number in range(10):
        paths.append(str(folder / f"{number}.jpg"))
        Image.fromarray(rng.integers(0, 256, (8 + number, 9, 3), np.uint8)).save(paths[-1])
    return paths


@pytest.fixture
def shards(files, tmp_path):
    """Those in three shards, which did not change lately."""
    paths = write_tfrecords(files, np.arange(10) % 3, tmp_path / "shards", images_per_shard=4)
    for path in paths:
        os.utime(path, (1e9, 1e9))
    return paths


def contents(files):
    return [Path(path).read_bytes() for path in files]


def test_bytes_and_labels_come_back(files, shards):
    source = TFRecordImages(os.path.dirname(shards[0]) + "/*.tfrecord")
    assert source.shape == (10,)
    assert list(source) == contents(files)
    assert source.labels().tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]
    part = pickle.loads(pickle.dumps(source[[9, 1, 1]]))
    assert list(part) == [contents(files)[row] for row in (9, 1, 1)]
    assert part.labels().tolist() == [0, 1, 1]
    assert part.labels().dtype == np.int64
    assert source[:0].labels().shape == (0,)


def test_shards_are_in_natural_order_and_named(files, tmp_path):
    for number, name in enumerate(["s10", "s9", "s1"]):
        (tmp_path / f"{name}.tfrecord").write_bytes(record(example({"image": [contents(files)[number]]})))
    source = TFRecordImages(tmp_path / "*.tfrecord")
    assert [os.path.basename(shard.path) for shard in source.shards] == ["s1.tfrecord", "s9.tfrecord", "s10.tfrecord"]
    assert source[0] == contents(files)[2]
    assert source.path(2) == f"{tmp_path}/s10.tfrecord, offset 0"
    both = TFRecordImages([tmp_path / "s10.tfrecord", str(tmp_path / "s?.tfrecord")])
    assert both[0] == contents(files)[0]


def test_tensorflow_reads_what_is_written(files, tmp_path):
    tf = pytest.importorskip("tensorflow")
    for y in (np.arange(10), np.linspace(-1, 1, 10), list("äbcdefghij"), np.arange(20).reshape(10, 2) - 5):
        paths = write_tfrecords(files, y, tmp_path / np.asarray(y).dtype.str[1:] / str(np.ndim(y)), 3)
        records = [bytes(one.numpy()) for one in tf.data.TFRecordDataset(paths)]
        messages = [tf.train.Example.FromString(one).features.feature for one in records]
        assert [one["image"].bytes_list.value[0] for one in messages] == contents(files)
        kind = {"i": "int64_list", "f": "float_list", "U": "bytes_list"}[np.asarray(y).dtype.kind]
        values = [list(getattr(one["label"], kind).value) for one in messages]
        flat = np.asarray(y).reshape(10, -1)
        expected = [[v.encode() for v in row] for row in flat] if flat.dtype.kind == "U" else flat.astype("f4").tolist()
        assert values == expected
        np.testing.assert_array_equal(TFRecordImages(paths).labels(), np.asarray(y, "f4" if kind[0] == "f" else None))


def test_what_tensorflow_writes_is_read(files, tmp_path):
    tf = pytest.importorskip("tensorflow")
    feature = tf.train.Feature
    path = str(tmp_path / "other.tfrecord")
    with tf.io.TFRecordWriter(path) as writer:
        for number, content in enumerate(contents(files)):
            features = {
                "image/encoded": feature(bytes_list=tf.train.BytesList(value=[content])),
                "image/class/label": feature(int64_list=tf.train.Int64List(value=[-number])),
                "box": feature(float_list=tf.train.FloatList(value=[0.5] * number)),
                "nothing": feature(),
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
    source = TFRecordImages(path, image="image/encoded", label="image/class/label")
    assert list(source) == contents(files)
    assert source.labels().tolist() == [-number for number in range(10)]
    with pytest.raises(
        ValueError, match=r"image='image'; expected one of .* 'box', 'image/class/label', 'image/encoded'"
    ):
        TFRecordImages(path)
    with pytest.raises(BadImageError, match="label='label'; expected one of the features"):
        TFRecordImages(path, image="image/encoded").labels()


values = st.one_of(
    st.lists(st.binary(max_size=300), max_size=4),
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=4).map(lambda v: np.array(v, np.int64)),
    st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=4).map(lambda v: np.array(v, np.float32)),
)


@settings(max_examples=30)
@given(st.dictionaries(st.text(max_size=9), values, max_size=4))
def test_messages_come_back(features):
    given = features_of(example(features))
    assert given.keys() == features.keys()
    for name, value in features.items():
        assert list(given[name]) == list(value)


@given(st.binary(max_size=200))
def test_other_bytes_are_no_message_and_end(content):
    with contextlib.suppress(ValueError):
        assert isinstance(features_of(content), dict)


def test_numbers_that_are_not_packed_are_read():
    # Field 1 of an Int64List and of a FloatList, one value at a time, as old writers have them.
    def delimited(number, content):
        return bytes([number << 3 | 2, len(content)]) + content

    ints = delimited(1, b"a") + delimited(2, delimited(3, b"\x08\x05\x08\x07"))
    floats = delimited(1, b"b") + delimited(2, delimited(2, b"\x0d" + struct.pack("<f", 0.5)))
    given = features_of(delimited(1, delimited(1, ints) + delimited(1, floats)))
    assert {name: value.tolist() for name, value in given.items()} == {"a": [5, 7], "b": [0.5]}


def test_the_checksum_is_the_published_one():
    # RFC 3720, B.4: the CRC-32C of 32 zero bytes; masked as TensorFlow's crc32c.h has it.
    crc = 0x8A9136AA
    assert masked_crc(bytes(32)) == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def damage(path, at, value=None):
    content = bytearray(Path(path).read_bytes())
    content[at] = content[at] ^ 1 if value is None else value
    with open(path, "wb") as file:
        file.write(content)


def test_a_damaged_record_is_a_bad_row_of_its_own(files, shards):
    offset = TFRecordImages(shards)._offsets[5]
    damage(shards[1], int(offset) + 200)
    source = TFRecordImages(shards)
    bad = check_images(source)
    assert bad.to_numpy().tolist() == [
        [5, f"{shards[1]}, offset {offset}", "damaged record: its checksum does not match"]
    ]
    with pytest.raises(BadImageError, match=r"1 of 10 images .*\n  row 5: .*offset \d+: damaged record(.|\n)*drop_bad"):
        source.labels()
    with pytest.warns(UserWarning, match="1 of 10"):
        X, _ = drop_bad_images(source)
    assert X.labels().tolist() == [0, 1, 2, 0, 1, 0, 1, 2, 0]
    assert list(X) == [content for row, content in enumerate(contents(files)) if row != 5]


def test_every_flipped_bit_is_seen(shards):
    content = bytearray(Path(shards[2]).read_bytes())
    original = [TFRecordImages(shards[2])[row] for row in range(2)]
    for at in range(0, len(content), 37):
        content[at] ^= 0x10
        with open(shards[2], "wb") as file:
            file.write(content)
        if at < 12:
            with pytest.raises(ValueError, match="is damaged, or has another format"):
                TFRecordImages(shards[2])
        else:
            source = TFRecordImages(shards[2])
            given = source.read_or_reasons(range(len(source)))
            assert any(isinstance(one, Exception) for one in given), at
            assert all(one in original for one in given if isinstance(one, bytes))
        content[at] ^= 0x10


@pytest.mark.parametrize("cut", [1, 20])
def test_behind_a_damaged_length_one_row_stands_for_the_rest(cut, files, shards):
    offsets = TFRecordImages(shards)._offsets
    with open(shards[0], "r+b") as file:
        file.truncate(int(offsets[2]) + cut)
    damage(shards[1], int(offsets[5]))
    source = TFRecordImages(shards)
    assert len(source) == 3 + 2 + 2
    bad = check_images(source)
    assert bad["row"].tolist() == [2, 4]
    assert bad["path"].tolist() == [f"{shards[0]}, offset {offsets[2]}", f"{shards[1]}, offset {offsets[5]}"]
    assert bad["reason"].str.endswith("no record after it can be found").all()
    assert "the file ends within it" in bad["reason"][0] or cut == 1
    assert source[-1] == contents(files)[-1]


def test_a_shard_that_changes_is_named(files, shards):
    source = TFRecordImages(shards)
    os.utime(shards[2], (2e9, 2e9))
    assert check_images(source)["reason"].tolist() == ["the shard has changed since it was opened: open it again"] * 2
    os.remove(shards[1])
    assert check_images(source)["row"].tolist() == [4, 5, 6, 7, 8, 9]


def test_stamps_are_those_of_settled_shards(shards):
    source = TFRecordImages(shards)
    stamps = [source.stamp(row) for row in range(10)]
    assert len(set(stamps)) == 10
    assert source[3:].stamp(0) == stamps[3]
    assert TFRecordImages(shards[::-1]).stamp(0) == stamps[8]
    os.utime(shards[0])
    fresh = TFRecordImages(shards)
    assert fresh.stamp(0) is None
    assert fresh.stamp(9) == stamps[9]


def test_rows_that_lie_together_are_read_together(files, shards, monkeypatch):
    source, runs = TFRecordImages(shards), []
    taken = ShardedImages._taken_apart
    monkeypatch.setattr(ShardedImages, "_taken_apart", lambda *args: runs.append(args[2]) or taken(*args))
    assert source.read_many(range(9, -1, -1)) == contents(files)[::-1]
    assert runs == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    runs.clear()
    monkeypatch.setattr("skcnn.datasets._shards.MAX_GAP", 100)
    source.read_many([0, 3])
    assert runs == [[0], [3]]


def test_other_files_are_refused(tmp_path):
    for name, content, message in [
        ("a.jpg", b"\xff\xd8\xff\xe0" * 9, "is damaged, or has another format; expected a TFRecord file"),
        ("a.gz", gzip.compress(b"x"), "compressed by gzip: decompress it"),
    ]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=message):
            TFRecordImages(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="pattern='no-such-'; expected the path of a shard or a pattern"):
        TFRecordImages("no-such-")
    with pytest.raises(FileNotFoundError, match="at least one"):
        find_shards([])


def test_a_file_without_records_holds_no_images(tmp_path):
    (tmp_path / "empty.tfrecord").write_bytes(b"")
    source = TFRecordImages(tmp_path / "empty.tfrecord")
    assert source.shape == (0,)
    assert check_images(source).empty


def test_several_values_are_not_an_image(files, tmp_path):
    path = tmp_path / "a.tfrecord"
    path.write_bytes(record(example({"image": contents(files)[:2]})) + record(example({"image": np.arange(2)})))
    assert (
        check_images(TFRecordImages(path))["reason"].tolist()
        == ["the feature 'image' holds 2 values; expected one encoded image"] * 2
    )


def test_arrays_and_sources_are_written(shards, files, tmp_path):
    X, y = load_digit_images(return_X_y=True)
    paths = write_tfrecords(X[:3], y[:3], tmp_path / "arrays")
    source = TFRecordImages(paths)
    for row in range(3):
        np.testing.assert_array_equal(as_images(source).decode(row, (32, 32)), as_images(X).decode(row, (32, 32)))
    source = TFRecordImages(shards)[::-1]
    again = TFRecordImages(write_tfrecords(source, None, tmp_path / "again", 6))
    assert list(again) == contents(files)[::-1]


def test_interrupted_writing_is_resumed(files, tmp_path, monkeypatch):
    out, y = tmp_path / "out", np.arange(10)
    before = contents(write_tfrecords(files, y, tmp_path / "undisturbed", 3))
    source = Interrupted(files, 5)
    with pytest.raises(KeyboardInterrupt):
        write_tfrecords(source, y, out, 3)
    assert sorted(path.name for path in out.iterdir()) == ["images-00000-of-00004.tfrecord", "manifest.json"]
    inode = os.stat(out / "images-00000-of-00004.tfrecord").st_ino
    source.until = 99
    assert contents(write_tfrecords(source, y, out, 3)) == before
    assert os.stat(out / "images-00000-of-00004.tfrecord").st_ino == inode


class Interrupted(ImageSource):
    def __init__(self, files, until):
        self.files, self.until = files, until

    def __len__(self):
        return len(self.files)

    def read_many(self, rows):
        if max(rows) >= self.until:
            raise KeyboardInterrupt
        return [contents(self.files)[row] for row in rows]

    def stamp(self, row):
        return f"interrupted {row}"


@pytest.mark.slow
def test_killed_writing_leaves_whole_shards(files, tmp_path):
    code = (
        "import sys, time; from skcnn.datasets import write_tfrecords\n"
        f"write_tfrecords({files!r} * 300, list(range(3000)), sys.argv[1], 100)"
    )
    before = contents(write_tfrecords(files * 300, list(range(3000)), tmp_path / "undisturbed", 100))
    out = tmp_path / "out"
    for _ in range(5):
        with subprocess.Popen([sys.executable, "-c", code, str(out)]) as process:
            n_before = len(list(out.glob("*.tfrecord"))) if out.exists() else 0
            while process.poll() is None and (not out.exists() or len(list(out.glob("*.tfrecord"))) < n_before + 4):
                pass
            process.kill()
        for path in out.glob("*.tfrecord"):
            assert path.read_bytes() in before
    assert contents(write_tfrecords(files * 300, list(range(3000)), out, 100)) == before


def test_other_data_is_not_mixed_in(files, shards, tmp_path):
    folder = os.path.dirname(shards[0])
    y = np.arange(10) % 3
    for arguments in [(files, y[::-1], folder, 4), (files[::-1], y, folder, 4), (files, y, folder, 5)]:
        with pytest.raises(
            ValueError, match="holds shards of other images, labels or images_per_shard; expected an empty"
        ):
            write_tfrecords(*arguments)
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "a.tfrecord").write_bytes(b"")
    with pytest.raises(ValueError, match="holds shards of other"):
        write_tfrecords(files, y, tmp_path / "foreign")
    os.truncate(os.path.join(folder, "manifest.json"), 9)
    with pytest.raises(ValueError, match="holds shards of other"):
        write_tfrecords(files, y, folder, 4)


def test_rows_that_cannot_be_read_are_all_named_and_resumed(files, tmp_path):
    paths = [*files[:4], str(tmp_path / "late.jpg"), *files[5:9], b""]
    with pytest.raises(BadImageError, match="Shards without these rows are written") as caught:
        write_tfrecords(paths, None, tmp_path / "out", 3)
    assert caught.value.bad_rows["row"].tolist() == [4, 9]
    assert [path.name[7:12] for path in sorted((tmp_path / "out").glob("*.tfrecord"))] == ["00000", "00002"]
    (tmp_path / "late.jpg").write_bytes(contents(files)[4])
    with pytest.raises(BadImageError) as caught:
        write_tfrecords(paths, None, tmp_path / "out", 3)
    assert caught.value.bad_rows["row"].tolist() == [9]
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["images"] == 10


@pytest.mark.parametrize(
    ("y", "per_shard", "message"),
    [
        (np.arange(9), 4, r"y has shape \(9,\) for 10 images; expected one label per image"),
        ([object()] * 10, 4, "y holds labels of dtype object; expected integers, floats or text"),
        (None, 0, "images_per_shard=0; expected a positive int"),
        (None, True, "images_per_shard=True; expected a positive int"),
    ],
)
def test_wrong_arguments(y, per_shard, message, files, tmp_path):
    with pytest.raises(ValueError, match=message):
        write_tfrecords(files, y, tmp_path, per_shard)


def test_the_package_that_is_missing_is_named(files, shards, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "google_crc32c", None)
    for use in (lambda: TFRecordImages(shards), lambda: write_tfrecords(files, None, tmp_path / "out")):
        with pytest.raises(ImportError, match=r"pip install 'skcnn\[tfrecord\]'"):
            use()


def test_pil_images_are_written_upright(tmp_path):
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (4, 9)).save(buffer, "JPEG", exif=exif)
    with Image.open(buffer) as image:
        source = TFRecordImages(write_tfrecords([image], None, tmp_path))
    assert as_images(source).size(0) == (4, 9)
