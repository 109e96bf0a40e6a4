"""What broken and hostile requests do to ``skcnn serve``: each is answered or its connection closed; no more happens.

    python benchmarks/hostile_requests.py

Prints a row per kind of attack: how many were tried, and what came of them: "read" is 200, "refused" any documented
status or a closed connection. After every tenth request, the server has to answer an image as ``predict_proba`` does.
No file and no address that a request names may be opened.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from _hostile import Outcomes, main
from _load import bomb, request

import skcnn
from skcnn.datasets import load_digit_images
from skcnn.persistence import load_program
from skcnn.serving import Limits, serve

#: Where attacks find the model: each runs in a process of its own.
MODEL = "SKCNN_HOSTILE_MODEL"

REFUSED = {400, 404, 405, 408, 413, 415, 421, 422, 501, 503}
LIMITS = Limits(max_body=2_000_000, max_images=8, max_queue=16, max_pixels=1_000_000, body_timeout=0.1)
N_TRIED = 600

#: Named by requests: a file that may not be opened, and an address that may not be asked.
CANARY = str(Path(tempfile.gettempdir(), "skcnn-canary.png"))


class RefusedError(Exception):
    """The server refused a request, as it is documented to."""


class Target:
    """A server, and what has to come of requests to it."""

    def __init__(self, port: int, outcomes: Outcomes):
        self._port, self._outcomes = port, outcomes
        program = load_program(os.environ[MODEL])
        assert program is not None
        self.image = _encoded(load_digit_images().data[0])
        self._expected = program.predict_proba([self.image])[0]
        self._n_sent = 0

    def send(self, content: bytes) -> None:
        """Send bytes on a new connection, and count what came of it."""
        self._outcomes.of(lambda: self._sent(content), (RefusedError,))
        self._n_sent += 1
        if self._n_sent % 10 == 0:
            found = self._answer()
            if not np.array_equal(found, self._expected):
                self._outcomes.fault(f"an image was answered with {found}")

    def _sent(self, content: bytes) -> None:
        with socket.create_connection(("127.0.0.1", self._port), timeout=20) as connection:
            received = b""
            try:
                connection.sendall(content)
                while b"\r\n" not in received and (chunk := connection.recv(4096)):
                    received += chunk
            except (ConnectionResetError, BrokenPipeError):
                raise RefusedError from None
        if not received:
            raise RefusedError
        status = int(received[9:12])
        if status in REFUSED:
            raise RefusedError
        if status != 200:
            raise ValueError(f"status {status} for {content[:300]!r}")

    def _answer(self) -> np.ndarray:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        connection.request("POST", "/predict?probabilities=1", self.image, {"Content-Type": "image/png"})
        rows = json.loads(connection.getresponse().read())["images"]
        connection.close()
        return np.float32(rows[0]["probabilities"])


@contextmanager
def target(outcomes: Outcomes) -> Iterator[Target]:
    """Give a server in a thread of this process; what it opens is watched."""
    ready, found = threading.Event(), {}

    def on_ready(url: str, app: object) -> None:
        found["port"] = int(url.rpartition(":")[2])
        ready.set()

    warnings.simplefilter("ignore")
    arguments = {"port": 0, "limits": LIMITS, "on_ready": on_ready, "explain": False}
    threading.Thread(target=serve, args=([os.environ[MODEL]],), kwargs=arguments, daemon=True).start()
    if not ready.wait(60):
        outcomes.fault("the server did not start")
    opened: list[str] = []

    def watch(event: str, given: tuple[object, ...]) -> None:
        text = str(given[:2])
        if (event == "open" and ("canary" in text or "/etc/passwd" in text)) or event == "socket.getaddrinfo":
            opened.append(f"{event} {text}")

    one = Target(found["port"], outcomes)
    sys.addaudithook(watch)
    yield one
    # The clients of this process connect to an address, and resolve none.
    if strange := [what for what in opened if "127.0.0.1" not in what]:
        outcomes.fault(f"opened: {strange[:3]}")


def _encoded(pixels: np.ndarray) -> bytes:
    import io

    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def _multipart(image: bytes) -> bytes:
    part = b'--b\r\nContent-Disposition: form-data; name="images"; filename="a.png"\r\n\r\n' + image + b"\r\n"
    return request(part * 2 + b"--b--\r\n", "multipart/form-data; boundary=b", "/predict")


def _valid(image: bytes) -> list[bytes]:
    text = base64.b64encode(image).decode()
    inputs = {"inputs": [{"name": "images", "shape": [1], "datatype": "BYTES", "data": [text]}]}
    return [
        request(image, "image/png", "/predict"),
        _multipart(image),
        request(json.dumps({"images": [text]}).encode(), "application/json", "/predict"),
        request(json.dumps(inputs).encode(), "application/json", "/v2/models/model/infer"),
    ]


def changed_requests(outcomes: Outcomes) -> None:
    """Send requests with bytes changed, cut off or repeated to `skcnn serve`."""
    dice = random.Random(0)
    with target(outcomes) as server:
        valid = _valid(server.image)
        for number in range(N_TRIED):
            content = bytearray(valid[number % len(valid)])
            how = dice.randrange(3)
            if how == 0:
                for _ in range(dice.choice([1, 3, 20])):
                    content[dice.randrange(len(content))] = dice.randrange(256)
            elif how == 1:
                del content[dice.randrange(len(content)) :]
            else:
                start = dice.randrange(len(content))
                content[start:start] = content[start : start + dice.randrange(200)] * dice.choice([1, 10])
            server.send(bytes(content))


def hostile_requests(outcomes: Outcomes) -> None:
    """Send bombs, bodies that are too long, slow or of other types, paths and URLs to `skcnn serve`."""
    Path(CANARY).write_bytes(b"not to be opened")
    try:
        with target(outcomes) as server:
            for content in _hostile(server.image):
                server.send(content)
    finally:
        Path(CANARY).unlink()


def _hostile(image: bytes) -> Iterator[bytes]:
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
    for width, height in ((60_000, 60_000), (9_000, 9_000), (1_001, 1_000), (10**6, 1), (0, 0)):
        yield request(bomb(width, height), "image/png", "/predict")
    names = [
        CANARY,
        f"file://{CANARY}",
        "/etc/passwd",
        "../../etc/passwd",
        "http://canary.example/a.png",
        "s3://canary/a",
    ]
    for name in names:
        text = base64.b64encode(name.encode()).decode()
        for value in (name, text, {"path": name}, {"url": name}, [name]):
            yield request(json.dumps({"images": [value]}).encode(), "application/json", "/predict")
            inputs = {"inputs": [{"name": "images", "shape": [1], "datatype": "BYTES", "data": [value]}]}
            yield request(json.dumps(inputs).encode(), "application/json", "/v2/models/model/infer")
        yield _multipart(name.encode())
        yield _multipart(image).replace(b"a.png", name.encode())
        yield request(name.encode(), "text/uri-list", "/predict")
        for path in (f"/predict/{name}", f"/v2/models/{name}/infer", f"/explain/{name}"):
            yield request(image, "image/png", path)
    for chunk in (b"ffffffffffffffff\r\n", b"-1\r\n", b"zz\r\n", b"100000\r\n" + bytes(2**20) + b"\r\n"):
        yield head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 4
    for length in (b"100000000", b"-5", b"99999999999999999999", b"1e9", b"10, 20"):
        yield head + b"Content-Length: " + length + b"\r\n\r\n" + bytes(100)
    yield head + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    yield head + b"A: " + b"a" * 100_000 + b"\r\n\r\n"
    yield head + b"".join(b"A%d: b\r\n" % number for number in range(5_000)) + b"\r\n"
    yield head[:20]
    yield b"\x16\x03\x01\x02\x00" * 50
    yield b"GET http://canary.example/ HTTP/1.1\r\nHost: canary.example\r\n\r\n"
    for body in (
        b"[" * 10**6,
        b'{"a":' * 10**5,
        b'{"images": [' + b"1," * 10**5 + b"1]}",
        b'{"images": ["' + b"A" * 10**6,
    ):
        yield request(body, "application/json", "/predict")
    numbers = [[1, 1, 1, 3], [1, 10**9, 10**9, 3], [-1, 2, 2, 3], [1, 2, 2], [10**30], [1.5, 1, 1, 3], [True, 1, 1, 3]]
    for shape in numbers:
        for data in ([0, 0, 0], [1e308] * 3, [-1] * 3, [10**40] * 3, [None] * 3, [[1], [2, 3]], "aaa"):
            inputs = {"inputs": [{"name": "images", "shape": shape, "datatype": "UINT8", "data": data}]}
            yield request(json.dumps(inputs).encode(), "application/json", "/v2/models/model/infer")
    for boundary in (b"", b"b" * 300, b'"b', b"\xff"):
        yield request(b"--b--\r\n", "x", "/predict").replace(b": x", b": multipart/form-data; boundary=" + boundary)
    yield _multipart(b"") * 3
    for _ in range(20):
        yield head + b"Content-Length: 100\r\n\r\nabc"  # and nothing more


ATTACKS: list[Callable[[Outcomes], None]] = [changed_requests, hostile_requests]


def save_model(path: str) -> None:
    """Save what the attacked server serves."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    from skcnn.feature_extraction import BottleneckFeatures

    X, y = load_digit_images(return_X_y=True)
    model = make_pipeline(BottleneckFeatures("ResNet20"), LogisticRegression(max_iter=1000)).fit(X[:100], y[:100])
    skcnn.save(model, path, program=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    if len(sys.argv) > 1:
        save_model(sys.argv[1])
        sys.exit()
    with tempfile.TemporaryDirectory() as folder:
        os.environ[MODEL] = str(Path(folder, "model.skcnn"))
        # In another process: the peak of memory of this one is that of those that it starts, too.
        subprocess.run([sys.executable, __file__, os.environ[MODEL]], check=True)
        sys.exit(main(ATTACKS))
