"""The formats: how a Keras model becomes a file of a runtime, and where that keeps what is to be known beside it."""

from __future__ import annotations

import json
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from skcnn._keras import import_keras
from skcnn.engines import write_openvino
from skcnn.exporting._frozen_onnx import exported_frozen

#: Version of the operators of ONNX: old enough for runtimes of 2022, and with all that the networks need.
OPSET = 17


def write_onnx(model: Any, path: Path, about: dict[str, Any]) -> None:
    """Write a Keras model as ONNX, with ``about`` in its ``metadata_props``."""
    _need("onnx", "tf2onnx")
    import onnx

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tf2onnx, about NumPy
        proto = _exported_by_keras(model)
        # Keras makes inputs of constants, such as those of a Normalization layer. Some are folded; others are lost.
        lost, unknown = _lost(proto.graph, model), _unknown(proto.graph)
        if (lost or unknown) and import_keras().backend.backend() == "tensorflow":
            proto = exported_frozen(model, OPSET)
            lost, unknown = _lost(proto.graph, model), _unknown(proto.graph)
    if unknown:
        raise TypeError(
            f"The network has the operators {', '.join(unknown)}, which tf2onnx does not write as ONNX. Export it to "
            "another format: .xml for OpenVINO, or .tflite for LiteRT."
        )
    if lost:
        raise TypeError(
            f"Keras's export to ONNX loses constants of the network ({', '.join(lost)}). Export it to another format, "
            "or use a Rescaling layer instead of a Normalization layer that is given its mean."
        )
    graph = proto.graph
    _rename(graph, graph.output[0].name, model.output_names[0])
    for tensor in (*graph.input, *graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_param = "n"
    for name, value in about.items():
        proto.metadata_props.add(key=name, value=value if isinstance(value, str) else json.dumps(value))
    onnx.checker.check_model(proto)
    path.write_bytes(proto.SerializeToString())


def _exported_by_keras(model: Any) -> Any:
    """Return a model as Keras exports it to ONNX."""
    import onnx

    model(model.inputs[0])  # Keras exports no model that was never called
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder, "model.onnx"))
        model.export(file, format="onnx", verbose=False, opset_version=OPSET)
        return onnx.load(file)


def _lost(graph: Any, model: Any) -> list[str]:
    """Return the inputs of a graph that are constants of the model; those that nothing reads are removed."""
    read = {name for node in graph.node for name in node.input}
    for tensor in [tensor for tensor in graph.input if tensor.name not in read]:
        graph.input.remove(tensor)
    return [tensor.name for tensor in graph.input if tensor.name != model.inputs[0].name]


def _unknown(graph: Any) -> list[str]:
    """Return the operators of a graph that ONNX does not have."""
    import onnx

    known = {schema.name for schema in onnx.defs.get_all_schemas()}
    return sorted({node.op_type for node in graph.node if node.domain in ("", "ai.onnx")} - known)


def parted_onnx(path: Path) -> list[bytes]:
    """Return a file of :func:`write_onnx` as a program has it: a small graph, and the values of its tensors."""
    import onnx

    proto = onnx.load(path)
    weights = []
    for tensor in proto.graph.initializer:
        weights.append(onnx.numpy_helper.to_array(tensor).tobytes())
        bare = onnx.TensorProto(name=tensor.name, dims=tensor.dims, data_type=tensor.data_type)
        tensor.CopyFrom(bare)
    used = {node.domain for node in proto.graph.node}
    parted = onnx.ModelProto(ir_version=proto.ir_version, graph=proto.graph)
    # The tool names domains that nothing is from.
    parted.opset_import.extend(operators for operators in proto.opset_import if operators.domain in used)
    return [parted.SerializeToString(), b"".join(weights)]


def _rename(graph: Any, old: str, new: str) -> None:
    """Rename a tensor of an ONNX graph: tools of TensorFlow call every output "Identity"."""
    for node in graph.node:
        for names in (node.input, node.output):
            for number, name in enumerate(names):
                if name == old:
                    names[number] = new
    for tensor in (*graph.input, *graph.output):
        if tensor.name == old:
            tensor.name = new


def write_openvino_ir(model: Any, path: Path, about: dict[str, Any]) -> None:
    """Write a Keras model as OpenVINO's pair of files, ``path`` (.xml) and the weights beside it (.bin).

    ``about`` is its runtime information, under ``skcnn``.
    """
    _need("openvino")
    import openvino

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "model.xml")
        write_openvino(model, file, model.inputs[0].dtype)
        network = openvino.Core().read_model(file)
        network.inputs[0].get_tensor().set_names({model.inputs[0].name})
        network.outputs[0].get_tensor().set_names({model.output_names[0]})
        for name, value in about.items():
            network.set_rt_info(value if isinstance(value, str) else json.dumps(value), ["skcnn", name])
        openvino.save_model(network, path, compress_to_fp16=False)


def write_litert(model: Any, path: Path, about: dict[str, Any]) -> None:
    """Write a Keras model as LiteRT, with ``about`` and the classes as associated files: a zip archive at its end."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "model.tflite")
        model.export(str(file), format="litert", verbose=False)
        with zipfile.ZipFile(file, "a") as archive:
            archive.writestr("skcnn.json", json.dumps(about, indent=1))
            if about.get("classes"):
                archive.writestr("labels.txt", "".join(f"{name}\n" for name in about["classes"]))
        path.write_bytes(file.read_bytes())


#: By the suffix of the file.
WRITERS: dict[str, Callable[[Any, Path, dict[str, Any]], None]] = {
    ".onnx": write_onnx,
    ".xml": write_openvino_ir,
    ".tflite": write_litert,
}


def _need(*packages: str) -> None:
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        extra = "openvino" if "openvino" in missing else "onnx"
        raise ImportError(f"This export needs {' and '.join(missing)}: `pip install 'skcnn[{extra}]'`.")
