"""Where time goes: stages of real jobs, which add up to the time of the job, and what is said about them."""

import threading

import numpy as np
import pytest
from PIL import Image
from toy import TOY

import skcnn
from skcnn._timing import same_recorder, timed, timed_batch
from skcnn.cli import main
from skcnn.engines import Engine
from skcnn.feature_extraction import BottleneckFeatures, _extraction
from skcnn.neural_network import CNNClassifier
from skcnn.profiling import _ADVICE, STAGES


class Clock:
    """A clock that stands still unless it is moved."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


class SlowEngine(Engine):
    """The mean of each colour, at 3 seconds per batch to begin and 4 to end."""

    name, output_shapes, batch_size = "keras", ((8,),), 2

    def __init__(self, clock):
        self.clock = clock

    def start(self, pixels):
        self.clock.now += 3

        def end():
            self.clock.now += 4
            return np.repeat(pixels.mean(axis=(1, 2, 3))[:, None], 8, axis=1).astype(np.float32)

        return end


def test_stages_add_up_to_the_time_of_the_job(clock, image_files, monkeypatch):
    monkeypatch.setattr(_extraction, "get_engine", lambda *job: SlowEngine(clock))
    features = BottleneckFeatures(TOY, weights=None, cache=None)
    with skcnn.profile(clock=clock) as profile:
        clock.now += 5
        features.transform(image_files)
    clock.now += 1000
    frame = profile.frame().set_index("stage")
    assert profile.seconds == 5 + 3 * (3 + 4)  # three batches
    assert frame.loc["network", "seconds"] == 21
    assert frame.loc["other", "seconds"] == 5
    assert frame["seconds"].sum() == profile.seconds
    assert frame["fraction"].sum() == pytest.approx(1)
    assert frame["images"][["network", "read", "decode"]].tolist() == [6, 6, 6]
    assert frame.loc["network", "images_per_second"] == pytest.approx(6 / 21)
    assert frame.loc["decode", "threads"] >= 1
    assert frame.loc["decode", "seconds"] == 0
    assert profile.bottleneck == "network"


def in_a_thread(function):
    join = same_recorder()
    thread = threading.Thread(target=lambda: (join(), function()))
    thread.start()
    thread.join()


@pytest.mark.parametrize("slow", ["read", "decode"])
def test_what_is_waited_for_is_named(clock, slow):
    seconds = {"read": 2, "decode": 2, slow: 9}

    def work():
        with timed("decode", 4):
            clock.now += seconds["decode"]
            with timed("read", 4):
                clock.now += seconds["read"]

    with skcnn.profile(clock=clock) as profile:
        with timed("network", 4):
            clock.now += 6
        with timed("wait"):
            in_a_thread(work)
    frame = profile.frame().set_index("stage")
    assert profile.bottleneck == slow
    assert frame.loc["wait", "seconds"] == 11
    assert frame["seconds"].sum() == 17
    assert frame.loc[slow, "thread_seconds"] == 9
    assert frame.loc[slow, "images_per_second"] == pytest.approx(4 / 9)


@pytest.mark.parametrize(("reading", "expected"), [(9, "decode"), (1, "model")])
def test_a_training_that_waits_for_its_batches(clock, reading, expected):
    def work():
        with timed_batch(8), timed("decode", 8):
            clock.now += reading

    with skcnn.profile(clock=clock) as profile, timed("model", 8):
        in_a_thread(work)
        clock.now += 1
    assert profile.bottleneck == expected


def test_every_stage_has_words():
    beside = {"batches"}  # never first: it has no time of its own
    assert set(STAGES) - beside == set(_ADVICE)


def test_text(clock):
    with skcnn.profile(clock=clock) as profile:
        with timed("network", 1500):
            clock.now += 3
        clock.now += 1
    text = str(profile)
    assert "Where time went (4.0 s)" in text
    assert "1,500" in text
    assert "75 %" in text
    assert " 500\n" in text
    assert "Most time goes to network" in text
    assert "OpenVINO" in text
    assert max(map(len, text.split("\n"))) <= 88


def test_a_block_inside_another_one(clock):
    with skcnn.profile(clock=clock) as outer:
        with timed("model"):
            clock.now += 1
        with skcnn.profile(clock=clock) as inner, timed("model"):
            clock.now += 2
        with timed("model"):
            clock.now += 4
    assert inner.frame().set_index("stage").loc["model", "seconds"] == 2
    assert outer.frame().set_index("stage")["seconds"].to_dict() == {"model": 5, "other": 2}


def test_a_job_that_raises_is_measured(clock):
    found = []

    def job():
        with skcnn.profile(clock=clock) as profile, timed("model"):
            found.append(profile)
            clock.now += 2
            raise KeyError

    with pytest.raises(KeyError):
        job()
    assert found[0].seconds == 2
    assert timed("a") is timed("b")


def test_a_network_in_training(tmp_path):
    generator = np.random.default_rng(0)
    paths = [str(tmp_path / f"{row}.png") for row in range(10)]
    for path in paths:
        Image.fromarray(generator.integers(0, 256, (16, 16, 3), np.uint8)).save(path)
    classifier = CNNClassifier(
        TOY, weights="toy", head_epochs=1, epochs=2, unfreeze="all", batch_size=4, cache=None, random_state=0
    )
    with skcnn.profile() as profile:
        classifier.fit(paths, ["a", "b"] * 5)
    frame = profile.frame().set_index("stage")
    assert frame.loc["model", "images"] == 3 * 10
    assert frame.loc["decode", "images"] >= 3 * 10
    assert frame["seconds"].sum() == pytest.approx(profile.seconds, rel=1e-9)
    assert (frame["seconds"] >= 0).all()
    assert frame.loc["model", "seconds"] > 0


def test_commands_show_it(image_files, tmp_path, capsys):
    folder = tmp_path / "set"
    for row, path in enumerate(image_files):
        (folder / "ab"[row % 2]).mkdir(parents=True, exist_ok=True)
        Image.open(path).save(folder / "ab"[row % 2] / f"{row}.png")
    network = ["--backbone", "ResNet20", "--image-size", "8", "--quiet", "--engine", "keras"]
    assert main(["extract", str(folder), "-o", str(tmp_path / "f.csv"), *network]) == 0
    assert "Where time went" not in capsys.readouterr().out
    assert main(["extract", str(folder), "-o", str(tmp_path / "f.csv"), "--profile", *network]) == 0
    shown = capsys.readouterr().out
    assert "Where time went" in shown
    assert "\nwrite " in shown
    assert "Most time goes to" in shown
    assert main(["fit", str(folder), "-o", str(tmp_path / "m.skcnn"), "--profile", *network]) == 0
    shown = capsys.readouterr().out
    assert "\nmodel " in shown
    assert "\nestimate " in shown
    assert "Most time goes to" in shown
