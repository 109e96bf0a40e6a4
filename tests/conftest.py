"""What the tests share: real images and weights where SKCNN_SHARED names them, fresh caches, no windows."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from object_store import object_store
from PIL import Image

from skcnn._training import fit_memory
from skcnn.cache import memory_cache

# No window is opened, whatever the machine can show.
os.environ["MPLBACKEND"] = "agg"


def pytest_collection_modifyitems(items):
    """Skip what is slow, visibly, unless it is asked for."""
    if not os.environ.get("SKCNN_SLOW"):
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="slow: set SKCNN_SLOW to run it"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real images and weights; the test is skipped where there is none."""
    folder = os.environ.get("SKCNN_SHARED")
    if not folder:
        pytest.skip("SKCNN_SHARED is not set: this test needs the folder of real images and weights")
    return Path(folder).resolve()


@pytest.fixture(autouse=True, scope="session")
def user_cache(tmp_path_factory):
    """A user's cache folder of the tests' own: exported networks and chosen engines go there, worker processes' too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("user-cache")))
        yield


@pytest.fixture(autouse=True)
def no_remembered_fits(monkeypatch):
    """A test that fits twice sees two fits."""
    monkeypatch.setattr(fit_memory(), "max_bytes", 0)


@pytest.fixture(autouse=True)
def closed_figures():
    """Pyplot holds no figure of another test."""
    yield
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")


@pytest.fixture(scope="session")
def s3_server():
    """A server that speaks S3; the test is skipped where moto or s3fs is not installed."""
    for module in ("moto", "flask_cors", "s3fs"):
        pytest.importorskip(module, reason=f"{module} is not installed: `pip install -e '.[test]'`")
    with object_store() as store:
        yield store


@pytest.fixture
def s3(s3_server, monkeypatch):
    """The same, which fails nothing yet; three tries follow each other at once."""
    monkeypatch.setattr("skcnn._stores._tries.BACKOFF", 0)
    s3_server.faults.clear()
    s3_server.n_requests.clear()
    return s3_server


@pytest.fixture
def cache():
    """The memory cache of the process, empty."""
    memory_cache().clear()
    yield memory_cache()
    memory_cache().clear()


@pytest.fixture
def images() -> np.ndarray:
    """Six different images, (6, 40, 30, 3) uint8: smooth colours with a bright square each."""
    generator = np.random.default_rng(0)
    pixels = np.empty((6, 40, 30, 3), np.uint8)
    for index in range(6):
        small = Image.fromarray(generator.integers(0, 256, (4, 3, 3), dtype=np.uint8))
        pixels[index] = np.asarray(small.resize((30, 40), Image.Resampling.BICUBIC))
        top, left = generator.integers(0, 20, 2)
        pixels[index, top : top + 8, left : left + 8] = 255
    return pixels


@pytest.fixture
def image_files(images, tmp_path) -> list[str]:
    """The same images as PNG files."""
    paths = []
    for index, pixels in enumerate(images):
        paths.append(str(tmp_path / f"image{index}.png"))
        Image.fromarray(pixels).save(paths[-1])
    return paths
