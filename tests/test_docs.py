"""Every block of Python in README.md and docs/*.md runs: in order, page by page, each page in a folder of its own.

Most pages train or run networks for seconds: they run in the slow set. The quick ones run always; all blocks compile.
"""

import importlib
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import CodeType

import numpy as np
import pytest
from PIL import Image

import skcnn
from skcnn.cache import memory_cache
from skcnn.engines import clear_engines

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
#: Pages with code that runs in about a second.
QUICK = ("backbones.md", "what_x_may_be.md")

FENCE = re.compile(r"^```(?P<language>[^\n]*)\n(?P<code>.*?)^```[ ]*$", re.DOTALL | re.MULTILINE)


def blocks(page: Path) -> list[tuple[str, int, str]]:
    """Return language, number of the first line (from 0) and content of every fenced block."""
    text = page.read_text(encoding="utf-8")
    return [
        (match["language"].strip(), text.count("\n", 0, match.start("code")), match["code"])
        for match in FENCE.finditer(text)
    ]


@pytest.fixture
def machine_of_a_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Stand in for what a reader has: images in ``flowers/``, and the weights of MobileNetV2 (here random ones)."""
    generator = np.random.default_rng(0)
    for name in ("daisy", "tulips"):
        (tmp_path / "flowers" / name).mkdir(parents=True)
        for number in range(5):
            pixels = generator.integers(0, 256, (24, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "flowers" / name / f"{number}.png")

    def without_download(**options):
        import keras

        return keras.applications.MobileNetV2(**{**options, "weights": None})

    table = importlib.import_module("skcnn.backbones._table").TABLE
    monkeypatch.setitem(table, "MobileNetV2", replace(table["MobileNetV2"], builder=without_download))
    monkeypatch.chdir(tmp_path)
    yield
    # Both know the stand-in by the name of the real network.
    clear_engines()
    memory_cache().clear()


def compiled(page: Path) -> list[CodeType]:
    """Return every block of Python as code; the empty lines make a traceback point to the line of the page."""
    return [
        compile("\n" * line + code, str(page), "exec") for language, line, code in blocks(page) if language == "python"
    ]


def by_speed(page: Path):
    is_slow = page.name not in QUICK and any(language == "python" for language, _, _ in blocks(page))
    return pytest.param(page, marks=pytest.mark.slow if is_slow else ())


@pytest.mark.parametrize("page", [by_speed(page) for page in PAGES], ids=lambda page: page.name)
@pytest.mark.usefixtures("machine_of_a_reader")
def test_code_blocks_run(page: Path):
    names = {"__name__": page.stem}
    for code in compiled(page):
        exec(code, names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_blocks_compile(page: Path):
    assert len(compiled(page)) == sum(language == "python" for language, _, _ in blocks(page))


def test_pages_have_code():
    pages = [
        "index",
        "what_x_may_be",
        "backbones",
        "offline",
        "once_and_fast",
        "fine_tuning",
        "decomposition",
        "tracking",
        "splits",
        "report",
        "inspection",
        "imbalance",
    ]
    for name in ("README.md", *(f"docs/{page}.md" for page in pages)):
        assert any(language == "python" for language, _, _ in blocks(ROOT / name))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_block_escapes(page: Path):
    found = blocks(page)
    assert page.read_text(encoding="utf-8").count("\n```") == 2 * len(found)
    assert {language for language, _, _ in found} <= {"python", "bash", "console", "text", "{eval-rst}", "{toctree}"}


@pytest.mark.parametrize("module", [*skcnn._MODULES, "metrics.parts", "utils.estimator_checks"])
def test_api_page_lists_everything_public(module: str):
    listed = re.findall(r"^   (\w+)$", (ROOT / "docs" / "api.md").read_text(encoding="utf-8"), re.MULTILINE)
    public = importlib.import_module(f"skcnn.{module}").__all__
    assert set(public) <= set(listed)
