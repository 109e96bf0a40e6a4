"""Parts are whole or absent, none is made twice, and a resume makes what is missing, whoever was killed."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from colour_features import MeanColour
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skcnn.datasets import TFRecordImages, load_digit_images, write_tfrecords
from skcnn.distributed import extract_parts, load_features
from skcnn.ensemble import BaggedSGDClassifier
from skcnn.images import BadImageError

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def digits():
    return load_digit_images(return_X_y=True)


@pytest.fixture(scope="module")
def paths(digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for row in range(50):
        Image.fromarray(digits[0][row]).save(folder / f"{row}.png")
    return [str(folder / f"{row}.png") for row in range(50)]


def parts(folder):
    """The content of each part, by name."""
    return {path.name: path.read_bytes() for path in Path(folder).glob("*.parquet")}


def test_parts_hold_paths_labels_and_features(digits, paths, tmp_path):
    y = digits[1][:50]
    features = extract_parts(paths, MeanColour(), tmp_path / "out", y=y, rows_per_part=20)
    expected = MeanColour().transform(paths).astype("float32")
    assert repr(features) == "<FeatureParts of 50 x 3 in 3 parts>"
    assert (len(features), features.shape, features.feature_names) == (50, (50, 3), ["red", "green", "blue"])
    np.testing.assert_array_equal(features.to_numpy(), expected)
    np.testing.assert_array_equal(features.labels(), y)
    assert features.paths().tolist() == paths
    assert [len(X) for X, _ in features.batches()] == [20, 20, 10]
    # Other tools read them: pandas, and what is in the schema.
    frame = pd.concat([pd.read_parquet(tmp_path / "out" / name) for name in sorted(parts(tmp_path / "out"))])
    assert frame.columns.tolist() == ["path", "label", "features"]
    np.testing.assert_array_equal(np.stack(frame["features"]), expected)
    schema = pq.read_schema(tmp_path / "out" / "part-00002-of-00003.parquet")
    assert str(schema.field("features").type) == "fixed_size_list<element: float>[3]"
    assert b"fingerprint" in schema.metadata[b"skcnn"]


def test_as_one_array_in_a_file(paths, tmp_path):
    features = extract_parts(paths, MeanColour(), tmp_path / "out", rows_per_part=7)
    mapped = features.to_numpy(tmp_path / "features.npy")
    assert isinstance(mapped, np.memmap)
    np.testing.assert_array_equal(mapped, features.to_numpy())
    with pytest.raises(ValueError, match=r"expected the path of a \.npy file"):
        features.to_numpy(tmp_path / "features.bin")
    with pytest.raises(ValueError, match="The parts hold no labels; expected y in extract_parts"):
        features.labels()
    assert all(y is None for _, y in features.batches())


@pytest.mark.parametrize("form", ["array", "frame", "series of text labels", "source"])
def test_every_form_of_x(form, digits, paths, tmp_path):
    X, y = digits[0][:50], digits[1][:50].astype(str)
    if form in ("frame", "series of text labels"):
        X = pd.DataFrame({"path": paths})
        X = X if form == "frame" else X["path"]
        y = pd.Series(y)
    elif form == "source":
        X = TFRecordImages(write_tfrecords(paths, None, tmp_path / "shards", 15))
    features = extract_parts(X, MeanColour(), tmp_path / "out", y=y, rows_per_part=16)
    np.testing.assert_array_equal(features.to_numpy(), MeanColour().transform(paths).astype("float32"))
    assert features.labels().tolist() == list(y)
    names = features.paths().tolist()
    assert names[20] == {"array": None, "source": X.path(20) if form == "source" else None}.get(form, paths[20])


def test_a_second_call_computes_nothing_and_a_third_what_is_missing(paths, tmp_path):
    log, out = tmp_path / "log", tmp_path / "out"
    transformer = MeanColour(log=str(log))
    extract_parts(paths, transformer, out, rows_per_part=20)
    before = parts(out)
    assert log.read_text().split() == ["20", "20", "10"]
    extract_parts(paths, transformer.set_params(n_jobs=2), out, rows_per_part=20)
    assert log.read_text().split() == ["20", "20", "10"]
    (out / "part-00001-of-00003.parquet").unlink()
    with pytest.raises(ValueError, match=r"1 of 3 parts are missing .* part-00001-of-00003.parquet: the ex"):
        load_features(out)
    extract_parts(paths, transformer, out, rows_per_part=20)
    assert log.read_text().split() == ["20", "20", "10", "20"]
    assert parts(out) == before


def test_other_arguments_are_not_mixed_in(digits, paths, tmp_path):
    y = np.arange(50)
    fitted = make_pipeline(MeanColour(), StandardScaler(), PCA(2, random_state=0)).fit(paths)
    extract_parts(paths, fitted, tmp_path / "out", y=y, rows_per_part=20)
    other = make_pipeline(MeanColour(), StandardScaler(), PCA(2, random_state=0)).fit(paths[:20])
    for X, transformer, labels, n in [
        (paths[::-1], fitted, y, 20),
        (paths, other, y, 20),
        (paths, MeanColour(2.0), y, 20),
        (paths, fitted, y[::-1], 20),
        (paths, fitted, None, 20),
        (paths, fitted, y, 10),
    ]:
        with pytest.raises(ValueError, match="has parts of other images or labels, of another size, or of another"):
            extract_parts(X, transformer, tmp_path / "out", y=labels, rows_per_part=n)
    assert extract_parts(paths, fitted, tmp_path / "out", y=y, rows_per_part=20).shape == (50, 2)


def test_bad_rows_are_all_named_by_their_place_in_x(paths, tmp_path):
    X = [*paths[:5], "lost.png", *paths[6:45], b"no image", *paths[46:]]
    with pytest.raises(BadImageError, match="The parts without these rows are written") as caught:
        extract_parts(X, MeanColour(), tmp_path / "out", rows_per_part=20)
    assert caught.value.bad_rows["row"].tolist() == [5, 45]
    assert caught.value.bad_rows["path"].tolist() == ["lost.png", None]
    assert list(parts(tmp_path / "out")) == ["part-00001-of-00003.parquet"]
    features = extract_parts(X, MeanColour(on_error="nan"), tmp_path / "nan", rows_per_part=20)
    assert np.flatnonzero(np.isnan(features.to_numpy()).any(axis=1)).tolist() == [5, 45]


def test_damaged_and_foreign_parts_are_named(paths, tmp_path):
    for name, factor in (("a", 1.0), ("b", 2.0)):
        extract_parts(paths, MeanColour(factor), tmp_path / name, rows_per_part=25)
    part = tmp_path / "a" / "part-00001-of-00002.parquet"
    content = bytearray(part.read_bytes())
    at = content.find(MeanColour().transform(paths[25:])[3].astype("float32").tobytes())
    content[at] ^= 1
    part.write_bytes(content)
    with pytest.raises(ValueError, match=r"part-00001-of-00002.parquet cannot be read .*CRC.*Remove it and call"):
        load_features(tmp_path / "a").to_numpy()
    part.write_bytes((tmp_path / "b" / part.name).read_bytes())
    with pytest.raises(ValueError, match=r"part-00001-of-00002.parquet is of another extraction than manifest.json"):
        load_features(tmp_path / "a").to_numpy()
    (tmp_path / "a" / "manifest.json").write_text("{")
    with pytest.raises(ValueError, match="has parts of other images"):
        extract_parts(paths, MeanColour(), tmp_path / "a", rows_per_part=25)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"engine": "ray"}, ValueError, "engine='ray'; expected 'local' or 'dask'"),
        ({"rows_per_part": 0}, ValueError, "rows_per_part=0; expected a positive int"),
        ({"y": [1, 2]}, ValueError, r"y has shape \(2,\); expected \(50,\), one label per sample"),
    ],
)
def test_wrong_arguments(arguments, error, message, paths, tmp_path):
    with pytest.raises(error, match=message):
        extract_parts(paths, MeanColour(), tmp_path, **arguments)
    with pytest.raises(FileNotFoundError, match="expected a folder that extract_parts has written to"):
        load_features(tmp_path / "nothing")


def test_a_transformer_of_another_shape_is_named(paths, tmp_path):
    class Wrong(MeanColour):
        def transform(self, X):
            return super().transform(X)[:-1]

    with pytest.raises(ValueError, match=r"Wrong.transform returned an array of shape \(9, 3\) for 10 samples"):
        extract_parts(paths, Wrong(), tmp_path, rows_per_part=10)


def test_urls(digits, paths, tmp_path):
    pytest.importorskip("fsspec")
    url = f"memory://{tmp_path.name}/features"
    y = digits[1][:50]
    features = extract_parts(paths, MeanColour(), url, y=y, rows_per_part=20)
    np.testing.assert_array_equal(features.to_numpy(), MeanColour().transform(paths).astype("float32"))
    assert load_features(url).labels().tolist() == y.tolist()
    extract_parts(paths, MeanColour(), url, y=y, rows_per_part=20)
    with pytest.raises(ValueError, match="has parts of other"):
        extract_parts(paths, MeanColour(2.0), url, y=y, rows_per_part=20)


def test_partial_fit_over_parts(digits, tmp_path):
    X, y = digits
    features = extract_parts(X, MeanColour(), tmp_path, y=y % 2, rows_per_part=300)
    classifier = BaggedSGDClassifier(alpha=1e-3, random_state=0)
    for _ in range(2):
        for X_part, y_part in features.batches():
            classifier.partial_fit(X_part, y_part, classes=[0, 1])
    assert classifier.predict(features.to_numpy()).shape == (len(X),)


@pytest.mark.filterwarnings("default")
def test_dask(digits, paths, tmp_path):
    distributed = pytest.importorskip("distributed")
    local = extract_parts(paths, MeanColour(), tmp_path / "local", y=digits[1][:50], rows_per_part=4)
    source = TFRecordImages(write_tfrecords(paths, None, tmp_path / "shards", 15))
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None)
    on_dask = {"rows_per_part": 4, "engine": "dask", "address": cluster.scheduler_address}
    with cluster:
        for name, X in (("paths", paths), ("source", source)):
            out = tmp_path / name
            features = extract_parts(
                X,
                MeanColour(),
                out,
                y=digits[1][:50],
                rows_per_part=4,
                engine="dask",
                address=cluster.scheduler_address,
            )
            np.testing.assert_array_equal(features.to_numpy(), local.to_numpy())
            assert features.labels().tolist() == local.labels().tolist()
        bad = [*paths[:49], "lost.png"]
        with pytest.raises(BadImageError, match=r"row 49: lost.png: no such file"):
            extract_parts(bad, MeanColour(), tmp_path / "bad", **on_dask)
    assert parts(tmp_path / "paths") == parts(tmp_path / "local")


def test_without_dask_the_extra_is_named(paths, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ImportError, match=r"pip install 'skcnn\[dask\]'"):
        extract_parts(paths, MeanColour(), tmp_path, engine="dask")


DRIVER = """
import sys
from colour_features import MeanColour
from skcnn.distributed import extract_parts
extract_parts(sys.argv[3:], MeanColour(log=sys.argv[2], pause=0.02), sys.argv[1], rows_per_part=3, verbose=0)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
def test_killed_drivers_leave_whole_parts_and_make_none_twice(paths, tmp_path):
    chance, out, log = random.Random(0), tmp_path / "out", tmp_path / "log"
    expected = parts_of_undisturbed = parts_made(paths, tmp_path / "undisturbed", log)
    log.unlink()
    environment = {**os.environ, "PYTHONPATH": f"{HERE}:{os.environ.get('PYTHONPATH', '')}"}
    seen, n_kills = {}, 0
    while len(seen) < len(expected):
        with subprocess.Popen([sys.executable, "-c", DRIVER, out, log, *paths], env=environment) as driver:
            n_before = len(seen)
            deadline = time.monotonic() + 60
            while driver.poll() is None and len(parts(out)) == n_before and time.monotonic() < deadline:
                time.sleep(0.002)
            time.sleep(chance.random() * 0.02)
            if driver.poll() is None:
                driver.send_signal(signal.SIGKILL)
                n_kills += 1
        for name, content in parts(out).items():
            assert content == parts_of_undisturbed[name]
            assert seen.setdefault(name, (out / name).stat().st_ino) == (out / name).stat().st_ino
    assert n_kills >= 5
    # At most the part that each kill interrupted was computed again.
    assert len(log.read_text().split()) <= len(expected) + n_kills


def parts_made(paths, out, log):
    extract_parts(paths, MeanColour(log=str(log), pause=0.02), out, rows_per_part=3)
    return parts(out)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_worker_of_dask_may_be_killed(paths, tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setenv("PYTHONPATH", f"{HERE}:{os.environ.get('PYTHONPATH', '')}")
    expected = parts_made(paths, tmp_path / "undisturbed", tmp_path / "log")
    out = tmp_path / "out"
    transformer = MeanColour(log=str(tmp_path / "log"), pause=0.05)
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        pids = list(client.run(os.getpid).values())
        code = (
            "import os, signal, sys, time; from pathlib import Path\n"
            "while len(list(Path(sys.argv[1]).glob('*.parquet'))) < 3: time.sleep(0.01)\n"
            "os.kill(int(sys.argv[2]), signal.SIGKILL)"
        )
        with subprocess.Popen([sys.executable, "-c", code, out, str(pids[0])]) as killer:
            features = extract_parts(
                paths, transformer, out, rows_per_part=3, engine="dask", address=cluster.scheduler_address
            )
        assert killer.returncode == 0
        assert pids[0] not in client.run(os.getpid).values()
    undisturbed = load_features(tmp_path / "undisturbed")
    np.testing.assert_array_equal(features.to_numpy(), undisturbed.to_numpy())
    assert features.paths().tolist() == paths
    assert parts(out).keys() == expected.keys()
