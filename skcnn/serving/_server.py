"""The server: uvicorn on a socket, with a time limit for heads of requests, which uvicorn does not have."""

from __future__ import annotations

import asyncio
import logging
import math
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from skcnn.serving._limits import Limits

if TYPE_CHECKING:
    from fastapi import FastAPI

_MAX_HEAD = 16 * 2**10
_STOP_WITHIN = 30
_IDLE = 5


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """Give a socket that listens, for the time of a block."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        reason = error.strerror or str(error)
        raise type(error)(
            f"Cannot listen on {host}, port {port}: {reason}. Give another port, or 0 for a free one."
        ) from error
    with listener:
        yield listener


def run(
    app: FastAPI, listener: socket.socket, limits: Limits, on_ready: Callable[[str, FastAPI], None] | None = None
) -> None:
    """Serve until the process is interrupted or terminated."""
    Server(app, listener, limits, on_ready).run()


class Server(uvicorn.Server):
    """A server of uvicorn that says when it answers."""

    def __init__(
        self,
        app: FastAPI,
        listener: socket.socket,
        limits: Limits,
        on_ready: Callable[[str, FastAPI], None] | None = None,
    ):
        host, port = listener.getsockname()[:2]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        self._app, self._listener, self._on_ready = app, listener, on_ready
        config = uvicorn.Config(
            app,
            http=type("Protocol", (TimedProtocol,), {"head_timeout": limits.body_timeout}),
            ws="none",
            loop="asyncio",
            lifespan="on",
            log_level="error",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=limits.max_connections,
            timeout_keep_alive=min(_IDLE, math.ceil(limits.body_timeout)),
            timeout_graceful_shutdown=_STOP_WITHIN,
            h11_max_incomplete_event_size=_MAX_HEAD,
        )
        super().__init__(config)
        logging.getLogger("python_multipart").setLevel(logging.ERROR)  # a line per malformed body otherwise

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve on the socket."""
        super().run([self._listener] if sockets is None else sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        if self.started and self._on_ready is not None:
            self._on_ready(self.url, self._app)


class TimedProtocol(H11Protocol):
    """A connection that is closed if the head of a request, or what is left of a refused one, takes too long."""

    head_timeout = 30.0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Wait on, or no longer."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        super().connection_lost(exc)
        self._unwatch()

    def _watch(self) -> None:
        is_answered = self.cycle is None or self.cycle.response_complete
        if self.conn.their_state is h11.IDLE or (is_answered and self.conn.their_state is h11.SEND_BODY):
            if self._timer is None:
                self._timer = self.loop.call_later(self.head_timeout, self.transport.close)
        else:
            self._unwatch()

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
