"""Loaders of other libraries, which give batches or never end, are refused by type and by the lack of a length."""

import itertools

import keras
import numpy as np
import pytest

from skcnn.images import as_images


class Endless(keras.utils.PyDataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        return np.zeros((4, 9, 9, 3), np.uint8), np.zeros(4)


class LongerThanItSays(list):
    def __iter__(self):
        return itertools.repeat(np.zeros((9, 9), np.uint8))


class ShorterThanItSays(list):
    def __len__(self):
        return 5


class DataLoader:
    """As torch's: it gives batches, and has a length."""

    __module__ = "torch.utils.data.dataloader"

    def __len__(self):
        return 2

    def __iter__(self):
        raise AssertionError("it was read")


def tensorflow_datasets():
    tensorflow = pytest.importorskip("tensorflow")
    dataset = tensorflow.data.Dataset.from_tensor_slices(np.zeros((4, 9, 9, 3), np.uint8))
    return [dataset, dataset.repeat(), dataset.batch(2), iter(dataset)]


@pytest.mark.parametrize("X", [Endless(), DataLoader()], ids=["PyDataset", "DataLoader"])
def test_loaders_are_refused_by_type(X):
    with pytest.raises(TypeError, match=rf"X is a {type(X).__name__} .*gives batches or pairs.*Accepted: an array"):
        as_images(X)


def test_datasets_of_tensorflow_are_refused():
    for X in tensorflow_datasets():
        with pytest.raises(TypeError, match=r"Accepted: an array"):
            as_images(X)


def test_keras_directory_iterator_is_refused(tmp_path):
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    (tmp_path / "a").mkdir()
    X = ImageDataGenerator().flow_from_directory(tmp_path, target_size=(8, 8))
    with pytest.raises(TypeError, match=r"gives batches or pairs"):
        as_images(X)


@pytest.mark.parametrize("X", [itertools.repeat("a.png"), (path for path in ["a.png"]), map(str, [1]), iter(["a.png"])])
def test_what_has_no_length_is_refused_and_not_read(X):
    with pytest.raises(TypeError, match=r"has no length and may never end: give a list"):
        as_images(X)


@pytest.mark.parametrize(("X", "n"), [(LongerThanItSays([1]), "more"), (ShorterThanItSays(["a"]), "1")])
def test_a_wrong_length_is_refused(X, n):
    with pytest.raises(TypeError, match=rf"of length \d that gives {n} elements"):
        as_images(X)


def test_dicts_of_bytes_and_paths_are_rows(tmp_path):
    content = (tmp_path / "a.ppm").write_bytes(b"P6 1 1 255\n\x01\x02\x03") and (tmp_path / "a.ppm").read_bytes()
    X = [{"bytes": content, "path": None}, {"bytes": None, "path": str(tmp_path / "a.ppm")}, {"path": "a.ppm"}]
    images = as_images(X, root=tmp_path)
    for row in range(3):
        assert images.decode(row, (1, 1)).tolist() == [[[1, 2, 3]]]
    assert images.path(2) == str(tmp_path / "a.ppm")


@pytest.mark.parametrize("row", [{"image": b"x"}, {"bytes": b"x", "label": 1}, {}])
def test_other_dicts_are_not_images(row):
    with pytest.raises(TypeError, match="a dict is not an image"):
        as_images([row]).read(0)
