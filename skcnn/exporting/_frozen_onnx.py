"""ONNX of what Keras's own export loses: constants, grouped convolutions, GELU.

Keras hands tf2onnx a function of TensorFlow. Here it gets a graph in which weights and other constants are constants,
and in which two things are written so that tf2onnx knows them.
"""

from __future__ import annotations

from typing import Any

from skcnn.engines import frozen_function

#: Operators that give what they get, or nothing.
_PASSING = ("Identity", "NoOp", "ReadVariableOp")


def exported_frozen(model: Any, opset: int) -> Any:
    """Return a Keras model on TensorFlow as ONNX; its input is called as the model's.

    Parameters
    ----------
    model : keras.Model
        With one input and one output.
    opset : int
        Version of the operators of ONNX.

    Returns
    -------
    onnx.ModelProto
        With names of TensorFlow where tf2onnx knows no operator.
    """
    import tf2onnx

    frozen = frozen_function(model, model.inputs[0].dtype)
    pixels, output = frozen.inputs[0].name, frozen.outputs[0].name
    graph = frozen.graph.as_graph_def()
    _inline_convolutions(graph)
    _without_erfc(graph)
    proto, _ = tf2onnx.convert.from_graph_def(graph, input_names=[pixels], output_names=[output], opset=opset)
    for node in proto.graph.node:
        for number, name in enumerate(node.input):
            if name == pixels:
                node.input[number] = model.inputs[0].name
    proto.graph.input[0].name = model.inputs[0].name
    return proto


def _inline_convolutions(graph: Any) -> None:
    """Put the convolution of a function in the place of its call: so Keras compiles grouped convolutions on a CPU."""
    functions = {function.signature.name: function for function in graph.library.function}
    for node in graph.node:
        if node.op not in ("StatefulPartitionedCall", "PartitionedCall"):
            continue
        function = functions[node.attr["f"].func.name]
        inside = [part for part in function.node_def if part.op not in _PASSING]
        if [part.op for part in inside] != ["Conv2D"]:
            continue
        passed = {part.name: part.input[0] for part in function.node_def if part.op in _PASSING and part.input}
        place = {argument.name: number for number, argument in enumerate(function.signature.input_arg)}
        given = []
        for name in inside[0].input:
            while (name := name.partition(":")[0]) in passed:
                name = passed[name]
            given.append(node.input[place[name]])
        node.op = "Conv2D"
        node.ClearField("attr")
        del node.input[:]
        node.input.extend(given)
        for name, value in inside[0].attr.items():
            node.attr[name].CopyFrom(value)


def _without_erfc(graph: Any) -> None:
    """Write erfc(x), of which Keras makes GELU, as 1 - erf(x)."""
    for node in [node for node in graph.node if node.op == "Erfc"]:
        dtype = node.attr["T"]
        erf = graph.node.add(name=f"{node.name}/erf", op="Erf", input=node.input)
        erf.attr["T"].CopyFrom(dtype)
        one = graph.node.add(name=f"{node.name}/one", op="Const")
        one.attr["dtype"].CopyFrom(dtype)
        one.attr["value"].tensor.dtype = dtype.type
        one.attr["value"].tensor.tensor_shape.SetInParent()
        one.attr["value"].tensor.float_val.append(1.0)
        node.op = "Sub"
        del node.input[:]
        node.input.extend([one.name, erf.name])
