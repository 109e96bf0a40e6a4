"""A server in a thread of the tests' process, and a client of it."""

import io
import socket
import threading

import httpx
from PIL import Image

from skcnn.serving import Limits, create_app
from skcnn.serving._server import Server, listening


def encoded(pixels, kind="PNG"):
    """Return the bytes of an image file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


class Client(httpx.Client):
    """A client of a server in a thread of this process, on a free port of the loopback interface."""

    def __init__(self, models, *, limits=None, **options):
        limits = limits or Limits()
        self.app = create_app(models, limits=limits, **options)
        self._listener = listening("127.0.0.1", 0)
        ready = threading.Event()
        self._server = Server(self.app, self._listener.__enter__(), limits, lambda url, app: ready.set())
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        assert ready.wait(20)
        super().__init__(base_url=self._server.url, timeout=30, trust_env=False)

    def model(self, name):
        """Return a model of the server."""
        return self.app.state.service.models[name]

    def connected(self):
        """Return a socket that is connected to the server."""
        return socket.create_connection((self.base_url.host, self.base_url.port), timeout=20)

    def stop(self):
        """Stop the server as a signal does; what was accepted is answered."""
        self._server.should_exit = True
        self._thread.join(20)
        assert not self._thread.is_alive()
        self._listener.__exit__(None, None, None)
        self.close()
