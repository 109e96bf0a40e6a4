"""What a server answers is what the estimator predicts, in whatever form images come."""

import base64
import json
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from chromium import in_chromium, needs_chromium
from PIL import Image

import skcnn
from skcnn.persistence import load_program
from skcnn.serving import create_app
from skcnn.serving._page import page_text


def files_of(images):
    return [("images", (f"{number}.png", image)) for number, image in enumerate(images)]


def texts_of(images):
    return [base64.b64encode(image).decode() for image in images]


def test_answers_are_those_of_the_estimator(served, client_of):
    root, X, models = served
    client, model = client_of([root / "classes.skcnn"]), models["classes"]
    expected = model.predict_proba(X)
    exact = load_program(root / "classes.skcnn").predict_proba(X)
    by_form = [
        client.post("/predict/classes?probabilities=1", files=files_of(X)),
        client.post("/predict?probabilities=1", json={"images": texts_of(X)}),
    ]
    for response in by_form:
        assert response.status_code == 200
        rows = response.json()["images"]
        found = np.array([row["probabilities"] for row in rows])
        np.testing.assert_array_equal(found.astype(np.float32), exact)  # to the last bit, whatever the batch
        np.testing.assert_allclose(found, expected, atol=1e-5)
        assert [row["label"] for row in rows] == model.predict(X).tolist()
    assert [row["name"] for row in by_form[0].json()["images"]] == [f"{number}.png" for number in range(30)]
    one = client.post("/predict?top=2", content=X[3], headers={"content-type": "image/png"}).json()["images"]
    best = np.argsort(-expected[3])[:2]
    assert [entry["label"] for entry in one[0]["top"]] == model.classes_[best].tolist()
    np.testing.assert_allclose([entry["probability"] for entry in one[0]["top"]], expected[3, best], atol=1e-5)


def test_images_of_many_clients_run_together(served, client_of):
    root, X, models = served
    client = client_of([root / "classes.skcnn"])
    expected = models["classes"].predict(X).tolist()
    from concurrent.futures import ThreadPoolExecutor

    def ask(image):
        return client.post("/predict", content=image, headers={"content-type": "image/png"}).json()["images"][0]

    with ThreadPoolExecutor(8) as pool:
        assert [row["label"] for row in pool.map(ask, X * 4)] == expected * 4
    metrics = client.get("/metrics").text
    assert 'skcnn_images_total{model="classes",result="predicted"} 120.0' in metrics
    assert 'skcnn_requests_total{model="classes",status="200"} 120.0' in metrics
    assert 'skcnn_batch_images_sum{model="classes"} 120.0' in metrics


def test_bad_images_among_good_ones(served, client_of):
    root, X, _ = served
    client = client_of([root / "classes.skcnn"])
    rows = client.post("/predict", files=files_of([X[0], b"no image", X[1][:200]])).json()["images"]
    assert "label" in rows[0]
    assert "not an image of a known format" in rows[1]["error"]
    assert rows[2].keys() == {"name", "error"}
    assert client.post("/predict", files=files_of([b"no image"])).status_code == 422


def test_numbers_and_several_models(served, client_of):
    root, X, models = served
    client = client_of({"a": root / "classes.skcnn", "red": root / "numbers.skcnn"})
    rows = client.post("/predict/red", files=files_of(X)).json()["images"]
    np.testing.assert_allclose([row["numbers"][0] for row in rows], models["numbers"].predict(X), rtol=1e-4)
    refused = client.post("/predict", files=files_of(X[:1]))
    assert refused.status_code == 404
    assert "Several models are served; POST to /predict/ and one of ['a', 'red']" in refused.json()["error"]
    listed = client.get("/models").json()["models"]
    assert [(model["name"], model["kind"], model["runs_by"]) for model in listed] == [
        ("a", "classes", "program"),
        ("red", "numbers", "program"),
    ]
    assert listed[0]["classes"] == ["bright", "dark", "middle"]


@pytest.mark.parametrize("in_pixels", [False, True])
def test_open_inference_protocol(in_pixels, served, client_of, tmp_path):
    root, X, models = served
    client = client_of([root / "classes.skcnn"])
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    assert client.get("/v2").json()["name"] == "skcnn"
    about = client.get("/v2/models/classes").json()
    assert about["inputs"] == [{"name": "images", "datatype": "BYTES", "shape": [-1]}]
    assert about["outputs"][1] == {"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]}
    if in_pixels:
        pixels = []
        for number, image in enumerate(X[:3]):
            (tmp_path / f"{number}.png").write_bytes(image)
            pixels.append(np.asarray(Image.open(tmp_path / f"{number}.png")))
        pixels = np.stack(pixels)
        data = {"shape": list(pixels.shape), "datatype": "UINT8", "data": pixels.ravel().tolist()}
    else:
        data = {"shape": [3], "datatype": "BYTES", "data": texts_of(X[:3])}
    answer = client.post("/v2/models/classes/infer", json={"id": "7", "inputs": [{"name": "images", **data}]}).json()
    assert (answer["id"], answer["model_name"]) == ("7", "classes")
    label, probabilities = answer["outputs"]
    assert (label["name"], label["datatype"], label["shape"]) == ("label", "BYTES", [3])
    assert label["data"] == models["classes"].predict(X[:3]).tolist()
    found = np.reshape(probabilities["data"], probabilities["shape"])
    np.testing.assert_allclose(found, models["classes"].predict_proba(X[:3]), atol=1e-5)


@pytest.mark.parametrize(
    ("inputs", "status"),
    [
        (None, 400),
        ([], 400),
        ([{"name": "images", "shape": [1], "datatype": "BYTES", "data": ["/etc/passwd"]}], 400),
        ([{"name": "images", "shape": [2], "datatype": "BYTES", "data": ["aaaa"]}], 400),
        ([{"name": "images", "shape": [1, 2, 2, 3], "datatype": "UINT8", "data": [0] * 11}], 400),
        ([{"name": "images", "shape": [1, 2, 2, 3], "datatype": "UINT8", "data": [256] * 12}], 400),
        ([{"name": "images", "shape": [1, 2, 2, 3], "datatype": "UINT8", "data": [[1], 2]}], 400),
        ([{"name": "images", "shape": [1, 10**9, 10**9, 3], "datatype": "UINT8", "data": []}], 413),
        ([{"name": "images", "shape": [10**9], "datatype": "BYTES", "data": []}], 413),
        ([{"name": "images", "shape": [1], "datatype": "FP32", "data": [0.5]}], 400),
        ([{"name": "images", "shape": [1], "datatype": "BYTES", "data": ["aaaa"]}], 422),
    ],
)
def test_other_inputs_are_refused(inputs, status, served, client_of):
    root, _, _ = served
    response = client_of([root / "classes.skcnn"]).post("/v2/models/classes/infer", json={"inputs": inputs})
    assert (response.status_code, list(response.json())) == (status, ["error"])


def test_what_has_no_program_is_served_by_the_estimator(served, client_of, tmp_path):
    from skcnn.model_selection import with_threshold

    root, X, models = served
    y = models["classes"].predict(X) == "dark"
    careful = with_threshold(skcnn.load(root / "classes.skcnn").fit(X, y), 0.2, pos_label=True)
    skcnn.save(careful, tmp_path / "careful.skcnn", training_features=X)
    client = client_of([tmp_path / "careful.skcnn"])
    (model,) = client.get("/models").json()["models"]
    assert model["runs_by"] == "estimator"
    assert "FixedThresholdClassifier" in model["note"]
    rows = client.post("/predict?probabilities=1", files=files_of([X[0], b"no image", *X[1:]])).json()["images"]
    assert "not an image of a known format" in rows.pop(1)["error"]
    assert [row["label"] for row in rows] == careful.predict(X).tolist()
    np.testing.assert_allclose([row["probabilities"] for row in rows], careful.predict_proba(X), atol=1e-6)
    training = skcnn.load(tmp_path / "careful.skcnn").training_features_
    distances = training.distances(careful.estimator_[0].transform(X))
    np.testing.assert_allclose([row["distance"] for row in rows], distances, rtol=1e-4)
    np.testing.assert_allclose([row["farther_than"] for row in rows], training.farther_than(distances), atol=1e-3)


def test_a_file_without_a_program_gets_one(served, client_of, tmp_path, monkeypatch):
    _, X, models = served
    skcnn.save(models["classes"], tmp_path / "m.skcnn", training_features=X)
    assert load_program(tmp_path / "m.skcnn") is None
    client = client_of([tmp_path / "m.skcnn"])
    (model,) = client.get("/models").json()["models"]
    assert (model["runs_by"], model["note"]) == ("program", None)
    rows = client.post("/predict", files=files_of(X)).json()["images"]
    assert [row["label"] for row in rows] == models["classes"].predict(X).tolist()
    # It is kept.
    monkeypatch.setattr("skcnn.exporting.make_program", lambda model: pytest.fail("it was made again"))
    np.testing.assert_allclose(
        load_program(tmp_path / "m.skcnn").predict_proba(X), models["classes"].predict_proba(X), atol=1e-5
    )
    assert client_of([tmp_path / "m.skcnn"]).get("/models").json()["models"][0]["runs_by"] == "program"
    # And how far images lie from the training set is known.
    training = skcnn.load(tmp_path / "m.skcnn").training_features_
    distances = training.distances(models["classes"][0].transform(X))
    np.testing.assert_allclose([row["distance"] for row in rows], distances, rtol=1e-4)
    np.testing.assert_allclose([row["farther_than"] for row in rows], training.farther_than(distances), atol=1e-3)
    metrics = client.get("/metrics").text
    n_far = sum(row["farther_than"] > 0.95 for row in rows)
    assert f'skcnn_farther_than_bucket{{le="0.95",model="m"}} {30 - n_far}.0' in metrics
    assert 'skcnn_farther_than_count{model="m"} 30.0' in metrics


def test_explained(served, client_of):
    root, X, _ = served
    client = client_of([root / "classes.skcnn"])
    heat = client.post("/explain/classes?label=dark", content=X[0], headers={"content-type": "image/png"})
    assert (heat.status_code, heat.headers["content-type"], heat.content[:4]) == (200, "image/png", b"\x89PNG")
    only = client.post("/explain?label=dark", content=X[0], headers={"content-type": "image/png"})
    assert (only.status_code, only.content) == (200, heat.content)
    both = client_of([root / "classes.skcnn", root / "numbers.skcnn"])
    unnamed = both.post("/explain", content=X[0], headers={"content-type": "image/png"})
    assert (unnamed.status_code, "POST to /explain/ and one of" in unnamed.json()["error"]) == (404, True)
    unknown = client.post("/explain/classes?label=none", content=X[0], headers={"content-type": "image/png"})
    assert (unknown.status_code, unknown.json()["error"]) == (400, "label='none' is not a class of the model.")
    bad = client.post("/explain/classes", content=b"no image", headers={"content-type": "image/png"})
    assert bad.status_code == 422
    without = client_of([root / "classes.skcnn"], explain=False)
    assert without.post("/explain/classes", content=X[0]).status_code == 501
    numbers = client_of([root / "numbers.skcnn"])
    response = numbers.post("/explain/numbers", content=X[0], headers={"content-type": "image/png"})
    assert (response.status_code, "cannot be explained here" in response.json()["error"]) == (501, True)


def test_paths_and_methods_that_there_are_not(served, client_of):
    client = client_of([served[0] / "classes.skcnn"])
    gone = client.get("/none")
    assert (gone.status_code, gone.json()["error"]) == (
        404,
        "There is nothing at /none; GET /openapi.json lists what there is.",
    )
    wrong = client.get("/predict")
    assert (wrong.status_code, wrong.json()["error"]) == (405, "/predict does not take GET; expected POST.")
    assert wrong.headers["allow"] == "POST"


def test_openapi_and_page(served, client_of):
    client = client_of([served[0] / "classes.skcnn"])
    paths = client.get("/openapi.json").json()["paths"]
    assert "multipart/form-data" in paths["/predict/{model}"]["post"]["requestBody"]["content"]
    page = client.get("/").text
    assert "connect-src 'self'" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page


def test_a_server_imports_neither_scikit_learn_nor_keras(served):
    script = (
        "import sys, os, signal, urllib.request\nfrom skcnn.serving import serve\n"
        "def ask(url, app):\n"
        "    import asyncio\n"
        "    asyncio.get_running_loop().run_in_executor(None, answer, url)\n"
        "def answer(url):\n"
        "    request = urllib.request.Request(url + '/predict', open('a.png', 'rb').read())\n"
        "    request.add_header('content-type', 'image/png')\n"
        "    status = urllib.request.urlopen(request).status\n"
        "    heavy = {'sklearn', 'pandas', 'scipy', 'skops', 'keras', 'tensorflow', 'jax', 'torch'}\n"
        "    print(status, sorted(heavy & set(sys.modules)), flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "serve(['classes.skcnn'], port=0, on_ready=ask)"
    )
    root, X, _ = served
    (root / "a.png").write_bytes(X[0])
    run = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True)
    assert (run.stdout, run.stderr, run.returncode) == ("200 []\n", "", -signal.SIGTERM)


def test_json_has_every_digit(served, client_of):
    root, X, _ = served
    client = client_of([root / "classes.skcnn"])
    text = client.post("/predict?probabilities=1", files=files_of(X[:1])).text
    values = np.float32(json.loads(text)["images"][0]["probabilities"])
    assert values.tolist() == load_program(root / "classes.skcnn").predict_proba(X[:1])[0].tolist()


def test_packages_of_the_extra(monkeypatch):
    monkeypatch.setattr("skcnn.serving._serve.find_spec", lambda name: None if name == "uvicorn" else name)
    with pytest.raises(ImportError, match=r"Serving needs uvicorn: `pip install 'skcnn\[serve\]'`"):
        create_app(["m.skcnn"])


def test_models_that_cannot_be_served(served, tmp_path):
    root, _, _ = served
    with pytest.raises(ValueError, match="Got no model"):
        create_app([])
    with pytest.raises(ValueError, match="Two models are called 'classes'"):
        create_app([root / "classes.skcnn", tmp_path / "classes.skcnn"])
    with pytest.raises(ValueError, match="expected a name without slashes"):
        create_app({"a/b": root / "classes.skcnn"})
    from skcnn.feature_extraction import BottleneckFeatures

    skcnn.save(BottleneckFeatures("ResNet20"), tmp_path / "features.skcnn")
    with pytest.raises(TypeError, match="A BottleneckFeatures cannot be served: it predicts nothing"):
        create_app([tmp_path / "features.skcnn"])


class Address:
    """The page of a server, in the place of a file's path."""

    def __init__(self, url):
        self.url = url

    def as_uri(self):
        return self.url


@needs_chromium
@pytest.mark.slow
def test_an_image_dropped_on_the_page(served, client_of, tmp_path, monkeypatch):
    root, X, models = served
    client = client_of([root / "classes.skcnn"])
    script = f"""<script>
    const bytes = Uint8Array.from(atob("{texts_of(X[:1])[0]}"), (letter) => letter.charCodeAt(0));
    const dropped = new DataTransfer();
    dropped.items.add(new File([bytes], "<b>a.png"));
    dropped.items.add(new File([bytes.slice(0, 9)], "b.png"));
    document.dispatchEvent(new DragEvent("drop", {{ dataTransfer: dropped, cancelable: true }}));
    </script></body>"""
    page = re.sub('<meta http-equiv="Content-Security-Policy"[^>]*>', "", page_text()).replace("</body>", script)
    monkeypatch.setattr("skcnn.serving._page.page_text", lambda: page)
    dom, complaints = in_chromium(Address(str(client.base_url)), tmp_path)
    shown = dom.partition('<ol class="results"')[2].partition("</ol>")[0]
    (label,) = models["classes"].predict(X[:1])
    assert f"<h2>{label}</h2>" in shown, complaints[-1000:]
    assert "&lt;b&gt;a.png" in shown
    assert shown.index(f"<h2>{label}</h2>") < shown.index("<h2>Not predicted</h2>")
    assert "not an image of a known format" in shown
    assert f">{label}</span></dt><dd>" in shown
