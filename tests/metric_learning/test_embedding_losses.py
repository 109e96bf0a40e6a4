"""The losses against a reference that goes through all triplets and pairs one by one."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skcnn._keras import import_keras
from skcnn.metric_learning._losses import make_loss, spread


def squared(x, a, b):
    return max(2 - 2 * float(x[a] @ x[b]), 0.0)


def semi_hard(labels, x, margin):
    """The mean over all pairs of one person: of the nearest negative farther than the positive, else the farthest."""
    values = []
    for a, p in itertools.permutations(range(len(x)), 2):
        negatives = [squared(x, a, n) for n in range(len(x)) if labels[n] != labels[a]]
        if labels[a] != labels[p] or not negatives:
            continue
        outside = [d for d in negatives if d > squared(x, a, p)]
        values.append(max(0.0, margin + squared(x, a, p) - (min(outside) if outside else max(negatives))))
    return np.mean(values) if values else 0.0


def hard(labels, x, margin):
    """The mean over anchors: the farthest positive and the nearest negative."""
    values = []
    for a in range(len(x)):
        positives = [squared(x, a, p) for p in range(len(x)) if labels[p] == labels[a] and p != a]
        negatives = [squared(x, a, n) for n in range(len(x)) if labels[n] != labels[a]]
        if positives and negatives:
            values.append(max(0.0, margin + max(positives) - min(negatives)))
    return np.mean(values) if values else 0.0


def contrastive(labels, x, margin):
    pairs = list(itertools.permutations(range(len(x)), 2))
    same = [squared(x, a, b) for a, b in pairs if labels[a] == labels[b]]
    other = [max(0.0, margin - squared(x, a, b) ** 0.5) ** 2 for a, b in pairs if labels[a] != labels[b]]
    return (np.mean(same) if same else 0.0) + (np.mean(other) if other else 0.0)


REFERENCES = {("triplet", "semi-hard"): semi_hard, ("triplet", "hard"): hard, ("contrastive", "hard"): contrastive}


def computed(kind, labels, x, margin):
    ops = import_keras().ops
    values = make_loss(*kind, margin)(ops.convert_to_tensor(labels), ops.convert_to_tensor(x))
    assert tuple(values.shape) == (len(x),)
    return float(ops.convert_to_numpy(ops.mean(values)))


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(sorted(REFERENCES)),
    st.lists(st.integers(0, 3), min_size=6, max_size=7),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.2, 1.0]),
)
def test_losses_are_those_of_every_pair_and_triplet(kind, labels, seed, margin):
    x = np.random.default_rng(seed).normal(size=(len(labels), 3))
    x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    expected = REFERENCES[kind](labels, x, margin)
    assert computed(kind, np.array(labels, "float32"), x, margin) == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize("kind", sorted(REFERENCES))
def test_vectors_that_are_the_same_have_a_finite_gradient(kind):
    keras = import_keras()
    x = keras.Variable(np.tile(np.array([[0.6, 0.8]], "float32"), (4, 1)))
    loss = make_loss(*kind, 0.2)
    if keras.backend.backend() != "tensorflow":
        pytest.skip("the tape is TensorFlow's")
    import tensorflow as tf

    with tf.GradientTape() as tape:
        value = keras.ops.mean(loss(np.array([0, 0, 1, 1], "float32"), x))
    assert np.isfinite(np.asarray(tape.gradient(value, x.value))).all()


def test_spread_is_the_variance_of_unit_vectors():
    x = np.random.default_rng(0).normal(size=(50, 4))
    x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    ops = import_keras().ops
    values = ops.convert_to_numpy(spread(None, ops.convert_to_tensor(x)))
    assert np.allclose(values, x.var(axis=0).sum(), atol=1e-5)
    same = ops.convert_to_numpy(spread(None, ops.convert_to_tensor(np.tile(x[:1], (5, 1)))))
    assert np.allclose(same, 0, atol=1e-6)
