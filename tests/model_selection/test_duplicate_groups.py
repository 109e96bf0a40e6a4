import numpy as np
import pytest

from skcnn.datasets import load_digit_images
from skcnn.images import BadImageError, BadImageWarning
from skcnn.model_selection import duplicate_groups, find_duplicates, train_dev_test_split


def noise(seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 240, (8, 8, 3))
    return np.kron(coarse, np.ones((6, 6, 1))).astype(np.uint8)


def test_duplicates_of_duplicates_are_one_group():
    X = [noise(0), noise(1), noise(0)[:, ::-1], noise(2), noise(1) + 3, noise(1)]
    assert duplicate_groups(X).tolist() == [0, 1, 0, 2, 1, 1]
    assert duplicate_groups(X, min_similarity=1.0).tolist()[:4] == [0, 1, 0, 2]
    pairs = find_duplicates(X)
    groups = duplicate_groups(X)
    assert (groups[pairs["row_a"]] == groups[pairs["row_b"]]).all()


def test_a_split_keeps_them_together():
    X = [noise(seed % 20) for seed in range(40)]
    y = np.arange(40) % 2
    groups = duplicate_groups(X)
    split = train_dev_test_split(X, y, groups=groups, dev_size=0, test_size=0.25, random_state=0)
    assert len(split.dev) == 0
    assert len(split.train) + len(split.test) == 40
    assert set(groups[split.train]).isdisjoint(groups[split.test])


def test_no_dev_set():
    X = load_digit_images().data[:100]
    split = train_dev_test_split(X, np.arange(100) % 4, dev_size=0, test_size=20, random_state=0)
    assert [len(rows) for rows in split.rows().values()] == [80, 0, 20]
    assert str(split).startswith("train 80")
    with pytest.raises(ValueError, match="test_size=0; expected a fraction"):
        train_dev_test_split(X, dev_size=0, test_size=0)


def test_bad_rows():
    X = [noise(0), b"no image", noise(0)]
    with pytest.warns(BadImageWarning):
        assert duplicate_groups(X).tolist() == [0, 1, 0]
    with pytest.raises(BadImageError):
        duplicate_groups(X, on_error="raise")
