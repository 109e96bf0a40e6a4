"""Every block of Python in README.md and the pages of docs runs: in order, each page in a folder of its own.

Most pages train or run networks for seconds: they run in the slow set, and so do the examples of the gallery. The quick
pages run always; all blocks compile.
"""

import importlib
import re
import runpy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import CodeType

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import skcnn
from skcnn.cache import memory_cache
from skcnn.engines import clear_engines

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs" / "how_to").glob("*.md"))]
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("plot_*.py"))
#: Pages with code that runs in about a second.
QUICK = ("backbones.md", "boxes.md", "what_x_may_be.md")

FENCE = re.compile(r"^```(?P<language>[^\n]*)\n(?P<code>.*?)^```[ ]*$", re.DOTALL | re.MULTILINE)


def blocks(page: Path) -> list[tuple[str, int, str]]:
    """Return language, number of the first line (from 0) and content of every fenced block."""
    text = page.read_text(encoding="utf-8")
    return [
        (match["language"].strip(), text.count("\n", 0, match.start("code")), match["code"])
        for match in FENCE.finditer(text)
    ]


@pytest.fixture(scope="module")
def networks_of_a_reader() -> Iterator[None]:
    """Stand in for the weights of two small networks (here random ones), and run all networks by Keras.

    A network is built once for all pages. Were OpenVINO there, it would take over in the middle of a page.
    """

    def without_download(name: str):
        def build(**options):
            import keras

            return getattr(keras.applications, name)(**{**options, "weights": None})

        return build

    table = importlib.import_module("skcnn.backbones._table").TABLE
    clear_engines()
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("skcnn.engines._auto.is_openvino_installed", lambda: False)
        for name in ("MobileNetV2", "MobileNet"):
            monkeypatch.setitem(table, name, replace(table[name], builder=without_download(name)))
        yield
    # The stand-ins have the names of the real networks.
    clear_engines()


@pytest.fixture
def machine_of_a_reader(networks_of_a_reader: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Stand in for what a reader has: folders and tables of images, and nothing computed yet."""
    generator = np.random.default_rng(0)

    def images(*names: str) -> list[str]:
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(generator.integers(0, 256, (24, 32, 3), dtype=np.uint8)).save(tmp_path / name)
        return list(names)

    images(*(f"flowers/{name}/{number}.png" for name in ("daisy", "tulips") for number in range(6)))
    images("new/a.jpg", "new/b.jpg", "new/more/c.jpg")
    cells = images(*(f"cells/{'ill' if row % 2 else 'healthy'}_p{row // 2}_1.png" for row in range(12)))
    labels = [Path(path).name.split("_")[0] for path in cells]
    pd.DataFrame({"path": cells, "age": range(30, 42), "label": labels}).to_csv(tmp_path / "cells.csv", index=False)
    houses = images(*(f"houses/{row}.png" for row in range(24)))
    pd.DataFrame({"path": houses, "price": range(100, 124)}).to_csv(tmp_path / "houses.csv", index=False)
    tags = ["garden", "garden;pool", "pool", ""] * 6
    pd.DataFrame({"path": houses, "tags": tags}).to_csv(tmp_path / "tags.csv", index=False)
    monkeypatch.chdir(tmp_path)
    memory_cache().clear()
    yield
    memory_cache().clear()


def compiled(page: Path) -> list[CodeType]:
    """Return every block of Python as code; the empty lines make a traceback point to the line of the page."""
    return [
        compile("\n" * line + code, str(page), "exec") for language, line, code in blocks(page) if language == "python"
    ]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def by_speed(page: Path):
    is_slow = page.name not in QUICK and any(language == "python" for language, _, _ in blocks(page))
    return pytest.param(page, marks=pytest.mark.slow if is_slow else ())


@pytest.mark.parametrize("page", [by_speed(page) for page in PAGES], ids=name_of)
@pytest.mark.usefixtures("machine_of_a_reader")
def test_code_blocks_run(page: Path):
    names = {"__name__": page.stem}
    for code in compiled(page):
        exec(code, names)


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=name_of)
@pytest.mark.usefixtures("machine_of_a_reader")
def test_examples_run(example: Path):
    exec(compile(example.read_text(encoding="utf-8"), str(example), "exec"), {"__name__": "__main__"})
    assert plt.get_fignums()
    plt.close("all")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_code_blocks_compile(page: Path):
    assert len(compiled(page)) == sum(language == "python" for language, _, _ in blocks(page))


def test_pages_have_code():
    without = [name_of(page) for page in PAGES if all(language != "python" for language, _, _ in blocks(page))]
    assert without == [
        "docs/api.md",
        "docs/architecture.md",
        "docs/command_line.md",
        "docs/not_for.md",
        "docs/reliability.md",
        "docs/scale.md",
    ]


def test_every_page_is_in_the_sidebar():
    shown = re.findall(r"^([a-z_/]+)$", (ROOT / "docs" / "index.md").read_text(encoding="utf-8"), re.MULTILINE)
    pages = [page.relative_to(ROOT / "docs").with_suffix("").as_posix() for page in PAGES[1:]]
    assert sorted(shown) == sorted({*pages, "gallery/index"} - {"index"})


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_block_escapes(page: Path):
    found = blocks(page)
    assert page.read_text(encoding="utf-8").count("\n```") == 2 * len(found)
    # A file of its own, which its own test runs, is a {code-block}.
    languages = {"python", "bash", "console", "text", "{eval-rst}", "{toctree}", "{code-block} python"}
    assert {language for language, _, _ in found} <= languages


@pytest.mark.parametrize("module", [*skcnn._MODULES, "metrics.parts", "utils.estimator_checks"])
def test_api_page_lists_everything_public(module: str):
    listed = re.findall(r"^   (\w+)$", (ROOT / "docs" / "api.md").read_text(encoding="utf-8"), re.MULTILINE)
    public = importlib.import_module(f"skcnn.{module}").__all__
    assert set(public) <= set(listed)


def test_constants_of_the_api_page_have_a_text():
    pytest.importorskip("sphinx")
    text_of_constant = runpy.run_path(str(ROOT / "docs" / "conf.py"))["text_of_constant"]
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    found = re.findall(r"currentmodule:: ([\w.]+)|^   ([A-Z][A-Z_]+)$", page, re.MULTILINE)
    package, without = "", []
    for named, constant in found:
        package = named or package
        if constant and not text_of_constant(f"{package}.{constant}"):
            without.append(f"{package}.{constant}")
    assert without == []
    assert text_of_constant("skcnn.images.RESIZE_RULES")[0] == "What the parameter ``resize`` may be."
