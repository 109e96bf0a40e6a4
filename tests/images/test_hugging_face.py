"""Data sets of Hugging Face's library, where it is installed: encoded bytes as they are, cut without reading."""

import io
import pickle

import numpy as np
import pytest
from PIL import Image

from skcnn.images import HuggingFaceImages, as_images, check_images

datasets = pytest.importorskip("datasets", reason="datasets is not installed")
if not hasattr(datasets, "Dataset"):  # the folder of tests of that name
    pytest.skip("datasets is not installed", allow_module_level=True)
pytestmark = pytest.mark.filterwarnings("default")  # of the library


def jpeg(value):
    file = io.BytesIO()
    Image.new("RGB", (5, 4), (value, 0, 0)).save(file, "JPEG")
    return file.getvalue()


@pytest.fixture(scope="module")
def dataset():
    images = [{"bytes": jpeg(20 * row), "path": f"{row}.jpg"} for row in range(6)]
    columns = {"image": images, "label": [row % 2 for row in range(6)]}
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])})
    return datasets.Dataset.from_dict(columns, features=features)


def test_rows_are_the_encoded_bytes(dataset):
    source = HuggingFaceImages(dataset)
    assert list(source) == [jpeg(20 * row) for row in range(6)]
    part = pickle.loads(pickle.dumps(source[[4, 1]]))
    assert list(part) == [jpeg(80), jpeg(20)]
    assert part.labels().tolist() == [0, 1]
    assert len({source.stamp(row) for row in range(6)}) == 6
    assert source.stamp(0) != HuggingFaceImages(dataset.select([3, 0])).stamp(0)


@pytest.mark.parametrize("format", [None, "numpy"])
def test_a_column_is_x(dataset, format):
    images = as_images(dataset.with_format(format)["image"])
    assert isinstance(images.items, HuggingFaceImages)
    assert images.read(3) == jpeg(60)


def test_rows_as_dicts_and_pil_images(dataset):
    for X in (list(dataset["image"]), list(dataset.cast_column("image", datasets.Image(decode=False))["image"])):
        assert abs(int(as_images(X).decode(5, (4, 5))[0, 0, 0]) - 100) <= 2


def test_paths_and_missing_values(tmp_path):
    (tmp_path / "a.jpg").write_bytes(jpeg(7))
    dataset = datasets.Dataset.from_dict({"image": [str(tmp_path / "a.jpg"), None, str(tmp_path / "b.jpg")]})
    bad = check_images(HuggingFaceImages(dataset))
    assert bad["path"].tolist() == ["image, row 1", "image, row 2"]
    assert bad["reason"].tolist() == ["missing value", "no such file"]
    numbers = datasets.Dataset.from_dict({"image": [1]})
    assert check_images(HuggingFaceImages(numbers))["reason"][0].startswith("a int; expected an encoded image")


def test_streams_and_whole_data_sets_are_refused(dataset):
    stream = dataset.to_iterable_dataset()
    for X in (stream, stream["image"] if hasattr(stream, "column_names") else stream):
        with pytest.raises(TypeError, match="may never end"):
            as_images(X)
    with pytest.raises(TypeError, match=r"expected a datasets\.Dataset: one split"):
        HuggingFaceImages(datasets.DatasetDict({"train": dataset}))
    with pytest.raises(TypeError, match=r"expected one column of images: choose it, X\['image'\]"):
        as_images(dataset)
    with pytest.raises(ValueError, match="image='img'; expected one of the columns"):
        HuggingFaceImages(dataset, image="img")
    with pytest.raises(ValueError, match="label='y'; expected one of the columns"):
        HuggingFaceImages(dataset, label="y").labels()
    assert np.asarray(HuggingFaceImages(dataset).labels()).dtype.kind == "i"
