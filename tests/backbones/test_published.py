"""The weights files that Keras publishes: which they are, and how they come here, whole or not at all."""

from __future__ import annotations

import os
import threading
import urllib.error
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from keras.src.utils import file_utils

from skcnn.backbones import WeightsDownloadError, get_backbone
from skcnn.backbones._published import _FILES, PublishedFile, fetch, models_folder
from skcnn.backbones._table import TABLE

APPLICATIONS = [name for name, backbone in TABLE.items() if isinstance(backbone.builder, str)]
WHOLE = b"\x89HDF\r\n\x1a\n" + bytes(100_000)


class Asked(Exception):
    """Keras asks for a file: its name, and its address."""


def test_every_network_of_keras_has_a_file():
    assert list(_FILES) == APPLICATIONS
    paths = [get_backbone(name).published_file.path for name in APPLICATIONS]
    assert len(set(paths)) == len(APPLICATIONS)
    assert get_backbone("ResNet20").published_file is None
    assert get_backbone("LeNet5").published_file is None


def few_and_all():
    """Names of networks: one of each kind of address, and the others where all networks are asked for."""
    few = {"MobileNetV2": (), "NASNetMobile": pytest.mark.slow, "EfficientNetB0": pytest.mark.slow}
    asked = "SKCNN_ALL_BACKBONES" in os.environ
    rest = pytest.mark.skipif(not asked, reason="builds all networks of Keras: set SKCNN_ALL_BACKBONES")
    return [pytest.param(name, marks=few.get(name, rest)) for name in APPLICATIONS]


@pytest.mark.parametrize("name", few_and_all())
def test_it_is_the_file_that_keras_asks_for(name, monkeypatch, tmp_path):
    def get_file(fname, origin, *, cache_subdir, **options):
        raise Asked(fname, origin, cache_subdir)

    monkeypatch.setattr(file_utils, "get_file", get_file)
    backbone = get_backbone(name)
    with pytest.raises(Asked) as caught:
        backbone._build_network(backbone.image_size, weights="imagenet")
    file = backbone.published_file
    assert caught.value.args == (file.path.name, file.url, "models")


def test_folder_is_that_of_keras(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert models_folder() == tmp_path / "models"
    monkeypatch.delenv("KERAS_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert models_folder() == tmp_path / ".keras" / "models"


def test_folder_where_the_user_may_not_write(monkeypatch, tmp_path):
    # As keras.utils.get_file does.
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert models_folder() == Path("/tmp/.keras/models")


@pytest.fixture
def server():
    """A server on this machine: /whole.h5, /cut.h5 (the connection ends early), /page.h5 (no HDF5), else 404."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            content = {"/whole.h5": WHOLE, "/cut.h5": WHOLE, "/page.h5": b"<html>log in</html>"}.get(self.path)
            if content is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[:70_000] if self.path == "/cut.h5" else content)

        def log_message(self, *arguments):
            pass

    asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.asked = asked
        http.url = f"http://127.0.0.1:{http.server_port}"
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield http
        http.shutdown()
        thread.join()


def test_download_and_not_twice(server, tmp_path):
    file = PublishedFile(tmp_path / "models" / "a.h5", f"{server.url}/whole.h5")
    fetch({"Net": file})
    assert file.path.read_bytes() == WHOLE
    assert [path.name for path in file.path.parent.iterdir()] == ["a.h5"]
    fetch({"Net": file})
    assert server.asked == ["/whole.h5"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("none.h5", "HTTP Error 404: Not Found"),
        ("cut.h5", "the connection ended after 70,000 of 100,008 bytes"),
        ("page.h5", "the server sent something else"),
    ],
)
def test_nothing_is_left_of_a_failed_download(name, reason, server, tmp_path):
    file = PublishedFile(tmp_path / "models" / "a.h5", f"{server.url}/{name}")
    with pytest.raises(WeightsDownloadError, match=reason) as caught:
        fetch({"Net": file})
    assert caught.value.missing == {"Net": tuple(file)}
    assert not list(file.path.parent.iterdir())


def test_all_that_are_missing_are_named(server, tmp_path):
    files = {
        "A": PublishedFile(tmp_path / "a.h5", f"{server.url}/none.h5"),
        "B": PublishedFile(tmp_path / "b.h5", f"{server.url}/whole.h5"),
        "C": PublishedFile(tmp_path / "c.h5", f"{server.url}/none.h5"),
    }
    with pytest.raises(WeightsDownloadError, match=r"weights of A, C could not") as caught:
        fetch(files)
    assert list(caught.value.missing) == ["A", "C"]
    assert files["B"].path.read_bytes() == WHOLE


def test_one_try_where_there_is_no_way_to_the_server(monkeypatch, tmp_path):
    tries = []

    def no_network(url, timeout):
        tries.append(url)
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", no_network)
    files = {name: PublishedFile(tmp_path / f"{name}.h5", f"https://host/{name}.h5") for name in "ABC"}
    with pytest.raises(WeightsDownloadError, match=r"weights of A, B, C could not be downloaded: no route to host\."):
        fetch(files)
    assert tries == ["https://host/A.h5"]
