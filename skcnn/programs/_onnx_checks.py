"""Whether a graph of ONNX of unknown origin may be run, and the graph that ONNX Runtime then gets.

What is allowed is copied to a new graph, so that ONNX Runtime sees nothing that was not looked at. The graph is parsed
by the package onnx, and not here: what reads it must agree with ONNX Runtime about every byte. onnx also knows the
shapes of what operators give, before any of them is run.
"""

from __future__ import annotations

import math
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from skcnn.programs._checks import MAX_GRAPH, MAX_LAYERS, MAX_VALUES, ProgramError

if TYPE_CHECKING:
    import onnx

#: Operators that networks for images are made of. None of them loops, keeps state, or runs another graph. None makes
#: shapes of values or adds axes, either: a row of those asks for endless memory where shapes are found.
# fmt: off
ONNX_OPERATORS = frozenset(
    {
        "Abs", "Add", "AveragePool", "BatchNormalization", "Cast", "Clip", "Concat", "Conv", "DepthToSpace", "Div",
        "Elu", "Erf", "Exp", "Flatten", "Gemm", "GlobalAveragePool", "GlobalMaxPool", "HardSigmoid", "HardSwish",
        "Identity", "LeakyRelu", "Log", "MatMul", "Max", "MaxPool", "Min", "Mul", "Neg", "PRelu", "Pad", "Pow",
        "Reciprocal", "ReduceL2", "ReduceMax", "ReduceMean", "ReduceSum", "ReduceSumSquare", "Relu", "Reshape",
        "Selu", "Sigmoid", "Slice", "Softmax", "Softplus", "Softsign", "SpaceToDepth", "Split", "Sqrt", "Squeeze",
        "Sub", "Sum", "Tanh", "Transpose",
    }
)
# fmt: on

#: Bytes per value of the types that tensors may have, by their numbers in ONNX: float32, uint8, int32, int64, bool.
SIZES = {1: 4, 2: 1, 6: 4, 7: 8, 9: 1}
_FLOAT32, _UINT8 = 1, 2
_INTEGERS = {6: "<i4", 7: "<i8"}

#: ONNX keeps a file within 2 GiB.
MAX_WEIGHTS = 2**31 - 2 * MAX_GRAPH
#: Bytes of a tensor that says what a shape is to be.
_MAX_SHAPE = 1024
#: Of tensors.
_MAX_AXES = 8
#: Lengths and steps of which a sum of a few is no surprise.
_MAX_INTEGER = 2**31 - 1
#: What is divided by.
_POSITIVE = frozenset({"strides", "dilations", "kernel_shape", "group", "blocksize", "num_outputs"})
#: Of the operators.
_VERSIONS = range(13, 22)
#: FLOAT, INT, STRING, FLOATS and INTS: neither tensors nor graphs.
_ATTRIBUTES = frozenset({1, 2, 3, 6, 7})


def checked_onnx(graph: bytes, weights: bytes, image_size: tuple[int, int]) -> bytes:
    """Return a graph of unknown origin as ONNX Runtime may run it: for one image, with its weights.

    Parameters
    ----------
    graph : bytes
        An ONNX file whose initializers have no values.
    weights : bytes
        The values of its initializers, one after the other, in their order.
    image_size : tuple of (height, width)
        In pixels.

    Returns
    -------
    bytes

    Raises
    ------
    ProgramError
        If it is not a graph of ONNX, too large, or has anything else than tensors and operators that are in the list.
    ImportError
        If onnx is not installed.
    """
    if find_spec("onnx") is None:
        raise ImportError("This needs onnx and ONNX Runtime: `pip install 'skcnn[onnx]'`.")
    import onnx
    from google.protobuf.message import DecodeError

    if len(graph) > MAX_GRAPH or len(weights) > MAX_WEIGHTS:
        raise ProgramError(
            f"its graph has {len(graph):,} bytes and its weights {len(weights):,}; expected at most {MAX_GRAPH:,} and "
            f"{MAX_WEIGHTS:,}"
        )
    try:
        read = onnx.ModelProto.FromString(graph)
        model = onnx.ModelProto(ir_version=read.ir_version)
        _copy_versions(read, model)
        fields = {"name", "doc_string", "node", "initializer", "input", "output", "value_info"}
        _check_fields(read.graph, fields, "graph")
        model.graph.name = "program"
        names = _Names()
        _copy_nodes(read.graph, model.graph, names)
        _copy_ends(read.graph, model.graph, names, image_size)
        spans = _copy_initializers(read.graph, model.graph, names, len(weights))
    except (DecodeError, UnicodeDecodeError) as error:
        raise ProgramError(f"its graph is not one of ONNX: {error}") from None
    # What is small may be a shape, and is needed to know what operators give. The rest is not copied twice.
    for tensor, (start, end) in zip(model.graph.initializer, spans, strict=True):
        if end - start <= _MAX_SHAPE:
            tensor.raw_data = weights[start:end]
        if tensor.data_type in _INTEGERS:
            _check_integers(np.frombuffer(tensor.raw_data, _INTEGERS[tensor.data_type]), end - start)
    model.DiscardUnknownFields()
    _check_sizes(model)
    for tensor, (start, end) in zip(model.graph.initializer, spans, strict=True):
        tensor.raw_data = weights[start:end]
    return bytes(model.SerializeToString())


class _Names(dict[Any, str]):
    """New names of tensors by those in the file, which may be long, or no text at all."""

    def __missing__(self, name: Any) -> str:
        self[name] = f"t{len(self)}" if name else ""  # what is left out has no name
        return self[name]


def _copy_versions(read: onnx.ModelProto, model: onnx.ModelProto) -> None:
    _check_fields(read, {"ir_version", "producer_name", "producer_version", "opset_import", "graph"}, "file")
    domains = [(operators.domain, operators.version) for operators in read.opset_import]
    if len(domains) != 1 or domains[0][0] not in ("", "ai.onnx") or domains[0][1] not in _VERSIONS:
        found = ", ".join(f"{domain or 'ai.onnx'} {version}" for domain, version in domains[:10])
        raise ProgramError(
            f"its operators are of {found or 'no version'}; expected ai.onnx {_VERSIONS[0]} to {_VERSIONS[-1]}"
        )
    model.opset_import.add(domain="", version=domains[0][1])


def _copy_nodes(read: onnx.GraphProto, graph: onnx.GraphProto, names: _Names) -> None:
    if not 1 <= len(read.node) <= MAX_LAYERS:
        raise ProgramError(f"its graph has {len(read.node):,} operators; expected 1 to {MAX_LAYERS:,}")
    if domains := sorted(map(str, {node.domain for node in read.node} - {"", "ai.onnx"})):
        raise ProgramError(f"its operators are of the domains {', '.join(domains)}; expected ai.onnx")
    if unknown := sorted(map(str, {node.op_type for node in read.node} - ONNX_OPERATORS)):
        raise ProgramError(f"its graph has the operators {', '.join(unknown)}, which no program has")
    for node in read.node:
        _check_fields(node, {"name", "op_type", "domain", "doc_string", "input", "output", "attribute"}, node.op_type)
        copied = graph.node.add(op_type=node.op_type)
        copied.input.extend(names[name] for name in node.input)
        copied.output.extend(names[name] for name in node.output)
        for attribute in node.attribute:
            _check_fields(attribute, {"name", "type", "doc_string", "f", "i", "s", "floats", "ints"}, node.op_type)
            is_text = isinstance(attribute.name, str) and attribute.name.isascii() and attribute.s.isascii()
            if attribute.type not in _ATTRIBUTES or not is_text:
                raise ProgramError(f"its operator {node.op_type} has an attribute that is neither numbers nor text")
            least = 1 if attribute.name in _POSITIVE else -_MAX_INTEGER
            integers = [*attribute.ints, *([] if attribute.ints else [attribute.i])]
            if not all(least <= value <= _MAX_INTEGER for value in integers):
                raise ProgramError(f"its operator {node.op_type} has {attribute.name} out of bounds")
            copied.attribute.add().CopyFrom(attribute)
            copied.attribute[-1].ClearField("doc_string")


def _copy_ends(read: onnx.GraphProto, graph: onnx.GraphProto, names: _Names, image_size: tuple[int, int]) -> None:
    """Copy the input, fixed to one image, and the output, whose shape is still to be found."""
    if len(read.input) != 1 or len(read.output) != 1:
        raise ProgramError(f"it has {len(read.input)} inputs and {len(read.output)} outputs; expected 1")
    pixels = graph.input.add(name=names[read.input[0].name]).type.tensor_type
    pixels.elem_type = _UINT8
    for length in (1, *image_size, 3):
        pixels.shape.dim.add(dim_value=length)
    graph.output.add(name=names[read.output[0].name]).type.tensor_type.elem_type = _FLOAT32


def _copy_initializers(
    read: onnx.GraphProto, graph: onnx.GraphProto, names: _Names, n_bytes: int
) -> list[tuple[int, int]]:
    """Copy the tensors without their values; return where these lie in the weights."""
    spans, end = [], 0
    for tensor in read.initializer:
        # Values in any other place, or in another file, are refused.
        _check_fields(tensor, {"name", "dims", "data_type", "doc_string"}, "tensor")
        if tensor.data_type not in SIZES or len(tensor.dims) > _MAX_AXES or any(length < 1 for length in tensor.dims):
            raise ProgramError(f"a tensor has the type {tensor.data_type} and the shape {list(tensor.dims)[:10]}")
        graph.initializer.add(name=names[tensor.name], dims=tensor.dims, data_type=tensor.data_type)
        start, end = end, end + math.prod(tensor.dims) * SIZES[tensor.data_type]
        spans.append((start, end))
    if end != n_bytes:
        raise ProgramError(f"its tensors have {end:,} bytes, and its weights {n_bytes:,}")
    return spans


def _check_integers(values: np.ndarray, n_bytes: int) -> None:
    """Check what may be a shape: its sums must not overflow."""
    if values.nbytes != n_bytes or np.abs(values.astype(np.float64)).max(initial=0) > _MAX_INTEGER:
        raise ProgramError("a tensor of integers is too large, or holds numbers that are")


def _check_fields(message: Any, expected: set[str], what: str) -> None:
    """See that a message of protobuf has no other fields than these. Those that onnx does not know are not copied."""
    found = {field.name for field, _ in message.ListFields()}
    if unknown := sorted(found - expected):
        raise ProgramError(f"its {what} has {', '.join(unknown)}, which no program has")


def _check_sizes(model: onnx.ModelProto) -> None:
    """Check how many values the operators give, and that no tensor is given twice."""
    from onnx import shape_inference

    graph = model.graph
    given = [name for node in graph.node for name in node.output if name]
    names = [graph.input[0].name, *(tensor.name for tensor in graph.initializer), *given]
    if len(set(names)) < len(names):
        raise ProgramError("two of its tensors have the same name")
    try:
        inferred = shape_inference.infer_shapes(model, check_type=True, strict_mode=True).graph
    except (shape_inference.InferenceError, ValueError, RuntimeError) as error:
        raise ProgramError(f"its graph is malformed: {' '.join(str(error).split())[:300]}") from None
    shapes = {value.name: value.type.tensor_type for value in (*inferred.value_info, *inferred.output)}
    operators = {name: node.op_type for node in graph.node for name in node.output}
    for name in given:
        tensor = shapes.get(name)
        # A length that is not known is no field; neither is a shape.
        lengths = None if tensor is None or not tensor.HasField("shape") else tensor.shape.dim
        known = lengths is not None and all(length.HasField("dim_value") for length in lengths)
        shape = [length.dim_value for length in lengths] if known and lengths is not None else None
        if shape is None or tensor is None or tensor.elem_type not in SIZES:
            raise ProgramError(f"an operator {operators[name]} gives values of unknown number or type")
        if len(shape) > _MAX_AXES or min(shape, default=1) < 1 or math.prod(shape) > MAX_VALUES:
            raise ProgramError(
                f"an operator {operators[name]} gives {shape} values per image; expected at most {MAX_VALUES:,}"
            )
    output = shapes[graph.output[0].name] if graph.output[0].name in operators else None
    if output is None or output.elem_type != _FLOAT32 or len(output.shape.dim) != 2:
        raise ProgramError("its output is not a row of numbers per image")
    graph.output[0].CopyFrom(next(value for value in inferred.output))
