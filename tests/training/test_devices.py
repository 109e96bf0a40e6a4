"""Devices that share batches: the parts of a batch, the loss of the whole, and the same training as on one device."""

import json
import os
import socket
import subprocess
import sys
from contextlib import ExitStack, nullcontext
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy import TOY

import skcnn
from skcnn._training import _devices, shared_devices
from skcnn._training._devices import Devices, scaling_of_runs, true_losses
from skcnn.devices import chosen_devices
from skcnn.neural_network import CNNClassifier


def devices(n_devices, rank=0, n_ranks=1):
    return Devices(tuple(f"cpu:{number}" for number in range(n_devices)), nullcontext, rank, n_ranks)


@given(
    n_rows=st.integers(1, 40),
    n_local=st.integers(1, 4),
    n_ranks=st.integers(1, 4),
    seed=st.integers(0, 2**32 - 1),
)
def test_parts_of_a_batch_have_its_weighted_mean(n_rows, n_local, n_ranks, seed):
    generator = np.random.default_rng(seed)
    rows = generator.permutation(1000)[:n_rows]
    losses, weights = generator.normal(size=1000), generator.uniform(0.1, 2, 1000)

    def read(rows, generator):
        return losses[rows], rows, weights[rows]

    parts = [devices(n_local * n_ranks, rank, n_ranks).sharing(read)(rows, generator) for rank in range(n_ranks)]
    sizes = {len(part[0]) for part in parts}
    assert len(sizes) == 1
    assert sizes.pop() % n_local == 0
    found, read_rows, found_weights = (np.concatenate(each) for each in zip(*parts, strict=True))
    # Keras divides by the number of rows, padded ones included.
    assert (found * found_weights).sum() / len(found) == pytest.approx(
        (losses[rows] * weights[rows]).sum() / n_rows, rel=1e-5, abs=1e-6
    )
    assert read_rows[found_weights > 0].tolist() == rows.tolist()
    assert len(found) - n_rows < n_local * n_ranks


@given(sizes=st.lists(st.just(8), max_size=5), last=st.integers(1, 8), seed=st.integers(0, 2**32 - 1))
def test_the_loss_of_an_epoch_counts_true_rows(sizes, last, seed):
    sizes = [*sizes, last]
    losses = np.random.default_rng(seed).uniform(0.5, 2, len(sizes))
    four = devices(4)
    padded = [four.padded(size) for size in sizes]
    shown = {"loss": 0.0}
    callback = true_losses(four, SimpleNamespace(rows=[np.arange(size) for size in sizes]), None)
    callback.set_model(SimpleNamespace(get_metrics_result=lambda: dict(shown)))
    for batch in range(len(sizes)):
        callback.on_train_batch_begin(batch)
        shown["loss"] = np.average(losses[: batch + 1], weights=padded[: batch + 1])
    logs = {"loss": shown["loss"], "accuracy": 0.25}
    callback.on_epoch_end(0, logs)
    assert logs == {"loss": pytest.approx(np.average(losses, weights=sizes)), "accuracy": 0.25}


def test_blocks():
    assert chosen_devices() is None
    with skcnn.on_devices():
        assert chosen_devices() == ("auto", False)
        with skcnn.on_devices(2, linear_scaling=True):
            assert chosen_devices() == (2, True)
        assert chosen_devices() == ("auto", False)
    assert chosen_devices() is None


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        (0, ValueError, "at least 1"),
        (True, TypeError, "'auto' or a number of devices"),
        ("all", TypeError, "'auto' or a number of devices"),
        (1.5, TypeError, "'auto' or a number of devices"),
    ],
)
def test_wrong_numbers_of_devices(given, kind, message):
    with pytest.raises(kind, match=message), skcnn.on_devices(given):
        pass


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TF_CONFIG is TensorFlow's")
def test_several_hosts_of_tensorflow(monkeypatch, images):
    cluster = {"cluster": {"worker": ["one:12345", "two:12345"]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(cluster))
    classifier = CNNClassifier(TOY, weights="toy", head_epochs=1, epochs=0, random_state=0)
    with skcnn.on_devices(), pytest.raises(RuntimeError, match=r"names 2 hosts .*keras#20585.*Use JAX"):
        classifier.fit(images, list("ababab"))
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": {"worker": ["one:12345"]}}))
    with skcnn.on_devices(1):
        assert shared_devices() is None


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="of TensorFlow's devices")
def test_one_device_changes_nothing(monkeypatch):
    monkeypatch.setattr(_devices, "_names", lambda backend: ("/device:CPU:0",))
    with skcnn.on_devices("auto", linear_scaling=True):
        assert shared_devices() is None
        assert scaling_of_runs() == 1
    with skcnn.on_devices(2), pytest.raises(ValueError, match=r"devices=2, but .*'tensorflow' finds 1"):
        shared_devices()


def test_pytorch_has_one_device(monkeypatch):
    monkeypatch.setattr(_devices, "_names", lambda backend: ("cuda:0", "cuda:1"))
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with skcnn.on_devices(), pytest.raises(RuntimeError, match=r"'torch' backend.*'tensorflow' or 'jax'"):
        shared_devices()


def started(script, backend, *arguments):
    """Start a script of this folder, which prints what it found."""
    environment = {**os.environ, "KERAS_BACKEND": backend, "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, Path(__file__).with_name(script), *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def result_of(process):
    """Return what a script found."""
    with process:
        try:
            printed, errors = process.communicate(timeout=600)
        finally:
            process.kill()
    assert process.returncode == 0, errors[-3000:]
    line = next(line for line in printed.splitlines() if line.startswith("FOUND "))
    return json.loads(line.removeprefix("FOUND "))


@pytest.fixture(scope="module")
def found():
    """What estimators learned on one CPU of TensorFlow, and on two virtual ones."""
    return result_of(started("shared_training.py", "tensorflow"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["classifier", "stopping", "regressor"])
def test_two_devices_learn_what_one_does(found, name):
    one, two = (found["fits"][f"{name} {number}"] for number in (1, 2))
    assert set(one["replicas"]) == {1}
    assert set(two["replicas"]) == {2}
    assert one["history"].keys() == two["history"].keys() >= {"loss"}
    for metric, values in one["history"].items():
        np.testing.assert_allclose(two["history"][metric], values, rtol=1e-6, atol=1e-6, err_msg=metric)
    np.testing.assert_allclose(two["outputs"], one["outputs"], atol=1e-5)


@pytest.mark.slow
def test_heads_that_normalise_over_a_part_of_a_batch(found):
    one, two = (found["fits"][f"segmenter {number}"] for number in (1, 2))
    assert one != two
    np.testing.assert_allclose(two, one, rtol=0.05)


@pytest.mark.slow
def test_linear_scaling(found):
    assert found["fits"]["scaled 2"]["learning_rate"] == pytest.approx(found["fits"]["scaled 1"]["learning_rate"])
    assert found["fits"]["scaled 2"]["loss"] == pytest.approx(found["fits"]["scaled 1"]["loss"], rel=1e-6)


@pytest.mark.slow
def test_what_devices_cannot_share(found):
    assert "batch_size=9 on 2 devices; expected a multiple of 2" in found["errors"]["batch_size"]
    assert "batch_norm='train'" in found["errors"]["batch_norm"]
    assert "devices=3, but" in found["errors"]["devices"]


@pytest.mark.slow
def test_two_processes_of_jax_learn_what_one_does(tmp_path):
    pytest.importorskip("jax")
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(2)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        ports = ",".join(str(each.getsockname()[1]) for each in sockets)
    # Folders of their own show who writes.
    names = ("alone", "0", "1")
    processes = [started("shared_training_jax.py", "jax", name, ports, str(tmp_path / name)) for name in names]
    one, *both = [result_of(process) for process in processes]
    for found in both:
        for metric, values in one["history"].items():
            np.testing.assert_allclose(found["history"][metric], values, rtol=1e-6, atol=1e-6, err_msg=metric)
        np.testing.assert_allclose(found["outputs"], one["outputs"], atol=1e-5)
    assert both[0]["outputs"] == both[1]["outputs"]
    assert [len(found["saved"]) for found in both] == [1, 0]
