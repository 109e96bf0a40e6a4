"""The application: which requests are answered, and how."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Annotated, Any

import numpy as np
from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from starlette.exceptions import HTTPException

from skcnn import __version__
from skcnn.serving import _protocol
from skcnn.serving._bodies import Held, Sent, images_of, read_body
from skcnn.serving._errors import RequestError
from skcnn.serving._limits import Limits
from skcnn.serving._metrics import CONTENT_TYPE, Metrics
from skcnn.serving._models import Running, ServedModel
from skcnn.serving._predictors import ImageRefusedError, Predicted, check_pixels, mask_as_png
from skcnn.serving._schemas import ERRORS, EXPLAINED, IMAGES, INFERENCE, PREDICTED, PROTOCOL_ERRORS

Top = Annotated[int, Query(ge=1, le=1000, description="The K most probable classes.")]
All = Annotated[bool, Query(description="The probabilities of all classes, in the order of GET /models.")]


class Service:
    """What the requests of a server share.

    Parameters
    ----------
    models : dict of str to ServedModel
    limits : Limits
    metrics : Metrics
    explain : bool
        Whether images are explained.
    """

    def __init__(self, models: dict[str, ServedModel], limits: Limits, metrics: Metrics, explain: bool):
        self.models, self.limits, self.metrics, self.explain = models, limits, metrics, explain
        self.held = Held(limits.max_held)
        self.pool = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="skcnn-decode")

    def model(self, name: str | None, request: Request, action: str = "predict") -> ServedModel:
        """Return the model that a request means, loaded again if its file was replaced."""
        if name is None:
            if len(self.models) > 1:
                raise RequestError(
                    404, f"Several models are served; POST to /{action}/ and one of {list(self.models)}."
                )
            name = next(iter(self.models))
        if name not in self.models:
            raise RequestError(404, f"There is no model {name[:100]!r}; GET /models lists them.")
        request.scope["state"]["model"] = name
        self.models[name].refresh()
        return self.models[name]

    async def in_pool(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run a function in a thread that decodes."""
        return await asyncio.get_running_loop().run_in_executor(self.pool, function, *arguments)

    async def predicted(
        self, model: ServedModel, contents: list[bytes | np.ndarray]
    ) -> tuple[Running, list[Predicted | ImageRefusedError]]:
        """Return the prediction of a model for each image, or the reason why there is none."""
        running, admission = model.admit(len(contents))
        with admission:
            prepared = await asyncio.gather(
                *(self.in_pool(_prepared, running, content, self.limits.max_pixels) for content in contents)
            )
            good = [number for number, image in enumerate(prepared) if not isinstance(image, ImageRefusedError)]
            found = await asyncio.wrap_future(admission.submit([prepared[number] for number in good]))
        results = list(prepared)
        for number, result in zip(good, found, strict=True):
            if isinstance(result, RequestError):
                raise result
            results[number] = result
        n_refused = sum(isinstance(result, ImageRefusedError) for result in results)
        self.metrics.images.labels(model.name, "predicted").inc(len(results) - n_refused)
        self.metrics.images.labels(model.name, "refused").inc(n_refused)
        for result in results:
            if isinstance(result, Predicted) and result.farther_than is not None:
                self.metrics.farther_than.labels(model.name).observe(result.farther_than)
        return running, results


def _prepared(running: Running, content: bytes | np.ndarray, max_pixels: int) -> Any:
    try:
        return running.predictor.prepare(content, max_pixels)
    except ImageRefusedError as error:
        return error


def build_app(service: Service) -> FastAPI:
    """Return the application of a service."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        for model in service.models.values():
            await asyncio.to_thread(model.close)
        service.pool.shutdown(wait=False)

    app = FastAPI(
        title="skcnn",
        version=__version__,
        summary="Predictions of saved models.",
        docs_url=None,  # its page loads scripts from another server
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.service = service
    _add_errors(app)
    _add_status(app, service)
    _add_predict(app, service)
    _add_protocol(app, service)
    return app


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(RequestError)
    async def refused(_: Request, error: RequestError) -> Response:
        headers = {} if error.retry_after is None else {"retry-after": str(error.retry_after)}
        if error.status == 408:
            # What is left of other refused bodies is read and dropped: a client that still sends when its connection is
            # closed gets a reset, and may never see the answer.
            headers["connection"] = "close"
        return _json({"error": str(error)}, error.status, headers)

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException) -> Response:
        headers, path = dict(error.headers or {}), request.url.path[:100]
        reasons = {
            404: f"There is nothing at {path}; GET /openapi.json lists what there is.",
            405: f"{path} does not take {request.method}; expected {headers.get('Allow', 'another method')}.",
        }
        return _json({"error": reasons.get(error.status_code, str(error.detail))}, error.status_code, headers)

    @app.exception_handler(RequestValidationError)
    async def malformed(_: Request, error: RequestValidationError) -> Response:
        reasons = "; ".join(f"{item['loc'][-1]}: {item['msg']}" for item in error.errors())
        return _json({"error": reasons}, 400)


def _add_status(app: FastAPI, service: Service) -> None:
    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def page() -> Response:
        from skcnn.serving._page import page_text

        return HTMLResponse(await service.in_pool(page_text))

    @app.get("/healthz", tags=["status"])
    async def health() -> Response:
        """Report that the server is alive."""
        return _json({"status": "ok"})

    @app.get("/metrics", tags=["status"])
    async def metrics() -> Response:
        """Return counters and times in the format of Prometheus."""
        return Response(service.metrics.text(service.models), media_type=CONTENT_TYPE)

    @app.get("/models", tags=["status"])
    async def models() -> Response:
        """List the models."""
        found = []
        for name, model in service.models.items():
            model.refresh()
            predictor = model.running.predictor
            found.append(
                {
                    "name": name,
                    "version": model.running.version,
                    "kind": predictor.kind,
                    "classes": predictor.classes,
                    "runs_by": predictor.runs_by,
                    "note": predictor.note,
                    "error": model.error,
                    "explain": service.explain and predictor.kind == "classes",
                }
            )
        return _json({"models": found})


def _add_predict(app: FastAPI, service: Service) -> None:
    async def answer(name: str | None, request: Request, top: int, probabilities: bool) -> Response:
        model = service.model(name, request)
        model.running.batcher.check_room()
        with service.held.share() as share:
            body = await read_body(request, service.limits, share)
            images: list[Sent] = await service.in_pool(
                images_of, request.headers.get("content-type", ""), body, service.limits
            )
            running, results = await service.predicted(model, [image.content for image in images])
            classes = running.predictor.classes
            rows = [
                {"name": image.name, **_row(result, classes, top, probabilities)}
                for image, result in zip(images, results, strict=True)
            ]
        status = 422 if all("error" in row for row in rows) else 200
        return _json({"model": model.name, "version": running.version, "images": rows}, status)

    @app.post("/predict", tags=["predict"], responses=PREDICTED | ERRORS, openapi_extra=IMAGES)
    async def predict(request: Request, top: Top = 5, probabilities: All = False) -> Response:
        """Predict images with the only model that is served."""
        return await answer(None, request, top, probabilities)

    @app.post("/predict/{model}", tags=["predict"], responses=PREDICTED | ERRORS, openapi_extra=IMAGES)
    async def predict_by(model: str, request: Request, top: Top = 5, probabilities: All = False) -> Response:
        """Predict images with a model."""
        return await answer(model, request, top, probabilities)

    async def heat_of(name: str | None, request: Request, label: str | None) -> Response:
        if not service.explain:
            raise RequestError(501, "This server does not explain images.")
        served = service.model(name, request, "explain")
        with service.held.share() as share:
            body = await read_body(request, service.limits, share)
            images = await service.in_pool(images_of, request.headers.get("content-type", ""), body, service.limits)
            if len(images) != 1:
                raise RequestError(400, f"Got {len(images)} images; expected one.")
            try:
                await service.in_pool(check_pixels, images[0].content, service.limits.max_pixels)
            except ImageRefusedError as error:
                raise RequestError(422, str(error)) from None
            heat = await asyncio.wrap_future(served.running.explainer.submit(images[0].content, label))
        return Response(heat, media_type="image/png")

    @app.post("/explain", tags=["predict"], responses=EXPLAINED | ERRORS, openapi_extra=IMAGES)
    async def explain(request: Request, label: str | None = None) -> Response:
        """Show which regions of one image raised the score of a class of the only model that is served."""
        return await heat_of(None, request, label)

    @app.post("/explain/{model}", tags=["predict"], responses=EXPLAINED | ERRORS, openapi_extra=IMAGES)
    async def explain_by(model: str, request: Request, label: str | None = None) -> Response:
        """Show which regions of one image raised the score of a class (Grad-CAM), as a PNG image."""
        return await heat_of(model, request, label)


def _add_protocol(app: FastAPI, service: Service) -> None:
    tags: list[Any] = ["Open Inference Protocol"]

    @app.get("/v2", tags=tags)
    async def server_metadata() -> Response:
        """Describe the server."""
        return _json({"name": "skcnn", "version": __version__, "extensions": _protocol.EXTENSIONS})

    @app.get("/v2/health/live", tags=tags)
    async def live() -> Response:
        """Report that the server is alive."""
        return _json({"live": True})

    @app.get("/v2/health/ready", tags=tags)
    async def ready() -> Response:
        """Report that all models are loaded, which is the case before the server listens."""
        return _json({"ready": True})

    @app.get("/v2/models/{model}/ready", tags=tags, responses=PROTOCOL_ERRORS)
    async def model_ready(model: str, request: Request) -> Response:
        """Report that a model is loaded."""
        return _json({"name": service.model(model, request).name, "ready": True})

    @app.get("/v2/models/{model}", tags=tags, responses=PROTOCOL_ERRORS)
    async def model_metadata(model: str, request: Request) -> Response:
        """Describe the inputs and outputs of a model."""
        served = service.model(model, request)
        return _json(_protocol.model_metadata(served.name, served.running))

    @app.post("/v2/models/{model}/infer", tags=tags, responses=PROTOCOL_ERRORS, openapi_extra=INFERENCE)
    async def infer(model: str, request: Request) -> Response:
        """Predict images: BYTES (one base64 text per image), or UINT8 pixels (n, height, width, 3)."""
        served = service.model(model, request)
        served.running.batcher.check_room()
        with service.held.share() as share:
            body = await read_body(request, service.limits, share)
            identity, contents = await service.in_pool(_protocol.read_inputs, body, service.limits)
            running, results = await service.predicted(served, contents)
        for number, result in enumerate(results):
            if isinstance(result, ImageRefusedError):
                raise RequestError(422, f"Image {number}: {result}")
        return _json(_protocol.as_outputs(served.name, running, identity, results))  # type: ignore[arg-type]


def _row(result: Predicted | ImageRefusedError, classes: list[Any] | None, top: int, all_of: bool) -> dict[str, Any]:
    """Return what is answered about an image."""
    if isinstance(result, ImageRefusedError):
        return {"error": str(result)}
    row: dict[str, Any] = {}
    if result.label is not None:
        row["label"] = result.label
    if result.probabilities is not None and classes is not None:
        best = np.argsort(-result.probabilities, kind="stable")[:top]
        row["top"] = [{"label": classes[index], "probability": float(result.probabilities[index])} for index in best]
        if all_of:
            row["probabilities"] = result.probabilities.tolist()
    if result.numbers is not None:
        row["numbers"] = result.numbers.tolist()
    if result.boxes is not None:
        row["boxes"] = result.boxes
    if result.distance is not None:
        row |= {"distance": result.distance, "farther_than": result.farther_than}
    if result.mask is not None:
        row |= {"mask": mask_as_png(result.mask), "classes": classes}
    return row


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    content = json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
    return Response(content, status, headers, media_type="application/json")
