import numpy as np
import pytest

from skcnn._text import (
    count_text,
    file_text,
    interval_text,
    label_text,
    metric_text,
    percent_text,
    shorter_counts,
    signed_text,
    values_text,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1234, "0.123"),
        (1.0, "1.000"),
        (0.9996, ">0.999"),
        (0.9994, "0.999"),
        (0.0, "0.000"),
        (0.0004, "<0.001"),
        (1.0004, "1.000"),
        (float("nan"), "nan"),
    ],
)
def test_metrics_that_are_almost_perfect_say_so(value, text):
    assert metric_text(value) == text


def test_differences_have_a_sign():
    assert signed_text(0.0123) == "+0.012"
    assert signed_text(-0.5) == "\u22120.500"
    assert signed_text(0.0) == "0.000"
    assert signed_text(float("nan")) == "nan"


def test_intervals_stand_behind_their_figure():
    assert interval_text(0.98, 0.97, 0.9999) == "0.980 (0.970 to >0.999)"
    assert interval_text(-0.1, -0.2, 0.1, write=signed_text) == "\u22120.100 (\u22120.200 to +0.100)"
    assert interval_text(0.5, float("nan"), float("nan")) == "0.500"


@pytest.mark.parametrize(("fraction", "text"), [(0.95, "95"), (0.995, "99.5"), (0.9, "90"), (0.29, "29")])
def test_percents(fraction, text):
    assert percent_text(fraction) == f"{text}\u00a0%"


def test_of_a_path_folder_and_file_are_told():
    assert file_text("/home/ann/images/cats/1.jpg") == "cats/1.jpg"
    assert file_text("C:\\Users\\ann\\cats\\1.jpg") == "cats/1.jpg"
    assert file_text("1.jpg") == "1.jpg"
    assert file_text("cats/a\nb.jpg") == r"cats/a\nb.jpg"


def test_counts():
    assert count_text(1234) == "1,234"
    assert count_text(3.0) == "3"
    assert count_text(0.12345) == "0.123"


@pytest.mark.parametrize(
    ("label", "width", "text"),
    [
        ("rose", None, "rose"),
        ("rose", 4, "rose"),
        ("roses", 4, "ro…s"),
        ("n02085620-Chihuahua", 11, "n0208…uahua"),
        ("日本語の名前", 12, "日本語の名前"),
        ("日本語の名前", 7, "日本…前"),
        ("rose", 1, "…"),
        (7, 3, "7"),
    ],
)
def test_long_labels_lose_their_middle(label, width, text):
    assert label_text(label, width) == text


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        (7, ["7"]),
        (0.0912, ["0.0912", "0.091", "0.09"]),
        (1234, ["1,234", "1.2k", "1k"]),
        (10748.0, ["10,748", "10.7k", "11k"]),
        (999_499, ["999,499", "999.5k", "999k"]),
        (1_900_000, ["1,900,000", "1.9M", "2M"]),
    ],
)
def test_counts_get_shorter(value, texts):
    assert shorter_counts(value) == texts


def test_labels_are_one_printable_line():
    assert label_text("a\nb\x00c\u202ed\ud800e") == r"a\nb\x00c\u202ed\ud800e"
    assert label_text("25\u00a0µm \U0001f469\u200d\U0001f52c") == "25\u00a0µm \U0001f469\u200d\U0001f52c"


def test_values_are_written_as_python_writes_them():
    assert values_text(np.array(["a", "b"])) == "'a', 'b'"
    assert values_text(np.arange(2001), limit=2) == "0, 1 and 1,999 more"
