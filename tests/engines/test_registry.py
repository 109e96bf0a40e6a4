import threading
from dataclasses import replace

import pytest

from skcnn.backbones import get_backbone
from skcnn.engines import Output, Plan, _registry, clear_engines, get_engine, network_lock

PLAN = Plan(get_backbone("ResNet20"), None, "none", 0, (4, 4), "stretch", "float32", (Output("stage3_unit3", "avg"),))


@pytest.fixture
def made(monkeypatch):
    """The engines that are made, by name."""
    made = []

    class Fake:
        def __init__(self, plan, folder=None):
            made.append(plan)

    monkeypatch.setattr(_registry, "KerasEngine", Fake)
    monkeypatch.setattr(_registry, "OpenVINOEngine", Fake)
    clear_engines()
    yield made
    clear_engines()


def test_one_engine_for_a_network_and_a_precision(made, tmp_path):
    keras = get_engine(PLAN, "keras", tmp_path, 1)
    assert get_engine(replace(PLAN, resize="crop"), "keras", tmp_path / "elsewhere", 9) is keras
    others = [
        get_engine(PLAN, "openvino", tmp_path, 1),
        get_engine(replace(PLAN, precision="bfloat16"), "keras", tmp_path, 1),
        get_engine(replace(PLAN, image_size=(4, 5)), "keras", tmp_path, 1),
        get_engine(replace(PLAN, weights_id="others"), "keras", tmp_path, 1),
        get_engine(replace(PLAN, outputs=(Output("stage3_unit3", "max"),)), "keras", tmp_path, 1),
    ]
    assert len({keras, *others}) == len(made) == 6
    clear_engines()
    assert get_engine(PLAN, "keras", tmp_path, 1) is not keras


def test_threads_make_one(made, tmp_path):
    found = []
    threads = [threading.Thread(target=lambda: found.append(get_engine(PLAN, "keras", tmp_path, 1))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == len(made) == 1


def test_an_engine_is_to_be_had_while_another_thread_extracts(made, tmp_path):
    # A cluster's workers may be threads of the process whose call they serve.
    with network_lock(PLAN):
        thread = threading.Thread(target=get_engine, args=(PLAN, "keras", tmp_path, 1), daemon=True)
        thread.start()
        thread.join(30)
    assert not thread.is_alive()
    assert len(made) == 1


def test_what_could_not_be_made_is_tried_again(made, tmp_path, monkeypatch):
    fake = _registry.KerasEngine
    monkeypatch.setattr(_registry, "KerasEngine", None)
    with pytest.raises(TypeError):
        get_engine(PLAN, "keras", tmp_path, 1)
    monkeypatch.setattr(_registry, "KerasEngine", fake)
    assert isinstance(get_engine(PLAN, "keras", tmp_path, 1), fake)
