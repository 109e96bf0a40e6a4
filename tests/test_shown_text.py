import numpy as np
import pytest

from skcnn._text import printable_text, valid_labels, valid_text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("\x1b[2J\x00\x9b", r"\x1b[2J\x00\x9b"),
        ("nu\u202egnp.exe \u2066x\u2069", r"nu\u202egnp.exe \u2066x\u2069"),
        ("one\u2028two\u2029", r"one\u2028two\u2029"),
        ("caf\udce9", r"caf\udce9"),
        ("a\u200b\u2060\ufeff\ufffe\uffff", r"a\u200b\u2060\ufeff\ufffe\uffff"),
        (7, "7"),
    ],
)
def test_what_hides_or_turns_text_is_written_out(text, shown):
    assert printable_text(text) == shown
    assert shown.isprintable()


@pytest.mark.parametrize(
    "text",
    [
        "25\u00a0µm",
        "\U0001f469\u200d\U0001f52c",  # a scientist
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian
        "\u0915\u094d\u200d\u0937",  # Hindi
        "\u05d0\u200e1",
        "e\u0301",
        "日本語",
        "C:\\new\\x1b",
    ],
)
def test_what_names_are_made_of_stays(text):
    assert printable_text(text) == text


def test_valid_text_is_utf8_and_else_the_same():
    assert valid_text("caf\udce9\n\u202e\u00e9") == "caf\\udce9\n\u202e\u00e9"
    valid_text("\ud800").encode()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (np.array(["caf\udce9", "rosé"]), np.array(["caf\\udce9", "rosé"])),
        (np.array(["\udce9", 1, None], dtype=object), np.array(["\\udce9", 1, None], dtype=object)),
        (np.array([["\udce9"], ["a"]]), np.array([["\\udce9"], ["a"]])),
    ],
)
def test_labels_keep_their_number_and_kind(given, expected):
    valid = valid_labels(given)
    assert valid.dtype.kind == expected.dtype.kind
    np.testing.assert_array_equal(valid, expected)
    assert "\udce9" in given.ravel()[0]


def test_good_labels_are_not_copied():
    for labels in (np.array(["rosé", "a"]), np.array(["rosé", 1], dtype=object), np.arange(3)):
        assert valid_labels(labels) is labels
