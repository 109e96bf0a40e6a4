"""What the benchmarks share: interleaved rounds, the machine that they run on, and tables."""

from __future__ import annotations

import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

Runs = dict[str, Callable[[], Any]]
Round = dict[str, dict[str, float]]

#: Products of matrices in a round.
PRODUCTS = 8


def timed(function: Callable[[], Any]) -> tuple[dict[str, float], Any]:
    """Return the seconds on the wall and of the processor (all threads of this process), and the result."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = function()
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}, result


def interleaved(runs: Runs, n_rounds: int) -> list[Round]:
    """Run everything once a round, in an order that turns with every round; return the seconds of each round.

    What else the machine does then falls on all alike, and what is compared was run close together.
    """
    rounds = []
    for index in range(n_rounds):
        names = list(runs) if index % 2 == 0 else list(runs)[::-1]
        rounds.append({name: timed(runs[name])[0] for name in names})
        print(f"  round {index + 1} of {n_rounds}, load {os.getloadavg()[0]:.1f}", file=sys.stderr)
    return rounds


def median(rounds: Sequence[Round], name: str, clock: str) -> float:
    """Return the median over the rounds of the seconds of ``name``."""
    return float(np.median([one[name][clock] for one in rounds]))


def ratio(rounds: Sequence[Round], slow: str, fast: str, clock: str) -> dict[str, float]:
    """Return how many times as long ``slow`` takes as ``fast``: median of the ratios within rounds, and their range."""
    ratios = [one[slow][clock] / one[fast][clock] for one in rounds]
    return {"median": float(np.median(ratios)), "least": min(ratios), "most": max(ratios)}


def show_ratio(value: dict[str, float] | None) -> str:
    """Return a ratio as it stands in a table."""
    return "" if value is None else "{median:.2f} ({least:.2f} to {most:.2f})".format(**value)


def matrix_product(n: int = 2048) -> Runs:
    """Return a float32 matrix product to be run in every round, and its FLOPs by the same name.

    NumPy's on a processor; on a GPU that of Keras's backend, in the precision that the backend takes for float32.
    """
    from skcnn._keras import has_gpu, import_keras

    generator = np.random.default_rng(0)
    if has_gpu():
        keras = import_keras()
        n = 8192
        left, right = (keras.ops.convert_to_tensor(generator.normal(size=(n, n)).astype("float32")) for _ in "ab")
        # Only a sum leaves the GPU: it waits for the product.
        product: Callable[[], Any] = lambda: float(keras.ops.sum(keras.ops.matmul(left, right)))  # noqa: E731
    else:
        a, b = (generator.normal(size=(n, n)).astype("float32") for _ in "ab")
        product = lambda: a @ b  # noqa: E731
    product()
    return {"matrix product": lambda: [product() for _ in range(PRODUCTS)], "flops": lambda: 2 * n**3 * PRODUCTS}


def machine() -> dict[str, Any]:
    """Describe processor, GPU and software, as the head of every table does."""
    from skcnn._keras import import_keras

    return {**hardware_and_versions(), "gpu": gpu_name(), "backend": import_keras().backend.backend()}


def hardware_and_versions() -> dict[str, Any]:
    """Describe processor and software without importing Keras."""
    from importlib.metadata import PackageNotFoundError, version

    processor = platform.processor() or platform.machine()
    with suppress(OSError):
        names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        processor = names[0].split(":")[1].strip() if names else processor
    versions = {}
    for package in ("keras", "tensorflow", "jax", "torch", "openvino", "onnxruntime", "scikit-learn", "numpy"):
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"processor": processor, "cores": cores, "versions": versions}


def gpu_name() -> str | None:
    """Return the name of the GPU that Keras's backend runs on, None if it runs on the processor."""
    from skcnn._keras import has_gpu, import_keras

    if not has_gpu():
        return None
    backend = import_keras().backend.backend()
    if backend == "jax":
        import jax

        return str(jax.devices()[0].device_kind)
    if backend == "torch":
        import torch

        return str(torch.cuda.get_device_name())
    import tensorflow as tf

    device = tf.config.list_physical_devices("GPU")[0]
    return str(tf.config.experimental.get_device_details(device).get("device_name", "GPU"))


def describe(machine: dict[str, Any]) -> str:
    """Return the machine in a line."""
    versions = ", ".join(f"{package} {number}" for package, number in machine["versions"].items())
    gpu = machine["gpu"] or "no GPU (**not measured on GPU**)"
    return f"{machine['cores']} cores of {machine['processor']}, {gpu}, {machine['backend']} backend; {versions}"


def resident_megabytes() -> dict[str, float]:
    """Return how much memory this process takes, now and at its peak, in MB (Linux)."""
    now = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"now": now / 1e6, "peak": max(now, peak) / 1e6}  # the kernel counts the peak a little late


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
