"""Parquet files as Hugging Face has them: read by row group, once for rows in order."""

import io
import os
import pickle

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from skcnn.datasets import ParquetImages, TFRecordImages, write_tfrecords
from skcnn.images import as_images, check_images


def png(value):
    file = io.BytesIO()
    Image.new("RGB", (5, 4), (value, 0, 0)).save(file, "PNG")
    return file.getvalue()


def write(path, images, row_group_size=3, metadata=None, **columns):
    table = pa.table({"image": images, **columns})
    pq.write_table(
        table.replace_schema_metadata(metadata), path, row_group_size=row_group_size, write_page_checksum=True
    )
    os.utime(path, (1e9, 1e9))
    return str(path)


@pytest.fixture
def shards(tmp_path):
    """Twelve images in two files, of groups of three rows."""
    paths = []
    for number, rows in enumerate([range(7), range(7, 12)]):
        images = [{"bytes": png(row), "path": f"{row}.png"} for row in rows]
        paths.append(write(tmp_path / f"train-{number}.parquet", images, label=[row % 4 for row in rows]))
    return paths


@pytest.fixture
def groups_read(monkeypatch):
    """The row groups that were read, with the columns asked for."""
    calls, read = [], pq.ParquetFile.read_row_group
    monkeypatch.setattr(
        pq.ParquetFile, "read_row_group", lambda self, i, columns: calls.append((i, *columns)) or read(self, i, columns)
    )
    return calls


def values(source):
    images = as_images(source)
    return [int(images.decode(row, (1, 1))[0, 0, 0]) for row in range(len(source))]


def test_images_and_labels(shards, tmp_path):
    source = ParquetImages(tmp_path / "train-*.parquet")
    assert source.shape == (12,)
    assert values(source) == list(range(12))
    part = pickle.loads(pickle.dumps(source[[11, 0, 11]]))
    assert values(part) == [11, 0, 11]
    assert part.labels().tolist() == [3, 0, 3]
    assert len({source.stamp(row) for row in range(12)}) == 12
    assert source.path(6) == f"{shards[0]}, row 6"
    assert source.path(8) == f"{shards[1]}, row 1"
    assert source.target_names is None
    os.utime(shards[1])
    assert ParquetImages(shards).stamp(7) is None
    assert ParquetImages(shards).stamp(6) == source.stamp(6)


def test_wanted_rows_are_sorted_by_row_group_and_groups_are_kept(shards, groups_read):
    source = ParquetImages(shards)
    rows = [11, 0, 8, 1, 7, 2]
    assert source.read_many(rows) == [png(row) for row in rows]
    assert groups_read == [(0, "image"), (0, "image"), (1, "image")]
    assert values(source[:3]) == [0, 1, 2]
    assert len(groups_read) == 3
    values(source)
    assert len(groups_read) == 5


def test_what_is_kept_is_bounded(shards, groups_read, monkeypatch):
    monkeypatch.setattr("skcnn.datasets._parquet.MAX_KEPT", 1)
    source = ParquetImages(shards)
    assert values(source[[0, 3, 1]]) == [0, 3, 1]
    assert len(groups_read) == 3


def test_plain_columns_and_paths(tmp_path):
    source = ParquetImages(write(tmp_path / "a.parquet", [png(1), png(2), None, b"no image"]))
    assert values(source[:2]) == [1, 2]
    assert check_images(source)["reason"].tolist()[0] == "missing value"
    assert check_images(source)["row"].tolist() == [2, 3]
    (tmp_path / "b.png").write_bytes(png(5))
    images = [{"bytes": None, "path": str(tmp_path / "b.png")}, {"bytes": None, "path": None}]
    source = ParquetImages(write(tmp_path / "b.parquet", images))
    assert source[0] == png(5)
    assert check_images(source)["row"].tolist() == [1]


def test_numbers_are_not_images(tmp_path):
    source = ParquetImages(write(tmp_path / "a.parquet", [1, 2]))
    assert check_images(source)["reason"].str.contains("int").all()


def test_names_of_classes(tmp_path):
    metadata = {"huggingface": '{"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}'}
    source = ParquetImages(write(tmp_path / "a.parquet", [png(0)], label=[1], metadata=metadata))
    assert source.target_names == ["cat", "dog"]
    assert source.labels().tolist() == [1]


def test_a_damaged_row_group_is_named(shards):
    column = pq.ParquetFile(shards[0]).metadata.row_group(1).column(0)
    with open(shards[0], "r+b") as file:
        file.seek((column.dictionary_page_offset or column.data_page_offset) + column.total_compressed_size - 9)
        file.write(b"\xff\x00\xff")
    bad = check_images(ParquetImages(shards))
    assert bad["row"].tolist() == [3, 4, 5]
    assert bad["path"].tolist() == [f"{shards[0]}, row {row}" for row in (3, 4, 5)]
    assert bad["reason"].str.startswith("the row group cannot be read: ").all()
    assert bad["reason"].str.contains("CRC").all()


def test_a_file_that_changes_is_named(shards):
    source = ParquetImages(shards)
    os.utime(shards[0], (2e9, 2e9))
    assert check_images(source)["reason"].str.contains("the file has changed since it was opened").sum() == 7


def test_errors_name_columns(shards, tmp_path):
    with pytest.raises(ValueError, match="image='img'; expected one of the columns of the files, 'image', 'label'"):
        ParquetImages(shards, image="img")
    with pytest.raises(ValueError, match="label='y'; expected one of the columns"):
        ParquetImages(shards, label="y").labels()
    (tmp_path / "a.parquet").write_bytes(b"no parquet")
    with pytest.raises(ValueError, match=r"a\.parquet cannot be read; expected a Parquet file"):
        ParquetImages(tmp_path / "a.parquet")


def test_as_tfrecords_any_row_is_read_by_itself(shards, tmp_path):
    source = ParquetImages(shards)
    again = TFRecordImages(write_tfrecords(source, source.labels(), tmp_path / "records", 5))
    assert list(again) == list(source)
    np.testing.assert_array_equal(again.labels(), source.labels())
