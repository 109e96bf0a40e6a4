"""The choice between engines, with engines that only pretend to be quick or slow."""

import json
import logging
import re
from types import SimpleNamespace

import numpy as np
import pytest

from skcnn.backbones import get_backbone
from skcnn.engines import Engine, Output, Plan, _auto, clear_engines, get_engine
from skcnn.engines._auto import AutoEngine

PLAN = Plan(get_backbone("ResNet20"), None, "none", 0, (4, 4), "stretch", "float32", (Output("stage3_unit3", "avg"),))


@pytest.fixture
def world(monkeypatch):
    """Two engines whose speeds (seconds an image), build time and features are set at will."""
    world = SimpleNamespace(
        speeds={"keras": 0.1, "openvino": 0.04},
        build_seconds=2.0,
        off_by=0.0,
        error=None,
        installed=True,
        gpu=False,
        precisions={"float32", "bfloat16"},
        exported=set(),
        made=[],
        timed=[],
    )

    class Fake(Engine):
        output_shapes = ((3,),)

        def __init__(self, plan, folder=None):
            if self.name == "openvino" and world.error is not None:
                world.made.append("failed")
                raise world.error
            world.made.append(self.name)
            if self.name == "openvino":
                world.exported.add((plan.network, folder))
            self.build_seconds = world.build_seconds

        def start(self, pixels):
            records = np.ones((len(pixels), 3), np.float32) * np.arange(1, 4, dtype=np.float32)
            records[:, 0] += world.off_by if self.name == "openvino" else 0
            return lambda: records

    class Keras(Fake):
        name = "keras"

    class OpenVINO(Fake):
        name = "openvino"

    def seconds(engine, pixels):
        world.timed.append(engine.name)
        return world.speeds[engine.name] * len(pixels)

    monkeypatch.setattr(_auto, "KerasEngine", Keras)
    monkeypatch.setattr(_auto, "OpenVINOEngine", OpenVINO)
    monkeypatch.setattr(_auto, "_seconds", seconds)
    monkeypatch.setattr(_auto, "has_gpu", lambda: world.gpu)
    monkeypatch.setattr(_auto, "computes_in", lambda precision: precision in world.precisions)
    monkeypatch.setattr(_auto, "_warned", set())
    monkeypatch.setattr(_auto, "is_openvino_installed", lambda: world.installed)
    monkeypatch.setattr(_auto, "is_exported", lambda plan, folder: (plan.network, folder) in world.exported)
    clear_engines()
    yield world
    clear_engines()


def choose(folder, n_images=100_000, plan=PLAN):
    """What a new process would choose."""
    folder.mkdir(parents=True, exist_ok=True)
    return AutoEngine(plan, folder).choose(n_images).name


@pytest.mark.parametrize("openvino", [0.001, 0.099, 0.101, 1.0])
def test_never_the_slower_one(world, tmp_path, openvino):
    world.speeds["openvino"] = openvino
    fastest = "openvino" if openvino < 0.1 else "keras"
    assert choose(tmp_path) == fastest
    assert choose(tmp_path) == fastest


def test_one_slow_round_does_not_decide(world, tmp_path, monkeypatch):
    times = {"keras": iter([0.1, 0.1, 0.1, 0.1]), "openvino": iter([9.0, 9.0, 0.05])}
    monkeypatch.setattr(_auto, "_seconds", lambda engine, pixels: next(times[engine.name]))
    world.build_seconds = 0.0001
    assert choose(tmp_path) == "openvino"


def test_the_choice_is_remembered_over_processes(world, tmp_path):
    for openvino, name in ((0.04, "openvino"), (0.4, "keras")):
        world.speeds["openvino"] = openvino
        folder = tmp_path / name
        assert choose(folder) == name
        world.timed.clear(), world.made.clear()
        assert choose(folder, 1) == name  # a small job too
        assert world.timed == []
        assert world.made == [name]
    (file,) = (tmp_path / "openvino").glob("*.json")
    choice = json.loads(file.read_text())
    assert choice["seconds_an_image"] == pytest.approx({"keras": 0.1, "openvino": 0.04})


def test_what_is_chosen_depends_on_the_machine_and_on_the_precision(world, tmp_path, monkeypatch):
    assert choose(tmp_path) == "openvino"
    world.speeds["openvino"] = 1.0
    assert choose(tmp_path) == "openvino"
    monkeypatch.setattr(_auto, "_machine", lambda: "another machine")
    assert choose(tmp_path) == "keras"
    from dataclasses import replace

    world.speeds["openvino"] = 0.01
    assert choose(tmp_path) == "keras"
    assert choose(tmp_path, plan=replace(PLAN, precision="bfloat16")) == "openvino"


def test_a_small_job_is_not_worth_an_export(world, tmp_path):
    # 0.4 of 0.1 s an image is saved, and an export costs 1.5 times 2 s: 75 images.
    assert choose(tmp_path, 74) == "keras"
    assert world.made == ["keras"]
    assert list(tmp_path.iterdir()) == []
    assert choose(tmp_path, 76) == "openvino"


def test_small_jobs_add_up(world, tmp_path):
    engine = AutoEngine(PLAN, tmp_path)
    assert [engine.choose(24).name for _ in range(4)] == ["keras", "keras", "keras", "openvino"]
    assert [engine.choose(1).name for _ in range(3)] == ["openvino"] * 3
    assert world.made == ["keras", "openvino"]


def test_many_jobs_of_one_image_are_timed_once(world, tmp_path):
    engine = AutoEngine(PLAN, tmp_path)
    for _ in range(50):
        assert engine.choose(1).name == "keras"
    assert world.timed == ["keras"]


def test_a_job_without_images_decides_nothing(world, tmp_path):
    engine = AutoEngine(PLAN, tmp_path)
    for _ in range(3):
        assert engine.choose(0).name == "keras"
    assert world.timed == []


def test_what_was_exported_is_tried_by_the_smallest_job(world, tmp_path):
    world.exported.add((PLAN.network, tmp_path))
    assert choose(tmp_path, 1) == "openvino"


def test_wrong_features_are_not_served(world, tmp_path, caplog):
    world.off_by = 0.01
    with caplog.at_level(logging.WARNING, "skcnn"):
        assert choose(tmp_path) == "keras"
    assert "other features than Keras for ResNet20" in caplog.text
    world.made.clear()
    assert choose(tmp_path) == "keras"  # and the next process knows
    assert world.made == ["keras"]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_no_numbers_are_not_served(world, tmp_path, value):
    world.off_by = value
    with np.errstate(all="ignore"):
        assert choose(tmp_path) == "keras"


def test_bfloat16_is_judged_by_its_own_tolerance(world, tmp_path):
    from dataclasses import replace

    plan = replace(PLAN, precision="bfloat16")
    world.off_by = 0.2
    assert choose(tmp_path / "near", plan=plan) == "openvino"
    world.off_by = 20.0
    assert choose(tmp_path / "far", plan=plan) == "keras"


@pytest.mark.parametrize("error", [RuntimeError("no such operation"), ImportError("nncf"), OSError(28, "disk full")])
def test_an_export_that_fails_leaves_keras(world, tmp_path, error, caplog):
    world.error = error
    engine = AutoEngine(PLAN, tmp_path)
    reason = re.escape(f"({type(error).__name__}: {error})")
    with caplog.at_level(logging.INFO, "skcnn"):
        with pytest.warns(UserWarning, match=f"OpenVINO failed to run ResNet20 {reason}. Keras runs it"):
            assert engine.choose(100_000).name == "keras"
        assert [engine.choose(100_000).name for _ in range(3)] == ["keras"] * 3
        assert world.made == ["keras", "failed"]  # tried once
        assert choose(tmp_path / "another") == "keras"  # and warned of once in a process
    assert "Keras does" in caplog.text


def test_an_export_that_is_interrupted_is_not_the_last_word(world, tmp_path):
    world.error = KeyboardInterrupt()
    engine = AutoEngine(PLAN, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        engine.choose(100_000)
    world.error = None
    assert engine.choose(1).name == "openvino"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b"null",
        b"{}",
        b'{"engine": null}',
        b'{"engine": "magic"}',
        b'{"engine": []}',
        b"\xff\xfe",
    ],
)
def test_a_damaged_choice_is_made_anew(world, tmp_path, content):
    assert choose(tmp_path) == "openvino"
    (file,) = tmp_path.glob("*.json")
    file.write_bytes(content)
    world.timed.clear()
    assert choose(tmp_path) == "openvino"
    assert "openvino" in world.timed
    assert json.loads(file.read_text())["engine"] == "openvino"


def test_a_choice_whose_export_is_gone_or_damaged(world, tmp_path):
    assert choose(tmp_path) == "openvino"
    world.exported.clear()
    assert choose(tmp_path, 1) == "keras"
    assert choose(tmp_path) == "openvino"
    world.error = RuntimeError("damaged")
    with pytest.warns(UserWarning, match=r"OpenVINO failed to run ResNet20 \(RuntimeError: damaged\)"):
        assert choose(tmp_path) == "keras"
    world.installed, world.error = False, None
    assert choose(tmp_path) == "keras"


def test_a_gpu_needs_no_export(world, tmp_path):
    world.gpu = True
    assert choose(tmp_path) == "keras"
    assert world.made == ["keras"]
    assert list(tmp_path.iterdir()) == []


def test_a_cpu_without_bfloat16_leaves_keras_and_no_warning(world, tmp_path):
    from dataclasses import replace

    world.precisions = {"float32"}
    assert choose(tmp_path, plan=replace(PLAN, precision="bfloat16")) == "keras"
    assert world.made == ["keras"]
    assert choose(tmp_path) == "openvino"


def test_without_openvino_it_is_keras(world, tmp_path):
    world.installed = False
    assert choose(tmp_path) == "keras"
    assert world.timed == []


def test_a_folder_that_cannot_be_written(world, tmp_path):
    (tmp_path / "file").write_text("")
    engine = AutoEngine(PLAN, tmp_path / "file" / "engines")
    assert engine.choose(100_000).name == "openvino"
    assert engine.choose(1).name == "openvino"


def test_one_process_settles_it_once(world, tmp_path):
    for n_images in (10, 100_000, 10):
        engine = get_engine(PLAN, "auto", tmp_path, n_images)
    assert engine.name == "openvino"
    assert world.made == ["keras", "openvino"]
    assert get_engine(PLAN, "auto", tmp_path, 1) is engine


def test_the_machine_is_told_by_its_processor_and_versions(monkeypatch):
    _auto._machine.cache_clear()
    machine = _auto._machine()
    import keras

    assert f"keras {keras.__version__}" in machine
    assert "cores" in machine
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,4")
    _auto._machine.cache_clear()
    assert _auto._machine() != machine
    _auto._machine.cache_clear()
