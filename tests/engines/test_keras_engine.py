import random

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skcnn.backbones import get_backbone
from skcnn.engines import TOLERANCES, Output, Plan, _keras_engine
from skcnn.engines._keras_engine import KerasEngine, fastest_batch_size
from skcnn.feature_extraction import BottleneckFeatures


@pytest.fixture(scope="module")
def engine():
    backbone = get_backbone("ResNet20")
    outputs = tuple(Output(layer.name, pooling) for layer in backbone.layers for pooling in ("avg", "max"))
    return KerasEngine(Plan(backbone, "cifar10", "cifar10", 0, (32, 32), "stretch", "float32", outputs))


def test_any_batch_size_gives_the_same(engine):
    pixels = np.random.default_rng(0).integers(0, 256, (9, 32, 32, 3), np.uint8)
    whole = engine.run(pixels)
    assert (whole.dtype, whole.shape) == (np.float32, (9, sum(size for (size,) in engine.output_shapes)))
    for size in (1, 2, 4, 7):
        parts = [engine.run(pixels[start : start + size]) for start in range(0, 9, size)]
        assert np.abs(np.concatenate(parts) - whole).max() <= 1e-5 * np.abs(whole).max()
    assert np.abs(engine.run(pixels[::-1])[::-1] - whole).max() <= 1e-5 * np.abs(whole).max()


def test_what_building_took_is_told(engine):
    assert engine.build_seconds > 0


class Clock:
    """Runs a batch in the time that ``seconds(n)`` says, or not at all above ``most``."""

    def __init__(self, monkeypatch, seconds, most=10**9):
        self.now, self.seconds, self.most, self.sizes = 0.0, seconds, most, []
        monkeypatch.setattr(_keras_engine, "perf_counter", lambda: self.now)

    def run(self, pixels):
        self.sizes.append(len(pixels))
        if len(pixels) > self.most:
            raise RuntimeError("RESOURCE_EXHAUSTED")
        self.now += self.seconds(len(pixels))


@pytest.mark.parametrize(
    ("seconds", "most", "expected"),
    [
        (lambda n: n, 10**9, 32),  # no faster in company
        (lambda n: 1, 10**9, 1024),  # all at once
        (lambda n: max(n, 128), 10**9, 128),
        (lambda n: 1, 200, 128),  # out of memory beyond
        (lambda n: 1 if n <= 64 else n, 10**9, 64),
    ],
)
def test_the_batch_size_is_found_by_trial(monkeypatch, seconds, most, expected):
    assert fastest_batch_size(Clock(monkeypatch, seconds, most).run, (8, 8)) == expected


def test_a_gpu_without_memory_for_the_smallest_batch_says_so(monkeypatch):
    with pytest.raises(RuntimeError, match="RESOURCE_EXHAUSTED"):
        fastest_batch_size(Clock(monkeypatch, lambda n: 1, 16).run, (8, 8))


@pytest.fixture(scope="module")
def flowers(shared):
    """120 images, their kinds, and what Keras says of them in float32."""
    paths, kinds = [], []
    for folder in sorted(path for path in (shared / "data" / "flowers5").iterdir() if path.is_dir()):
        found = sorted(map(str, folder.iterdir()))
        random.Random(0).shuffle(found)
        paths += found[:24]
        kinds += [folder.name] * 24
    weights = shared / "weights" / "mobilenet_v2_1.0_224.weights.h5"
    transformer = BottleneckFeatures("MobileNetV2", weights=weights, engine="keras", cache=None)
    return paths, np.array(kinds), transformer, transformer.transform(paths)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "precision"), [("keras", "bfloat16"), ("openvino", "bfloat16"), ("openvino", "float32")]
)
def test_tolerances_hold_on_images(flowers, name, precision):
    paths, kinds, transformer, exact = flowers
    if name == "openvino":
        openvino = pytest.importorskip("openvino")
        if precision == "bfloat16" and "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            pytest.skip("this CPU does not compute in bfloat16")
    found = transformer.set_params(engine=name, precision=precision).transform(paths)
    tolerance = TOLERANCES[precision]
    cosine = (exact * found).sum(1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(found, axis=1)
    assert np.abs(exact - found).max() <= tolerance.relative * np.abs(exact).max()
    assert cosine.min() >= tolerance.cosine
    assert cosine.mean() >= 0.99
    head = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500)).fit(exact[::2], kinds[::2])
    one, other = head.predict(exact[1::2]), head.predict(found[1::2])
    assert (one == other).mean() >= 0.9
    assert (other == kinds[1::2]).mean() >= (one == kinds[1::2]).mean() - 0.05
