"""Images that are part of a page."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO

import numpy as np
from PIL import Image


def data_uri(image: np.ndarray, *, quality: int = 80) -> str:
    """Return an image (height, width, 3) uint8 as a JPEG file in a data URI, for the ``src`` of an ``<img>``."""
    file = BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality, optimize=True)
    return f"data:image/jpeg;base64,{b64encode(file.getvalue()).decode('ascii')}"
