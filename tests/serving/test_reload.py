"""A file that is replaced is loaded again; what was accepted is answered."""

import json
import os
import shutil
import threading
import zipfile

import numpy as np
import pytest

from skcnn.serving import Limits
from skcnn.serving._batching import Batcher, ClosedError
from skcnn.serving._errors import RequestError


def replaced(path, by):
    """Put a file in the place of another, as ``skcnn.save`` does."""
    shutil.copy(by, path.with_suffix(".new"))
    os.replace(path.with_suffix(".new"), path)


def numbers(client, X):
    rows = client.post("/predict", files=[("i", image) for image in X]).json()["images"]
    return [row["numbers"][0] for row in rows]


def labels(client, X):
    return [row["label"] for row in client.post("/predict", files=[("i", image) for image in X]).json()["images"]]


def test_a_replaced_file(served, client_of, tmp_path):
    root, X, models = served
    path = tmp_path / "m.skcnn"
    shutil.copy(root / "classes.skcnn", path)
    client = client_of([path])
    model = client.model("m")
    assert model.refresh() is None
    assert labels(client, X) == models["classes"].predict(X).tolist()
    version = client.get("/models").json()["models"][0]["version"]

    replaced(path, root / "numbers.skcnn")
    assert client.get("/models").status_code == 200  # each request looks at the file
    model.refresh().result()
    np.testing.assert_allclose(numbers(client, X), models["numbers"].predict(X), rtol=1e-4)
    assert client.get("/models").json()["models"][0]["version"] != version
    assert 'skcnn_model_reloads{model="m"} 1.0' in client.get("/metrics").text


def test_a_damaged_file_in_its_place(served, client_of, tmp_path, caplog):
    root, X, models = served
    path, damaged = tmp_path / "m.skcnn", tmp_path / "damaged"
    shutil.copy(root / "classes.skcnn", path)
    client = client_of([path])
    damaged.write_bytes(b"damaged")
    replaced(path, damaged)
    client.model("m").refresh().result()
    assert labels(client, X) == models["classes"].predict(X).tolist()
    assert "is not a file that skcnn.save wrote" in client.get("/models").json()["models"][0]["error"]
    assert 'skcnn_model_stale{model="m"} 1.0' in client.get("/metrics").text
    assert "the model before stays in use" in caplog.text
    path.unlink()
    assert labels(client, X[:1]) == models["classes"].predict(X[:1]).tolist()
    replaced(path, root / "numbers.skcnn")
    client.model("m").refresh().result()
    np.testing.assert_allclose(numbers(client, X), models["numbers"].predict(X), rtol=1e-4)
    assert client.get("/models").json()["models"][0]["error"] is None


def test_what_was_accepted_is_answered_when_the_server_stops(served, client_of):
    root, X, models = served
    client = client_of([root / "classes.skcnn"])
    batcher = client.model("classes").running.batcher
    begun, go, run = threading.Event(), threading.Event(), batcher._run

    def slow(images):
        begun.set()
        assert go.wait(20)
        return run(images)

    batcher._run = slow
    answers = []
    asking = threading.Thread(target=lambda: answers.append(labels(client, X)))
    asking.start()
    assert begun.wait(20)
    client._server.should_exit = True
    go.set()
    asking.join(20)
    assert answers == [models["classes"].predict(X).tolist()]


def test_batches():
    sizes = []
    batcher = Batcher(lambda images: [2 * image for image in images], Limits(), "test", lambda n, s: sizes.append(n))
    with batcher.admit(3) as first, batcher.admit(40) as second:
        results = first.submit([1, 2]), second.submit(list(range(40)))  # one of the three was not an image
        assert [result.result(20) for result in results] == [[2, 4], [2 * number for number in range(40)]]
        assert batcher.n_admitted == 43
    assert batcher.n_admitted == 0
    assert (sum(sizes), max(sizes)) == (42, 32)
    with batcher.admit(1) as none:
        assert none.submit([]).result(20) == []
    batcher.close()
    batcher.join(20)
    with pytest.raises(ClosedError):
        batcher.admit(1)


def test_admitted_images_are_run_after_close():
    batcher = Batcher(lambda images: images, Limits(), "test")
    with batcher.admit(2) as admission:
        batcher.close()
        assert admission.submit(["a", "b"]).result(20) == ["a", "b"]
    batcher.join(20)
    assert not batcher._thread.is_alive()


def test_a_batcher_refuses_what_it_has_no_room_for():
    go = threading.Event()
    batcher = Batcher(lambda images: [go.wait(20)] * len(images), Limits(max_queue=4, max_images=4), "test")
    with batcher.admit(4) as admission:
        result = admission.submit([0] * 4)
        with pytest.raises(RequestError, match="4 images wait, and at most 4 may") as refused:
            batcher.admit(1)
        assert (refused.value.status, refused.value.retry_after) == (503, 1)
        go.set()
        assert result.result(20) == [True] * 4
    batcher.close()


def test_version_is_that_of_the_content(served, client_of, tmp_path):
    root, _, _ = served
    shutil.copy(root / "classes.skcnn", tmp_path / "copy.skcnn")
    client = client_of([root / "classes.skcnn", tmp_path / "copy.skcnn"])
    versions = {model["version"] for model in client.get("/models").json()["models"]}
    with zipfile.ZipFile(root / "classes.skcnn") as archive:
        assert "sha256" in json.loads(archive.read("manifest.json"))
    assert len(versions) == 1
