"""An object store for tests, by moto: a server that speaks S3, in memory, and fails where a test asks for it."""

import logging
import threading
from collections import Counter, defaultdict, deque
from contextlib import contextmanager


class ObjectStore:
    """Requests by method and key, and how the next of them fail: ``faults["PUT", key]`` holds statuses."""

    def __init__(self, app):
        self.app, self.faults, self.n_requests = app, defaultdict(deque), Counter()

    @property
    def options(self):
        """The ``storage_options`` by which it is reached."""
        return {"key": "test", "secret": "test", "endpoint_url": f"http://127.0.0.1:{self.port}"}

    def __call__(self, environ, start_response):
        request = environ["REQUEST_METHOD"], environ["PATH_INFO"].strip("/")
        self.n_requests[request] += 1
        if self.faults[request]:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start_response(f"{self.faults[request].popleft()} Injected", [("Content-Length", "0")])
            return [b""]
        return self.app(environ, start_response)


@contextmanager
def object_store():
    """Run such a server for the time of a ``with`` block, with the empty bucket ``bucket``."""
    import fsspec
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel("ERROR")
    store = ObjectStore(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, store, threaded=True)
    store.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        fsspec.filesystem("s3", **store.options).mkdir("bucket")
        yield store
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
