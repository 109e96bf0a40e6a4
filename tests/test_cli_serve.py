"""``skcnn serve``: what its options mean, and what it prints."""

import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import skcnn
from skcnn.cli import main
from skcnn.datasets import load_digit_images
from skcnn.feature_extraction import BottleneckFeatures
from skcnn.serving import Limits

pytest.importorskip("fastapi")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    X, y = load_digit_images(return_X_y=True)
    features = BottleneckFeatures("ResNet20", layers="stage1_unit1", engine="keras")
    path = tmp_path_factory.mktemp("models") / "digits.skcnn"
    fitted = make_pipeline(features, LogisticRegression(max_iter=1000)).fit(X[:40], y[:40])
    skcnn.save(skcnn.model_selection.with_threshold(fitted.fit(X[:40], y[:40] > 4), 0.3, pos_label=True), path)
    return path


@pytest.fixture
def asked(monkeypatch):
    """What the command asks of skcnn.serving.serve."""
    found = {}
    monkeypatch.setattr("skcnn.serving.serve", lambda models, **options: found.update(options, models=models))
    monkeypatch.delenv("SKCNN_TOKEN", raising=False)
    return found


def test_options(model, asked, tmp_path):
    (tmp_path / "token").write_text("0123456789abcdef\n")
    limits = ["--max-body", "2.5", "--max-images", "3", "--max-pixels", "4", "--max-batch", "5", "--max-wait", "0.1"]
    arguments = ["serve", str(model), f"new={model}", "--host", "0.0.0.0", "--port", "0", *limits, "--max-queue", "9"]
    assert main([*arguments, "--token-file", str(tmp_path / "token"), "--no-explain"]) == 0
    assert asked.pop("on_ready")
    assert asked == {
        "models": {"digits": str(model), "new": str(model)},
        "host": "0.0.0.0",
        "port": 0,
        "token": "0123456789abcdef",
        "explain": False,
        "limits": Limits(
            max_body=2_500_000, max_images=3, max_pixels=4, max_batch=5, max_wait=0.1, max_queue=9
        ),
    }  # fmt: skip


def test_defaults(model, asked, monkeypatch):
    assert main(["serve", str(model)]) == 0
    assert (asked["host"], asked["port"], asked["token"], asked["explain"]) == ("127.0.0.1", 8000, None, True)
    assert asked["limits"] == Limits()
    monkeypatch.setenv("SKCNN_TOKEN", "a token of the environment")
    assert main(["serve", str(model)]) == 0
    assert asked["token"] == "a token of the environment"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "0.0.0.0"], "--host '0.0.0.0' is reached from other machines; set --token-file or SKCNN_TOKEN"),
        (["--host", "models.example"], "is reached from other machines"),
        (["--token-file", "short"], "The token has 5 letters; expected at least 16"),
        (["--token-file", "none"], "No such file"),
        (["--max-queue", "3"], "--max-images 32 and --max-queue 3; expected a queue that holds"),
        (["--host", "192.0.2.1", "--token-file", "long"], "Cannot listen on 192.0.2.1, port 8000"),
    ],
)
def test_errors_are_in_the_words_of_the_command(arguments, message, model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SKCNN_TOKEN", raising=False)
    (tmp_path / "short").write_text("short")
    (tmp_path / "long").write_text("0123456789abcdef")
    assert main(["serve", str(model), *arguments]) == 1
    assert message in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("port", ["65536", "-1", "http"])
def test_ports(port, model, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["serve", str(model), "--port", port])
    assert stop.value.code == 2
    assert f"argument --port: got {port}; expected an integer in 0..65535" in capsys.readouterr().err


def test_two_of_one_name(model, capsys):
    assert main(["serve", str(model), str(model)]) == 1
    assert "are both called digits; give one as NAME=FILE" in " ".join(capsys.readouterr().err.split())


def test_what_it_prints(model, monkeypatch, capsys):
    def ready(models, *, limits, token, explain, on_ready, **_):
        app = skcnn.serving.create_app(models, limits=limits, token=token, explain=explain)
        on_ready("http://127.0.0.1:1234", app)
        for served in app.state.service.models.values():
            served.close()

    monkeypatch.setattr("skcnn.serving.serve", ready)
    assert main(["serve", str(model)]) == 0
    out, err = capsys.readouterr()
    assert out == "digits: predicts classes, 2 classes, by its estimator\nServing at http://127.0.0.1:1234\n"
    assert err.startswith("skcnn: note: served by the estimator, not by a program: FixedThresholdClassifier cannot be")
