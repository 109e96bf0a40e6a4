"""Whether a graph of unknown origin may be run: operators from a fixed list, and values of bounded number."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree

if TYPE_CHECKING:
    import openvino

#: Bytes of a graph without its weights.
MAX_GRAPH = 16 * 2**20
MAX_LAYERS = 20_000
#: Values that an operator gives per image.
MAX_VALUES = 2**28

#: Operators that networks for images are made of. None of them loops, keeps state, or runs another graph.
# fmt: off
OPERATORS = frozenset(
    {
        "Parameter", "Const", "Result", "Convert", "Add", "Subtract", "Multiply", "Divide", "Power", "Sqrt", "Exp",
        "Log", "Negative", "Abs", "Maximum", "Minimum", "SquaredDifference", "MatMul", "Convolution",
        "GroupConvolution", "Relu", "ReLU", "PReLU", "Elu", "Selu", "Clamp", "Sigmoid", "HSigmoid", "HSwish",
        "Swish", "Gelu", "Mish", "Tanh", "Erf", "SoftPlus", "SoftSign", "SoftMax", "Softmax", "ReduceMean",
        "ReduceMax", "ReduceSum", "AvgPool", "MaxPool", "Concat", "Reshape", "Squeeze", "Unsqueeze", "Transpose",
        "Pad", "Split", "VariadicSplit", "StridedSlice", "Slice", "Gather", "ShapeOf", "BatchNormInference", "MVN",
        "NormalizeL2", "DepthToSpace", "SpaceToDepth", "Interpolate",
    }
)
# fmt: on


class ProgramError(ValueError):
    """A program is damaged or forged, or holds what a program may not hold."""


def check_graph(graph: bytes) -> None:
    """Check the text of a graph, before OpenVINO reads it.

    Raises
    ------
    ProgramError
        If it is not a graph of OpenVINO, too large, or has operators that are not in the list.
    """
    if len(graph) > MAX_GRAPH:
        raise ProgramError(f"its graph has {len(graph):,} bytes; expected at most {MAX_GRAPH:,}")
    if b"<!" in graph.replace(b"<!--", b""):  # entities that stand for others, or for files
        raise ProgramError("its graph declares a document type or entities")
    try:
        root = ElementTree.fromstring(graph)
    except ElementTree.ParseError as error:
        raise ProgramError(f"its graph is not XML: {error}") from None
    layers = root.findall("./layers/layer")
    if root.tag != "net" or not layers or len(layers) > MAX_LAYERS:
        raise ProgramError(f"its graph has {len(layers):,} layers; expected 1 to {MAX_LAYERS:,}")
    # Layers in other places belong to graphs within the graph.
    if len(list(root.iter("layer"))) != len(layers):
        raise ProgramError("its graph holds other graphs")
    if unknown := sorted({layer.get("type", "") for layer in layers} - OPERATORS):
        raise ProgramError(f"its graph has the operators {', '.join(unknown)}, which no program has")


def check_sizes(network: openvino.Model) -> None:
    """Check how many values the operators of a network give, once its input has one image.

    Raises
    ------
    ProgramError
        If the number is not known, or too large.
    """
    for operator in network.get_ops():
        for output in operator.outputs():
            shape = output.get_partial_shape()
            n_values = 1
            for dimension in shape if shape.rank.is_static else ():
                n_values *= dimension.get_length() if dimension.is_static else MAX_VALUES + 1
            if shape.rank.is_dynamic or n_values > MAX_VALUES:
                name = operator.get_type_name()
                raise ProgramError(
                    f"an operator {name} gives {shape} values per image; expected at most {MAX_VALUES:,}"
                )
