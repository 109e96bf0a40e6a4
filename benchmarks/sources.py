"""Images in shards: memory and rate over very many, shards beside one file per image, and how often an image is read.

    python benchmarks/sources.py --cifar cifar10_jpeg.npz --data flowers/ --json sources.json

``flat``: 100,000 images (those of CIFAR-10, repeated) in TFRecord shards are read and decoded, and then extracted by
ResNet20, in a process of its own each; resident memory and images per second after every tenth of them.

``shards``: the same images as one file each and as TFRecord, tar and Parquet: in order with a cold page cache
(``posix_fadvise``: directories and inodes stay cached, which favours single files), and in random order with a warm
one. What is timed is reading as extraction does it, checksums included.

``parts``: 50,000 features of ResNet20, written in parts, in random order and in the order of their classes, as a folder
has them. ``fit_batches`` and ``partial_fit`` over the parts beside ``fit`` in memory: accuracy on 10,000 images that
neither saw.

``memory``: resident memory of ``fit_batches`` on these features, and on them repeated 5 and 20 times, each in a process
of its own.

``search``: reads by GridSearchCV of 2 candidates x 3 folds over 300 rows.

The file of ``--cifar`` has the encoded images of CIFAR-10 as ``train_jpeg`` (bytes), ``train_offset`` and ``train_y``,
and the same with ``test_``.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from _reports import add_json, write_report
from _rounds import describe, interleaved, machine, median, ratio, show_ratio, table, timed

from skcnn.datasets import ParquetImages, TarImages, TFRecordImages, load_image_folder, write_tfrecords
from skcnn.images import HeldImages, ImageSource, as_images, map_ahead, read_batches

#: Rows that are read together, as extraction does it.
BLOCK = 512

FILES = "one file per image"
TITLES = ("in order, cold", "opened and in order, cold", "at random, warm")


class Cifar(ImageSource):
    """Encoded images of CIFAR-10 by their number, repeated."""

    def __init__(self, path: str, n_images: int, split: str = "train"):
        with np.load(path) as file:
            self.content, self.offsets = file[f"{split}_jpeg"].tobytes(), file[f"{split}_offset"].astype(int)
            self.y = file[f"{split}_y"].astype(int)
        self.n_images, self.split = n_images, split

    def __len__(self) -> int:
        return self.n_images

    def read_many(self, rows: Any) -> list[bytes]:
        """Return the encoded images of rows."""
        numbers = np.asarray(rows) % (len(self.offsets) - 1)
        return [self.content[self.offsets[number] : self.offsets[number + 1]] for number in numbers]

    def stamp(self, row: int) -> str:
        """Return the number of a row."""
        return f"cifar {self.split} {row}"

    def read_labels(self, rows: Any) -> np.ndarray:
        """Return the labels of rows."""
        return self.y[np.asarray(rows) % len(self.y)]


class Counted(Cifar):
    """The same, counting what is read."""

    def __init__(self, path: str, n_images: int):
        super().__init__(path, n_images)
        self.n_read: list[int] = []

    def read_many(self, rows: Any) -> list[bytes]:
        """Return the encoded images of rows."""
        self.n_read.append(len(rows))
        return super().read_many(rows)


def resident() -> tuple[int, int]:
    """Return the resident bytes of this process: all, and without mapped files."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines["VmRSS"].split()[0]) * 1024, int(lines["RssAnon"].split()[0]) * 1024


class Noting(TFRecordImages):
    """A source that notes resident memory and seconds after every tenth of its images."""

    def start(self) -> None:
        """Begin to count."""
        self.notes: list[dict[str, float]] = []
        self.n_read, self.clocks = 0, (time.perf_counter(), time.process_time())

    def read_many(self, rows: Any) -> list[bytes | Exception]:
        """Return the encoded images of rows."""
        before, step = self.n_read, len(self) // 10
        self.n_read += len(rows)
        if self.n_read // step > before // step:
            wall, cpu = time.perf_counter(), time.process_time()
            total, anonymous = resident()
            n_images = self.n_read - sum(int(note["of"]) for note in self.notes)
            self.notes.append(
                {
                    "images": self.n_read,
                    "of": n_images,
                    "wall": wall - self.clocks[0],
                    "cpu": cpu - self.clocks[1],
                    "resident": total,
                    "anonymous": anonymous,
                }
            )
            self.clocks = wall, cpu
        return super().read_many(rows)


def child(task: str, pattern: str, work: str) -> list[dict[str, float]]:
    """Go through all images, and return resident memory and seconds after every tenth."""
    if task == "fit":
        return fit_of_parts(pattern)
    source = Noting(pattern)
    if task == "decode":
        source.start()
        batches = read_batches(as_images(source), range(len(source)), (32, 32), batch_size=64)
        assert sum(len(batch.rows) for batch in batches) == len(source)
        return source.notes

    from skcnn.feature_extraction import BottleneckFeatures

    features = BottleneckFeatures("ResNet20", cache=None, verbose=0)
    features.transform(TFRecordImages(pattern)[:64])
    source.start()
    out = features.transform(source, out=f"{work}/features.npy")
    assert np.isfinite(out[:: max(1, len(source) // 1000)]).all()
    return source.notes


def flat(cifar: str, n_images: int, tasks: list[str], work: Path) -> dict[str, Any]:
    """Measure memory and rate over many images, each task in a process of its own."""
    started = time.perf_counter()
    write_tfrecords(Cifar(cifar, n_images), np.arange(n_images) % 10, work / "many", 1000)
    print(f"  {n_images:,} images written in {time.perf_counter() - started:.0f} s", file=sys.stderr)
    report = {}
    for task in tasks:
        command = [sys.executable, __file__, "--child", task, str(work / "many" / "*.tfrecord"), str(work)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr)
        report[task] = json.loads(done.stdout.splitlines()[-1])
    return report


def as_shards(contents: list[bytes], work: Path) -> dict[str, Any]:
    """Write images in four ways; return how to open each of them."""
    (work / "files").mkdir(parents=True)
    paths = []
    for number, content in enumerate(contents):
        paths.append(str(work / "files" / f"{number:06}.jpg"))
        Path(paths[-1]).write_bytes(content)
    records = write_tfrecords(contents, None, work / "records", 1000)
    tars, parquets = [], []
    for start in range(0, len(contents), 1000):
        tars.append(str(work / f"{start:06}.tar"))
        with tarfile.open(tars[-1], "w") as tar:
            for number, content in enumerate(contents[start : start + 1000]):
                member = tarfile.TarInfo(f"{start + number:06}.jpg")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        parquets.append(str(work / f"{start:06}.parquet"))
        images = [{"bytes": content, "path": None} for content in contents[start : start + 1000]]
        pq.write_table(pa.table({"image": images}), parquets[-1], row_group_size=100)
    os.sync()
    return {
        FILES: (paths, lambda: paths),
        "TFRecord": (records, lambda: TFRecordImages(records)),
        "tar": (tars, lambda: TarImages(tars)),
        "Parquet": (parquets, lambda: ParquetImages(parquets)),
    }


def forget(paths: list[str]) -> None:
    """Drop files from the page cache."""
    for path in paths:
        with open(path, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read_all(X: Any, order: np.ndarray) -> int:
    """Read rows as extraction does; return their bytes."""
    if not isinstance(X, ImageSource):
        images = as_images(X)
        return sum(len(content) for _, content in map_ahead(images.read, order.tolist(), BLOCK))
    n_bytes = 0
    for start in range(0, len(order), BLOCK):
        held = HeldImages(as_images(X[order[start : start + BLOCK]]))
        held.fetch(range(len(held)))
        n_bytes += sum(held.sizes())
    return n_bytes


def shards(contents: list[bytes], n_rounds: int, work: Path) -> dict[str, Any]:
    """Time reading from shards and from one file per image."""
    forms = as_shards(contents, work)
    n, total = len(contents), sum(map(len, contents))
    in_order, at_random = np.arange(n), np.random.default_rng(0).permutation(n)
    opened = {name: opener() for name, (_, opener) in forms.items()}

    def cold(name: str) -> None:
        assert read_all(opened[name], in_order) == total

    def cold_and_opened(name: str) -> None:
        assert read_all(forms[name][1](), in_order) == total

    def warm(name: str) -> None:
        assert read_all(opened[name], at_random) == total

    report: dict[str, Any] = {"images": n, "bytes": total}
    for title, function in zip(TITLES, (cold, cold_and_opened), strict=False):
        rounds = []
        for _ in range(n_rounds):
            for paths, _ in forms.values():
                forget(paths)
            rounds += interleaved({name: partial(function, name) for name in forms}, 1)
        report[title] = rounds
    for name in forms:
        warm(name)
    # Parquet reads a group of rows for each image in random order: write it as TFRecord for that.
    names = [name for name in forms if name != "Parquet"]
    report[TITLES[2]] = interleaved({name: partial(warm, name) for name in names}, n_rounds)
    return report


def parts(cifar: str, work: Path) -> dict[str, Any]:
    """Fit the classifier part by part, and in memory."""
    from sklearn.preprocessing import FunctionTransformer

    from skcnn.distributed import extract_parts
    from skcnn.ensemble import BaggedSGDClassifier
    from skcnn.feature_extraction import BottleneckFeatures

    network = BottleneckFeatures("ResNet20", cache=None, verbose=0)
    at_random, test = features_of(Cifar(cifar, 50_000), work), Cifar(cifar, 10_000, "test")
    orders = {"at random": at_random}
    X_test, y_test = network.transform(test), test.labels()
    X, y = at_random.to_numpy(), at_random.labels()
    by_class = np.argsort(y, kind="stable")
    orders["by class"] = extract_parts(
        X[by_class], FunctionTransformer(), work / "by_class", y=y[by_class], rows_per_part=5000, verbose=0
    )
    fits: dict[str, list[dict[str, float]]] = {}

    def note(name: str, fit: Callable[[], BaggedSGDClassifier]) -> None:
        seconds, fitted = timed(fit)
        found = {"accuracy": fitted.score(X_test, y_test), "epochs": fitted.n_iter_, "cpu": seconds["cpu"]}
        fits.setdefault(name, []).append(found)

    for seed in range(3):
        model = partial(BaggedSGDClassifier, random_state=seed)
        note("fit, in memory", lambda model=model: model().fit(X, y))
        note(
            "fit_batches, by class, buffer of 2 MiB",
            lambda model=model: model().fit_batches(orders["by class"].shuffled(random_state=0, buffer_bytes=2**21)),
        )
        for order, features in orders.items():
            note(
                f"fit_batches, {order}",
                lambda model=model, features=features: model().fit_batches(features.shuffled(random_state=0)),
            )
            note(
                f"partial_fit over parts twice, {order}",
                lambda model=model, features=features: part_by_part(model(), features),
            )
    return {"rows": len(X), "fits": fits}


def memory(cifar: str, work: Path) -> list[dict[str, float]]:
    """Fit on the features of 50,000 images, repeated, each in a process of its own."""
    from sklearn.preprocessing import FunctionTransformer

    from skcnn.distributed import extract_parts

    at_random = features_of(Cifar(cifar, 50_000), work)
    X, y = at_random.to_numpy(), at_random.labels()
    found = []
    for times in (1, 5, 20):
        out = work / f"repeated_{times}"
        extract_parts(np.tile(X, (times, 1)), FunctionTransformer(), out, y=np.tile(y, times), verbose=0)
        command = [sys.executable, __file__, "--child", "fit", str(out), str(work)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr)
        found += json.loads(done.stdout.splitlines()[-1])
    return found


def features_of(images: Cifar, work: Path) -> Any:
    """Return the features of images, by ResNet20, in parts."""
    from skcnn.distributed import extract_parts
    from skcnn.feature_extraction import BottleneckFeatures

    network = BottleneckFeatures("ResNet20", cache=None, verbose=0)
    return extract_parts(images, network, work / "parts", y=images.labels(), rows_per_part=5000, verbose=0)


def part_by_part(model: Any, features: Any) -> Any:
    """Train on the parts in their order, twice."""
    for _ in range(2):
        for X, y in features.batches():
            model.partial_fit(X, y, classes=range(10))
    return model


def fit_of_parts(folder: str) -> list[dict[str, float]]:
    """Fit on the parts of a folder for three epochs; return resident memory before, and at its most."""
    from skcnn.distributed import load_features
    from skcnn.ensemble import BaggedSGDClassifier

    features, before = load_features(folder), resident()[0]
    passes: list[int] = []

    class Watched:
        def __iter__(self) -> Iterator[Any]:
            passes.append(0)
            for batch in shuffled:
                yield batch
                passes[-1] = max(passes[-1], resident()[0])

    shuffled = features.shuffled(random_state=0, buffer_bytes=2**23)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it does not converge in three epochs
        BaggedSGDClassifier(max_iter=3, random_state=0).fit_batches(Watched())
    status = Path("/proc/self/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0]) * 1024
    return [{"rows": len(features), "before": before, "passes": passes, "peak": peak}]


def search(cifar: str) -> dict[str, Any]:
    """Count how often a grid search reads its images."""
    from sklearn.model_selection import GridSearchCV
    from sklearn.naive_bayes import GaussianNB
    from sklearn.pipeline import make_pipeline

    from skcnn.feature_extraction import BottleneckFeatures

    source = Counted(cifar, 300)
    model = make_pipeline(BottleneckFeatures("ResNet20"), GaussianNB())
    GridSearchCV(model, {"gaussiannb__var_smoothing": [1e-9, 1e-3]}, cv=3).fit(source, np.arange(300) % 2)
    return {"rows": 300, "reads": sum(source.n_read)}


def show(report: dict[str, Any]) -> str:
    """Return the report as tables."""
    lines = [f"{describe(report['machine'])}; load average {report['load'][0]:.1f} to {report['load'][1]:.1f}\n"]
    for task, notes in report.get("flat", {}).items():
        lines.append(f"**{'Read and decoded' if task == 'decode' else 'Extracted by ResNet20'}**\n")
        body = []
        for note in notes:
            rates = [f"{note['of'] / note[clock]:,.0f}" for clock in ("wall", "cpu")]
            body.append([f"{note['images']:,}", *rates, *(f"{note[m] / 2**20:.1f}" for m in ("resident", "anonymous"))])
        header = ["images", "images/s, wall", "per second of processor", "resident, MiB", "of it anonymous, MiB"]
        lines.append(table(header, body) + "\n")
    for name, one in report.get("shards", {}).items():
        lines.append(f"**{name}: {one['images']:,} images, {one['bytes'] / one['images'] / 1000:.1f} kB each**\n")
        body = []
        for title in TITLES:
            rounds = one[title]
            for form in rounds[0]:
                rate = one["images"] / median(rounds, form, "wall")
                times = [show_ratio(ratio(rounds, FILES, form, clock)) for clock in ("wall", "cpu")]
                body.append([title, form, f"{rate:,.0f}", *times])
        lines.append(table(["how", "form", "images/s", f"x {FILES}, wall", "processor"], body) + "\n")
    if "parts" in report:
        found = report["parts"]
        lines.append(f"**{found['rows']:,} features in parts, three seeds**\n")
        body = []
        for name, ones in found["fits"].items():
            accuracies = [one["accuracy"] for one in ones]
            body.append(
                [name, f"{np.mean(accuracies):.4f}", f"{min(accuracies):.4f} to {max(accuracies):.4f}"]
                + [f"{np.median([one[key] for one in ones]):.1f}" for key in ("epochs", "cpu")]
            )
        lines.append(table(["how", "accuracy", "range", "epochs", "seconds of processor"], body) + "\n")
    if "memory" in report:
        body = [
            [f"{one['rows']:,}", *(f"{n / 2**20:.0f}" for n in (one["before"], *one["passes"], one["peak"]))]
            for one in report["memory"]
        ]
        header = ["rows", "resident before, MiB", "first pass", *(f"epoch {n}" for n in (1, 2, 3)), "peak"]
        lines.append("`fit_batches` with a buffer of 8 MiB:\n\n" + table(header, body) + "\n")
    if "search" in report:
        found = report["search"]
        lines.append(f"Grid search of 2 candidates x 3 folds over {found['rows']} rows: {found['reads']} reads.")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Run the parts that are asked for, print their tables and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cifar", help="the file with CIFAR-10's encoded images")
    parser.add_argument("--data", help="a folder of images for 'shards', beside CIFAR-10")
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--shard-images", type=int, default=20_000, help="images of CIFAR-10 for 'shards'")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--parts", nargs="+", default=["flat", "shards", "parts", "memory", "search"])
    parser.add_argument("--tasks", nargs="+", default=["decode", "extract"])
    parser.add_argument("--work", help="folder for the images; default: a temporary one")
    add_json(parser)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.child:
        print(json.dumps(child(*given.child)))
        return
    report: dict[str, Any] = {"machine": machine()}
    load = os.getloadavg()[0]
    with contextlib.ExitStack() as stack:
        work = Path(given.work or stack.enter_context(tempfile.TemporaryDirectory()))
        if "search" in given.parts:
            report["search"] = search(given.cifar)
        if "parts" in given.parts:
            report["parts"] = parts(given.cifar, work)
        if "memory" in given.parts:
            report["memory"] = memory(given.cifar, work)
        if "shards" in given.parts:
            cifar = Cifar(given.cifar, given.shard_images)
            sets = {"CIFAR-10": cifar.read_many(range(len(cifar)))}
            if given.data:
                sets[Path(given.data).name] = [
                    Path(path).read_bytes() for path in load_image_folder(given.data).data["path"]
                ]
            report["shards"] = {name: shards(one, given.rounds, work / name) for name, one in sets.items()}
        if "flat" in given.parts:
            report["flat"] = flat(given.cifar, given.images, given.tasks, work)
    report["load"] = sorted([load, os.getloadavg()[0]])
    print(show(report))
    write_report(given.json, report)


if __name__ == "__main__":
    main()
