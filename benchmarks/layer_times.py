"""Which layers of a network take the time in OpenVINO, beside what they multiply, and what makes it faster.

    python benchmarks/layer_times.py
    python benchmarks/layer_times.py --backbone MobileNetV2

Weights are random, with normalisation that fits the generated images. The first table is OpenVINO's own profile
(``PERF_COUNT``) on one thread, one image at a time: the median over the images of each layer's time, added up by kind
of layer. Activations and additions that OpenVINO fuses with a convolution are in its time. "Of the peak" compares
multiplications and additions per second with those of a product of float32 matrices on one thread, in its best round.

The second one is processor time per image in interleaved rounds, two images at a time unless it says otherwise: each
ratio is the median of those within a round, with its range. "ReLU for swish" is another network: it shows what the
activation costs. Eight bits take part where NNCF is installed.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from _images import image_files
from _networks import plan_of, random_weights
from _openvino import Exported
from _reports import add_json, write_report
from _rounds import describe, interleaved, machine, matrix_product, median, ratio, show_ratio, table
from threadpoolctl import threadpool_limits

from skcnn.backbones import get_backbone
from skcnn.engines import clear_engines, get_engine
from skcnn.engines._record import build_record_model
from skcnn.images import as_images, read_batches

HINTS = {"float32": "f32", "bfloat16": "bf16"}
CONVOLUTIONS = ("Convolution", "GroupConvolution")
#: In the order of the table.
KINDS = ("1 x 1", "depthwise", "first", "1 x 1 of one pixel (squeeze-and-excite)", "means", "products and activations")
#: Images that are run before the profile counts.
WARM_UP = 5


def compile_model(model: Any, hint: str, streams: int, batch: int = 1, threads: int | None = None, **more: Any) -> Any:
    """Compile a copy of a network for batches of one size."""
    import openvino

    model = model.clone()
    model.reshape([batch, *list(model.input(0).partial_shape)[1:]])
    options = {"INFERENCE_PRECISION_HINT": hint, "NUM_STREAMS": streams, "INFERENCE_NUM_THREADS": threads or streams}
    return openvino.Core().compile_model(model, "CPU", options | more)


def multiplications(model: Any) -> dict[str, tuple[str, int]]:
    """Return the kind of each convolution, by its name, and its multiplications for an image."""
    found = {}
    for node in model.get_ops():
        if node.get_type_name() in CONVOLUTIONS:
            kernel, out = tuple(node.get_input_shape(1)), tuple(node.get_output_shape(0))
            kind = "first" if kernel[1] == 3 else "1 x 1"
            if node.get_type_name() == "GroupConvolution":
                kind = "depthwise"
            elif np.prod(out[2:]) == 1:
                kind = KINDS[3]
            found[node.get_friendly_name()] = kind, int(np.prod(out[2:]) * np.prod(kernel))
    return found


def profile(model: Any, hint: str, pixels: np.ndarray) -> dict[str, dict[str, float]]:
    """Return milliseconds, multiplications and number of layers of each kind, for an image on one thread."""
    convolutions = multiplications(model)
    request = compile_model(model, hint, 1, PERF_COUNT=True).create_infer_request()
    times: dict[tuple[str, str], list[float]] = {}
    for index, one in enumerate(pixels):
        request.infer([one[None]])
        for layer in request.profiling_info if index >= WARM_UP else ():
            times.setdefault((layer.node_type, layer.node_name), []).append(layer.real_time.total_seconds())
    kinds = {kind: {"ms": 0.0, "multiplications": 0, "layers": 0} for kind in (*KINDS, "other")}
    for (node_type, name), seconds in times.items():
        kind, count = convolutions.get(name, ("other", 0)) if node_type in CONVOLUTIONS else ("other", 0)
        if node_type in CONVOLUTIONS and not count:
            raise RuntimeError(f"OpenVINO names a convolution {name}, which the exported network does not have.")
        if node_type == "ReduceMean":
            kind = "means"
        elif node_type in ("Subgraph", "Eltwise", "Multiply", "Add"):
            kind = KINDS[5]
        if np.median(seconds) > 0:
            kinds[kind]["ms"] += 1e3 * float(np.median(seconds))
            kinds[kind]["multiplications"] += count
            kinds[kind]["layers"] += 1
    return kinds


def with_relu(model: Any) -> Any:
    """Return a copy of a network with ReLU in place of every swish but the gates of squeeze-and-excite."""
    from openvino import opset13

    model = model.clone()
    for node in model.get_ops():
        if node.get_type_name() == "Swish":
            node.output(0).replace(opset13.relu(node.input_value(0)).output(0))
    return model


def keras_export(plan: Any, folder: Path) -> Any:
    """Return the ``openvino.Model`` that Keras's own export gives, which keeps an output for each swish."""
    import openvino

    path = folder / "keras_export.xml"
    build_record_model(plan)[0].export(str(path), format="openvino", verbose=False)
    return openvino.Core().read_model(path)


def variants(exported: Exported, plan: Any, pixels: np.ndarray, folder: Path) -> dict[str, Callable[[], Any]]:
    """Return what is timed, by name; each runs all ``pixels``."""

    def run(model: Any, hint: str, streams: int, batch: int = 1, threads: int | None = None) -> Callable[[], None]:
        compiled = compile_model(model, hint, streams, batch, threads)
        requests = [compiled.create_infer_request() for _ in range(streams)]

        def infer() -> None:
            for start in range(0, len(pixels), batch * streams):
                for index, request in enumerate(requests):
                    first = start + index * batch
                    request.start_async([pixels[first : first + batch]], share_inputs=True)
                for request in requests:
                    request.wait()

        return infer

    model = exported.model()
    keras = get_engine(plan, "keras", folder, len(pixels))
    found: dict[str, Callable[[], Any]] = {
        "float32": run(model, "f32", 2),
        "float32, run by Keras": lambda: keras.run(pixels),
        "float32, one image on both cores": run(model, "f32", 1, threads=2),
        "float32, 2 x 8 images at a time": run(model, "f32", 2, 8),
    }
    if any(node.get_type_name() == "Swish" for node in model.get_ops()):
        found["float32, ReLU for swish"] = run(with_relu(model), "f32", 2)
        found["float32, all outputs of Keras's export"] = run(keras_export(plan, folder), "f32", 2)
    found["bfloat16"] = run(model, "bf16", 2)
    found["bfloat16, 2 x 8 images at a time"] = run(model, "bf16", 2, 8)
    if find_spec("nncf"):
        found["int8"] = run(exported.quantised(pixels), "f32", 2)
    return found


def main(arguments: list[str] | None = None) -> None:
    """Measure a network, print Markdown, and write JSON where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="EfficientNetB0", help="default: %(default)s")
    parser.add_argument("--images", type=int, default=64, help="a multiple of 16 (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=7, help="default: %(default)s")
    add_json(parser)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        size = get_backbone(options.backbone).image_size
        paths = image_files(Path(folder) / "images", options.images, size, None)
        batches = read_batches(as_images(paths), range(len(paths)), size, batch_size=64)
        pixels = np.concatenate([batch.pixels for batch in batches])
        weights = random_weights(options.backbone, pixels[:16], Path(folder) / "random.weights.h5")
        plan = plan_of(options.backbone, weights)
        exported = Exported(plan)
        profiles = {name: profile(exported.model(), hint, pixels) for name, hint in HINTS.items()}
        runs = variants(exported, plan, pixels, Path(folder))
        for one in runs.values():
            one()
        product = matrix_product()
        product_flops = product.pop("flops")()
        multiply = product["matrix product"]

        def on_one_thread() -> None:
            with threadpool_limits(1):  # two threads would wait for each other where other work runs
                multiply()

        rounds = interleaved({**runs, "matrix product": on_one_thread}, options.rounds)
    clear_engines()
    peak = product_flops / min(one["matrix product"]["cpu"] for one in rounds)
    flops = 2 * sum(kind["multiplications"] for kind in profiles["float32"].values())
    report = {"backbone": options.backbone, "peak": peak, "flops": flops, "profiles": profiles, "rounds": rounds}
    write_report(options.json, report)
    print(as_markdown(report, options))


def as_markdown(report: dict[str, Any], options: argparse.Namespace) -> str:
    """Return the tables."""
    profiles, rounds, peak = report["profiles"], report["rounds"], report["peak"]
    wholes = {name: sum(kind["ms"] for kind in kinds.values()) for name, kinds in profiles.items()}
    multiplied = report["flops"] / 2
    lines: list[list[object]] = []
    for kind, found in profiles["float32"].items():
        count = found["multiplications"]
        if found["layers"] or profiles["bfloat16"][kind]["layers"]:
            cells: list[object] = [kind, f"{100 * count / multiplied:.1f} %"]
            for name, whole in wholes.items():
                ms = profiles[name][kind]["ms"]
                cells += [f"{ms:.2f}", f"{100 * ms / whole:.0f} %"]
                cells.append(f"{100 * 2e3 * count / ms / peak:.0f} %" if count and ms else "")
            lines.append(cells)
    total: list[object] = ["all", "100 %"]
    for whole in wholes.values():
        total += [f"{whole:.2f}", "100 %", f"{100 * 1e3 * report['flops'] / whole / peak:.0f} %"]
    header = ["layers", "of the multiplications"]
    for name in profiles:
        header += [f"{name}, ms", "of the time", "of the float32 peak"]
    speeds = []
    for name in rounds[0]:
        if name != "matrix product":
            seconds = median(rounds, name, "cpu") / options.images
            fraction = f"{100 * report['flops'] / seconds / peak:.0f} %"
            speeds.append([name, f"{1e3 * seconds:.2f}", fraction, show_ratio(ratio(rounds, "float32", name, "cpu"))])
    columns = ["how", "processor ms per image", "of the float32 peak", "x float32"]
    head = f"{options.backbone}, {multiplied / 1e6:.0f} million multiplications per image; {describe(machine())}. "
    head += f"{options.images} images, {options.rounds} rounds; peak {peak / 1e9:.0f} GFLOP/s per core."
    return f"{head}\n\n{table(header, [*lines, total])}\n\n{table(columns, speeds)}"


if __name__ == "__main__":
    main()
