"""A matplotlib image as SVG that is part of a page: the page's colours and letters, no name that clashes."""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Callable
from io import StringIO
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from skcnn._plot.theme import CSS_VARIABLES, PAGE_STYLE

if TYPE_CHECKING:
    from markupsafe import Markup

WIDTH = 4.3
"""Width of an image in inches: its letters of 9 points are read on a telephone 390 pixels wide as they are."""

# matplotlib keeps its style in one table for the whole process.
_style_lock = threading.Lock()


def inline_svg(draw: Callable[[Any], Any], size: tuple[float, float], title: str, *, scope: str = "") -> Markup:
    """Draw on the axes of a new figure, and return it as markup for a page.

    Parameters
    ----------
    draw : callable
        Called with the axes.
    size : (float, float)
        Width and height in inches; what the image is scaled to is up to the page.
    title : str
        What the image shows, for people who cannot see it.
    scope : str, default=""
        What the names in the image start with, where a page may hold another image of this title.

    Returns
    -------
    Markup
        An ``<svg>`` element.
    """
    import matplotlib as mpl
    from markupsafe import Markup
    from matplotlib.figure import Figure

    file = StringIO()
    with _style_lock, mpl.rc_context(), warnings.catch_warnings():
        # Letters are drawn by the browser, which has more fonts than matplotlib measures with.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        mpl.rcdefaults()
        mpl.rcParams.update(PAGE_STYLE)
        figure = Figure(figsize=size, layout="constrained")
        draw(figure.subplots())
        no_metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(file, format="svg", metadata=no_metadata)
    return Markup(_as_part_of_page(file.getvalue(), title, scope))


def _as_part_of_page(svg: str, title: str, scope: str) -> str:
    root = ElementTree.fromstring(svg)
    prefix = scope + re.sub(r"\W+", "-", title.lower())
    for parent in list(root.iter()):
        parent.tag = parent.tag.rpartition("}")[2]
        for child in list(parent):
            if child.tag.endswith("}style"):  # It would hold for the whole page.
                parent.remove(child)
        for name in list(parent.attrib):
            value = parent.attrib.pop(name)
            parent.set(name.rpartition("}")[2], _attribute(name, value, prefix))
    _drop_unused_ids(root)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.attrib.update({"role": "img", "aria-label": title})
    return ElementTree.tostring(root, encoding="unicode")


def _attribute(name: str, value: str, prefix: str) -> str:
    if name == "id":
        return f"{prefix}-{value}"
    if name == "style":
        value = re.sub(r"font-family:[^;]*(;|$)", "", value)
        return re.sub("#[0-9a-f]{6}", lambda color: CSS_VARIABLES.get(color[0], color[0]), value)
    if name == "d":  # A hundredth of a point is not seen, and most of a page is curves.
        return re.sub(r"-?\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", value)
    if name.endswith("href") and value.startswith("data:"):
        return re.sub(r"\s", "", value)
    return re.sub(r"^(#|url\(#)", rf"\g<1>{prefix}-", value)


def _drop_unused_ids(root: ElementTree.Element) -> None:
    references = " ".join(
        value for element in root.iter() for name, value in element.attrib.items() if name in ("href", "clip-path")
    )
    for element in root.iter():
        if "id" in element.attrib and f"#{element.attrib['id']}" not in references:
            del element.attrib["id"]
