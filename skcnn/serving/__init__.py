"""Saved models over HTTP (extra ``serve``): ``skcnn serve model.skcnn``, or :func:`serve` and :func:`create_app`.

Images come in as files, base64 or pixels, probabilities go out. What a client sends is bytes to be decoded within
bounds: no path and no URL of a client is ever opened.
"""

from skcnn.serving._limits import Limits
from skcnn.serving._serve import create_app, serve

__all__ = ["Limits", "create_app", "serve"]
