"""skcnn._text: text for people."""

import pytest

from skcnn._text import counted, listing


@pytest.mark.parametrize(
    ("count", "noun", "text"),
    [(0, "sample", "0 samples"), (1, "class", "1 class"), (2, "image", "2 images"), (1200, "class", "1,200 classes")],
)
def test_counted(count, noun, text):
    assert counted(count, noun) == text


def test_listing():
    assert listing([]) == ""
    assert listing(["a", "b"]) == "a, b"
    assert listing("abcd", limit=2) == "a, b and 2 more"
    assert listing((str(number) for number in range(2000)), limit=1) == "0 and 1,999 more"
