"""Cut a network where training begins: what lies before is frozen and has to run once per image only."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from skcnn._keras import building, import_keras, is_keras_model
from skcnn._wiring import Call, calls_behind, tensors_by_position

#: An earlier cut is taken if it keeps at most this fraction of the bytes ...
SMALLER = 0.5
#: ... and leaves at most this fraction of the prefix's work to the suffix.
REPEATED = 0.05

#: What float32 holds without loss.
_FLOATING = ("float32", "bfloat16", "float16")

#: Layers that draw numbers without a state that shows it, such as the StochasticDepth of ConvNeXt.
_RANDOM = re.compile("Dropout|Random|Noise|Stochastic|DropPath|DropBlock|CutMix|MixUp|RandAugment|AugMix")


@dataclass(frozen=True)
class Cut:
    """Where a network is cut into a frozen prefix and a suffix: see :func:`split_network`.

    Attributes
    ----------
    positions : tuple of int
        Of the operations whose outputs are the cut tensors, in order. Empty if ``is_output`` and what gives the output
        hangs behind the network, as a pooling does.
    shapes : tuple of tuple of int
        Of the cut tensors, per image.
    names : tuple of str
        Of these operations, to be read only: Keras makes up those of operations that are no layers.
    random_layers : tuple of str
        Names of the layers before the cut that draw random numbers in training.
    is_input : bool
        Whether the cut is the input of the network: there is nothing before it that is worth keeping.
    is_output : bool
        Whether the cut is the output: there is nothing to train behind it.
    """

    positions: tuple[int, ...]
    shapes: tuple[tuple[int, ...], ...]
    names: tuple[str, ...]
    random_layers: tuple[str, ...]
    is_input: bool
    is_output: bool
    _tensors: tuple[Any, ...] = field(repr=False, compare=False)
    _calls: tuple[Call, ...] = field(repr=False, compare=False)
    _output: Any = field(repr=False, compare=False)

    @property
    def layers(self) -> tuple[str, ...]:
        """The cut tensors by the names that :meth:`skcnn.backbones.Backbone.layer_output` takes."""
        return tuple(f"operation[{position}]" for position in self.positions)

    @property
    def n_values(self) -> int:
        """Number of values per image."""
        return sum(math.prod(shape) for shape in self.shapes)

    @property
    def n_bytes(self) -> int:
        """Size per image, in float32."""
        return 4 * self.n_values

    @property
    def is_deterministic(self) -> bool:
        """Whether nothing before the cut draws random numbers in training."""
        return not self.random_layers

    def suffix(self) -> Any:
        """Build what lies behind the cut. Its layers are those of the network, so that training it trains the network.

        Returns
        -------
        keras.Model
            From the cut tensors (n, n_values) float32, each flat and one after the other, to the output.
        """
        keras = import_keras()
        with building():
            # Names of layers are unique in a model: parts with names of Keras's making have a model of their own.
            given = keras.Input((self.n_values,), name="values")
            parts, start = [], 0
            for tensor, shape in zip(self._tensors, self.shapes, strict=True):
                stop = start + math.prod(shape)
                part = keras.layers.Reshape(shape)(given[:, start:stop])
                parts.append(keras.ops.cast(part, tensor.dtype))
                start = stop
            unpack = keras.Model(given, parts, name="unpack_frozen_prefix")
            values = keras.Input((self.n_values,), name="frozen_prefix")
            computed = {id(t): x for t, x in zip(self._tensors, keras.tree.flatten(unpack(values)), strict=True)}

            def filled_in(argument: Any) -> Any:
                return computed.get(id(argument), argument)

            for call in self._calls:
                args, kwargs = keras.tree.map_structure(filled_in, (call.args, call.kwargs))
                outputs = keras.tree.flatten(call.operation(*args, **kwargs))
                computed.update({id(t): x for t, x in zip(call.outputs, outputs, strict=True)})
            return keras.Model(values, computed[id(self._output)])


def split_network(
    network: Any, open_layers: Collection[str], output: Any, *, image_size: tuple[int, int] | None = None
) -> Cut:
    """Cut a network where training begins.

    The cut tensors are the inputs of all that an open layer reaches; or those of an earlier place, if these are at most
    half as many bytes, and computing on from there is at most a twentieth of the prefix's work.

    Parameters
    ----------
    network : keras.Model
        Functional, or Sequential and built. It may be cut any number of times.
    open_layers : collection of str
        Names of the layers that are trained: those of the network, or of what hangs behind it. Those without weights do
        not matter. A BatchNormalization that is not to be trained is left out.
    output : keras.KerasTensor
        What the suffix gives: an output of one of the network's operations, or of further layers behind them.
    image_size : tuple of (height, width) or None, default=None
        In pixels, for a network that leaves it open.

    Returns
    -------
    Cut

    Raises
    ------
    ValueError
        If there is no such layer, or the network leaves the size of images open and ``image_size`` is None.
    """
    names = {layer.name for layer in network.layers} | {call.operation.name for call in calls_behind([output])}
    if unknown := set(open_layers) - names:
        raise ValueError(f"open_layers has {sorted(unknown)[0]!r}; expected names of layers of {network.name!r}.")
    if None in network.inputs[0].shape[1:]:
        if image_size is None:
            raise ValueError(
                f"The network {network.name!r} takes images of {network.inputs[0].shape[1:]}, any size; expected an "
                "image_size=(height, width), on which the size of the cut depends."
            )
        network, output = _at_size(network, output, image_size)

    positions = {
        id(tensor): position
        for position, tensor in tensors_by_position(network, calls_behind([output, *network.outputs])).items()
    }
    inputs = [id(tensor) for tensor in network.inputs]
    calls = calls_behind([output])

    def can_be_cut(tensor: Any) -> bool:
        is_known = None not in tensor.shape[1:] and len(tensor.shape) > 1
        return id(tensor) in inputs or (id(tensor) in positions and tensor.dtype in _FLOATING and is_known)

    suffix = _trained(calls, set(open_layers))
    is_output = not suffix
    if is_output:
        tensors = [output]
    else:
        _grow_until(calls, suffix, can_be_cut)
        suffix = _smaller(calls, suffix, can_be_cut)
        if not any(_products(call) for index, call in enumerate(calls) if index not in suffix):
            suffix = {index for index, call in enumerate(calls) if call.inputs}
        tensors = sorted(_taken_by(calls, suffix), key=lambda tensor: positions[id(tensor)])
    prefix = [call.operation for index, call in enumerate(calls) if index not in suffix]
    cut = [tensor for tensor in tensors if id(tensor) in positions]
    return Cut(
        positions=tuple(positions[id(tensor)] for tensor in cut),
        shapes=tuple(tuple(tensor.shape[1:]) for tensor in tensors),
        names=tuple(tensor._keras_history.operation.name for tensor in cut),
        random_layers=tuple(dict.fromkeys(name for operation in prefix for name in _random_layers(operation))),
        is_input=all(id(tensor) in inputs for tensor in tensors),
        is_output=is_output,
        _tensors=tuple(tensors),
        _calls=tuple(calls[index] for index in sorted(suffix)),
        _output=output,
    )


def _at_size(network: Any, output: Any, image_size: tuple[int, int]) -> tuple[Any, Any]:
    """Return a network, made of the same layers, that takes images of one size; and its output."""
    keras = import_keras()
    whole = keras.Model(network.inputs[0], [output, *network.outputs])
    shape, dtype = (*image_size, network.inputs[0].shape[-1]), network.inputs[0].dtype
    with building():
        sized = keras.models.clone_model(
            whole, input_tensors=keras.Input(shape, dtype=dtype), clone_function=lambda operation: operation
        )
    return keras.Model(sized.inputs, sized.outputs[1:]), sized.outputs[0]


def _trained(calls: list[Call], open_layers: set[str]) -> set[int]:
    """Return the indices of the calls of open layers that have weights, and of all that these reach."""
    reached: set[int] = set()
    found = set()
    for index, call in enumerate(calls):
        is_open = call.operation.name in open_layers and call.operation.weights
        if is_open or any(id(tensor) in reached for tensor in call.inputs):
            reached |= {id(tensor) for tensor in call.outputs}
            found.add(index)
    return found


def _taken_by(calls: list[Call], suffix: set[int]) -> list[Any]:
    """Return the tensors that calls of the suffix take from others."""
    own = {id(tensor) for index in suffix for tensor in calls[index].outputs}
    taken = {id(tensor): tensor for index in sorted(suffix) for tensor in calls[index].inputs}
    return [tensor for name, tensor in taken.items() if name not in own]


def _grow_until(calls: list[Call], suffix: set[int], can_be_cut: Callable[[Any], bool]) -> None:
    """Add to the suffix what makes the tensors that cannot be cut."""
    made_by = {id(tensor): index for index, call in enumerate(calls) for tensor in call.outputs}
    while wrong := [made_by[id(tensor)] for tensor in _taken_by(calls, suffix) if not can_be_cut(tensor)]:
        suffix |= set(wrong)


def _smaller(calls: list[Call], suffix: set[int], can_be_cut: Callable[[Any], bool]) -> set[int]:
    """Return the suffix that begins where the cut is smallest, if that is worth it, or else the one given."""

    def n_values(tensors: list[Any]) -> int:
        return sum(math.prod(tensor.shape[1:]) for tensor in tensors)

    before = [index for index in range(len(calls)) if index not in suffix and calls[index].inputs]
    to_spend = REPEATED * sum(_work(calls[index]) for index in before)
    smallest, best = SMALLER * n_values(_taken_by(calls, suffix)), suffix
    grown = set(suffix)
    for index in reversed(before):
        to_spend -= _work(calls[index])
        if to_spend < 0:
            break
        grown.add(index)
        tensors = _taken_by(calls, grown)
        is_smaller = n_values(tensors) < smallest or (best is suffix and n_values(tensors) == smallest)
        if is_smaller and all(map(can_be_cut, tensors)):
            smallest, best = n_values(tensors), set(grown)
    return best


def _work(call: Call) -> int:
    """Estimate what a call costs: its products, and one operation per value that it gives."""
    return _products(call) + sum(math.prod(tensor.shape[1:]) for tensor in call.outputs)


def _products(call: Call) -> int:
    """Estimate the multiplications of a call by weights, per image: each weight of a kernel once per place."""
    operation = call.operation
    if is_keras_model(operation) and getattr(operation, "inputs", None):
        # Its own shapes may be open; there it counts as one layer.
        inner = calls_behind(operation.outputs)
        if not any(None in tensor.shape[1:] for one in inner for tensor in one.outputs):
            return sum(map(_products, inner))
    kernels = [weight.shape for weight in getattr(operation, "weights", ()) if len(weight.shape) > 1]
    n_places = max(math.prod(tensor.shape[1:-1]) for tensor in call.outputs)
    return n_places * sum(map(math.prod, kernels))


def _random_layers(operation: Any) -> Iterator[str]:
    """Yield the name of an operation, or those of the layers within it, that draw random numbers in training."""
    inner = getattr(operation, "layers", None) or []
    for layer in inner:
        yield from _random_layers(layer)
    has_seeds = len(getattr(operation, "variables", ())) > len(getattr(operation, "weights", ()))
    if not inner and (has_seeds or _RANDOM.search(type(operation).__name__)):
        yield operation.name
