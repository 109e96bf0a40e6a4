"""Networks from files of unknown origin."""

import io
import json
import os
import zipfile

import h5py
import keras
import numpy as np
import pytest
from forging import change_config, members_of, write

import skcnn
from skcnn._keras import model_digest, model_to_bytes
from skcnn._network_files import check_hdf5, check_plain, network_from_archive, without_state
from skcnn.backbones import as_backbone
from skcnn.feature_extraction import BottleneckFeatures
from skcnn.persistence import ModelFileError


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Normalization(mean=[0.0, 1.0, 2.0], variance=[1.0, 1.0, 2.0]),
            keras.layers.Conv2D(7, 3, activation="relu", name="edges"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5),
            keras.layers.UpSampling2D(5),
            keras.layers.Conv2D(9, 1),
        ]
    )


@pytest.fixture(scope="module")
def archive(network):
    return model_to_bytes(network)


def test_there_and_back(network, archive):
    again = network_from_archive(archive)
    assert model_digest(again) == model_digest(network)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype("float32")
    np.testing.assert_array_equal(again.predict_on_batch(pixels), network.predict_on_batch(pixels))
    assert not again.compiled


FORGED = {
    "units": ('"filters": 9', '"filters": 2147483648', "asks for 17,179,8.*weights, and"),
    "size": ('"size": [5, 5]', '"size": [65536, 65536]', "up_sampling2d.*at most 268,435,456 values per image"),
    "image": ("[null, 8, 8, 3]", "[null, 100000, 100000, 3]", "values per image"),
    "lambda": ('"class_name": "Dropout"', '"class_name": "Lambda"', "Lambda layer.*Rescaling"),
    "saved model": ('"class_name": "Dropout"', '"class_name": "TFSMLayer"', "'TFSMLayer'"),
    "file": ('"class_name": "Dropout"', '"class_name": "StringLookup"', "'StringLookup'"),
    "other": ('"module": "keras.layers"', '"module": "os.path"', r"of 'os\.path'"),
    "function": ('"module": "keras.layers"', '"module": "keras.utils"', r"of 'keras\.utils'"),
    "config": ('"module": "keras.layers"', '"module": "keras.config"', r"of 'keras\.config'"),
    "depth": ('"name": "edges"', '"name": ' + 300 * '{"a": ' + "1" + 300 * "}", "nested more than 200"),
    "no model": ('"class_name": "Sequential"', '"class_name": "Variable"', "."),
    "json": ('"config"', '"config', "."),
}


@pytest.mark.parametrize("name", FORGED)
def test_forged_configurations(archive, name, tmp_path):
    old, new, message = FORGED[name]

    def change(text):
        assert old in text
        return text.replace(old, new)

    forged = change_config(archive, change)
    with pytest.raises((TypeError, ValueError), match=message):
        network_from_archive(forged)
    path = tmp_path / "a.skcnn"
    skcnn.save(BottleneckFeatures(network_from_archive(archive)), path)
    members = members_of(path)
    [member] = [member for member in members if member.startswith("networks/")]
    write(path, {**members, member: forged})
    with pytest.raises(ModelFileError, match=message):
        skcnn.load(path)


def test_what_is_refused_leaves_nothing_behind(archive):
    """Variables that are yet to be filled would be filled by whatever Keras builds next."""
    with pytest.raises(ValueError, match="asks for"):
        network_from_archive(change_config(archive, lambda text: text.replace('"filters": 9', '"filters": 2147483648')))
    with keras.StatelessScope():
        pass
    keras.layers.Dense(1).build((None, 1))


def test_archives_that_are_none(archive):
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as parts:
        parts.writestr("config.json", "{}")
        parts.writestr("model.weights.h5", bytes(100 * 2**20))
    with pytest.raises(ValueError, match="members declare"):
        network_from_archive(bomb.getvalue())
    no_weights = io.BytesIO()
    with zipfile.ZipFile(no_weights, "w") as parts:
        parts.writestr("config.json", "{}")
    with pytest.raises(ValueError, match=r"not a \.keras archive"):
        network_from_archive(no_weights.getvalue())


def hdf5(fill):
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        fill(file)
    return buffer.getvalue()


def external(file):
    file.create_dataset("x", (4,), "f4", external=[("/etc/hostname", 0, 16)])


def virtual(file):
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("/etc/hostname", "x", (4,))
    file.create_virtual_dataset("x", layout)


@pytest.mark.parametrize(
    ("fill", "message"),
    [
        (external, "lie in another file"),
        (virtual, "lie in another file"),
        (lambda file: file.__setitem__("x", h5py.ExternalLink("/etc/x.h5", "y")), "link to elsewhere"),
        (lambda file: file.__setitem__("x", h5py.SoftLink("/y")), "link to elsewhere"),
        (
            lambda file: file.create_dataset("x", (10**9,), "f4", chunks=(10**6,), compression=9),
            "declare 4,000,000,000",
        ),
        (lambda file: file.__setitem__("x", np.dtype("f4")), "are not an array"),
    ],
)
def test_weights_lie_in_their_file(fill, message):
    with pytest.raises(ValueError, match=message):
        check_hdf5(hdf5(fill))


def test_numbers_are_counted():
    def fill(file):
        file["a/b/x"] = np.zeros((3, 4))
        file["a/y"] = 5
        file["a/b/loop"] = file["a"]

    assert check_hdf5(hdf5(fill)) == 13


def test_a_path_of_a_network_that_runs_code(tmp_path):
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Lambda(lambda x: x / 255), keras.layers.Conv2D(2, 3)]
    )
    model.save(tmp_path / "lambda.keras")
    with pytest.raises(ValueError, match=r"lambda\.keras.*without running code.*Rescaling.*safe_mode=False") as caught:
        as_backbone(tmp_path / "lambda.keras")
    assert isinstance(caught.value.__cause__, TypeError)
    with pytest.raises(TypeError, match=r"Lambda layer.*Rescaling"):
        skcnn.save(BottleneckFeatures(model), tmp_path / "a.skcnn")
    assert os.listdir(tmp_path) == ["lambda.keras"]


@pytest.mark.parametrize("as_path", [str, lambda path: path])
def test_legacy_files_of_others(shared, as_path):
    with pytest.raises(ValueError, match=r"vww_96\.h5.*legacy format.*keras\.saving\.load_model"):
        as_backbone(as_path(shared / "weights" / "legacy_h5" / "vww_96.h5"))


def test_a_damaged_path(tmp_path, archive):
    (tmp_path / "a.keras").write_bytes(archive[: len(archive) // 2])
    with pytest.raises(ValueError, match=r"a\.keras' cannot be loaded as a Keras model"):
        as_backbone(tmp_path / "a.keras")


@keras.saving.register_keras_serializable(package="skcnn-tests")
class Registered(keras.layers.Layer):
    """A layer of the user's own, known to Keras in this process."""

    def call(self, x):
        return x


def test_registered_layers_travel(tmp_path):
    model = keras.Sequential([keras.Input((8, 8, 3)), Registered(), keras.layers.Conv2D(2, 3)])
    model.save(tmp_path / "a.keras")
    assert type(as_backbone(tmp_path / "a.keras").network.layers[0]) is Registered


def test_objects_are_not_built_as_they_are_made():
    config = keras.saving.serialize_keras_object(keras.layers.Dense(3))
    config["build_config"] = {"input_shape": [None, 2**31]}
    config["compile_config"] = {}
    layer = keras.saving.deserialize_keras_object(without_state([config]))[0]
    assert not layer.built


def test_plain_objects():
    for value in (
        keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)),
        keras.losses.mean_squared_error,
    ):
        check_plain(json.loads(json.dumps(keras.saving.serialize_keras_object(value))), "it")
