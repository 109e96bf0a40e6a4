"""Overlapping boxes and the best pairs, against all combinations."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skcnn.boxes import Pairs, _pairs, best_pairs, joined, overlapping_pairs, pairwise_iou


def random_boxes(seed, n):
    generator = np.random.default_rng(seed)
    corner = generator.uniform(0, 100, (n, 2))
    return np.concatenate([corner, corner + generator.uniform(1, 40, (n, 2))], axis=1)


@pytest.mark.parametrize("at_least", [0.0, 0.3])
@pytest.mark.parametrize("most", [50, 10**6])
def test_many_boxes_give_what_all_combinations_give(monkeypatch, at_least, most):
    first, second = random_boxes(0, 60), random_boxes(1, 80)
    iou = pairwise_iou(first, second)
    expected = np.nonzero((iou > 0) & (iou >= at_least))
    monkeypatch.setattr(_pairs, "_MOST_ENTRIES", most)
    for few in (0, 10**6):
        monkeypatch.setattr(_pairs, "_FEW_ENTRIES", few)
        found = overlapping_pairs(first, second, at_least=at_least)
        np.testing.assert_array_equal(found[:2], expected)
        np.testing.assert_allclose(found.score, iou[expected])


def test_no_boxes_have_no_pairs():
    nothing = np.empty((0, 4))
    for few, many in ((nothing, nothing), (nothing, random_boxes(0, 3)), (random_boxes(0, 3), nothing)):
        assert len(overlapping_pairs(few, many).score) == 0
    assert len(best_pairs(joined([])).score) == 0


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 5), st.integers(1, 5))
def test_best_pairs_are_the_best_of_all(seed, n_first, n_second):
    generator = np.random.default_rng(seed)
    scores = generator.uniform(0.1, 1, (n_first, n_second)) * (generator.random((n_first, n_second)) < 0.6)
    first, second = np.nonzero(scores)
    pairs = Pairs(first, second, scores[first, second])
    wide = scores if n_first <= n_second else scores.T
    best = max(wide[range(len(wide)), order].sum() for order in permutations(range(wide.shape[1]), len(wide)))
    found = best_pairs(pairs)
    # Apart, as where there are many of them, they are as good.
    apart = best_pairs(pairs._replace(first=pairs.first + 10_000, second=pairs.second + 10_000))
    for chosen in (found, apart):
        assert chosen.score.sum() == pytest.approx(best)
        assert len(set(chosen.first)) == len(set(chosen.second)) == len(chosen.score)
    np.testing.assert_array_equal(best_pairs(pairs, pairs.score * 2), found)
