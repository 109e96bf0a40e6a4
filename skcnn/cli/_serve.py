"""``skcnn serve``: saved models over HTTP."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from skcnn._text import counted, printable_text
from skcnn.cli._arguments import UnusableError, model_path, port, positive, whole_number
from skcnn.cli._common import add_command

#: The environment variable of the token: what is in a command line is seen by all users of a machine.
TOKEN = "SKCNN_TOKEN"


def add_to(commands: Any) -> None:
    parser = add_command(
        commands,
        "serve",
        run,
        "serve saved models over HTTP: predictions of images as JSON, and a page to drop images on",
        epilog="Only this machine can reach the server, unless --host sets another address. It then needs a token,\n"
        "which clients send as `Authorization: Bearer TOKEN`. Put a proxy with TLS in front of it.\n\n"
        "  POST /predict/NAME          images as multipart files, JSON of base64, or one as the body\n"
        "  POST /explain/NAME          Grad-CAM of one image, as PNG\n"
        "  POST /v2/models/NAME/infer  the Open Inference Protocol\n"
        "  GET  /                      the page; /healthz, /metrics, /models, /openapi.json\n\n"
        "A file that is replaced is loaded again; until then, the old model answers.\n\n"
        "examples:\n"
        "  skcnn serve flowers.skcnn\n"
        "  curl -F images=@a.jpg http://127.0.0.1:8000/predict\n"
        "  skcnn serve old.skcnn new=candidate.skcnn --host 0.0.0.0 --token-file token.txt",
    )
    parser.add_argument(
        "models",
        nargs="+",
        type=_named,
        metavar="MODEL",
        help="files that `skcnn fit` wrote; flowers.skcnn is served as flowers, and NAME=FILE as NAME",
    )
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="(default: %(default)s)")
    parser.add_argument(
        "--port", type=port, default=8000, metavar="N", help="0 chooses a free port (default: %(default)s)"
    )
    parser.add_argument(
        "--token-file",
        metavar="FILE",
        help=f"a file with the token of clients, at least 16 letters (default: the environment variable {TOKEN})",
    )
    parser.add_argument(
        "--no-explain", action="store_true", help="do not offer Grad-CAM, whose first request loads Keras"
    )
    limits = parser.add_argument_group("limits")
    for name, kind, metavar, text in (
        ("--max-body", positive, "MB", "megabytes per request (default: 33.6)"),
        ("--max-images", whole_number, "N", "images per request (default: 32)"),
        ("--max-pixels", whole_number, "N", "pixels per image (default: 50,000,000)"),
        ("--max-batch", whole_number, "N", "images per batch (default: 32)"),
        ("--max-wait", positive, "SECONDS", "how long to wait for images that are being decoded (default: 0.005)"),
        ("--max-queue", whole_number, "N", "images that may wait; further ones are answered with 503 (default: 256)"),
    ):
        limits.add_argument(name, type=kind, metavar=metavar, help=text)


def run(options: argparse.Namespace) -> None:
    from skcnn.serving import serve

    try:
        serve(
            _models(options),
            host=options.host,
            port=options.port,
            token=_token(options),
            limits=_limits(options),
            explain=not options.no_explain,
            on_ready=_print_ready,
        )
    except ValueError as error:
        raise _in_options(error) from error


def _in_options(error: ValueError) -> ValueError:
    """Return an error in the words of the command."""
    text = str(error).replace("host=", "--host ").replace("expected a token,", f"set --token-file or {TOKEN},")
    for name in ("max_body", "max_images", "max_pixels", "max_batch", "max_wait", "max_queue"):
        text = text.replace(f"{name}=", f"--{name.replace('_', '-')} ")
    return type(error)(text)


def _named(text: str) -> tuple[str | None, str]:
    """Read FILE or NAME=FILE."""
    name, equals, path = text.partition("=")
    if equals and not os.path.exists(text):
        return name, model_path(path)
    return None, model_path(text)


def _models(options: argparse.Namespace) -> dict[str, str]:
    from pathlib import Path

    found: dict[str, str] = {}
    for given, path in options.models:
        name = given or Path(path).stem
        if name in found:
            raise UnusableError(f"{found[name]} and {path} are both called {name}; give one as NAME=FILE")
        found[name] = path
    return found


def _limits(options: argparse.Namespace) -> Any:
    from skcnn.serving import Limits

    given = {
        "max_body": None if options.max_body is None else int(options.max_body * 1e6),
        "max_images": options.max_images,
        "max_pixels": options.max_pixels,
        "max_batch": options.max_batch,
        "max_wait": options.max_wait,
        "max_queue": options.max_queue,
    }
    return Limits(**{name: value for name, value in given.items() if value is not None})


def _token(options: argparse.Namespace) -> str | None:
    if options.token_file is None:
        return os.environ.get(TOKEN) or None
    with open(os.path.expanduser(options.token_file), encoding="utf-8") as file:
        return file.readline().strip()


def _print_ready(url: str, app: Any) -> None:
    for name, model in app.state.service.models.items():
        predictor = model.running.predictor
        classes = f", {counted(len(predictor.classes), 'class')}" if predictor.classes else ""
        print(f"{printable_text(name)}: predicts {predictor.kind}{classes}, by its {predictor.runs_by}")
        if predictor.note:
            print(f"skcnn: note: {printable_text(predictor.note)}", file=sys.stderr)
    print(f"Serving at {url}", flush=True)
