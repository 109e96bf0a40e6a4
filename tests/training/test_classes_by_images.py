import numpy as np
import pytest

from skcnn._training import classes_by_images

CODES = np.repeat(np.arange(6), [1, 2, 3, 8, 8, 8])
ROWS = np.arange(len(CODES)) + 100


def test_a_batch_has_some_images_of_some_classes():
    sampler = classes_by_images(ROWS, CODES, 3, 4)
    batches = sampler(np.random.default_rng(0))
    assert len(batches) == len(sampler) > 1
    for batch in batches:
        counts = np.unique(CODES[batch - 100], return_counts=True)
        assert len(counts[0]) == 3
        assert [count == min(4, (code == CODES).sum()) for code, count in zip(*counts, strict=True)] == [True] * 3
        assert len(set(batch)) == len(batch)


def test_seeds_decide_and_everything_has_its_turn():
    sampler = classes_by_images(ROWS, CODES, 3, 4)
    same = [sampler(np.random.default_rng(1)) for _ in range(2)]
    assert all(np.array_equal(a, b) for a, b in zip(*same, strict=True))
    other = sampler(np.random.default_rng(2))
    assert any(not np.array_equal(a, b) for a, b in zip(same[0], other, strict=True))
    drawn = np.concatenate([batch for seed in range(30) for batch in sampler(np.random.default_rng(seed))])
    assert set(drawn) == set(ROWS)
    # Classes take turns within an epoch.
    batches = classes_by_images(np.arange(24), np.repeat(np.arange(6), 4), 2, 4)(np.random.default_rng(0))
    assert np.array_equal(np.sort(np.concatenate(batches)), np.arange(24))


def test_more_classes_or_images_than_there_are():
    sampler = classes_by_images(ROWS, CODES, 10, 100)
    assert len(sampler) == 1
    assert np.array_equal(np.sort(sampler(np.random.default_rng(0))[0]), ROWS)


@pytest.mark.parametrize(("n_classes", "n_images"), [(2, 2), (3, 5)])
def test_an_epoch_is_about_all_rows(n_classes, n_images):
    sampler = classes_by_images(np.arange(200), np.repeat(np.arange(20), 10), n_classes, n_images)
    assert len(sampler) == round(200 / (n_classes * n_images))
