import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np

from skcnn._plot.theme import CSS_VARIABLES, INK, PAGE_STYLE, SERIES
from skcnn.report._svg import inline_svg


def draw(ax):
    ax.plot([0, 1], [0, 1], color=SERIES[0])
    ax.imshow(np.ones((2, 2, 4)), extent=(0, 1, 0, 1), interpolation="none")
    ax.text(0, 0, INK)
    ax.text(0, 0.5, '</svg><script>alert("1")</script> #x id="y"', parse_math=False)


def image(title="An image") -> ElementTree.Element:
    return ElementTree.fromstring(inline_svg(draw, (3, 3), title))


def test_colours_are_those_of_the_page():
    styles = " ".join(element.get("style", "") for element in image().iter())
    assert "var(--series-0)" in styles
    assert "var(--ink)" in styles
    assert not set(re.findall("#[0-9a-f]{6}", styles)) & set(CSS_VARIABLES)


def test_text_stays_text():
    texts = [element.text for element in image().iter("text")]
    assert INK in texts
    assert '</svg><script>alert("1")</script> #x id="y"' in texts
    assert "font-family" not in inline_svg(draw, (3, 3), "An image")


def test_text_is_escaped_for_html():
    tags = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag, attrs):
            tags.append(tag)

    Parser().feed(inline_svg(draw, (3, 3), "An image"))
    assert "script" not in tags


def test_names_belong_to_the_image_and_are_used():
    svg = image("Another image")
    names = [element.get("id") for element in svg.iter() if element.get("id")]
    assert len(names) == len(set(names))
    assert all(name.startswith("another-image-") for name in names)
    values = [value for element in svg.iter() for name, value in element.attrib.items() if name != "id"]
    used = {name for value in values for name in re.findall(r"^(?:url\()?#([\w-]+)\)?$", value)}
    assert used == set(names)


def test_nothing_is_loaded_and_no_style_leaks():
    svg = inline_svg(draw, (3, 3), "An image")
    assert "http" not in svg
    assert "<style" not in svg
    root = ElementTree.fromstring(svg)
    assert root.get("aria-label") == "An image"
    assert root.get("width") is None
    assert [element.get("href")[:22] for element in root.iter("image")] == ["data:image/png;base64,"]


def test_the_same_image_is_the_same_text():
    assert inline_svg(draw, (3, 3), "An image") == inline_svg(draw, (3, 3), "An image")


def test_style_of_the_user_neither_changes_the_page_nor_is_changed():
    expected = inline_svg(draw, (3, 3), "An image")
    with mpl.rc_context({"text.usetex": True, "font.size": 30, "figure.facecolor": "red"}):
        assert inline_svg(draw, (3, 3), "An image") == expected
        assert mpl.rcParams["font.size"] == 30
    assert mpl.rcParams["svg.hashsalt"] != PAGE_STYLE["svg.hashsalt"]


def test_letters_that_matplotlib_lacks_raise_no_warning():
    assert "\u65e5\u672c" in inline_svg(lambda ax: ax.set_title("\u65e5\u672c"), (3, 3), "An image")


def test_curves_are_short_and_where_they_were():
    def curve(ax):
        ax.set_axis_off()
        ax.set(xlim=(0, 1), ylim=(0, 1))
        ax.plot(np.linspace(0, 1, 50), np.linspace(0, 1, 50) ** 3, color=SERIES[0])

    svg = ElementTree.fromstring(inline_svg(curve, (3, 3), "A curve"))
    path = next(e.get("d") for e in svg.iter("path") if "var(--series-0)" in e.get("style", ""))
    points = np.array(re.findall(r"[ML] (\S+) (\S+)", path), dtype=float)
    assert len(points) == 50
    assert max(map(len, re.findall(r"\.(\d+)", path))) <= 2
    x, y = points.T
    np.testing.assert_allclose(np.diff(x), np.diff(x).mean(), atol=0.011)
    np.testing.assert_allclose((y - y[0]) / (y[-1] - y[0]), np.linspace(0, 1, 50) ** 3, atol=2e-4)
