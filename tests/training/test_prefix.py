"""A network that is cut where training begins: prefix and suffix together are the network."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skcnn._keras import building
from skcnn._training import split_network
from skcnn._wiring import operations_of, tensors_by_position
from skcnn.backbones import as_backbone, get_backbone, scale_pixels
from skcnn.engines import Output, Plan
from skcnn.engines._keras_engine import KerasEngine
from skcnn.engines._record import build_record_model

layers = keras.layers

# Keras's save with TensorFlow's variables and NumPy 2; not of this package's making.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def noise(network, n=3, size=None):
    shape = (n, *(size or network.inputs[0].shape[1:3]), 3)
    return np.random.default_rng(0).normal(0, 1, shape).astype("float32")


def prefix_values(network, cut, x):
    """What the engines keep, by Keras alone: the cut tensors, each flat and one after the other."""
    found = tensors_by_position(network)
    parts = keras.Model(network.inputs[0], [found[position] for position in cut.positions])(x, training=False)
    return np.concatenate([np.reshape(part, (len(x), -1)) for part in keras.tree.flatten(parts)], axis=1)


def assert_whole(network, cut, output=None):
    """The suffix on the cut tensors gives what the network gives, to the last bit; return the suffix."""
    output = network.outputs[0] if output is None else output
    x = noise(network)
    expected = np.asarray(keras.Model(network.inputs[0], output)(x, training=False))
    values = prefix_values(network, cut, x)
    assert values.shape == (len(x), cut.n_values)
    assert cut.n_bytes == 4 * cut.n_values
    suffix = cut.suffix()
    assert suffix.input_shape == (None, cut.n_values)
    np.testing.assert_array_equal(np.asarray(suffix(values, training=False)), expected)
    assert np.ptp(expected) > 0
    return suffix


def chain(n=4, filters=4, **options):
    with building(0):
        x = pixels = keras.Input((8, 8, 3))
        for index in range(n):
            x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"conv{index}", **options)(x)
        return keras.Model(pixels, x)


def residual():
    """Two blocks; within the second one the sum needs the first one's output as well."""
    with building(0):
        pixels = keras.Input((8, 8, 3))
        x = layers.Conv2D(4, 3, padding="same", name="stem")(pixels)
        for block in "ab":
            y = layers.Conv2D(4, 3, padding="same", name=f"{block}1")(x)
            y = layers.BatchNormalization(name=f"{block}norm")(y)
            y = layers.Conv2D(4, 3, padding="same", name=f"{block}2")(keras.ops.relu(y))
            x = x + y  # an operation that is no layer
        return keras.Model(pixels, x)


def branches():
    with building(0):
        pixels = keras.Input((8, 8, 3))
        x = layers.Conv2D(4, 3, padding="same", name="stem")(pixels)
        first = [layers.Conv2D(4, 3, padding="same", name=f"first{index}")(x) for index in range(3)]
        second = [layers.Conv2D(2, 3, padding="same", name=f"second{index}")(y) for index, y in enumerate(first)]
        return keras.Model(pixels, layers.Concatenate(name="joined")(second))


def test_a_chain_is_cut_at_the_input_of_the_first_open_layer():
    network = chain()
    cut = split_network(network, ["conv2", "conv3"], network.outputs[0])
    assert cut.names == ("conv1",)
    assert cut.shapes == ((8, 8, 4),)
    assert cut.layers == (f"operation[{cut.positions[0]}]",)
    assert (cut.n_values, cut.n_bytes) == (256, 1024)
    assert (cut.is_input, cut.is_output, cut.is_deterministic) == (False, False, True)
    suffix = assert_whole(network, cut)
    assert [layer.name for layer in suffix.layers if layer.weights] == ["conv2", "conv3"]


def test_what_lies_behind_an_open_layer_is_in_the_suffix_though_it_is_frozen():
    network = chain()
    assert split_network(network, ["conv1"], network.outputs[0]).names == ("conv0",)


def test_open_layers_without_weights_do_not_matter():
    with building(0):
        pixels = keras.Input((8, 8, 3))
        x = layers.ReLU(name="free")(layers.Conv2D(4, 3, name="conv")(pixels))
        network = keras.Model(pixels, layers.Conv2D(4, 3, name="last")(x))
    assert split_network(network, ["free", "last"], network.outputs[0]).names == ("free",)


def test_a_cut_within_a_block_has_two_tensors():
    network = residual()
    cut = split_network(network, ["b2"], network.outputs[0])
    assert len(cut.positions) == 2
    assert sum(name.startswith(("add", "relu")) for name in cut.names) == 2  # neither is a layer
    assert_whole(network, cut)
    at_the_block = split_network(network, ["b1"], network.outputs[0])
    assert len(at_the_block.positions) == 1
    assert_whole(network, at_the_block)


def test_branches_have_a_tensor_each():
    network = branches()
    cut = split_network(network, [f"second{index}" for index in range(3)], network.outputs[0])
    assert cut.names == ("first0", "first1", "first2")
    assert cut.positions == tuple(sorted(cut.positions))
    assert_whole(network, cut)
    one = split_network(network, ["second1"], network.outputs[0])
    assert sorted(one.names) == ["first1", "second0", "second2"]
    assert_whole(network, one)


def test_an_earlier_place_is_taken_where_it_is_smaller_and_near():
    def widened(last_filters):
        with building(0):
            pixels = keras.Input((16, 16, 3))
            x = layers.Conv2D(8, 5, padding="same", name="heavy0")(pixels)
            x = layers.Conv2D(8, 5, padding="same", name="heavy1")(x)
            x = layers.Conv2D(2, 5, padding="same", name="narrow")(x)
            x = layers.Conv2D(last_filters, 1, name="wide")(x)
            return keras.Model(pixels, layers.Conv2D(4, 3, name="last")(x))

    # 16 * 16 * 2 * 4 products of about 580,000: 0.4 %; half of the values are in "narrow".
    network = widened(4)
    cut = split_network(network, ["last"], network.outputs[0])
    assert cut.names == ("narrow",)
    suffix = assert_whole(network, cut)
    assert "wide" in {layer.name for layer in suffix.layers}
    # A third less is not worth it.
    network = widened(3)
    assert split_network(network, ["last"], network.outputs[0]).names == ("wide",)


def test_an_earlier_place_is_not_taken_where_it_costs():
    with building(0):
        pixels = keras.Input((16, 16, 3))
        x = layers.Conv2D(2, 3, padding="same", name="narrow")(pixels)
        x = layers.Conv2D(8, 3, padding="same", name="wide")(x)
        network = keras.Model(pixels, layers.Conv2D(4, 3, name="last")(x))
    assert split_network(network, ["last"], network.outputs[0]).names == ("wide",)


def test_nothing_open_is_cut_at_the_output():
    network = chain()
    pooled = layers.GlobalAveragePooling2D()(network.outputs[0])
    cut = split_network(network, [], pooled)
    assert cut.is_output
    assert not cut.is_input
    assert (cut.positions, cut.shapes, cut.n_values) == ((), ((4,),), 4)
    values = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    np.testing.assert_array_equal(cut.suffix()(values), values)
    not_pooled = split_network(network, [], network.outputs[0])
    assert not_pooled.is_output
    assert not_pooled.names == ("conv3",)
    assert_whole(network, not_pooled)


@pytest.mark.parametrize("is_scaled", [False, True])
def test_the_first_layer_open_is_cut_at_the_input(is_scaled):
    with building(0):
        pixels = keras.Input((8, 8, 3), name="pixels")
        x = layers.ZeroPadding2D(1)(layers.Rescaling(2.0)(pixels)) if is_scaled else pixels
        network = keras.Model(pixels, layers.Conv2D(4, 3, name="conv")(x))
    cut = split_network(network, ["conv"], network.outputs[0])
    assert cut.is_input
    assert cut.names == ("pixels",)
    assert cut.shapes == ((8, 8, 3),)
    assert_whole(network, cut)


def test_input_of_8_bits():
    with building(0):
        pixels = keras.Input((8, 8, 3), dtype="uint8")
        x = layers.Conv2D(4, 3, name="conv")(layers.Rescaling(1 / 255)(pixels))
        network = keras.Model(pixels, layers.Conv2D(4, 3, name="last")(x))
    x = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    cut = split_network(network, ["conv"], network.outputs[0])
    assert cut.is_input
    values = x.reshape(2, -1).astype("float32")
    np.testing.assert_array_equal(cut.suffix()(values, training=False), network(x, training=False))
    assert split_network(network, ["last"], network.outputs[0]).names == ("conv",)


def test_layers_behind_the_network_are_in_the_suffix():
    network = residual()
    output = layers.Dense(2, name="more")(layers.GlobalMaxPooling2D()(network.outputs[0]))
    assert_whole(network, split_network(network, ["b1"], output), output)


def test_an_output_before_the_end_of_the_network():
    network = chain()
    output = network.get_layer("conv2").output
    suffix = assert_whole(network, split_network(network, ["conv2", "conv3"], output), output)
    assert [layer.name for layer in suffix.layers if layer.weights] == ["conv2"]


def test_a_layer_called_again_behind_the_network():
    """As in ConvNeXt, whose last normalisation comes after the pooling: that call is no part of the network."""
    with building(0):
        pixels = keras.Input((8, 8, 3))
        x = layers.Conv2D(4, 3, padding="same", name="conv")(pixels)
        x = layers.Activation("tanh", name="curved")(x)
        norm = layers.LayerNormalization(name="norm")
        network = keras.Model(pixels, norm(x))
    output = norm(layers.GlobalAveragePooling2D()(x))
    cut = split_network(network, ["norm"], output)
    assert cut.names == ("curved",)  # the pooled values have no position
    assert_whole(network, cut, output)


def test_model_within_the_network():
    inner = chain(2)
    with building(0):
        pixels = keras.Input((8, 8, 3))
        x = layers.Conv2D(3, 3, padding="same", name="before")(pixels)
        x = inner(x)
        network = keras.Model(pixels, layers.Conv2D(4, 3, name="after")(x))
    cut = split_network(network, ["after"], network.outputs[0])
    assert cut.names == (inner.name,)
    assert_whole(network, cut)
    cut = split_network(network, [inner.name], network.outputs[0])
    assert cut.names == ("before",)
    suffix = assert_whole(network, cut)
    assert len(suffix.trainable_weights) == 6


def test_sequential_model():
    with building(0):
        network = keras.Sequential(
            [keras.Input((8, 8, 3)), *(layers.Conv2D(4, 3, name=f"conv{index}") for index in range(3)), layers.ReLU()]
        )
    cut = split_network(network, ["conv2"], network.outputs[0])
    assert cut.names == ("conv1",)
    assert_whole(network, cut)


def test_layers_taken_from_another_network():
    """Their first call, which Keras's ``layer.output`` gives, is the other network's."""
    given = chain()
    given(np.zeros((1, 8, 8, 3), "float32"))
    network = keras.Sequential([keras.Input((8, 8, 3)), layers.Rescaling(3.0), *given.layers[1:]])
    cut = split_network(network, ["conv2"], network.outputs[0])
    assert cut.names == ("conv1",)
    assert_whole(network, cut)


def shared():
    with building(0):
        pixels = keras.Input((8, 8, 3))
        x = layers.Conv2D(4, 3, padding="same", name="stem")(pixels)
        twice = layers.Conv2D(4, 3, padding="same", name="twice")
        x = layers.ReLU(name="between")(twice(x))
        return keras.Model(pixels, layers.Conv2D(2, 3, name="last")(twice(x)))


def test_layer_called_twice():
    network = shared()
    # Open: from its first call on. Frozen: its outputs have no position of their own, so the cut is before it.
    opened = split_network(network, ["twice"], network.outputs[0])
    assert opened.names == ("stem",)
    assert_whole(network, opened)
    frozen = split_network(network, ["last"], network.outputs[0])
    assert frozen.names == ("between",)
    assert_whole(network, frozen)


def test_an_operation_with_several_outputs_is_no_place_to_cut():
    with building(0):
        pixels = keras.Input((8, 8, 3))
        x = layers.Conv2D(4, 3, padding="same", name="stem")(pixels)
        one, other = keras.ops.split(x, 2, axis=-1)
        network = keras.Model(pixels, layers.Conv2D(2, 3, name="last")(one) + layers.Conv2D(2, 3, name="side")(other))
    cut = split_network(network, ["last", "side"], network.outputs[0])
    assert cut.names == ("stem",)
    assert_whole(network, cut)


@pytest.mark.parametrize("build", [chain, residual, branches, shared])
def test_a_network_is_cut_any_number_of_times(build):
    network = build()
    openable = [layer.name for layer in network.layers if layer.weights]
    expected = [split_network(network, [name], network.outputs[0]) for name in openable]
    config = network.get_config()
    for _ in range(3):
        for name, cut in zip(openable, expected, strict=True):
            again = split_network(network, [name], network.outputs[0])
            assert again == cut
            assert_whole(network, again)
            assert_whole(network, cut)  # the one made before
    assert network.get_config() == config


def test_positions_are_the_same_in_each_build():
    for build in (residual, branches, shared):
        first, second = build(), build()
        names = [layer.name for layer in first.layers if layer.weights]
        for name in names:
            one, other = (split_network(network, [name], network.outputs[0]) for network in (first, second))
            assert (one.positions, one.shapes) == (other.positions, other.shapes)
    first, second = (residual() for _ in range(2))
    assert [o.name for o in operations_of(first)] != [o.name for o in operations_of(second)]  # made up by Keras


def test_training_the_suffix_trains_the_network():
    network = residual()
    for layer in network.layers:
        layer.trainable = layer.name in ("b1", "b2")
    cut = split_network(network, ["b1", "b2"], network.outputs[0])
    suffix = cut.suffix()
    before = {layer.name: layer.get_weights() for layer in network.layers}
    x = noise(network)
    values = prefix_values(network, cut, x)
    suffix.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse")
    suffix.fit(values, np.ones((len(x), 8, 8, 4), "float32"), epochs=2, verbose=0)
    for layer in network.layers:
        is_moved = any(
            np.abs(new - old).max() > 1e-4 for new, old in zip(layer.get_weights(), before[layer.name], strict=True)
        )
        assert is_moved == (layer.name in ("b1", "b2")), layer.name
    np.testing.assert_array_equal(suffix(values, training=False), network(x, training=False))
    assert_whole(network, split_network(network, ["b1", "b2"], network.outputs[0]))


def test_names_of_the_networks_layers_do_not_clash_with_the_suffixs():
    with building(0):
        pixels = keras.Input((4, 4, 3), name="values")
        x = layers.Conv2D(4, 1, name="get_item")(pixels)
        x = layers.Reshape((4, 4, 4), name="reshape")(x)
        network = keras.Model(pixels, layers.Conv2D(4, 1, name="last")(x))
    keras.backend.clear_session()
    assert_whole(network, split_network(network, ["last"], network.outputs[0]))
    assert_whole(network, split_network(network, ["get_item"], network.outputs[0]))


RANDOM = {
    "dropout": lambda: layers.Dropout(0.5, name="draws"),
    "spatial": lambda: layers.SpatialDropout2D(0.5, name="draws"),
    "noise": lambda: layers.GaussianNoise(0.1, name="draws"),
    "augmentation": lambda: layers.RandomFlip(name="draws"),
    "nested": lambda: keras.Sequential([layers.ReLU(), layers.GaussianDropout(0.2, name="draws")]),
}


@pytest.mark.parametrize("kind", RANDOM)
def test_what_is_random_before_the_cut(kind):
    with building(0):
        pixels = keras.Input((8, 8, 3))
        x = layers.Conv2D(3, 3, padding="same", name="first")(pixels)
        x = RANDOM[kind]()(x)
        x = layers.Conv2D(3, 3, padding="same", name="second")(x)
        network = keras.Model(pixels, layers.Conv2D(3, 3, name="third")(x))
    behind = split_network(network, ["third"], network.outputs[0])
    assert behind.random_layers == ("draws",)
    assert not behind.is_deterministic
    assert_whole(network, behind)
    before = split_network(network, ["first"], network.outputs[0])
    assert before.is_deterministic


def test_stochastic_depth_shows_no_state_and_is_random_nevertheless():
    with building(0):
        network = keras.applications.ConvNeXtTiny(weights=None, include_top=False, input_shape=(32, 32, 3))
    assert split_network(network, [], network.outputs[0]).is_deterministic
    from keras.src.applications.convnext import StochasticDepth

    pixels = keras.Input((8, 8, 3))
    x = StochasticDepth(0.1, name="depth")(layers.Conv2D(3, 3, name="first")(pixels))
    network = keras.Model(pixels, layers.Conv2D(3, 3, name="last")(x))
    assert split_network(network, ["last"], network.outputs[0]).random_layers == ("depth",)


def test_size_that_a_network_leaves_open():
    with building(0):
        x = pixels = keras.Input((None, None, 3))
        for index in range(3):
            x = layers.Conv2D(4, 3, name=f"conv{index}")(x)
        network = keras.Model(pixels, x)
    with pytest.raises(ValueError, match="image_size"):
        split_network(network, ["conv2"], network.outputs[0])
    pooled = layers.GlobalAveragePooling2D()(network.outputs[0])
    cut = split_network(network, ["conv2"], pooled, image_size=(9, 10))
    assert cut.shapes == ((5, 6, 4),)
    x = noise(network, size=(9, 10))
    values = prefix_values(network, cut, x)
    expected = keras.Model(network.inputs[0], pooled)(x, training=False)
    np.testing.assert_array_equal(cut.suffix()(values, training=False), expected)


def test_a_layer_that_the_network_does_not_have():
    network = chain()
    with pytest.raises(ValueError, match="'conv9'; expected names of layers"):
        split_network(network, ["conv1", "conv9"], network.outputs[0])


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_graph_and_any_open_layers(data):
    """Layers, sums and joined branches, drawn at random: each takes one or two of the tensors before."""
    with building(0):
        tensors = [pixels := keras.Input((4, 4, 3))]
        names = []
        for index in range(data.draw(st.integers(2, 7))):
            one, other = (data.draw(st.sampled_from(tensors)) for _ in range(2))
            kind = data.draw(st.sampled_from(["conv", "conv", "relu", "join", "sum"]))
            if kind == "conv" or (kind == "sum" and one.shape != other.shape):
                names.append(f"conv{index}")
                tensors.append(layers.Conv2D(data.draw(st.integers(1, 4)), 1, name=names[-1])(one))
            elif kind == "relu":
                tensors.append(keras.ops.relu(one))
            else:
                tensors.append(layers.Concatenate()([one, other]) if kind == "join" else one + other)
        network = keras.Model(pixels, layers.Conv2D(2, 1, name="last")(layers.Concatenate()(tensors[-2:])))
    names = [layer.name for layer in network.layers if layer.weights]
    opened = data.draw(st.sets(st.sampled_from(names)))
    cut = split_network(network, opened, network.outputs[0])
    suffix = assert_whole(network, cut)
    assert opened <= {layer.name for layer in suffix.layers}


# Through the engines


def plan_for(backbone, cut_layers, weights="pretrained", weights_id="any", image_size=None):
    outputs = tuple(Output(backbone.layer_name(layer), None) for layer in cut_layers)
    return Plan(backbone, weights, weights_id, 0, image_size or backbone.image_size, "stretch", "float32", outputs)


def pixels_of(backbone, size=None, n=3):
    return np.random.default_rng(0).integers(0, 256, (n, *(size or backbone.image_size), 3), np.uint8)


def distance(actual, expected):
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    assert np.ptp(expected) > 0
    return float(np.abs(actual - expected).max() / np.abs(expected).max())


def assert_by_engine(backbone, engine_of, opened, n_tensors):
    """The prefix by an engine, the suffix by Keras: together the whole network, but for rounding."""
    network = backbone.build()
    pixels = pixels_of(backbone)
    scaled = np.asarray(scale_pixels(keras.ops.convert_to_tensor(pixels), backbone.preprocessing), "float32")
    output = backbone.pooled_output(network, backbone.layers[-1].name, "avg")
    for _ in range(2):  # the second cut of the same network is as the first
        cut = split_network(network, opened, output)
        assert len(cut.positions) == n_tensors
        values = engine_of(plan_for(backbone, cut.layers)).run(pixels)
        assert values.dtype == np.float32
        assert distance(values, prefix_values(network, cut, scaled)) <= 1e-5
        expected = keras.Model(network.inputs[0], output)(scaled, training=False)
        assert distance(cut.suffix()(values, training=False), expected) <= 1e-5


def sequential_backbone():
    with building(0):
        return keras.Sequential(
            [keras.Input((8, 8, 3)), layers.Rescaling(1 / 255)]
            + [layers.Conv2D(4, 3, padding="same", name=f"conv{index}") for index in range(3)]
        )


BACKBONES = {
    "ResNet20": (lambda: "ResNet20", ["stage3_unit1_2_conv"], 2),
    "functional": (residual, ["b2"], 2),
    "Sequential": (sequential_backbone, ["conv2"], 1),
}


@pytest.mark.parametrize("kind", BACKBONES)
def test_the_prefix_runs_through_the_keras_engine(kind):
    make, opened, n_tensors = BACKBONES[kind]
    assert_by_engine(as_backbone(make()), KerasEngine, opened, n_tensors)


@pytest.mark.parametrize("kind", BACKBONES)
def test_the_prefix_runs_through_the_openvino_engine(kind, tmp_path):
    pytest.importorskip("openvino")
    from skcnn.engines._openvino_engine import OpenVINOEngine

    make, opened, n_tensors = BACKBONES[kind]
    assert_by_engine(as_backbone(make()), lambda plan: OpenVINOEngine(plan, tmp_path), opened, n_tensors)


def test_operations_by_position_and_what_is_wrong_with_them():
    backbone = as_backbone(shared())
    network = backbone.build()
    assert backbone.layer_name("operation[1]") == "operation[1]"
    stem = backbone.layer_output(network, "operation[1]")
    assert stem is network.get_layer("stem").output
    with pytest.raises(ValueError, match="no operation 99; it has 5"):
        backbone.layer_output(network, "operation[99]")
    with pytest.raises(ValueError, match="'twice', is called more than once"):
        backbone.layer_output(network, "operation[2]")


# Families of networks

#: How many tensors at most; and how many open first layers were tried of each family.
FAMILIES = {
    "MobileNetV2": (96, 2),
    "ResNet50": (64, 2),
    "EfficientNetB0": (64, 3),
    "DenseNet121": (64, 2),
    "ConvNeXtTiny": (64, 2),
    "Xception": (96, 2),
    "InceptionV3": (96, 6),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_families(name, record_property):
    size, most = FAMILIES[name]
    backbone = get_backbone(name)
    network = backbone.build(image_size=size, weights=None)
    rng = np.random.default_rng(0)
    for layer in network.layers:  # fresh statistics and scales would hide what is done twice or not at all
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([w + rng.uniform(0, 0.3, w.shape).astype("float32") for w in layer.get_weights()])
    output = backbone.pooled_output(network, backbone.layers[-1].name, "avg")
    pixels = pixels_of(backbone, (size, size))
    scaled = np.asarray(scale_pixels(keras.ops.convert_to_tensor(pixels), backbone.preprocessing), "float32")
    whole = keras.Model(network.inputs[0], output)
    expected = np.asarray(whole(scaled, training=False))
    assert np.ptp(expected) > 0
    names = [layer.name for layer in network.layers]
    again = backbone.build(image_size=size, weights=None)
    numbers, errors = [], []
    for fraction in (0.25, 0.5, 0.65, 0.75, 0.9, 0.97):
        opened = names[round(fraction * len(names)) :]
        cut = split_network(network, opened, output)
        number = len(cut.positions)
        assert 1 <= number <= most
        other = split_network(
            again,
            [layer.name for layer in again.layers][round(fraction * len(names)) :],
            backbone.pooled_output(again, backbone.layers[-1].name, "avg"),
        )
        assert (other.positions, other.shapes) == (cut.positions, cut.shapes)
        values = prefix_values(network, cut, scaled)
        np.testing.assert_array_equal(np.asarray(cut.suffix()(values, training=False)), expected)
        numbers.append(number)
        plan = plan_for(backbone, cut.layers, image_size=(size, size))
        errors.append(_record_error(plan, network, values, pixels))
    print(f"\n{name} {size} px: tensors {numbers}, records {max(errors):.1e}")
    assert max(errors) <= 1e-4


def _record_error(plan, network, values, pixels):
    """How far the model that engines run is from Keras's, on the weights of the network."""

    class Built(type(plan.backbone)):
        def build(self, **options):
            return network

    backbone = Built(**{field: getattr(plan.backbone, field) for field in plan.backbone.__dataclass_fields__})
    record, _ = build_record_model(Plan(**{**vars(plan), "backbone": backbone}))
    return distance(record(pixels, training=False), values)
