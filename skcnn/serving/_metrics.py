"""Metrics of a server, in the format of Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

if TYPE_CHECKING:
    from skcnn.serving._models import ServedModel

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


class Metrics:
    """Counters, times and sizes; each server has its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        registry = self._registry
        self.requests = Counter("skcnn_requests", "Requests, by status.", ["model", "status"], registry=registry)
        self.images = Counter("skcnn_images", "Images: predicted or refused.", ["model", "result"], registry=registry)
        self.seconds = Histogram(
            "skcnn_request_seconds", "From the head of a request to its answer.", ["model"], registry=registry,
            buckets=_SECONDS,
        )  # fmt: skip
        self.batch_images = Histogram(
            "skcnn_batch_images", "Images that ran together.", ["model"], registry=registry,
            buckets=(1, 2, 4, 8, 16, 32, 64),
        )  # fmt: skip
        self.batch_seconds = Counter("skcnn_batch_seconds", "Seconds of running.", ["model"], registry=registry)
        self.farther_than = Histogram(
            "skcnn_farther_than", "Fraction of the training images that is nearer to the training set.", ["model"],
            registry=registry, buckets=(0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1),
        )  # fmt: skip
        self._waiting = Gauge("skcnn_waiting_images", "Images not yet answered.", ["model"], registry=registry)
        self._loaded = Gauge(
            "skcnn_model_loaded_timestamp_seconds", "When it was loaded.", ["model"], registry=registry
        )
        self._reloads = Gauge("skcnn_model_reloads", "How often it was loaded again.", ["model"], registry=registry)
        self._stale = Gauge(
            "skcnn_model_stale", "1 if the file was replaced by one that cannot be loaded.", ["model"],
            registry=registry,
        )  # fmt: skip

    def observe_batch(self, model: str, n_images: int, seconds: float) -> None:
        """Note a batch."""
        self.batch_images.labels(model).observe(n_images)
        self.batch_seconds.labels(model).inc(seconds)

    def text(self, models: dict[str, ServedModel]) -> bytes:
        """Return all metrics as text."""
        for name, model in models.items():
            self._waiting.labels(name).set(model.running.batcher.n_admitted)
            self._loaded.labels(name).set(model.running.loaded_at)
            self._reloads.labels(name).set(model.n_reloads)
            self._stale.labels(name).set(model.error is not None)
        return generate_latest(self._registry)
