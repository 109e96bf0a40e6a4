import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

from skcnn.model_selection import _split as split_module
from skcnn.model_selection import train_dev_test_split


def labels(n_rows, seed=0):
    return np.random.default_rng(seed).choice(["a", "b", "c"], n_rows, p=[0.7, 0.2, 0.1])


def all_rows(split):
    return np.concatenate([*split.rows().values(), split.left_out])


@given(
    n_rows=st.integers(60, 400),
    dev_size=st.one_of(st.floats(0.1, 0.3), st.integers(10, 15)),
    test_size=st.one_of(st.none(), st.floats(0.1, 0.3), st.integers(10, 15)),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=40, deadline=None)
def test_every_row_is_in_one_part_and_classes_keep_their_shares(n_rows, dev_size, test_size, seed):
    y = np.resize(["a", "a", "a", "b", "b", "c"], n_rows)
    split = train_dev_test_split(y, y, dev_size=dev_size, test_size=test_size, random_state=seed)
    assert np.sort(all_rows(split)).tolist() == list(range(n_rows))
    for part, size in (("dev", dev_size), ("test", 0.2 if test_size is None else test_size)):
        rows = split.rows()[part]
        assert len(rows) == (size if isinstance(size, int) else round(size * n_rows))
        shares = pd.Series(y[rows]).value_counts(normalize=True)
        for label, share in (("a", 1 / 2), ("b", 1 / 3), ("c", 1 / 6)):
            assert abs(shares[label] - share) * len(rows) <= 2


@given(n_groups=st.integers(3, 60), largest=st.integers(1, 30), seed=st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_groups_stay_whole_and_no_part_is_empty(n_groups, largest, seed):
    generator = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n_groups), generator.integers(1, largest + 1, n_groups))
    if len(groups) < 5:
        return
    split = train_dev_test_split(groups, groups=groups, random_state=seed)
    held = [set(groups[rows]) for rows in split.rows().values()]
    assert all(held)
    assert sum(map(len, held)) == n_groups == len(set().union(*held))
    assert np.sort(all_rows(split)).tolist() == list(range(len(groups)))


def test_small_groups_reach_sizes_and_shares():
    y, groups = labels(3000), np.random.default_rng(1).integers(0, 800, 3000)
    frame = train_dev_test_split(y, y, groups=groups, random_state=0).frame(y)
    np.testing.assert_allclose(frame["rows"], [1800, 600, 600], atol=3)
    wanted = np.outer([0.6, 0.2, 0.2], pd.Series(y).value_counts().sort_index())
    np.testing.assert_allclose(frame[["a", "b", "c"]], wanted, atol=3)


def test_groups_are_stratified():
    # Each group is of one class: without stratification a part of 4 groups would often lack one.
    y = np.repeat(["a", "b"], 200)
    groups = np.arange(400) // 20
    for seed in range(10):
        frame = train_dev_test_split(y, y, groups=groups, random_state=seed).frame(y)
        assert frame[["a", "b"]].to_numpy().tolist() == [[120, 120], [40, 40], [40, 40]]


def test_a_group_larger_than_a_part():
    groups = np.r_[np.zeros(50, int), np.arange(1, 51)]
    split = train_dev_test_split(groups, groups=groups, random_state=0)
    assert 0 in groups[split.train]
    assert [len(rows) for rows in split.rows().values()] == [60, 20, 20]


def test_default_sizes_change_at_the_threshold(monkeypatch):
    assert split_module.LARGE == 100_000
    monkeypatch.setattr(split_module, "LARGE", 1000)
    for n_rows, sizes in ((999, [599, 200, 200]), (1000, [980, 10, 10])):
        split = train_dev_test_split(np.zeros(n_rows), random_state=0)
        assert [len(rows) for rows in split.rows().values()] == sizes
        assert split.train_dev is None


def test_two_sources():
    y, target = labels(1000), np.arange(1000) >= 800
    split = train_dev_test_split(y, y, from_target=target, random_state=0)
    assert list(split.rows()) == ["train", "train_dev", "dev", "test"]
    assert [len(rows) for rows in split.rows().values()] == [880, 40, 40, 40]
    assert target[split.dev].all()
    assert target[split.test].all()
    # train-dev is like train: mostly, not only, of the other source.
    assert target[split.train_dev].mean() == pytest.approx(target[split.train].mean(), abs=0.15)
    assert np.sort(all_rows(split)).tolist() == list(range(1000))


def test_a_group_in_dev_is_not_learned_from_by_its_rows_of_the_other_source():
    groups, target = np.arange(1000) % 100, np.arange(1000) < 300
    split = train_dev_test_split(groups, groups=groups, from_target=target, random_state=0)
    held_out = set(groups[split.dev]) | set(groups[split.test])
    assert not held_out & (set(groups[split.train]) | set(groups[split.train_dev]))
    assert not set(groups[split.train]) & set(groups[split.train_dev])
    assert len(split.left_out) == 7 * len(held_out)
    assert np.sort(all_rows(split)).tolist() == list(range(1000))


def test_train_dev_of_one_source():
    split = train_dev_test_split(np.zeros(100), train_dev_size=0.1, random_state=0)
    assert [len(rows) for rows in split.rows().values()] == [54, 6, 20, 20]


def test_random_state():
    y = labels(100)
    first, again, other = (train_dev_test_split(y, y, random_state=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.test, again.test)
    assert first.test.tolist() != other.test.tolist()
    assert first.train.tolist() != sorted(first.train)  # shuffled, as train_test_split does


def test_parts_cut_like_train_test_split():
    X = pd.DataFrame({"path": [f"{row}.jpg" for row in range(100)]})
    y = labels(100)
    split = train_dev_test_split(X, y, random_state=0)
    X_train, X_dev, X_test, y_train, y_dev, y_test = split.parts(X, list(y))
    assert X_train["path"].tolist() == [f"{row}.jpg" for row in split.train]
    assert isinstance(y_dev, list)
    assert (len(X_dev), len(y_test), len(X_test), len(y_train)) == (20, 20, 20, 60)
    with pytest.raises(ValueError, match="100 rows; got an array of 99"):
        split.parts(y[1:])


def test_as_cv_of_a_search():
    generator = np.random.default_rng(0)
    X, y = generator.normal(size=(60, 2)), labels(60)
    split = train_dev_test_split(X, y, random_state=0)
    search = GridSearchCV(LogisticRegression(), {"C": [0.1, 1]}, cv=[(split.train, split.dev)], refit=False).fit(X, y)
    assert search.n_splits_ == 1


def test_text_and_frame():
    y = np.repeat(["a", "b"], [80, 20])
    split = train_dev_test_split(y, y, random_state=0)
    assert str(split) == "train 60 (60.0%), dev 20 (20.0%), test 20 (20.0%)"
    assert split.frame(y).to_numpy().tolist() == [[60, 0.6, 48, 12], [20, 0.2, 16, 4], [20, 0.2, 16, 4]]
    assert list(split.frame().columns) == ["rows", "fraction"]
    names = np.where(np.asarray(y) == y[0], "caf\udce9", "rose")
    assert set(split.frame(names).columns) == {"rows", "fraction", r"caf\udce9", "rose"}


def test_stratify_by_something_else_or_not_at_all():
    y = np.linspace(0, 1, 90)
    with pytest.raises(ValueError, match="y is continuous"):
        train_dev_test_split(y, y)
    train_dev_test_split(y, y, stratify=False)
    bins = np.repeat([0, 1, 2], 30)
    split = train_dev_test_split(y, y, stratify=bins, random_state=0)
    assert np.bincount(bins[split.dev]).tolist() == [6, 6, 6]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dev_size": 0.5, "test_size": 0.5}, "leave none of 20"),
        ({"dev_size": -1}, "dev_size=-1"),
        ({"test_size": 1.5}, "test_size=1.5"),
        ({"test_size": True}, "test_size=True"),
        ({"y": ["a"] * 18 + ["b"] * 2}, "fewer rows than that contain 'b'"),
        (
            {"y": ["a"] * 10 + ["b"] * 10, "groups": [0] * 5 + [1] * 5 + list(range(2, 12))},
            "groups .* contain 'a'",
        ),
        ({"groups": [0, 1] * 10}, "2 groups for 3 parts"),
        ({"groups": [0, 1]}, "inconsistent"),
        ({"y": ["a"]}, "X has 20 rows"),
        ({"from_target": [True] * 20}, "True in every row"),
        ({"from_target": [0, 1] * 10}, "expected booleans"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        train_dev_test_split(np.zeros(20), **arguments)


@pytest.mark.parametrize("missing", [None, np.nan])
def test_rows_of_an_unknown_group_are_refused(missing):
    groups = np.array(["a", "b", missing, "c"] * 5, dtype=object)
    with pytest.raises(ValueError, match="groups has missing values, first in row 2"):
        train_dev_test_split(range(20), groups=groups)


def test_groups_of_mixed_types():
    groups = np.array([1, 2, 3, "a", "b"] * 4, dtype=object)
    split = train_dev_test_split(range(20), groups=groups, random_state=0)
    parts = [set(groups[rows]) for rows in split.rows().values()]
    assert sum(map(len, parts)) == 5


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"stratify": None}, "stratify=None; expected True, False, or labels"),
        ({"y": np.array(["a", None] * 10, dtype=object)}, "y has missing values, first in row 1"),
        ({"y": list(range(5)) * 4, "dev_size": 4}, "dev would have 4 of 20 rows, fewer than its 5 classes"),
    ],
)
def test_labels_that_cannot_be_stratified_by(given, said):
    with pytest.raises(ValueError, match=said):
        train_dev_test_split(range(20), **{"y": [0, 1] * 10, **given})


def test_from_target_as_pandas_booleans():
    target = pd.Series([True] * 15 + [False] * 5, dtype="boolean")
    split = train_dev_test_split(range(20), from_target=target, random_state=0)
    assert set(split.dev) | set(split.test) <= set(range(15))
