import gc
import json
import os
import shutil
import subprocess
import sys
import threading
import weakref
from dataclasses import replace

import numpy as np
import pytest

from skcnn.backbones import get_backbone
from skcnn.engines import Output, Plan, _openvino_engine, clear_engines
from skcnn.engines._keras_engine import KerasEngine
from skcnn.engines._openvino_engine import OpenVINOEngine, export_folder, is_exported
from skcnn.feature_extraction import BottleneckFeatures

pytest.importorskip("openvino")


def plan_of(precision="float32", image_size=(32, 32), pooling="avg"):
    backbone = get_backbone("ResNet20")
    outputs = tuple(Output(layer.name, pooling) for layer in backbone.layers)
    return Plan(backbone, "cifar10", "cifar10", 0, image_size, "stretch", precision, outputs)


def noise(n, size=(32, 32)):
    return np.random.default_rng(0).integers(0, 256, (n, *size, 3), np.uint8)


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    """A folder that holds the export of the plan."""
    folder = tmp_path_factory.mktemp("engines")
    OpenVINOEngine(plan_of(), folder)
    return folder


@pytest.fixture(scope="module")
def engine(exports):
    return OpenVINOEngine(plan_of(), exports)


@pytest.fixture
def exporting(monkeypatch):
    """The exports that are made, as a list of plans."""
    made = []
    export = _openvino_engine._export
    monkeypatch.setattr(_openvino_engine, "_export", lambda plan, folder: made.append(plan) or export(plan, folder))
    return made


def assert_near(records, expected, tolerance=1e-4):
    assert records.shape == expected.shape
    assert records.dtype == np.float32
    assert np.abs(records - expected).max() <= tolerance * np.abs(expected).max()


def test_any_batch_size_gives_the_same_bits(engine):
    pixels = noise(9)
    whole = engine.run(pixels)
    assert_near(whole, KerasEngine(plan_of()).run(pixels))
    for size in (1, 2, 4, 7):
        parts = [engine.run(pixels[start : start + size]) for start in range(0, 9, size)]
        np.testing.assert_array_equal(np.concatenate(parts), whole)
    np.testing.assert_array_equal(engine.run(pixels[::-1]), whole[::-1])  # not contiguous
    assert engine.run(pixels[:0]).shape == (0, whole.shape[1])


def test_batches_that_overlap_do_not_mix(engine):
    pixels = noise(12)
    whole = engine.run(pixels)
    waiting = [engine.start(pixels[start : start + 3]) for start in range(0, 12, 3)]
    for start, wait in reversed(list(zip(range(0, 12, 3), waiting, strict=True))):
        np.testing.assert_array_equal(wait(), whole[start : start + 3])


def test_pixels_live_until_they_are_read(engine):
    # Nobody else need keep them: what is freed is soon overwritten, or no longer there to be read.
    pixels = noise(3)
    alive = weakref.ref(pixels)
    wait = engine.start(pixels)
    del pixels
    gc.collect()
    assert alive() is not None
    np.testing.assert_array_equal(wait(), engine.run(noise(3)))


def test_threads_share_an_engine(engine):
    pixels, results = noise(16), {}
    expected = engine.run(pixels)

    def work(index):
        for _ in range(5):
            results[index] = engine.run(pixels[index * 4 : index * 4 + 4])

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(np.concatenate([results[index] for index in range(4)]), expected)


def test_after_pixels_of_a_wrong_size_it_still_runs(engine):
    for pixels in (noise(2, (31, 32)), noise(2).astype(np.float32), noise(2)[0]):
        with pytest.raises(ValueError, match=r"expected uint8 \(n, 32, 32, 3\)"):
            engine.run(pixels)
    assert engine.run(noise(2)).shape[0] == 2


def test_maps_have_their_shapes(tmp_path):
    plan = plan_of(pooling=None, image_size=(20, 36))
    engine = OpenVINOEngine(plan, tmp_path)
    assert engine.output_shapes[0] == (20, 36, 16)
    assert_near(engine.run(noise(2, (20, 36))), KerasEngine(plan).run(noise(2, (20, 36))))


RUN = """
import sys
import numpy as np
from pathlib import Path
from skcnn.backbones import get_backbone
from skcnn.engines import Output, Plan, get_engine
backbone = get_backbone("ResNet20")
outputs = tuple(Output(layer.name, "avg") for layer in backbone.layers)
plan = Plan(backbone, "cifar10", "cifar10", 0, (32, 32), "stretch", "float32", outputs)
engine = get_engine(plan, sys.argv[2], Path(sys.argv[1]), 9)
np.save(sys.argv[3], engine.run(np.random.default_rng(0).integers(0, 256, (9, 32, 32, 3), np.uint8)))
print(engine.name, sorted({"keras", "tensorflow", "torch", "jax"} & set(sys.modules)))
"""


def begin(folder, engine, out):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", RUN, str(folder), engine, str(out)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def test_another_process_needs_no_keras(engine, exports, tmp_path):
    process = begin(exports, "openvino", tmp_path / "out.npy")
    assert process.communicate()[0].split("\n")[-2] == "openvino []"
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), engine.run(noise(9)))


def test_what_a_killed_export_left_is_removed(exports, tmp_path):
    name = export_folder(plan_of(), tmp_path).name
    (tmp_path / f".export-{name}-x").mkdir()
    (tmp_path / ".export-another-x").mkdir()  # perhaps at work
    OpenVINOEngine(plan_of(), tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted([name, ".export-another-x"])


def test_two_processes_export_at_once(engine, tmp_path):
    processes = [begin(tmp_path / "engines", "openvino", tmp_path / f"{index}.npy") for index in range(2)]
    assert [process.communicate()[0].split("\n")[-2][:8] for process in processes] == ["openvino"] * 2
    assert [process.returncode for process in processes] == [0, 0]
    for index in range(2):
        np.testing.assert_array_equal(np.load(tmp_path / f"{index}.npy"), engine.run(noise(9)))
    assert os.listdir(tmp_path / "engines") == [export_folder(plan_of(), tmp_path).name]  # nothing is left over


@pytest.mark.filterwarnings("error")
def test_a_folder_that_cannot_be_made(engine, tmp_path, exporting):
    # Not by rights, which root has all of: its parent is a file.
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "engines"
    before = set(os.listdir(_openvino_engine.tempfile.gettempdir()))
    np.testing.assert_array_equal(OpenVINOEngine(plan_of(), folder).run(noise(3)), engine.run(noise(3)))
    assert len(exporting) == 1
    left = set(os.listdir(_openvino_engine.tempfile.gettempdir())) - before
    assert not [name for name in left if name.startswith(".export-")]


@pytest.mark.skipif(os.name != "posix", reason="rights are POSIX's")
def test_others_may_read_an_export(exports, tmp_path):
    (tmp_path / "any").mkdir()
    assert export_folder(plan_of(), exports).stat().st_mode == (tmp_path / "any").stat().st_mode


def cut(path):
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size // 2)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def shapes_gone(path):
    about = json.loads(path.read_text())
    path.write_text(json.dumps({**about, "output_shapes": 7}))


DAMAGE = {
    "weights cut off": lambda folder: cut(folder / "network.bin"),
    "weights flipped": lambda folder: flip(folder / "network.bin"),
    "graph cut off": lambda folder: cut(folder / "network.xml"),
    "weights missing": lambda folder: (folder / "network.bin").unlink(),
    "graph missing": lambda folder: (folder / "network.xml").unlink(),
    "only the folder": lambda folder: [file.unlink() for file in folder.iterdir()],
    "about empty": lambda folder: (folder / "about.json").write_text(""),
    "about a list": lambda folder: (folder / "about.json").write_text("[1]"),
    "about binary": lambda folder: (folder / "about.json").write_bytes(b"\xff\xfe"),
    "about another": lambda folder: shapes_gone(folder / "about.json"),
    "about missing": lambda folder: (folder / "about.json").unlink(),
}


@pytest.fixture
def copying(exports, engine, exporting, monkeypatch):
    """Exports are copied, since making one takes seconds, and this one is at hand."""

    def copied(plan, folder):
        exporting.append(plan)
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copytree(export_folder(plan_of(), exports), folder / ".export-here")
        return folder / ".export-here", engine.output_shapes

    monkeypatch.setattr(_openvino_engine, "_export", copied)
    return exporting


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_export_is_made_anew(engine, tmp_path, copying, damage):
    plan = plan_of()
    target = export_folder(plan, tmp_path)
    OpenVINOEngine(plan, tmp_path)
    damage(target)
    np.testing.assert_array_equal(OpenVINOEngine(plan, tmp_path).run(noise(3)), engine.run(noise(3)))
    assert len(copying) == 2
    assert is_exported(plan, tmp_path)
    OpenVINOEngine(plan, tmp_path)
    assert len(copying) == 2  # it is whole again
    assert os.listdir(tmp_path) == [target.name]


def test_an_export_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def fail(plan):
        raise MemoryError("no memory")

    monkeypatch.setattr(_openvino_engine, "build_record_model", fail)
    with pytest.raises(MemoryError, match="no memory"):
        OpenVINOEngine(plan_of(), tmp_path)
    assert os.listdir(tmp_path) == []


def test_one_export_serves_both_precisions(exports, exporting):
    assert export_folder(plan_of(), exports) == export_folder(plan_of("bfloat16"), exports)
    assert (
        len({export_folder(plan, exports) for plan in (plan_of(), plan_of(pooling="max"), plan_of(image_size=(9, 9)))})
        == 3
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_openvino_engine, "_version", lambda package: "0.0")
        assert export_folder(plan_of(), exports) != export_folder(plan_of(), exports.parent / exports.name / "x")
        assert not is_exported(plan_of(), exports)  # another version makes another export
    assert exporting == []


def compiled_precision(engine):
    return engine._requests[0].request.get_compiled_model().get_property("INFERENCE_PRECISION_HINT").get_type_name()


def can_bfloat16():
    import openvino

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def test_float32_is_float32(engine):
    # OpenVINO's own default on this kind of CPU would be bfloat16.
    assert compiled_precision(engine) == "f32"
    assert_near(engine.run(noise(8)), KerasEngine(plan_of()).run(noise(8)), 1e-5)


@pytest.mark.skipif(not can_bfloat16(), reason="this CPU does not compute in bfloat16")
def test_bfloat16_is_bfloat16(engine, exports):
    rough = OpenVINOEngine(plan_of("bfloat16"), exports)
    assert compiled_precision(rough) == "bf16"
    exact, found = engine.run(noise(8)), rough.run(noise(8))
    assert found.dtype == np.float32
    assert_near(found, exact, 0.1)
    with pytest.raises(AssertionError):
        assert_near(found, exact, 1e-5)


def test_a_cpu_without_bfloat16_says_so(exports, monkeypatch, images):
    class Core:
        @staticmethod
        def get_property(device, name):
            return ["FP32", "INT8"]

    monkeypatch.setattr(_openvino_engine, "_core", Core)
    with pytest.raises(ValueError, match=r"precision='bfloat16'.*use 'float32'"):
        OpenVINOEngine(plan_of("bfloat16"), exports)
    clear_engines()
    features = BottleneckFeatures("ResNet20", precision="bfloat16", engine="openvino", cache=None)
    with pytest.raises(ValueError, match="bfloat16"):
        features.transform(images)
    clear_engines()


def test_without_openvino_the_error_names_the_extra(tmp_path, monkeypatch, images):
    monkeypatch.setattr(_openvino_engine, "is_openvino_installed", lambda: False)
    with pytest.raises(ImportError, match=r"skcnn\[openvino\].*engine='keras'"):
        OpenVINOEngine(plan_of(), tmp_path)
    clear_engines()
    with pytest.raises(ImportError, match=r"skcnn\[openvino\]"):
        BottleneckFeatures("ResNet20", engine="openvino", cache=None).transform(images)
    assert os.listdir(tmp_path) == []


def test_an_export_that_lacks_a_package_says_so(tmp_path, monkeypatch):
    def write(model, path):
        raise ImportError("nothing called nncf")

    monkeypatch.setattr(_openvino_engine, "write_openvino", write)
    with pytest.raises(ImportError, match=r"nothing called nncf.*engine='keras'"):
        OpenVINOEngine(plan_of(), tmp_path)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["a b", "ä-🌻", "a.b", "C:aux", "x" * 100])
def test_a_network_may_have_any_name(engine, tmp_path, copying, name):
    plan = plan_of()
    named = replace(plan, backbone=replace(plan.backbone, name=name))
    folder = tmp_path / "a folder ü" / "b'c"
    np.testing.assert_array_equal(OpenVINOEngine(named, folder).run(noise(2)), engine.run(noise(2)))
    assert is_exported(named, folder)


def test_a_name_is_no_way_out_of_the_folder(tmp_path):
    plan = plan_of()
    for name in ("../../out", "/out", "a/b", "x" * 300):
        named = replace(plan, backbone=replace(plan.backbone, name=name))
        exported = export_folder(named, tmp_path)
        assert exported.parent == tmp_path, name
        assert len(exported.name) < 200


def test_a_symlink_to_the_folder(engine, exports, tmp_path, exporting):
    (tmp_path / "link").symlink_to(exports)
    np.testing.assert_array_equal(OpenVINOEngine(plan_of(), tmp_path / "link").run(noise(2)), engine.run(noise(2)))
    assert exporting == []


def test_a_worker_takes_its_share_of_the_cores(monkeypatch):
    monkeypatch.setattr(_openvino_engine.joblib, "cpu_count", lambda: 8)
    for share, expected in (("2", 2), ("16", 8), ("", 8), ("0", 8), ("2,4", 8), ("-1", 8)):
        monkeypatch.setenv("OMP_NUM_THREADS", share)
        assert _openvino_engine.n_threads() == expected, share
