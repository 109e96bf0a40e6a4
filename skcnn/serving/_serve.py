"""``serve`` and ``create_app``: a server for saved models."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING

from skcnn.serving._limits import Limits

if TYPE_CHECKING:
    from fastapi import FastAPI

_NEEDED = ("fastapi", "uvicorn", "prometheus_client", "python_multipart")

#: Letters of the shortest token.
MIN_TOKEN = 16

Models = Mapping[str, str | os.PathLike[str]] | Iterable[str | os.PathLike[str]]


def create_app(
    models: Models, *, limits: Limits | None = None, token: str | None = None, explain: bool = True
) -> FastAPI:
    """Return an ASGI application that serves saved models, for a server of your own.

    Parameters
    ----------
    models : dict of str to path-like, or iterable of path-like
        Files that :func:`skcnn.save` wrote; keys are the names that clients use. Without names, the name of the file is
        used: ``flowers.skcnn`` is served as ``flowers``.
    limits : Limits or None, default=None
        Limits on requests; None is ``Limits()``.
    token : str or None, default=None
        What clients send as ``Authorization: Bearer TOKEN``, of at least 16 letters. None: only requests to
        ``localhost`` and ``127.0.0.1`` are answered.
    explain : bool, default=True
        Whether ``/explain`` returns heat maps. The first one loads the whole model with Keras, which takes several
        seconds and several hundred MB of memory.

    Returns
    -------
    fastapi.FastAPI

    Raises
    ------
    ValueError
        If there is no model, two models have the same name, or the token is too short.
    TypeError
        If a model has no predictions, or predictions that cannot be served.
    ModelFileError
        If a file was not written by :func:`skcnn.save`, or is damaged or forged.
    ImportError
        If a package of the extra ``serve`` is not installed.
    FileNotFoundError
        If there is no such file.

    See Also
    --------
    serve : Runs a server with this application.

    Examples
    --------
    >>> import skcnn, tempfile, os
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from skcnn.datasets import load_digit_images
    >>> from skcnn.feature_extraction import BottleneckFeatures
    >>> X, y = load_digit_images(return_X_y=True)
    >>> model = make_pipeline(BottleneckFeatures("ResNet20"), LogisticRegression(max_iter=1000))
    >>> path = os.path.join(tempfile.mkdtemp(), "digits.skcnn")
    >>> skcnn.save(model.fit(X[:100], y[:100]), path, program=True)
    >>> app = skcnn.serving.create_app([path])
    """
    _check_installed()
    if token is not None and len(token) < MIN_TOKEN:
        raise ValueError(
            f"The token has {len(token)} letters; expected at least {MIN_TOKEN}, such as secrets.token_urlsafe()."
        )
    from skcnn.serving._app import Service, build_app
    from skcnn.serving._guard import Guard
    from skcnn.serving._metrics import Metrics
    from skcnn.serving._models import ServedModel, named_models

    limits, metrics = limits or Limits(), Metrics()
    served: dict[str, ServedModel] = {}
    try:
        for name, path in named_models(models).items():
            served[name] = ServedModel(name, path, limits, metrics.observe_batch)
    except BaseException:
        for model in served.values():
            model.close()
        raise
    app = build_app(Service(served, limits, metrics, explain))
    app.add_middleware(Guard, metrics=metrics, token=token)
    return app


def serve(
    models: Models,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    limits: Limits | None = None,
    explain: bool = True,
    on_ready: Callable[[str, FastAPI], None] | None = None,
) -> None:
    """Serve saved models over HTTP, until the process is interrupted or terminated.

    Then no new connections are accepted, and all accepted requests are answered.

    Parameters
    ----------
    models : dict of str to path-like, or iterable of path-like
        See :func:`create_app`. A file that is replaced is loaded again; the model in use answers until then.
    host : str, default="127.0.0.1"
        The address to listen on. Other addresses than those of the loopback interface need a token.
    port : int, default=8000
        0 chooses a free port.
    token, limits, explain
        See :func:`create_app`.
    on_ready : callable or None, default=None
        Called with the URL and the application once the server answers.

    Raises
    ------
    ValueError
        If ``host`` is not of the loopback interface and there is no token.
    OSError
        If it cannot listen on this host and port.
    ImportError
        If a package of the extra ``serve`` is not installed.

    See Also
    --------
    create_app : Returns only the application, and describes the other exceptions.
    """
    check_token(host, token)
    _check_installed()
    from skcnn.serving._server import listening, run

    limits = limits or Limits()
    with listening(host, port) as socket:  # first: loading takes longer than to find out that a port is taken
        run(create_app(models, limits=limits, token=token, explain=explain), socket, limits, on_ready)


def _check_installed() -> None:
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise ImportError(f"Serving needs {', '.join(missing)}: `pip install 'skcnn[serve]'`.")


def check_token(host: str, token: str | None) -> None:
    """Raise ValueError if other machines reach the host, and there is no token."""
    import ipaddress

    try:
        is_local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_local = False
    if not is_local and token is None:
        raise ValueError(f"host={host!r} is reached from other machines; expected a token, which clients have to send.")
