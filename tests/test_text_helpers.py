"""skcnn._text: text for people."""

import pytest

from skcnn._text import counted, error_text, listing, number_text, quoted, signed_number_text


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


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-0.0, "0"),
        (3.14159, "3.142"),
        (-0.5, "\u22120.5"),
        (100.44, "100.4"),
        (1234.5, "1,234"),
        (-1234567.8, "\u22121,234,568"),
        (12345678901234, "1.235e+13"),
        (0.0000012345, "1.234e-06"),
        (float("nan"), "nan"),
    ],
)
def test_numbers_of_any_size(value, text):
    assert number_text(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0.00"),
        (4.1, "4.10"),
        (146.5, "146"),
        (-0.07834, "\u22120.0783"),
        (999.7, "999.7"),
        (123456.7, "123,457"),
        (0.00001234, "1.23e-05"),
        (float("nan"), "nan"),
    ],
)
def test_errors_have_three_digits(value, text):
    assert error_text(value) == text


def test_differences_of_any_size_have_a_sign():
    assert [signed_number_text(value) for value in (1500, -2.5, 0)] == ["+1,500", "\u22122.5", "0"]


def test_labels_in_quotation_marks_are_one_line():
    assert quoted("a\nb") == "\u201ca\\nb\u201d"
