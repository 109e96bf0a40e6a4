"""Load on a server: clients that send images, and some that send what a server must stand; each answer is compared."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import struct
import time
import zlib
from collections import Counter
from functools import cache
from typing import Any

import numpy as np

#: Seconds between the bytes of a slow sender.
_DRIP = 0.5


def request(body: bytes, content_type: str = "image/jpeg", path: str = "/predict?probabilities=true") -> bytes:
    """Return a request as bytes."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


@cache
def bomb(width: int, height: int) -> bytes:
    """Return a PNG file of a few kB that declares so many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(1 + 3 * width) * min(height, 10_000_000 // (1 + width)), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


class Load:
    """Clients of a server, each of which sends its next request once the last one is answered.

    Parameters
    ----------
    port : int
        Of the server on this machine.
    images : list of bytes
        Encoded images.
    expected : ndarray of shape (n_images, n_classes)
        What is to be answered.
    n_clients : int
    hostile : float
        The fraction of hostile requests.
    """

    def __init__(self, port: int, images: list[bytes], expected: np.ndarray, n_clients: int = 64, hostile: float = 0.0):
        self._port, self._n_clients, self._hostile = port, n_clients, hostile
        self._requests = [request(image) for image in images]
        self._images, self._expected = images, expected
        self._random = random.Random(0)
        self.seconds: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.hostile: Counter[str] = Counter()
        self.wrong = 0

    def run(self, seconds: float) -> float:
        """Send requests for so long; return images answered per second."""
        # What is on its way at the end is waited for; slow senders take longer than that.
        asyncio.run(self._run(time.perf_counter() + seconds))
        return self.statuses[200] / seconds

    async def _run(self, end: float) -> None:
        await asyncio.gather(*(self._client(number, end) for number in range(self._n_clients)))

    async def _client(self, number: int, end: float) -> None:
        rows = itertools.cycle(range(number, number + len(self._images)))
        connection: Any = None
        while time.perf_counter() < end:
            if self._random.random() < self._hostile:
                if connection is not None:  # the server closes it before the attack is over
                    connection[1].close()
                    connection = None
                kind = self._random.choice(list(HOSTILE))
                status = await self._attack(kind)
                self.hostile[f"{kind}: {status or 'closed'}"] += 1
                continue
            row = next(rows) % len(self._images)
            begin = time.perf_counter()
            if connection is None:
                connection = await asyncio.open_connection("127.0.0.1", self._port)
            reader, writer = connection
            writer.write(self._requests[row])
            status, headers, answer = await received(reader)
            self.seconds.append(time.perf_counter() - begin)
            self.statuses[status] += 1
            if status == 200:
                found = np.float32(json.loads(answer)["images"][0]["probabilities"])
                self.wrong += not np.array_equal(found, self._expected[row])
            if b"connection: close" in headers:
                writer.close()
                connection = None
            if status == 503:
                await asyncio.sleep(0.1)
        if connection is not None:
            connection[1].close()

    async def _attack(self, kind: str) -> int:
        """Send something hostile on a connection of its own; return the status, 0 if the server closed it."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            parts, drips = HOSTILE[kind]
            for part in parts():
                writer.write(part)
                await writer.drain()
                if drips:
                    await asyncio.sleep(_DRIP)
            if kind == "cut off":
                return 0
            status, _, _ = await received(reader)
            return status
        except (ConnectionError, asyncio.IncompleteReadError):
            return 0
        finally:
            writer.close()


_HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"


def _chunks() -> Any:
    yield _HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    for _ in range(100):
        yield b"100000\r\n" + bytes(2**20) + b"\r\n"


#: What a hostile client sends, in parts, and whether it waits between them.
HOSTILE: dict[str, tuple[Any, bool]] = {
    "a bomb of 3.6 gigapixels": (lambda: [request(bomb(60_000, 60_000), "image/png")], False),
    "a bomb of 49 megapixels": (lambda: [request(bomb(7_000, 7_000), "image/png")], False),
    "cut off": (lambda: [_HEAD + b"Content-Length: 100000\r\n\r\n" + bytes(5000)], False),
    "another type": (lambda: [request(b"a=b", "application/x-www-form-urlencoded")], False),
    "no image": (lambda: [request(b"%PDF-1.7 " * 100)], False),
    "a path": (lambda: [request(b'{"images": ["/etc/passwd"]}', "application/json")], False),
    "100 MB declared": (lambda: [_HEAD + b"Content-Length: 100000000\r\n\r\n" + bytes(10_000)], False),
    "100 MB in chunks": (_chunks, False),
    "a slow sender": (lambda: [_HEAD, b"Content-Length: 100\r\n\r\n", b"a", b"b", b"c", b"d", b"e", b"f"], True),
}


async def received(reader: asyncio.StreamReader) -> tuple[int, bytes, bytes]:
    """Return the status, the head in lower case and the body of an answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return int(head[9:12]), head, await reader.readexactly(length)


def memory_of(pid: int) -> float:
    """Return the resident memory of a process, in MB (Linux)."""
    with open(f"/proc/{pid}/status") as file:
        return int(file.read().partition("VmRSS:")[2].split()[0]) / 1024


def processor_of(pid: int) -> float:
    """Return the processor time of a process and all its threads, in seconds."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
