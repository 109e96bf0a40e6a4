"""What every request passes: the host that it names, where it comes from, the token; and what is counted of it."""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from skcnn.serving._metrics import Metrics

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]

#: What anybody may ask: whether the server lives, and the page, which has nothing of a model in it.
OPEN = frozenset({"/", "/healthz", "/v2/health/live", "/v2/health/ready", "/openapi.json", "/favicon.ico"})

_LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")

_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
]


class Guard:
    """The outermost layer of a server.

    Parameters
    ----------
    app : ASGI application
    metrics : Metrics
    token : str or None
        What clients have to send as ``Authorization: Bearer``; None where the server listens on the loopback interface
        only. Requests must then name it: a page of another site whose name leads to this machine gets no answer.
    """

    def __init__(self, app: App, metrics: Metrics, token: str | None):
        self._app, self._metrics = app, metrics
        self._token = None if token is None else token.encode()

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin, status = time.perf_counter(), 500

        async def sending(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), *_HEADERS]
            await send(message)

        state = scope.setdefault("state", {})
        try:
            refusal = self._refusal(scope)
            if refusal is None:
                await self._app(scope, receive, sending)
            else:
                await _answer(sending, *refusal)
        finally:
            model = state.get("model", "")
            self._metrics.requests.labels(model, str(status)).inc()
            if model:
                self._metrics.seconds.labels(model).observe(time.perf_counter() - begin)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = {name: value for name, value in scope["headers"] if name in (b"host", b"origin", b"authorization")}
        host = headers.get(b"host", b"").decode("latin-1")
        if self._token is None and _without_port(host) not in _LOOPBACK_HOSTS:
            return 421, "This server answers requests to localhost and 127.0.0.1 only."
        origin = headers.get(b"origin")
        if origin is not None and origin.decode("latin-1").partition("://")[2] != host:
            return 403, "Pages of other sites may not use this server."
        if self._token is not None and scope["path"] not in OPEN:
            kind, _, given = headers.get(b"authorization", b"").partition(b" ")
            if kind.lower() != b"bearer" or not hmac.compare_digest(given.strip(), self._token):
                return 401, "Expected the header `Authorization: Bearer TOKEN` with the token of this server."
        return None


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() else host


async def _answer(send: Any, status: int, message: str) -> None:
    content = json.dumps({"error": message}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
