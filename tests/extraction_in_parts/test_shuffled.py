"""Rows of parts in random order: each once, with its label, and mixed over all parts."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.datasets import load_digits
from sklearn.preprocessing import FunctionTransformer

import skcnn.distributed._parts
from skcnn.distributed import extract_parts, load_features
from skcnn.ensemble import BaggedSGDClassifier


@pytest.fixture(scope="module")
def by_class():
    """Digits in the order of their classes, as a folder has them."""
    X, y = load_digits(return_X_y=True)
    order = np.argsort(y, kind="stable")
    return X[order].astype(np.float32), y[order]


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(skcnn.distributed._parts, "BLOCK_BYTES", 4 * 64 * 50)


@pytest.fixture
def features(by_class, small_blocks, tmp_path):
    X, y = by_class
    return extract_parts(X, FunctionTransformer(), tmp_path / "out", y=y, rows_per_part=400)


def numbers_of(X, batches):
    """Return which rows of X the rows of batches are."""
    place = {row.tobytes(): number for number, row in enumerate(X)}
    return [place[row.tobytes()] for batch, _ in batches for row in batch]


def test_each_row_comes_once_with_its_label(by_class, features):
    X, y = by_class
    shuffled = features.shuffled(random_state=0, buffer_bytes=4 * 64 * 500)
    assert (repr(shuffled), len(shuffled)) == ("<ShuffledFeatures of 1,797 rows>", 1797)
    first, second = list(shuffled), list(shuffled)
    assert len(first) == 4
    for passed in (first, second):
        numbers = numbers_of(X, passed)
        assert sorted(numbers) == list(range(1797))
        assert np.concatenate([labels for _, labels in passed]).tolist() == y[numbers].tolist()
    assert numbers_of(X, first) != numbers_of(X, second)
    again = features.shuffled(random_state=0, buffer_bytes=4 * 64 * 500)
    assert numbers_of(X, again) == numbers_of(X, first)
    # Ten blocks of 50 rows are mixed in a batch, of a folder that is ordered by class.
    assert min(len(np.unique(labels)) for _, labels in first) >= 4
    inside = np.array(numbers_of(X, first[:1])) // 50
    assert np.mean(np.diff(inside) == 0) < 0.3


def test_groups_of_rows_are_read_alone(by_class, features, tmp_path):
    metadata = pq.read_metadata(tmp_path / "out" / "part-00000-of-00005.parquet")
    assert [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)] == [50] * 8
    content = (tmp_path / "out" / "part-00004-of-00005.parquet").read_bytes()
    damaged = bytearray(content)
    damaged[content.find(by_class[0][1700].tobytes())] ^= 1
    (tmp_path / "out" / "part-00004-of-00005.parquet").write_bytes(damaged)
    mask = np.arange(1797) < 1600
    with pytest.raises(ValueError, match=r"part-00004-of-00005.parquet cannot be read .*CRC"):
        list(features.shuffled())
    # Blocks of which no row is wanted are not read.
    assert sum(len(X) for X, _ in features.shuffled(rows=mask, buffer_bytes=1)) == 1600


def test_some_rows(by_class, features):
    X, _ = by_class
    numbers = np.arange(3, 1797, 5)
    for rows in (numbers, np.isin(np.arange(1797), numbers)):
        shuffled = features.shuffled(rows=rows, random_state=0)
        assert len(shuffled) == len(numbers)
        assert sorted(numbers_of(X, shuffled)) == numbers.tolist()
    for rows in (np.ones(3, bool), [1797], [-1], [0.5], []):
        with pytest.raises(ValueError, match=r"expected a mask of shape \(1797,\), or row numbers from 0 to 1,796"):
            features.shuffled(rows=rows)
    with pytest.raises(ValueError, match="buffer_bytes=0; expected a positive int"):
        features.shuffled(buffer_bytes=0)


def test_classes_in_order_are_learned_all_the_same(by_class, features):
    X, y = by_class
    streamed = BaggedSGDClassifier(random_state=0).fit_batches(features.shuffled(random_state=0))
    whole = BaggedSGDClassifier(random_state=0).fit(X, y)
    assert streamed.score(X, y) > whole.score(X, y) - 0.01
    # Part by part it is the last class that is learned.
    in_order = BaggedSGDClassifier(random_state=0)
    for X_part, y_part in features.batches():
        in_order.partial_fit(X_part, y_part, classes=range(10))
    assert in_order.score(X, y) < 0.7


def test_urls_and_no_labels(by_class, small_blocks, tmp_path):
    pytest.importorskip("fsspec")
    url = f"memory://{tmp_path.name}/features"
    extract_parts(by_class[0][:120], FunctionTransformer(), url, rows_per_part=100)
    passed = list(load_features(url).shuffled(random_state=0))
    assert sorted(numbers_of(by_class[0], passed)) == list(range(120))
    assert all(labels is None for _, labels in passed)
