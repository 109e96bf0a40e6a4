"""Kills, full disks and threads: what is left is whole, and the rows are right.

    python benchmarks/hostile_disks.py [--only WORD]

Each row of the table that it prints is a function below: an attack, how often it was tried, and what came of it. Every
kill is a SIGKILL at a random moment of a process of its own. A full disk is a small tmpfs where this user may mount one
(root), and a limit on the sizes of files otherwise. It exits with 1 if anything was not as documented.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import os
import random
import resource
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pyarrow.parquet as pq
from PIL import Image
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import skcnn
from skcnn.cache import CacheWarning, FeatureCache
from skcnn.cli import main as run_command
from skcnn.datasets import load_digit_images
from skcnn.distributed import load_features
from skcnn.feature_extraction import BottleneckFeatures
from skcnn.neural_network import CNNClassifier
from skcnn.report import ClassifierReport


class Row(NamedTuple):
    """A row of the table."""

    attack: str
    n_tried: int
    result: str
    is_right: bool


def digits(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return some images and their labels."""
    X, y = load_digit_images(return_X_y=True)
    return X[:n], y[:n]


def extractor(cache: Any, **parameters: Any) -> BottleneckFeatures:
    """Make a transformer of small batches."""
    return BottleneckFeatures("ResNet20", cache=cache, batch_size=4, engine="keras", **parameters)


def classifier(checkpoint: Any) -> CNNClassifier:
    """Make a classifier whose training has forty epochs."""
    return CNNClassifier(
        "ResNet20", head_epochs=10, epochs=30, learning_rate=0.01, batch_size=8, random_state=0, image_size=16,
        unfreeze="stage3_unit3", checkpoint=checkpoint,
    )  # fmt: skip


#: What every process of this script begins with.
COMMON = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import numpy as np
import skcnn
from hostile_disks import classifier, digits, extractor
"""


class Child:
    """A process that runs a script, says when it begins and may be killed."""

    def __init__(self, script: str, *arguments: object):
        self.process = subprocess.Popen(
            [sys.executable, "-c", COMMON + script, *map(str, arguments)], stdout=subprocess.PIPE, text=True
        )
        self.line = self.process.stdout.readline() if self.process.stdout else ""

    def kill_after(self, seconds: float) -> bool:
        """Kill it; tell whether it was still at work."""
        time.sleep(seconds)
        self.process.send_signal(signal.SIGKILL)
        return self.end() == -signal.SIGKILL

    def end(self) -> int:
        """Wait for its end, and return its exit code."""
        self.process.communicate()
        return self.process.returncode


EXTRACT = """
transformer = extractor(sys.argv[1])
transformer.transform(np.zeros((1, 8, 8, 3), np.uint8))
print("begins", flush=True)
np.save(sys.argv[2], transformer.transform(digits(600)[0]))
"""


def kills_during_extraction(folder: Path) -> Row:
    """Kill an extraction into a cache directory; the next one goes on from there."""
    chance, n_killed, n_runs = random.Random(0), 0, 0
    while n_killed < 20 and n_runs < 60:
        n_runs += 1
        n_killed += Child(EXTRACT, folder / "cache", folder / "out.npy").kill_after(chance.uniform(0, 0.25))
    code = Child(EXTRACT, folder / "cache", folder / "out.npy").end()
    expected = extractor(None).transform(digits(600)[0])
    n_wrong = int((np.abs(np.load(folder / "out.npy") - expected).max(axis=1) > 1e-4).sum())
    cache = FeatureCache(folder / "cache")
    passes, (_, n_bad, damage) = cache.info().passes, cache.verify()
    twice = passes - len({hashlib.sha256(pixels.tobytes()).digest() for pixels in digits(600)[0]}) - 1
    result = f"{n_wrong} wrong rows of 600; {n_bad} damaged records; {max(twice, 0)} images stored twice"
    return Row("kill -9 during an extraction with a cache directory", n_killed, result,
               (code, n_wrong, n_bad, damage) == (0, 0, 0, None) and n_killed == 20)  # fmt: skip


TRAIN = """
print("begins", flush=True)
X, y = digits(64)
fitted = classifier(sys.argv[1]).fit(X, y)
np.save(sys.argv[2], fitted.predict_proba(X))
"""


def kills_during_training(folder: Path) -> Row:
    """Kill a training that keeps checkpoints; the next one goes on, and ends as an undisturbed one."""
    checkpoint, chance, n_killed = folder / "checkpoint", random.Random(1), 0
    checkpoint.mkdir()
    n_damaged = 0
    for _ in range(10):
        before = [path.stat().st_mtime_ns for path in checkpoint.glob("*.npz")]
        child = Child(TRAIN, checkpoint, folder / "killed.npy")
        # Until the run has got further than the last one.
        while child.process.poll() is None and [p.stat().st_mtime_ns for p in checkpoint.glob("*.npz")] == before:
            time.sleep(0.01)
        n_killed += child.kill_after(chance.uniform(0, 0.05))
        for path in checkpoint.glob("*.npz"):
            with contextlib.suppress(Exception), np.load(path) as arrays:
                n_damaged -= all(arrays[name] is not None for name in arrays)
            n_damaged += 1
    runs = ((checkpoint, "killed.npy"), (folder / "b", "b.npy"))
    codes = [Child(TRAIN, at, folder / name).end() for at, name in runs]
    difference = float(np.abs(np.load(folder / "killed.npy") - np.load(folder / "b.npy")).max())
    n_left = len([path for path in checkpoint.iterdir() if path.suffix == ".part"])
    result = (
        f"{n_damaged} half-written files; {n_left} temporaries left; differs from an undisturbed run by {difference:g}"
    )
    return Row("kill -9 during training with checkpoints", n_killed, result,
               (codes, n_damaged, n_left, difference) == ([0, 0], 0, 0, 0.0) and n_killed == 10)  # fmt: skip


PARTS = """
from skcnn.distributed import extract_parts
X, y = digits(1500)
transformer = extractor(None).set_params(engine="openvino")  # a process of it starts within a second or two
transformer.transform(np.zeros((1, 8, 8, 3), np.uint8))
print("begins", flush=True)
extract_parts(X, transformer, sys.argv[1], y=y, rows_per_part=10, verbose=0)
"""


def kills_during_parts(folder: Path) -> Row:
    """Kill an extraction in parts; what is finished stays as it is, and the next one makes the rest."""
    out, chance, n_killed, n_runs = folder / "parts", random.Random(3), 0, 0
    seen: dict[str, tuple[str, int, int]] = {}
    n_changed = n_damaged = most_left = 0
    while n_killed < 20 and n_runs < 60:
        n_runs += 1
        child = Child(PARTS, out)
        # Until the run has finished a part of its own.
        while child.process.poll() is None and len(list(out.glob("*.parquet"))) == len(seen):
            time.sleep(0.001)
        n_killed += child.kill_after(chance.uniform(0, 0.02))
        found = {path.name: state_of(path) for path in out.glob("*.parquet")}
        n_changed += sum(found.get(name) != state for name, state in seen.items())
        for name in found.keys() - seen.keys():
            try:
                n_damaged += pq.read_table(out / name, page_checksum_verification=True).num_rows != 10
            except Exception:
                n_damaged += 1
        seen = found
        if out.exists():
            most_left = max(most_left, len(os.listdir(out)) - len(found) - 1)
    n_before = len(seen)
    code = Child(PARTS, out).end()
    n_changed += sum(state_of(out / name) != state for name, state in seen.items())
    X, y = digits(1500)
    features = load_features(out)
    expected = extractor(None).transform(X)
    n_wrong = int((np.abs(features.to_numpy() - expected).max(axis=1) > 1e-4).sum())
    n_wrong += int((features.labels() != y).sum())
    n_left = len(os.listdir(out)) - len(list(out.glob("*.parquet"))) - 1
    result = (
        f"{n_before} of 150 parts finished by the killed ones; {n_changed} of these changed or made again; {n_damaged} "
        f"half-written; {n_wrong} wrong of 1,500 rows; {n_left} temporaries left (at most {most_left} before)"
    )
    return Row("kill -9 of the driver during an extraction in parts", n_killed, result,
               (code, n_changed, n_damaged, n_wrong, n_killed) == (0, 0, 0, 0, 20) and n_before > 0)  # fmt: skip


def state_of(path: Path) -> tuple[str, int, int]:
    """Return digest, inode and time of change of a file: another inode is another file of this name."""
    status = path.stat()
    return hashlib.sha256(path.read_bytes()).hexdigest(), status.st_ino, status.st_mtime_ns


SAVE = """
models = [extractor("memory", resize=resize) for resize in ("crop", "pad")]
skcnn.save(models[0], sys.argv[1])
print("begins", flush=True)
while True:
    for model in models:
        skcnn.save(model, sys.argv[1])
"""


def kills_during_save(folder: Path) -> Row:
    """Kill a process that saves one model over another; what is there is one of them, whole."""
    chance, path, n_killed, n_half, most_left = random.Random(2), folder / "model.skcnn", 0, 0, 0
    for _ in range(20):
        n_killed += Child(SAVE, path).kill_after(chance.uniform(0, 0.05))
        try:
            n_half += skcnn.load(path).resize not in ("crop", "pad")
        except Exception:
            n_half += 1
        most_left = max(most_left, len(os.listdir(folder)) - 1)
    skcnn.save(extractor("memory"), path)
    n_left = len(os.listdir(folder)) - 1
    result = f"{n_half} half-written files; {n_left} temporaries left after the next save (at most {most_left} before)"
    return Row("kill -9 during save", n_killed, result, (n_half, n_left, n_killed) == (0, 0, 20) and most_left <= 1)


@contextlib.contextmanager
def full_disk(folder: Path, free: int) -> Iterator[tuple[Path, Callable[[], None]]]:
    """Give a folder on a disk with some bytes free, and a function that makes room."""
    disk = folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={free + 2**20}", "tmpfs", str(disk)], capture_output=True
    )
    if mounted.returncode == 0:
        try:
            (disk / "filler").write_bytes(bytes(2**20))
            yield disk, lambda: subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True) and None
        finally:
            subprocess.run(["umount", "-l", str(disk)], check=True)
        return
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (free, before[1]))
    try:
        yield disk, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, before)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _write_out(disk: Path) -> None:
    extractor(None).transform(digits(600)[0], out=disk / "out.npy")


def _fill_cache(disk: Path) -> None:
    transformer, (X, _) = extractor(disk / "cache"), digits(600)
    if np.abs(transformer.transform(X) - extractor("memory").transform(X)).max() > 1e-4:
        raise AssertionError("wrong rows")
    if transformer.transform(X).shape != (600, 64):
        raise AssertionError("rows are missing")


def _save(disk: Path) -> None:
    rng = np.random.default_rng(0)
    head = LogisticRegression(max_iter=5).fit(rng.random((60, 4096)), np.arange(60))
    skcnn.save(make_pipeline(extractor("memory"), head), disk / "model.skcnn")


def _write_report(disk: Path) -> None:
    _, y = digits(300)
    ClassifierReport.from_predictions(y, np.eye(10)[(y + 1) % 10]).to_html(disk / "report.html")


def _train(disk: Path) -> None:
    X, y = digits(24)
    classifier(disk / "checkpoints").set_params(head_epochs=1, epochs=1).fit(X, y)


def _extract_to_a_table(disk: Path) -> None:
    folder = disk.parent / "images"
    if not folder.exists():
        for row, pixels in enumerate(digits(200)[0]):
            (folder / str(row % 2)).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / str(row % 2) / f"{row}.png")
    command = ["extract", str(folder), "-o", str(disk / "table.csv"), "--backbone", "ResNet20", "--quiet"]
    with contextlib.redirect_stderr(io.StringIO()) as said, contextlib.redirect_stdout(io.StringIO()):
        code = run_command([*command, "--engine", "keras"])
    if code:
        if code != 1 or len(said.getvalue().splitlines()) != 1:
            raise AssertionError(said.getvalue())
        raise OSError(said.getvalue())


def _download(disk: Path) -> None:
    from skcnn.datasets._remote import RemoteArchive, fetch_archive

    archive = disk.parent / "things.tar"
    if not archive.exists():
        with tarfile.open(archive, "w") as tar:
            about = tarfile.TarInfo("things/big")
            about.size = 2**21
            tar.addfile(about, io.BytesIO(np.random.default_rng(0).bytes(2**21)))
    content = archive.read_bytes()
    remote = RemoteArchive(archive.as_uri(), "things", len(content), hashlib.sha256(content).hexdigest())
    fetch_archive(remote, disk)


def _load_a_model_with_its_network(disk: Path) -> None:
    path = disk.parent / "network.skcnn"
    if not path.exists():
        import keras

        inputs = keras.Input((8, 8, 3))
        outputs = keras.layers.Dense(200_000 // 192 * 4)(keras.layers.Flatten()(inputs))
        network = keras.Model(inputs, keras.layers.Reshape((1, 1, -1))(outputs))
        tempfile.tempdir = None
        skcnn.save(BottleneckFeatures(network), path)
    tempfile.tempdir = str(disk)
    try:
        skcnn.load(path)
    finally:
        tempfile.tempdir = None


#: What is done on a full disk: how many bytes are free, and whether it goes on without the disk, with a warning.
OPERATIONS: dict[str, tuple[Callable[[Path], None], int, bool]] = {
    "transform(out=)": (_write_out, 100_000, False),
    "a cache that becomes full": (_fill_cache, 300_000, True),
    "a cache on a disk that is full": (_fill_cache, 8_192, True),
    "save": (_save, 20_000, False),
    "to_html": (_write_report, 8_192, False),
    "a checkpoint": (_train, 100_000, False),
    "skcnn extract": (_extract_to_a_table, 50_000, False),
    "a download": (_download, 1_000_000, False),
    "the temporary folder of load": (_load_a_model_with_its_network, 100_000, False),
}


def full_disks(folder: Path) -> Row:
    """Do things on a disk that is full, then again when there is room."""
    wrong: list[str] = []
    for number, (name, (operation, free, goes_on)) in enumerate(OPERATIONS.items()):
        place = folder / str(number)
        place.mkdir()
        with full_disk(place, free) as (disk, make_room), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            outcome = "went on"
            try:
                operation(disk)
            except OSError:
                outcome = "OSError"
            except BaseException as error:
                outcome = f"{type(error).__name__}: {error}"
            if outcome != ("went on" if goes_on else "OSError"):
                wrong.append(f"{name}: {outcome}")
            kinds = [warning.category for warning in caught if warning.category is CacheWarning]
            if goes_on and kinds != [CacheWarning]:
                wrong.append(f"{name}: {len(kinds)} warnings")
            # Every file that is there by its name is whole: nothing was there before.
            left = [path.name for path in disk.iterdir() if path.name not in ("filler", "cache", "checkpoints")]
            if left:
                wrong.append(f"{name}: {left} left")
            make_room()
            try:
                operation(disk)
            except BaseException as error:
                wrong.append(f"{name}, with room: {type(error).__name__}: {error}")
            if goes_on and FeatureCache(disk / "cache").info().n_records < 500:
                wrong.append(f"{name}: with room, records are not kept")
            clear_stores()
    result = "; ".join(wrong) or "OSError or one CacheWarning each; 0 half-written files; all work once there is room"
    return Row(f"a full disk: {', '.join(OPERATIONS)}", len(OPERATIONS), result, not wrong)


def clear_stores() -> None:
    """Close the databases of cache directories, so that their disk can be taken away."""
    from skcnn.cache._store import _at_exit

    _at_exit()


FORKS = """
import multiprocessing
X, _ = digits(40)
def work(out):
    np.save(out, extractor(sys.argv[1]).transform(X))
if __name__ == "__main__":
    print("begins", flush=True)
    # Before Keras is at work in this process: afterwards a fork is refused.
    processes = [multiprocessing.get_context("fork").Process(target=work, args=(out,)) for out in sys.argv[2:4]]
    for process in processes: process.start()
    for process in processes: process.join()
    sys.exit(max(process.exitcode for process in processes))
"""
REFUSED_FORK = """
import multiprocessing
X, _ = digits(4)
def work():
    try:
        extractor(None).transform(X)
    except RuntimeError as error:
        os._exit(7)
if __name__ == "__main__":
    extractor(None).transform(X)
    print("begins", flush=True)
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start(); process.join(60)
    code = process.exitcode
    process.kill()
    os._exit(1 if code is None else code)
"""


def thread_set_ups(folder: Path) -> Row:
    """Extract and predict in threads and processes of several kinds."""
    from joblib import Parallel, delayed

    X, y = digits(120)
    expected = extractor(None).transform(X)
    wrong: Counter[str] = Counter()

    def compare(name: str, found: np.ndarray, wanted: np.ndarray) -> None:
        wrong[name] += int((np.abs(found - wanted).max(axis=1) > 1e-4).sum())

    with ThreadPoolExecutor(8) as pool:
        one = extractor("memory")
        for found in pool.map(lambda _: one.transform(X), range(8)):
            compare("8 threads, one transformer", found, expected)
        for found in pool.map(lambda _: clone(one).set_params(cache=folder / "a").transform(X), range(8)):
            compare("8 threads, clones, one cache directory", found, expected)
        fitted = classifier(None).set_params(head_epochs=1, epochs=1).fit(X, y)
        alone = fitted.predict_proba(X)
        for found in pool.map(lambda _: fitted.predict_proba(X), range(8)):
            compare("8 threads, one fine-tuned classifier", found, alone)
    compare("processes of joblib (loky)", extractor(folder / "b", n_jobs=2).transform(X), expected)
    nested = Parallel(n_jobs=2, prefer="threads")(
        delayed(extractor(folder / "c", n_jobs=2).transform)(part) for part in (X[:60], X[60:])
    )
    compare("joblib inside joblib", np.concatenate(list(nested)), expected)
    outs = [folder / "1.npy", folder / "2.npy"]
    code = Child(FORKS, folder / "d", *outs).end()
    for out in outs:
        found = np.load(out) if code == 0 else np.full((40, 64), np.inf)
        compare("forked processes, one cache directory", found, expected[:40])
    wrong["a fork of a process in which Keras was at work"] += Child(REFUSED_FORK).end() != 7
    said = [f"{name}: {n}" for name, n in wrong.items() if n]
    result = "; ".join(said) or "0 wrong rows, 0 hung; a fork from under Keras is a RuntimeError"
    return Row(f"threads and processes: {', '.join(wrong)}", len(wrong), result, not said)


ROWS = (
    kills_during_extraction,
    kills_during_parts,
    kills_during_training,
    kills_during_save,
    full_disks,
    thread_set_ups,
)


def measure(only: str = "") -> list[Row]:
    """Return the rows of the table."""
    rows = []
    for function in ROWS:
        if only in function.__name__:
            with tempfile.TemporaryDirectory() as folder:
                rows.append(function(Path(folder)))
    return rows


def main() -> int:
    """Print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="WORD", help="only the functions with this in their name")
    rows = measure(parser.parse_args().only)
    print("| attack | tried | result |\n|---|---|---|")
    for row in rows:
        print(f"| {row.attack} | {row.n_tried} | {'' if row.is_right else '**wrong:** '}{row.result} |")
    return int(not all(row.is_right for row in rows))


if __name__ == "__main__":
    sys.exit(main())
