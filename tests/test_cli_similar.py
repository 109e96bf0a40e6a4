import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from chromium import acted, in_chromium, needs_chromium
from PIL import Image
from scipy.spatial.distance import cdist

from skcnn.cli import main
from skcnn.datasets import load_digit_images, load_image_folder
from skcnn.feature_extraction import BottleneckFeatures

RESNET20 = ["--backbone", "ResNet20", "--quiet"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Digits 0, 1 and 2, ten images each, a folder per class; and two more, as queries."""
    root = tmp_path_factory.mktemp("digits")
    digits = load_digit_images()
    for digit in range(3):
        (root / "known" / str(digit)).mkdir(parents=True)
        for index, pixels in enumerate(digits.data[digits.target == digit][:11]):
            place = root / "known" / str(digit) / f"{index}.png" if index < 10 else root / f"query {digit}.png"
            Image.fromarray(pixels).save(place)
    return root


def lines_of(out: str) -> list[list[str]]:
    return [line.split("\t") for line in out.splitlines()]


def test_the_neighbours_are_those_of_cosine_distance(folder, capsys):
    queries = [str(folder / "query 0.png"), str(folder / "query 2.png")]
    assert main(["similar", str(folder / "known"), *queries, "-k", "4", *RESNET20]) == 0
    lines = lines_of(capsys.readouterr().out)
    frame = load_image_folder(folder / "known").frame
    transformer = BottleneckFeatures("ResNet20")
    features = transformer.fit_transform(frame["path"])
    distances = cdist(transformer.transform(queries), features, "cosine")
    assert [line[0] for line in lines] == [query for query in queries for _ in range(4)]
    for number, of_query in enumerate((lines[:4], lines[4:])):
        rows = np.argsort(distances[number])[:4]
        assert [line[1] for line in of_query] == frame["path"].iloc[rows].tolist()
        assert [line[2] for line in of_query] == frame["label"].iloc[rows].tolist()
        np.testing.assert_allclose([float(line[3]) for line in of_query], distances[number][rows], atol=6e-5)


def test_a_query_is_not_its_own_neighbour_but_its_copy_is(folder, tmp_path, monkeypatch, capsys):
    known = tmp_path / "known"
    shutil.copytree(folder / "known", known)
    shutil.copy(known / "1" / "3.png", known / "0" / "copy.png")
    monkeypatch.chdir(known / "1")
    assert main(["similar", str(known), "3.png", "-k", "50", *RESNET20]) == 0
    lines = lines_of(capsys.readouterr().out)
    assert len(lines) == 30  # All others, which are fewer than 50.
    assert str(known / "1" / "3.png") not in [line[1] for line in lines]
    assert lines[0] == ["3.png", str(known / "0" / "copy.png"), "0", "0.0000"]


def test_images_need_no_labels(folder, tmp_path, capsys):
    page = tmp_path / "page.html"
    query = str(folder / "query 0.png")
    command = ["similar", str(folder / "known" / "0"), query, "-k", "2", *RESNET20, "-o", str(page)]
    assert main(command) == 0
    lines = lines_of(capsys.readouterr().out)
    assert [line[2] for line in lines] == ["", ""]
    assert page.read_text("utf-8").count("<img") == 3


def test_the_page_shows_queries_and_neighbours(folder, tmp_path, capsys):
    page = tmp_path / "page.html"
    queries = [str(folder / "query 0.png"), str(folder / "query 2.png")]
    assert main(["similar", str(folder / "known"), *queries, "-k", "3", *RESNET20, "-o", str(page)]) == 0
    printed = capsys.readouterr()
    assert f"Page: {page}" in printed.err
    text = page.read_text("utf-8")
    assert text.count("<section") == 2
    assert text.count('src="data:image/jpeg;base64,') == text.count("<img") == 8
    for _, path, label, distance in lines_of(printed.out):
        file = "/".join(Path(path).parts[-2:])
        assert file in text
        assert f"<span>{label}</span> <b>{float(distance):.3f}</b>" in text
    assert "script-src 'none'" in text
    assert "<script" not in text
    assert str(folder) not in text


@needs_chromium
def test_in_chromium_nothing_of_the_page_is_cut(folder, tmp_path):
    page = tmp_path / "page.html"
    query = tmp_path / ("a long name without any space_" * 3 + ".png")
    shutil.copy(folder / "query 0.png", query)
    assert main(["similar", str(folder / "known"), str(query), *RESNET20, "-o", str(page)]) == 0
    find = """
    const right = document.querySelector(".gallery").getBoundingClientRect().left;
    seen.query = [...document.querySelectorAll(".query *")].every(e => e.scrollWidth <= e.clientWidth + 1
      && e.getBoundingClientRect().right <= right);
    seen.fits = document.documentElement.scrollWidth <= innerWidth"""
    assert acted(page.read_text("utf-8"), find, tmp_path) == {"query": True, "fits": True}
    assert "CONSOLE" not in in_chromium(page, tmp_path, "--enable-logging=stderr")[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["query 3.png"], "query 3.png: no such file or folder; expected an image."),
        (["."], ". is a folder; expected an image"),
        (["{query}", "-o", "no/such/page.html"], "the folder no/such does not exist"),
    ],
)
def test_mistakes_are_reported_before_images_are_read(folder, monkeypatch, capsys, arguments, message):
    monkeypatch.setattr("skcnn.feature_extraction.BottleneckFeatures.fit_transform", None)
    arguments = [argument.format(query=folder / "query 0.png") for argument in arguments]
    assert main(["similar", str(folder / "known"), *arguments, *RESNET20]) == 1
    assert message in capsys.readouterr().err


def test_control_characters_are_written_out(folder, tmp_path, capsys):
    query = tmp_path / "a\tb.png"
    shutil.copy(folder / "query 0.png", query)
    assert main(["similar", str(folder / "known"), str(query), "-k", "1", *RESNET20]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert re.match(r".*a\\tb.png\t", line)
    assert line.count("\t") == 3
