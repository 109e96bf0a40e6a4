"""The engine for CPUs: OpenVINO, on a network that Keras exported.

The exported network is kept on disk, since the export takes from 3 to 30 seconds. Running it takes neither Keras nor
its backend, not even the import.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
from filelock import FileLock

from skcnn._keras import import_keras, pinned
from skcnn.engines._engine import Engine
from skcnn.engines._keras_engine import frozen_function
from skcnn.engines._plan import Plan
from skcnn.engines._record import Shapes, build_record_model

if TYPE_CHECKING:
    import keras
    import openvino

_HINTS = {"float32": "f32", "bfloat16": "bf16"}

#: Images that wait in line for each core.
IN_LINE = 4


class OpenVINONetwork(Engine):
    """A network of OpenVINO, compiled for the CPU.

    Every image is a request of its own, and a core works on one image at a time: its maps stay in the core's cache,
    and what comes out for an image does not depend on the others of its batch, to the last bit.

    Parameters
    ----------
    network : openvino.Model
        From pixels (n, height, width, 3) uint8 to one output (n, n_values). Its input is fixed to one image.
    image_size : tuple of (height, width)
        In pixels.
    precision : {"float32", "bfloat16"}, default="float32"
        What it computes in.
    """

    name = "openvino"

    def __init__(self, network: openvino.Model, image_size: tuple[int, int], precision: str = "float32"):
        network.reshape([1, *image_size, 3])
        threads = n_threads()
        options = {
            # OpenVINO's own default is bfloat16 wherever the CPU has it.
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "NUM_STREAMS": threads,
            "INFERENCE_NUM_THREADS": threads,
        }
        compiled = _core().compile_model(network, "CPU", options)
        self.output_shapes = (tuple(map(int, compiled.outputs[0].shape))[1:],)
        self._n_values = int(np.prod(self.output_shapes[0]))
        self._shape = (*image_size, 3)
        # Some images wait in line for each core, so that none is idle while Python does something else.
        self._requests = [_Request(compiled.create_infer_request()) for _ in range(IN_LINE * threads)]
        self._turns = itertools.cycle(self._requests)
        self._lock = threading.Lock()

    def start(self, pixels: np.ndarray) -> Callable[[], np.ndarray]:
        """Begin to run a batch; see :meth:`Engine.start`."""
        if pixels.shape[1:] != self._shape or pixels.dtype != np.uint8:
            # OpenVINO would say so too, but never give the request back.
            raise ValueError(f"pixels are {pixels.dtype} {pixels.shape}; expected uint8 (n, {str(self._shape)[1:]}")
        records = np.empty((len(pixels), self._n_values), np.float32)
        with self._lock:
            for row in range(len(pixels)):
                # In turn: the one that was begun first is likely done first.
                next(self._turns).start(pixels[row : row + 1], records[row])

        def finish() -> np.ndarray:
            with self._lock:
                for request in self._requests:
                    if request.record is not None and request.record.base is records:
                        request.finish()
            return records

        return finish


class OpenVINOEngine(OpenVINONetwork):
    """An exported network, run by OpenVINO on the CPU.

    Parameters
    ----------
    plan : Plan
    folder : Path
        Where exported networks are kept. If this one is not there, it is exported.

    Raises
    ------
    ImportError
        If OpenVINO, or what the export needs, is not installed.
    ValueError
        If this CPU does not compute in the precision asked for.
    """

    def __init__(self, plan: Plan, folder: Path):
        if not is_openvino_installed():
            raise ImportError("engine='openvino' needs OpenVINO: `pip install 'skcnn[openvino]'`, or engine='keras'.")
        openvino = _import_openvino()
        core = _core()
        if not computes_in(plan.precision):
            raise ValueError("precision='bfloat16': OpenVINO does not compute in bfloat16 on this CPU; use 'float32'.")
        with _exported(plan, folder) as exported:
            network = core.read_model(exported.path)
            # An export by Keras may have an output for each swish as well, kept for a gradient that nobody asks for:
            # they would cost more than half of the time.
            network = openvino.Model([network.outputs[0].node], network.get_parameters())
            super().__init__(network, plan.image_size, plan.precision)
            self.output_shapes = exported.output_shapes


class _Request:
    """A request to OpenVINO that is used again and again.

    It is waited for, and not called back from: a thread of OpenVINO that enters Python while that ends would abort the
    process.
    """

    def __init__(self, request: Any):
        self.request = request
        self.pixels: np.ndarray | None = None  # read by OpenVINO where they are, and kept alive by nobody else
        self.record: np.ndarray | None = None

    def start(self, pixels: np.ndarray, record: np.ndarray) -> None:
        """Begin to run an image (1, height, width, 3), whose record goes into ``record``."""
        self.finish()
        self.request.start_async([pixels], share_inputs=True)
        self.pixels, self.record = pixels, record

    def finish(self) -> None:
        """Wait for what was begun, if anything was."""
        if self.record is not None:
            self.request.wait()
            self.record[:] = self.request.get_output_tensor(0).data[0]
            self.pixels = self.record = None


class _Exported:
    """An exported network on disk; a context, after which a temporary one is gone."""

    def __init__(self, path: Path, output_shapes: Shapes, temporary: Path | None = None):
        self.path, self.output_shapes, self._temporary = path, output_shapes, temporary

    def __enter__(self) -> _Exported:
        return self

    def __exit__(self, *_: object) -> None:
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)


def export_folder(plan: Plan, folder: Path) -> Path:
    """Return where the exported network of a plan is kept."""
    # The precision is chosen when it is loaded, so that one export serves both.
    made_by = [f"{package} {_version(package)}" for package in ("keras", "openvino")]
    digest = hashlib.blake2b(json.dumps([plan.network, *made_by]).encode(), digest_size=12).hexdigest()
    # The name is for people; it may be anything, a path too.
    name = re.sub(r"[^\w.-]", "_", plan.backbone.name)[:64]
    return folder / f"{name}-{digest}"


def is_exported(plan: Plan, folder: Path) -> bool:
    """Tell whether the network of a plan lies in ``folder``."""
    return os.path.isfile(export_folder(plan, folder) / "about.json")


@cache
def is_openvino_installed() -> bool:
    """Tell whether OpenVINO can be imported, without importing it."""
    return find_spec("openvino") is not None


def computes_in(precision: str) -> bool:
    """Tell whether OpenVINO computes in this precision on this CPU."""
    return precision == "float32" or "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _exported(plan: Plan, folder: Path) -> _Exported:
    target = export_folder(plan, folder)
    shapes = _shapes_if_sound(target)
    if shapes is not None:
        return _Exported(target / "network.xml", shapes)
    lock = target.with_name(f"{target.name}.lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.touch()
    except OSError:  # a folder that cannot be written to: what is exported serves this process alone
        temporary, shapes = _export(plan, None)
        return _Exported(temporary / "network.xml", shapes, temporary)
    with FileLock(lock), _removed(lock):  # processes that need it at once make it once
        shapes = _shapes_if_sound(target)
        if shapes is None:
            # What is there is damaged, or of a process that was killed over it.
            for left in (target, *folder.glob(f".export-{target.name}-*")):
                shutil.rmtree(left, ignore_errors=True)
            temporary, shapes = _export(plan, folder)
            os.rename(temporary, target)  # whole or not at all
    return _Exported(target / "network.xml", shapes)


@contextmanager
def _removed(path: Path) -> Iterator[None]:
    """Remove a lock file in the end; a process that waits for it first looks whether the export is there."""
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()


def _shapes_if_sound(exported: Path) -> Shapes | None:
    """Return the shapes of an exported network's outputs; None where there is none, or a damaged one."""
    try:
        about = json.loads((exported / "about.json").read_text())
        shapes = tuple(tuple(map(int, shape)) for shape in about["output_shapes"])
        return shapes if about["digests"] == _digests(exported) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _digests(exported: Path) -> dict[str, str]:
    # Damaged weights would give wrong features without a word.
    files = (exported / "network.xml", exported / "network.bin")
    return {file.name: hashlib.blake2b(file.read_bytes(), digest_size=16).hexdigest() for file in files}


def _export(plan: Plan, folder: Path | None) -> tuple[Path, Shapes]:
    """Export to a temporary folder in ``folder``, or in the system's place for such."""
    temporary = Path(tempfile.mkdtemp(prefix=f".export-{export_folder(plan, Path()).name}-", dir=folder))
    try:
        temporary.chmod(0o755)  # others may read what they find in a folder that is shared
        # In float32: OpenVINO brings it down to the precision asked for when it loads the network.
        model, shapes = build_record_model(replace(plan, precision="float32"))
        try:
            with _no_telemetry(), pinned():
                write_openvino(model, temporary / "network.xml")
        except ImportError as error:
            message = f"The export to OpenVINO needs another package: {error}. Install it, or use engine='keras'."
            raise ImportError(message) from error
        about = {"network": plan.network, "output_shapes": shapes, "digests": _digests(temporary)}
        (temporary / "about.json").write_text(json.dumps(about))
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return temporary, shapes


def write_openvino(model: keras.Model, path: Path, dtype: str = "uint8") -> None:
    """Write a Keras model as a network of OpenVINO.

    Parameters
    ----------
    model : keras.Model
        Takes pixels (n, height, width, 3), or anything else, and has one output.
    path : Path
        An ``.xml`` file; the weights lie beside it.
    dtype : str, default="uint8"
        Of what the network takes.

    Raises
    ------
    ImportError
        If a package that the export needs is not installed.
    """
    if import_keras().backend.backend() != "tensorflow":
        model.export(str(path), format="openvino", verbose=False)
        return
    # Keras hands OpenVINO an object of TensorFlow, which takes twice as long and ends in a NameError on Python 3.13.
    openvino = _import_openvino()
    graph = path.with_name("graph.pb")
    graph.write_bytes(frozen_function(model, dtype).graph.as_graph_def().SerializeToString())
    openvino.serialize(openvino.convert_model(str(graph)), str(path))
    graph.unlink()


@contextmanager
def _no_telemetry() -> Iterator[None]:
    """Keep OpenVINO from sending usage data, for which its import and its converter fork a process full of threads."""
    before = os.environ.get("CI")
    os.environ["CI"] = "true"  # where it sees this, it sends nothing
    try:
        yield
    finally:
        if before is None:
            del os.environ["CI"]
        else:
            os.environ["CI"] = before


@cache
def _core() -> Any:
    return _import_openvino().Core()


def read_openvino(graph: bytes, weights: bytes) -> openvino.Model:
    """Read a network of OpenVINO from memory.

    Parameters
    ----------
    graph : bytes
        Content of an ``.xml`` file.
    weights : bytes
        Content of the ``.bin`` file beside it.

    Returns
    -------
    openvino.Model

    Raises
    ------
    ImportError
        If OpenVINO is not installed.
    RuntimeError
        If it cannot read them.
    """
    if not is_openvino_installed():
        raise ImportError("This needs OpenVINO: `pip install 'skcnn[openvino]'`.")
    return _core().read_model(graph, weights)


def _import_openvino() -> Any:
    with _no_telemetry():
        return import_module("openvino")


def n_threads() -> int:
    """Return the number of cores that this process may use."""
    # joblib sets this variable in a worker process to its number of cores.
    given = os.environ.get("OMP_NUM_THREADS", "")
    n_cores = joblib.cpu_count()
    return min(n_cores, int(given)) if given.isdigit() and int(given) else n_cores


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
