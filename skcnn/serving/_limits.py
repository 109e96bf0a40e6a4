"""How much a client may ask for."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits on the requests of clients, and on the batches in which images are run.

    Parameters
    ----------
    max_body : int, default=33554432
        Bytes of a request's body (32 MiB), counted as they arrive: longer ones are answered with 413.
    max_images : int, default=32
        Images per request; requests with more are answered with 413.
    max_pixels : int, default=50000000
        Pixels per image, checked before it is decoded. An image of 50 million pixels takes 400 MB while it is decoded,
        and images that are decoded at the same time take at most 1 GiB together.
    max_batch : int, default=32
        Images that go through the network together.
    max_wait : float, default=0.005
        Seconds that an image waits for others that are being decoded. A single image does not wait.
    max_queue : int, default=256
        Images of a model that were accepted and are not answered yet. Further ones are answered with 503 and a
        ``Retry-After``. At 100 images per second, 256 images bound the response time to about 3 seconds.
    max_held : int, default=268435456
        Bytes of all bodies that are held at the same time (256 MiB); a body beyond it is answered with 503.
    max_connections : int, default=512
        Connections at the same time; further ones are answered with 503.
    body_timeout : float, default=30.0
        Seconds within which the header of a request, and then its body, must arrive; otherwise the connection is
        closed, or answered with 408.

    Raises
    ------
    ValueError
        If a limit is not positive, or ``max_images`` is larger than ``max_queue``.

    Examples
    --------
    >>> from skcnn.serving import Limits
    >>> Limits(max_images=1).max_body
    33554432
    """

    max_body: int = 32 * 2**20
    max_images: int = 32
    max_pixels: int = 50_000_000
    max_batch: int = 32
    max_wait: float = 0.005
    max_queue: int = 256
    max_held: int = 256 * 2**20
    max_connections: int = 512
    body_timeout: float = 30.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            whole = isinstance(value, int) and not isinstance(value, bool) and value >= 1
            if field.type == "int" and not whole:
                raise ValueError(f"{field.name}={value!r}; expected an int >= 1.")
            if field.type == "float" and not 0 <= value < math.inf:
                raise ValueError(f"{field.name}={value!r}; expected a number of seconds >= 0.")
        if self.max_images > self.max_queue:
            raise ValueError(
                f"max_images={self.max_images} and max_queue={self.max_queue}; expected a queue that holds the images "
                "of a request."
            )
