"""What load says of files that are broken, too large, or no files at all."""

import errno
import io
import json
import os
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
import skops.io
from forging import members_of, state_of, write
from sklearn.linear_model import LogisticRegression

import skcnn
from skcnn.persistence import ModelFileError, _save_load, read_manifest

STATE = skops.io.dumps(LogisticRegression(C=0.125))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.skcnn"


@pytest.mark.parametrize("file_format", [0, -1, True, False, 1.0, None, "1", [1]])
def test_formats_that_there_never_were(path, file_format):
    write(path, {"estimator.skops": STATE}, format=file_format)
    for read in (skcnn.load, read_manifest):
        with pytest.raises(ModelFileError, match=r"a\.skcnn is not a file that skcnn\.save wrote.*has format"):
            read(path)


@pytest.mark.parametrize("manifest", [[], {}, "", 3, None, {"format": 1, "sha256": {"estimator.skops": 3}}])
def test_manifests_that_are_none(path, manifest):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", json.dumps(manifest))
    with pytest.raises(ModelFileError, match=r"is not a file that skcnn\.save wrote") as caught:
        skcnn.load(path)
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("versions", [None, [], 3, {"skcnn": ["x"]}])
def test_a_newer_format_that_says_nothing_of_versions(path, versions):
    write(path, {"estimator.skops": STATE}, format=2, versions=versions)
    with pytest.raises(ModelFileError, match="has format 2"):
        skcnn.load(path)


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, kind in ((tmp_path, "a folder"), (tmp_path / "pipe", "a pipe"), ("/dev/zero", "a device")):
        for read in (skcnn.load, read_manifest):
            with pytest.raises(ModelFileError, match=rf"is {kind}.*expected a file that skcnn\.save wrote"):
                read(path)


def test_files_of_keras_get_a_hint(tmp_path, shared):
    with pytest.raises(ModelFileError, match=r"HDF5 file of Keras.*backbone="):
        skcnn.load(shared / "weights" / "legacy_h5" / "vww_96.h5")
    with zipfile.ZipFile(tmp_path / "a.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(ModelFileError, match=r"a Keras model .it is given as backbone="):
        skcnn.load(tmp_path / "a.keras")


@pytest.mark.parametrize(
    "name",
    [
        "weights\\..\\..\\evil.h5",
        "weights/../../evil.h5",
        "/etc/weights.h5",
        "weights/" + 64 * "0" + ".py",
        "weights/" + 64 * "0" + "/../x.h5",
        "networks/" + 64 * "0" + ".h5",
        "C:\\x.keras",
        "estimator.pkl",
    ],
)
def test_members_have_fixed_names(path, name):
    write(path, {"estimator.skops": STATE, name: b"x"})
    with pytest.raises(ModelFileError, match=r"not a name that skcnn\.save gives|members have the same name"):
        skcnn.load(path)


def zeros(n_bytes):
    return io.BytesIO(bytes(n_bytes)).read()


def test_bombs_are_refused_before_they_are_read(path):
    large = 100 * 2**20
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("manifest.json", json.dumps({"format": 1, "sha256": {"estimator.skops": 64 * "0"}}))
        archive.writestr("estimator.skops", zeros(large))
    assert path.stat().st_size < large / 200
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError, match=r"members declare 104,\d+,\d+ bytes; expected at most"):
            skcnn.load(path)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_a_bomb_that_declares_little_is_cut_there(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", json.dumps({"format": 1, "sha256": {"estimator.skops": 64 * "0"}}))
        archive.writestr("estimator.skops", zeros(30 * 2**20))
    content = path.read_bytes().replace(struct.pack("<I", 30 * 2**20), struct.pack("<I", 4096))
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError, match="damaged"):
            skcnn.load(path)
        assert tracemalloc.get_traced_memory()[1] < 5 * 2**20
    finally:
        tracemalloc.stop()


def test_bounds_of_the_archive(path):
    write(path, {"estimator.skops": STATE}, note="x" * 2**17)
    with pytest.raises(ModelFileError, match=r"manifest\.json declares 131,\d+ bytes; expected at most 65,536"):
        skcnn.load(path)
    write(path, {f"weights/{number:064x}.h5": b"" for number in range(300)})
    with pytest.raises(ModelFileError, match="301 members; expected at most 257"):
        skcnn.load(path)
    # Many members over the same bytes: each of its own is harmless.
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", "x" * 10_000)
        for number in range(50):
            archive.writestr(f"m{number}", b"")
            archive.filelist[-1].compress_size = archive.filelist[-1].file_size = 10_000
    with pytest.raises(ModelFileError, match="members overlap"):
        skcnn.load(path)


def test_zeros_are_saved_so_that_load_takes_them(path, monkeypatch):
    monkeypatch.setattr(_save_load, "SLACK", 2**20)
    classifier = LogisticRegression()
    classifier.coef_ = np.zeros((1, 2**18))
    skcnn.save(classifier, path)
    assert path.stat().st_size > 2**21
    assert skcnn.load(path).coef_.shape == (1, 2**18)


def test_whatever_is_raised_is_said_of_the_file(path):
    for state in (b"PK", b"", state_of("{"), state_of("[" * 100_000), state_of("3"), state_of({"protocol": 2})):
        write(path, {"estimator.skops": state})
        with pytest.raises(ModelFileError, match=r"a\.skcnn is damaged or forged") as caught:
            skcnn.load(path)
        assert caught.value.__cause__ is not None


def test_trusted_is_a_list(path):
    skcnn.save(LogisticRegression(), path)
    with pytest.raises(TypeError, match="expected a list of names"):
        skcnn.load(path, trusted="mypackage.Deskew")


def test_save_refuses_what_holds_itself(path):
    given = LogisticRegression()
    given.C = given
    with pytest.raises(TypeError, match="holds itself"):
        skcnn.save(given, path)
    assert not path.exists()


def test_members_are_read_whole(path):
    skcnn.save(LogisticRegression(C=0.125), path)
    assert list(members_of(path)) == ["estimator.skops"]
    assert skcnn.load(path).C == 0.125


def test_a_full_disk_is_not_blamed_on_the_file(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    skcnn.save(LogisticRegression(), tmp_path / "a.skcnn")
    monkeypatch.setattr(skops.io, "loads", full)
    with pytest.raises(OSError, match="No space left"):
        skcnn.load(tmp_path / "a.skcnn")
