"""Sources: a sequence of images that are read when needed, cut as an array is."""

import os
import pickle
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, train_test_split
from sklearn.utils import indexable

from skcnn.cache import FeatureCache, MemoryCache
from skcnn.images import (
    BadRow,
    HeldImages,
    ImageSource,
    as_images,
    as_masks,
    check_images,
    drop_bad_images,
    image_sizes,
    one_pass,
    read_batches,
    remembered,
)


def png(value: int) -> bytes:
    file = BytesIO()
    Image.new("RGB", (8, 6), (value, 0, 0)).save(file, "PNG")
    return file.getvalue()


class Squares(ImageSource):
    """Images of one colour, which say how often they were read; those in ``broken`` cannot be."""

    def __init__(self, n=10, broken=(), stamped=True):
        self.n, self.broken, self.stamped = n, set(broken), stamped
        self.calls = []

    def __len__(self):
        return self.n

    def read_many(self, rows):
        self.calls.append(list(rows))
        return [OSError(f"{self.path(row)} is lost") if row in self.broken else png(int(row)) for row in rows]

    def stamp(self, row):
        return f"square {row}" if self.stamped else None

    def path(self, row):
        return f"store/{row}"

    def read_labels(self, rows):
        return np.arange(self.n)[rows] % 2

    def open(self):
        return object()

    @property
    def n_read(self):
        return sum(map(len, self.calls))


def values(source):
    """The red of each image, by which it is known."""
    return [int(as_images(source).decode(row, (1, 1))[0, 0, 0]) for row in range(len(source))]


INDICES = [
    slice(2, 7, 2),
    slice(None, None, -1),
    [3, 1, 1],
    np.array([9, 0]),
    np.arange(10) % 3 == 0,
    [True] * 9 + [False],
    [],
    np.array([], int),
    ([4, 2], ...),
    [-1],
]


@pytest.mark.parametrize("rows", INDICES, ids=str)
def test_indexing_is_numpys_and_gives_the_same_type(rows):
    source = Squares()
    part = source[rows]
    index = (
        rows[0] if isinstance(rows, tuple) else np.asarray(rows, int) if isinstance(rows, list) and not rows else rows
    )
    expected = np.arange(10)[index]
    assert type(part) is Squares
    assert part.shape == (len(part),) == expected.shape
    assert not source.calls
    assert values(part) == expected.tolist()
    assert part.labels().tolist() == (expected % 2).tolist()


@given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=9), min_size=1, max_size=4))
def test_slices_of_slices(choices):
    source, expected = Squares(), np.arange(10)
    for choice in choices:
        choice = [number % len(source) for number in choice]
        source, expected = source[choice], expected[choice]
    assert [source.stamp(row) for row in range(len(source))] == [f"square {row}" for row in expected]
    assert [source.path(row) for row in range(len(source))] == [f"store/{row}" for row in expected]
    assert source.read_many(range(len(source))) == [png(int(row)) for row in expected]


def test_one_row_is_its_bytes():
    source = Squares(3, broken=[2])
    assert source[1] == source[np.int64(-2)] == png(1)
    assert list(source[:2]) == [png(0), png(1)]
    with pytest.raises(IndexError):
        source[3]
    with pytest.raises(IndexError, match="shape"):
        source[[[0, 1]]]
    with pytest.raises(OSError, match="store/2 is lost"):
        source[2]


def test_scikit_learn_cuts_it_without_reading():
    source, y = Squares(), np.arange(10)
    (cut,) = indexable(source)
    assert cut is source
    train, test, y_train, y_test = train_test_split(source, y, random_state=0)
    assert values(train) == y_train.tolist()
    assert values(test) == y_test.tolist()
    source.calls.clear()
    for train, _ in KFold(5).split(source):
        assert len(source[train]) == 8
    assert not source.calls


def test_an_estimator_of_numbers_does_not_read_it():
    source = Squares()
    with pytest.raises(TypeError, match="Squares is not an array; expected an estimator of images"):
        LogisticRegression().fit(source, source.labels())
    assert not source.calls


def test_pickles_hold_rows_and_no_connection():
    source = Squares()
    assert source.opened is source[3:].opened  # one per process
    part = pickle.loads(pickle.dumps(source[[4, 2]]))
    assert type(part) is Squares
    assert values(part) == [4, 2]
    assert part.opened is not source.opened
    assert "_opened" not in pickle.loads(pickle.dumps(source)).__dict__


def test_a_forked_process_opens_its_own():
    source = Squares()
    source._opened = os.getppid(), "of the parent"
    assert source.opened != "of the parent"


def test_repr_and_missing_attributes():
    assert repr(Squares(1)) == "<Squares of 1 image>"
    assert Squares(4)[1:].n == 4  # attributes are those of the whole source
    for source in (Squares(), Squares()[:2]):
        with pytest.raises(AttributeError, match="no_such"):
            source.no_such  # noqa: B018


def test_a_source_without_labels_says_so():
    class Bare(ImageSource):
        def __len__(self):
            return 2

        def read_many(self, rows):
            return [png(0)] * len(rows)

    with pytest.raises(TypeError, match="Bare holds no labels"):
        Bare()[:1].labels()
    assert Bare()[:1].stamp(0) is Bare().path(0) is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda rows: [b"x"], "returned 1 values for 2 rows"),
        (lambda rows: ["x"] * len(rows), "returned a str; expected bytes or an exception per row"),
    ],
)
def test_wrong_answers_of_read_many_are_named(given, message):
    class Wrong(ImageSource):
        def __len__(self):
            return 2

        def read_many(self, rows):
            return given(rows)

    with pytest.raises(TypeError, match=f"Wrong.read_many {message}"):
        Wrong().read_or_reasons([0, 1])


def test_an_error_of_read_many_is_the_reason_of_its_rows():
    class Down(Squares):
        def read_many(self, rows):
            raise ConnectionError("the database is down")

    assert check_images(Down(2))["reason"].tolist() == ["the database is down"] * 2


def test_bytes_of_other_types_are_taken():
    class Views(Squares):
        def read_many(self, rows):
            return [memoryview(bytearray(png(int(row)))) for row in rows]

    assert Views()[3] == png(3)


def test_as_images_lists_nothing():
    images = as_images(Squares())
    assert len(images) == 10
    assert values(images.take([5, 5])) == [5, 5]
    assert images.path(3) == "store/3"
    assert images.size(0) == (6, 8)
    assert not as_images(source := Squares()).items.calls
    assert image_sizes(source).tolist() == [[6, 8]] * 10


def test_bad_rows_are_named_and_dropped():
    source = Squares(5, broken=[1, 3])
    bad = check_images(source[1:])
    assert bad.to_numpy().tolist() == [[0, "store/1", "store/1 is lost"], [2, "store/3", "store/3 is lost"]]
    with pytest.warns(UserWarning, match="2 of 5 images"):
        X, y = drop_bad_images(source, source.labels())
    assert type(X) is Squares
    assert values(X) == [0, 2, 4]
    assert y.tolist() == [0, 0, 0]


def test_batches_read_rows_together_and_once():
    source = Squares(100, broken=[70])
    batches = list(read_batches(as_images(source), range(100), (4, 4), batch_size=32))
    assert [len(batch.rows) for batch in batches] == [32, 32, 31, 4]
    assert [batch.pixels[0, 0, 0, 0] for batch in batches] == [0, 32, 64, 96]
    assert batches[2].bad == [BadRow(70, "store/70", "store/70 is lost")]
    assert [len(call) for call in source.calls if call] == [32, 32, 32, 4]


def test_a_batch_may_hold_a_row_twice():
    source = Squares()
    (batch,) = read_batches(as_images(source), [4, 4, 1], (1, 1))
    assert batch.pixels[:, 0, 0, 0].tolist() == [4, 4, 1]


@pytest.mark.parametrize("kind", ["memory", "directory"])
def test_caches_know_rows_by_their_stamps(kind, tmp_path):
    cache = MemoryCache() if kind == "memory" else FeatureCache(tmp_path / "cache")
    source, unstamped = Squares(100, broken=[2]), Squares(5, stamped=False)
    rows = range(100)
    digests = dict(cache.digests(as_images(source), rows))
    assert digests[2] == BadRow(2, "store/2", "store/2 is lost")
    assert digests[7] == as_images([png(7)]).digest(0)
    assert source.n_read == 100
    assert max(map(len, source.calls)) > 1
    again = dict(cache.digests(as_images(source[::-1]), rows))
    assert again[0] == digests[99]
    assert source.n_read == 101  # the broken one
    for n_read in (5, 10):
        assert list(cache.digests(as_images(unstamped), range(5)))[4][1] == digests[4]
        assert unstamped.n_read == n_read


def test_held_rows_are_read_once():
    source = Squares(4, broken=[3])
    images = HeldImages(as_images(source))
    images.fetch([0, 3])
    images.fetch([0, 1])
    assert source.calls == [[0, 3], [1]]
    assert images.read(0) == png(0)
    with pytest.raises(OSError, match="store/3"):
        images.read(3)
    assert sorted(images.sizes()) == sorted([len(png(0)), len(png(1))])
    images.release(0)
    images.release(2)
    assert images.read(0) == png(0)
    assert source.n_read == 4


def test_one_pass_knows_the_same_rows():
    source, other = Squares(), Squares()
    with one_pass():
        for X, expected in [(source[:3], 1), (source[:3], 1), (source[[0, 1, 2]], 1), (source[:2], 2), (other[:3], 3)]:
            given = remembered("network", as_images(X), lambda value=expected: np.full(1, float(value)))
            assert given == expected
        assert remembered("network", as_images([png(0)] * 3), lambda: np.full(1, 4.0)) == 4


def test_masks_may_come_from_a_source():
    class MaskFiles(Squares):
        def read_many(self, rows):
            self.calls.append(list(rows))
            contents = []
            for row in rows:
                file = BytesIO()
                Image.new("L", (2, 2), int(row)).save(file, "PNG")
                contents.append(file.getvalue())
            return contents

    source = MaskFiles()
    masks = as_masks(source)[3:]
    assert masks.labels(0).tolist() == [[3, 3], [3, 3]]
    assert source.n_read == 1
    assert masks.digest(0) != masks.digest(1)
