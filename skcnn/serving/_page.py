"""The page for people: drop images on it, see what a model predicts of them."""

from __future__ import annotations

from functools import cache

from skcnn import __version__
from skcnn._page.page import render


@cache
def page_text() -> str:
    """Return the page. It has nothing of a model in it: its script asks for that, with the token if there is one."""
    return render("skcnn.serving", "page.html", script="page.js", sections=None, version=__version__)
