"""How a Keras network is wired: the calls of its operations, and the operations by position."""

from __future__ import annotations

from typing import Any, NamedTuple

from skcnn._keras import import_keras


class Call(NamedTuple):
    """One call of an operation (a layer, a model within the network, or a plain operation such as an addition).

    The tensors are KerasTensors: those of ``args`` and ``kwargs``, wherever they stand in there, are ``inputs``.
    """

    operation: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]


def calls_behind(tensors: list[Any]) -> list[Call]:
    """Return the calls that tensors are computed by, each after those that it takes its inputs from.

    A tensor knows the one call that made it, so that it makes no difference what else the layers are called in: they
    may belong to other networks, and each call of a network adds to the calls of its layers.

    Parameters
    ----------
    tensors : list of keras.KerasTensor

    Returns
    -------
    list of Call
        From the inputs of the network on, which are calls without inputs; in the same order in each network that was
        built in the same way.
    """
    calls: dict[int, Call] = {}
    waiting = [_node_of(tensor) for tensor in reversed(tensors)]
    while waiting:  # no recursion: networks are deeper than Python's stack
        node = waiting[-1]
        before = [_node_of(tensor) for tensor in node.input_tensors]
        missing = [one for one in reversed(before) if id(one) not in calls]
        if missing and id(node) not in calls:
            waiting += missing
            continue
        waiting.pop()
        if id(node) not in calls:
            arguments = node.arguments
            calls[id(node)] = Call(
                node.operation,
                arguments.args,
                arguments.kwargs,
                tuple(node.input_tensors),
                tuple(node.output_tensors),
            )
    return list(calls.values())


def _node_of(tensor: Any) -> Any:
    history = tensor._keras_history
    return history.operation._inbound_nodes[history.node_index]


def operations_of(network: Any) -> list[Any]:
    """Return the operations of a network, in the same order in each network that was built in the same way.

    Parameters
    ----------
    network : keras.Model
        Functional, or Sequential and built.

    Returns
    -------
    list of keras.Operation
        Layers and other operations. The names of the latter are made up by Keras, and change from build to build.
    """
    return list(import_keras().Model(network.inputs, network.outputs).operations)


def tensors_by_position(network: Any, calls: list[Call] | None = None) -> dict[int, Any]:
    """Return the tensors of a network that the positions of their operations distinguish.

    Parameters
    ----------
    network : keras.Model
        Functional, or Sequential and built.
    calls : list of Call or None, default=None
        Those of the network and, maybe, of what else hangs on it. None stands for those of the network.

    Returns
    -------
    dict of int to keras.KerasTensor
        From the position in :func:`operations_of` to the output, of each operation with one output that is called once.
    """
    if calls is None:
        calls = calls_behind(network.outputs)
    by_operation: dict[int, list[Call]] = {}
    for call in calls:
        by_operation.setdefault(id(call.operation), []).append(call)
    found = {}
    for position, operation in enumerate(operations_of(network)):
        made = [tensor for call in by_operation[id(operation)] for tensor in call.outputs]
        if len(made) == 1:
            found[position] = made[0]
    return found
