"""A run that is killed goes on from its last epoch, and ends as it would have."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

from skcnn._training import _checkpoints as module
from skcnn._training import run_identity
from skcnn.images import as_images
from skcnn.neural_network import CheckpointError, CNNClassifier


class KilledError(BaseException):
    pass


def killed_after(n_epochs, monkeypatch):
    """Have the run end, as if killed, right after so many checkpoints."""
    count, original = [], module.Checkpoint.save

    def save(self, progress):
        original(self, progress)
        count.append(1)
        if len(count) == n_epochs:
            raise KilledError

    monkeypatch.setattr(module.Checkpoint, "save", save)
    return lambda: monkeypatch.setattr(module.Checkpoint, "save", original)


OPTIONS = {
    "everything": {
        "early_stopping": True,
        "validation_fraction": 0.2,
        "n_iter_no_change": 3,
        "learning_rate_schedule": "plateau",
        "dropout": 0.3,
        "augmentation": "light",
        "batch_norm": "train",
        "class_weight": "balanced",
    },
    "cosine": {"learning_rate_schedule": "cosine", "optimizer": keras.optimizers.SGD(momentum=0.9)},
    # The weights at the end of a phase are not those of its last epoch.
    "averaged": {"optimizer": keras.optimizers.SGD(use_ema=True, ema_momentum=0.9)},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_a_killed_run_ends_as_an_undisturbed_one(task, tiny, tmp_path, monkeypatch, options):
    X, y = task
    parameters = {"head_epochs": 3, "epochs": 4, **options}
    undisturbed = tiny(**parameters).fit(X, y)
    for n_epochs in (2, 3, 5):
        folder = tmp_path / str(n_epochs)
        put_back = killed_after(n_epochs, monkeypatch)
        with pytest.raises(KilledError):
            tiny(**parameters, checkpoint=folder).fit(X, y)
        put_back()
        if n_epochs == 3:
            tiny(random_state=9).fit(X, y)  # something else in between
        resumed = tiny(**parameters, checkpoint=folder).fit(X, y)
        np.testing.assert_array_equal(resumed.predict_proba(X), undisturbed.predict_proba(X))
        pd.testing.assert_frame_equal(resumed.history_, undisturbed.history_)
        assert resumed.best_epoch_ == undisturbed.best_epoch_


def test_a_finished_run_is_not_run_again(task, tiny, tmp_path):
    X, y = task
    epochs = []
    counting = [lambda: keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: epochs.append(epoch))]
    first = tiny(checkpoint=tmp_path, callbacks=counting).fit(X, y)
    n_epochs = len(epochs)
    again = tiny(checkpoint=tmp_path, callbacks=counting).fit(X, y)
    assert len(epochs) == n_epochs == 5
    np.testing.assert_array_equal(first.predict_proba(X), again.predict_proba(X))


def test_every_run_has_a_file_of_its_own(task, tiny, tmp_path):
    X, y = task
    runs = [(X, y), (X, y[::-1]), (X[::-1], y)]
    for run in runs:
        tiny(checkpoint=tmp_path).fit(*run)
    tiny(checkpoint=tmp_path, learning_rate=0.02).fit(X, y)
    tiny(checkpoint=tmp_path, random_state=1).fit(X, y)
    tiny(checkpoint=tmp_path, verbose=0, cache=None).fit(X, y)  # nothing that decides the result
    assert len(list(tmp_path.iterdir())) == 5


def test_damaged_and_foreign_checkpoints(task, tiny, tmp_path):
    X, y = task
    tiny(checkpoint=tmp_path).fit(X, y)
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    for damaged in (b"", b"nothing", content[: len(content) // 2], content[:3000] + b"???" + content[3003:]):
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=f"{path.name} is damaged"):
            tiny(checkpoint=tmp_path).fit(X, y)
    other = tmp_path / "other"
    tiny(checkpoint=other, random_state=1).fit(X, y)
    path.write_bytes(next(other.iterdir()).read_bytes())
    with pytest.raises(CheckpointError, match="checkpoint of another run"):
        tiny(checkpoint=tmp_path).fit(X, y)


def test_needs_a_loss_that_can_be_known_again(task, tiny, tmp_path):
    with pytest.raises(ValueError, match="resuming requires a named loss"):
        tiny(checkpoint=tmp_path, loss=lambda y, p: keras.ops.mean((y - p) ** 2)).fit(*task)


def test_a_folder_that_is_none(task, tiny, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"")
    with pytest.raises(CheckpointError, match="Give another folder"):
        tiny(checkpoint=path).fit(*task)


def test_rows_without_a_image(tmp_path):
    images = as_images(np.array([str(tmp_path / "none.png"), None, b"junk"], object))
    assert run_identity([], images) == run_identity([], images)
    assert run_identity([], images) != run_identity([], images.take([0, 1]))


@pytest.mark.parametrize("random_state", [None, np.random.RandomState(0)])
def test_needs_a_seed(task, tiny, tmp_path, random_state):
    with pytest.raises(ValueError, match="resuming requires an integer random_state"):
        tiny(checkpoint=tmp_path, random_state=random_state).fit(*task)


SCRIPT = """
import sys, os, signal, numpy as np
from skcnn.neural_network import CNNClassifier
from skcnn._training import _checkpoints
folder, kill = sys.argv[1], int(sys.argv[2])
original = _checkpoints.Checkpoint.save
def save(self, progress):
    original(self, progress)
    if kill and len(progress.history) == kill:
        os.kill(os.getpid(), signal.SIGKILL)
_checkpoints.Checkpoint.save = save
X = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
y = np.arange(12) % 2
classifier = CNNClassifier("ResNet20", head_epochs=2, epochs=2, learning_rate=0.01, batch_size=4, random_state=0,
                           checkpoint=folder or None).fit(X, y)
np.save(sys.argv[3], classifier.predict_proba(X))
"""


@pytest.mark.slow
def test_a_process_that_is_really_killed(tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    def process(folder, kill, out):
        command = [sys.executable, "-c", SCRIPT, str(folder), str(kill), str(out)]
        return subprocess.run(command, env=environment, capture_output=True).returncode

    assert process(tmp_path / "c", 3, tmp_path / "no.npy") == -signal.SIGKILL
    assert not Path(tmp_path / "no.npy").exists()
    assert process(tmp_path / "c", 0, tmp_path / "a.npy") == 0
    X = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
    undisturbed = CNNClassifier(
        "ResNet20", head_epochs=2, epochs=2, learning_rate=0.01, batch_size=4, random_state=0
    ).fit(X, np.arange(12) % 2)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), undisturbed.predict_proba(X))


def test_memory_of_an_estimator_is_not_shared(task, tiny):
    a = tiny().fit(*task)
    b = CNNClassifier(**a.get_params(deep=False)).fit(*task)
    assert all(x is not z for x, z in zip(a._weights["base"], b._weights["base"], strict=True))
