"""engine="auto": the fastest engine available, measured once for each network and machine."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import warnings
from contextlib import suppress
from functools import cache
from pathlib import Path
from time import perf_counter

import joblib
import numpy as np

from skcnn._files import replacing
from skcnn._keras import has_gpu
from skcnn.engines._engine import TOLERANCES, Engine
from skcnn.engines._keras_engine import KerasEngine
from skcnn.engines._openvino_engine import (
    OpenVINOEngine,
    computes_in,
    export_folder,
    is_exported,
    is_openvino_installed,
)
from skcnn.engines._plan import Plan

# What OpenVINO takes off the time of most networks, and what an export takes beside building the network: both as
# measured on the networks of the table, and on the cautious side.
EXPECTED_SAVING = 0.4
EXPORT_OVER_BUILD = 1.5

_logger = logging.getLogger("skcnn")


class AutoEngine:
    """Chooses the engine of a network.

    The choice is remembered beside the exported networks, for this machine and these versions. Before it is made,
    Keras runs whatever is too small to earn the export back: images that were run are counted, so that many small
    jobs are worth an export as one large job is, and never more than twice the best possible time is spent.

    Parameters
    ----------
    plan : Plan
    folder : Path
        Where exported networks and choices are kept.
    """

    def __init__(self, plan: Plan, folder: Path):
        self._plan, self._folder = plan, folder
        self._settled: Engine | None = None
        self._keras: KerasEngine | None = None
        self._n_images = 0
        self._keras_seconds: float | None = None

    def choose(self, n_images: int) -> Engine:
        """Return the engine for a job of ``n_images``."""
        self._n_images += n_images
        if self._settled is None:
            self._settled = self._remembered() or self._only_one()
        if self._settled is None and self._is_worth_an_export():
            self._settled = self._measured()
        return self._settled or self._keras_engine()

    def _keras_engine(self) -> KerasEngine:
        if self._keras is None:
            self._keras = KerasEngine(self._plan)
        return self._keras

    def _remembered(self) -> Engine | None:
        try:
            name = json.loads(self._choice_path.read_text())["engine"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        if name == "openvino" and is_openvino_installed() and is_exported(self._plan, self._folder):
            with suppress(Exception):  # damaged files, another OpenVINO: measured again
                return OpenVINOEngine(self._plan, self._folder)
        return self._keras_engine() if name == "keras" else None

    def _only_one(self) -> Engine | None:
        has_a_choice = is_openvino_installed() and not has_gpu() and computes_in(self._plan.precision)
        return None if has_a_choice else self._keras_engine()

    def _is_worth_an_export(self) -> bool:
        if is_exported(self._plan, self._folder):
            return True
        engine = self._keras_engine()
        if not self._n_images:
            return False
        if self._keras_seconds is None:  # once, lest a job of one image cost five for ever
            self._keras_seconds = _seconds(engine, _noise(self._plan.image_size, 4)) / 4
        saving = EXPECTED_SAVING * self._keras_seconds * self._n_images
        return saving > EXPORT_OVER_BUILD * engine.build_seconds

    def _measured(self) -> Engine:
        """Run both engines on a batch; return the faster one, and remember it."""
        engines: list[Engine] = [self._keras_engine()]
        try:
            engines.append(OpenVINOEngine(self._plan, self._folder))
        except Exception as error:
            # Whatever keeps OpenVINO from running this network, Keras runs it.
            _logger.info("OpenVINO cannot run %s (%s): Keras does", self._plan.backbone.name, error)
            _warn_of_failure(self._plan.backbone.name, error)
            return engines[0]
        pixels = _noise(self._plan.image_size, max(8, 2 * joblib.cpu_count()))
        expected, found = (engine.run(pixels) for engine in engines)
        if not _agree(expected, found, self._plan.precision):
            _logger.warning(
                "OpenVINO computes other features than Keras for %s: Keras runs it", self._plan.backbone.name
            )
            self._remember("keras", {})
            return engines[0]
        rounds = [[_seconds(engine, pixels) for engine in engines] for _ in range(3)]
        seconds = dict(zip([engine.name for engine in engines], map(min, zip(*rounds, strict=True)), strict=True))
        fastest = min(engines, key=lambda engine: seconds[engine.name])
        self._remember(fastest.name, {name: value / len(pixels) for name, value in seconds.items()})
        return fastest

    def _remember(self, name: str, seconds_an_image: dict[str, float]) -> None:
        choice = {"engine": name, "seconds_an_image": seconds_an_image, "machine": _machine()}
        # A folder that cannot be written to: the next process measures again.
        with suppress(OSError), replacing(self._choice_path, durable=False) as unfinished:
            unfinished.write_text(json.dumps(choice, indent=1))

    @property
    def _choice_path(self) -> Path:
        digest = hashlib.blake2b(_machine().encode(), digest_size=6).hexdigest()
        exported = export_folder(self._plan, self._folder)
        return exported.with_name(f"{exported.name}-{self._plan.precision}-{digest}.json")


#: The engines that were warned of: an installation that is broken fails for every network.
_warned: set[str] = set()


def _warn_of_failure(network: str, error: Exception) -> None:
    if OpenVINOEngine.name not in _warned:
        _warned.add(OpenVINOEngine.name)
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        warnings.warn(
            f"OpenVINO failed to run {network} ({reason}). Keras runs it, which often takes twice as long; the "
            "features are the same. engine='openvino' raises the error, engine='keras' avoids this warning.",
            stacklevel=2,
        )


def _seconds(engine: Engine, pixels: np.ndarray) -> float:
    begin = perf_counter()
    engine.run(pixels)
    return perf_counter() - begin


def _noise(image_size: tuple[int, int], n_images: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n_images, *image_size, 3), np.uint8)


def _agree(expected: np.ndarray, found: np.ndarray, precision: str) -> bool:
    tolerance = TOLERANCES[precision]
    relative = np.abs(found - expected).max() / (np.abs(expected).max() or 1.0)
    norms = np.linalg.norm(expected, axis=1) * np.linalg.norm(found, axis=1)
    cosines = (expected * found).sum(axis=1)[norms > 0] / norms[norms > 0]
    return bool(relative <= tolerance.relative and cosines.min(initial=1.0) >= tolerance.cosine)


@cache
def _machine() -> str:
    """Return what a measured time depends on: the processor, how many cores there are, and the software."""
    from importlib.metadata import PackageNotFoundError, version

    versions = []
    for package in ("keras", "openvino", "tensorflow", "jax", "torch"):
        with suppress(PackageNotFoundError):
            versions.append(f"{package} {version(package)}")
    processor = platform.processor() or platform.machine()
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        about = [line.split(":")[1].strip() for line in lines[:10] if line.startswith(("model", "cpu family"))]
        processor = " ".join(about) or processor
    backend = os.environ.get("KERAS_BACKEND", "")
    gpu = f"gpu {Path('/dev/nvidiactl').exists()} {os.environ.get('CUDA_VISIBLE_DEVICES', '')}"
    return "; ".join([processor, f"{joblib.cpu_count()} cores", gpu, backend, *versions])
