"""Hostile requests: refused with a reason, within bounds; nothing that they name is opened."""

import base64
import json
import struct
import zlib

import numpy as np
import pytest
from serving_client import Client, encoded

import skcnn.images._paths
from skcnn.serving import Limits

LIMITS = Limits(max_body=50_000, max_images=4, max_queue=8, max_pixels=10_000, body_timeout=0.3)


@pytest.fixture(scope="module")
def client(served):
    client = make_client(served)
    yield client
    client.stop()


def make_client(served, limits=LIMITS, **options):
    return Client([served[0] / "classes.skcnn"], limits=limits, **options)


def still_answers(client, served):
    response = client.post("/predict", content=served[1][0], headers={"content-type": "image/png"})
    return response.status_code == 200 and "label" in response.json()["images"][0]


def bomb(width, height):
    """A PNG file of a few kB that declares so many pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(1 + 3 * width) * min(height, 100), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


MULTIPART = {"content-type": "multipart/form-data; boundary=b"}
PART = b'--b\r\nContent-Disposition: form-data; name="images"; filename="a"\r\n\r\nx\r\n'
JSON = {"content-type": "application/json"}
REFUSED = {
    "a bomb": (bomb(60_000, 60_000), {"content-type": "image/png"}, 422, "decompression bomb"),
    "a smaller bomb": (
        bomb(101, 100),
        {"content-type": "image/png"},
        422,
        "10100 pixels; expected at most 10,000",
    ),
    "empty": (b"", {"content-type": "image/png"}, 400, "Got an empty image"),
    "no image": (b"GIF89a", {"content-type": "image/gif"}, 422, ""),
    "a program of PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n", {"content-type": "image/eps"}, 422, "not an image of"),
    "another type": (b"a=b", {"content-type": "text/plain"}, 415, "Got the content type 'text/plain'"),
    "a form, as curl sends": (
        b"\xff\xd8",
        {"content-type": "application/x-www-form-urlencoded"},
        415,
        "-H 'Content-Type: image/jpeg' in curl",
    ),
    "no type": (b"a", {}, 415, "Got the content type ''"),
    "no JSON": (b"{", JSON, 400, "The body is not JSON"),
    "nested JSON": (b"[" * 40_000, JSON, 400, "The body is not JSON: it is nested too deep"),
    "other JSON": (b'{"image": []}', JSON, 400, "Got other JSON"),
    "a path": (b'{"images": ["/etc/passwd"]}', JSON, 400, "Image 0 is not base64; no path and no URL is opened"),
    "a URL": (b'{"images": ["http://127.0.0.1:1/a.png"]}', JSON, 400, "no URL is opened"),
    "a dict": (b'{"images": [{"path": "/etc/passwd"}]}', JSON, 400, "Image 0 is not base64"),
    "a path in base64": (json.dumps({"images": [base64.b64encode(b"/etc/passwd").decode()]}).encode(), JSON, 422, ""),
    "no boundary": (b"", {"content-type": "multipart/form-data"}, 400, "it has no boundary"),
    "a long boundary": (b"", {"content-type": f"multipart/form-data; boundary={'b' * 300}"}, 400, "The multipart body"),
    "no part": (b"--b--\r\n", MULTIPART, 400, ""),
    "a cut body": (PART, MULTIPART, 400, "ends before its last boundary"),
    "no multipart": (b"\x00" * 100, MULTIPART, 400, "is malformed"),
    "too many parts": (PART * 5 + b"--b--\r\n", MULTIPART, 413, "more than 4 images"),
    "too many texts": (json.dumps({"images": ["aaaa"] * 5}).encode(), JSON, 413, "more than 4 images"),
    "too long": (b"x" * 50_001, {"content-type": "image/png"}, 413, "more than 50,000 bytes"),
}


@pytest.mark.parametrize("attack", REFUSED)
def test_refused(attack, client, served, monkeypatch):
    monkeypatch.setattr(skcnn.images._paths, "read_url", lambda url: pytest.fail(f"{url} was opened"))
    body, headers, status, message = REFUSED[attack]
    response = client.post("/predict", content=body, headers=headers)
    assert response.status_code == status
    answer = response.json()
    assert message in (answer["error"] if "error" in answer else answer["images"][0]["error"])
    assert still_answers(client, served)
    assert client.app.state.service.held.n_bytes == 0


def test_a_name_is_no_path(client, served):
    row = client.post("/predict", files={"images": ("../../etc/passwd", served[1][0])}).json()["images"][0]
    assert (row["name"], "label" in row) == ("../../etc/passwd", True)


def test_a_chunked_body_is_counted_as_it_arrives(client, served):
    body = (b"x" * 1000 for _ in range(100))
    response = client.post("/predict", content=body, headers={"content-type": "image/png"})
    assert (response.status_code, next(body, None)) == (413, None)
    assert still_answers(client, served)


def send_without_end(connection):
    while True:  # until the server closes the connection
        connection.sendall(b"3e8\r\n" + b"x" * 1000 + b"\r\n")


def test_a_body_without_end(client, served):
    with client.connected() as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        with pytest.raises(ConnectionError):
            send_without_end(connection)
    assert client.app.state.service.held.n_bytes == 0
    assert still_answers(client, served)


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"POST /predict HT", b""),
        (b"POST /predict HTTP/1.1\r\nHost: localhost\r\nA: ", b""),
        (
            b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 1000\r\n\r\nabc",
            b"HTTP/1.1 408 ",
        ),
        (
            b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nabc",
            b"HTTP/1.1 404 ",
        ),
        (b"\x16\x03\x01" * 10, b"HTTP/1.1 400 "),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nA: " + b"a" * 40_000, b"HTTP/1.1 400 "),
    ],
    ids=["half a line", "half a head", "half a body", "half a body to nobody", "TLS", "a long head"],
)
def test_slow_senders_are_cut_off(sent, answer, client, served):
    with client.connected() as connection:
        connection.sendall(sent)
        received = b""
        while chunk := connection.recv(4096):  # ends because the server closes the connection
            received += chunk
    assert received.startswith(answer)
    assert still_answers(client, served)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n", b"413"),
        (b"POST /predict HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 60000\r\n\r\n", b"421"),
    ],
    ids=["too long", "another host"],
)
def test_what_is_left_of_a_refused_body_is_dropped(head, status, client):
    """A connection that is closed while the client still sends would be reset, and the answer lost."""
    with client.connected() as connection:
        connection.sendall(head)
        received = connection.recv(4096)
        assert received.startswith(b"HTTP/1.1 " + status)
        for _ in range(6):
            connection.sendall(b"x" * 10_000)
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        while b"HTTP/1.1 200" not in received:
            chunk = connection.recv(4096)
            assert chunk, received
            received += chunk


def test_a_client_that_goes_away(client, served):
    with client.connected() as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nabc")
    assert still_answers(client, served)


def test_a_full_queue(client, served):
    batcher = client.model("classes").running.batcher
    with batcher.admit(8):
        for path, body in (("/predict", served[1][0]), ("/v2/models/classes/infer", b"{}")):
            response = client.post(path, content=body, headers={"content-type": "image/png"})
            assert response.status_code == 503
            assert int(response.headers["retry-after"]) >= 1
            assert "8 images wait, and at most 8 may; try again in 1 s" in response.json()["error"]
    assert still_answers(client, served)
    assert 'skcnn_requests_total{model="classes",status="503"} 2.0' in client.get("/metrics").text


def test_bodies_are_held_within_a_bound(served):
    client = make_client(served, Limits(max_held=1000))
    try:
        noise = encoded(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8))
        response = client.post("/predict", content=noise, headers={"content-type": "image/png"})
        assert (response.status_code, response.headers["retry-after"]) == (503, "1")
        assert still_answers(client, served)
    finally:
        client.stop()


def test_pages_of_other_sites(client):
    assert client.get("/models", headers={"host": "evil.example"}).status_code == 421
    assert client.get("/models", headers={"host": "localhost:1234"}).status_code == 200
    assert client.post("/predict", headers={"origin": "https://evil.example"}).status_code == 403
    assert client.get("/models", headers={"origin": str(client.base_url)}).status_code == 200


def test_token(served):
    client = make_client(served, token="0123456789abcdef")
    try:
        for path in ("/models", "/metrics", "/v2/models/classes", "/predict", "/nothing"):
            for given in (None, "Bearer 0123456789abcdeF", "Basic 0123456789abcdef", "Bearer"):
                headers = {} if given is None else {"authorization": given}
                response = client.request("POST" if path == "/predict" else "GET", path, headers=headers)
                assert (path, response.status_code) == (path, 401)
                assert response.headers["www-authenticate"] == "Bearer"
        for path in ("/", "/healthz", "/v2/health/live", "/v2/health/ready", "/openapi.json"):
            assert client.get(path).status_code == 200
        headers = {"authorization": "Bearer 0123456789abcdef", "host": "models.example"}
        assert client.get("/models", headers=headers).status_code == 200
    finally:
        client.stop()


def test_the_model_fails(served):
    client = make_client(served)
    try:
        client.model("classes").running.batcher._run = lambda images: 1 / 0
        response = client.post("/predict", content=served[1][0], headers={"content-type": "image/png"})
        assert response.status_code == 500
        assert response.json() == {"error": "The model failed (ZeroDivisionError); see the server's log."}
    finally:
        client.stop()
