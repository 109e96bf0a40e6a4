"""A web server for tests, which holds files and does wrong what a test asks for."""

import socket
import struct
import threading
from collections import Counter, defaultdict, deque
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FaultyStore:
    """Files by path, and what goes wrong with the next requests of each.

    ``faults[path]`` holds, for each of the next GETs of that path, a status (503), ``"cut"`` (the connection ends
    within the body), ``"reset"`` (the connection breaks), ``"hang"`` (no answer) or ``"stall"`` (half of the body, and
    then nothing). ``always[path]`` is the same for all GETs. ``n_gets`` counts them, and ``most_at_once`` how many
    there were at a time.
    """

    def __init__(self):
        self.files, self.faults, self.always = {}, defaultdict(deque), {}
        self.n_gets, self.n_busy, self.at_once, self.most_at_once = Counter(), 0, 0, 0
        self.lock, self.ends, self.meet = threading.Condition(), threading.Event(), None

    def url(self, path):
        return f"http://127.0.0.1:{self.port}/{path}"

    def let_go(self):
        """End requests that hang, and wait until none is left."""
        self.ends.set()
        with self.lock:
            assert self.lock.wait_for(lambda: not self.n_busy, 10)
        self.ends = threading.Event()

    def begin(self, path):
        with self.lock:
            self.n_gets[path] += 1
            self.n_busy += 1
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            return self.faults[path].popleft() if self.faults[path] else self.always.get(path)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        content = self.server.store.files.get(self.path[1:])
        self.head(404 if content is None else 200, content or b"")

    def do_GET(self):
        store, path = self.server.store, self.path[1:]
        fault = store.begin(path)
        try:
            if store.meet is not None:
                with suppress(threading.BrokenBarrierError):
                    store.meet.wait(10)
            with store.lock:
                store.at_once -= 1
            self.answer(store, path, fault)
        finally:
            with store.lock:
                store.n_busy -= 1
                store.lock.notify_all()

    def answer(self, store, path, fault):
        if fault == "reset":
            # With nothing to wait for, closing sends a reset.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
            return
        if fault == "hang":
            store.ends.wait(30)
            self.close_connection = True
            return
        if isinstance(fault, int):
            self.head(fault, b"")
            return
        content = store.files.get(path)
        if content is None:
            self.head(404, b"")
            return
        first, last = 0, len(content) - 1
        if asked := self.headers.get("Range"):
            first, last = (int(number) for number in asked.removeprefix("bytes=").split("-"))
            last = min(last, len(content) - 1)
        body = content[first : last + 1]
        self.head(206 if asked else 200, body)
        self.wfile.write(body[: len(body) // 2] if fault in ("cut", "stall") else body)
        if fault == "stall":
            self.wfile.flush()
            store.ends.wait(30)
        if fault in ("cut", "stall"):
            self.close_connection = True

    def head(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{hash(bytes(body))}"')
        self.end_headers()


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_):
        """Connections that clients give up are not worth a word."""


@contextmanager
def faulty_store():
    """Run such a server for the time of a ``with`` block."""
    store = FaultyStore()
    server = Server(("127.0.0.1", 0), Handler)
    server.store, store.port = store, server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield store
    finally:
        store.ends.set()
        server.shutdown()
        server.server_close()
        thread.join()
