"""Every block of Python in README.md and docs/*.md runs: in order, page by page, each page in an empty folder."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [page for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))] if page.exists()]

FENCE = re.compile(r"^```(?P<language>[^\n]*)\n(?P<code>.*?)^```[ ]*$", re.DOTALL | re.MULTILINE)


def blocks(page: Path) -> list[tuple[str, int, str]]:
    """Return language, number of the first line (from 0) and content of every fenced block."""
    text = page.read_text(encoding="utf-8")
    return [
        (match["language"].strip(), text.count("\n", 0, match.start("code")), match["code"])
        for match in FENCE.finditer(text)
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    python = [(line, code) for language, line, code in blocks(page) if language == "python"]
    if not python:
        pytest.skip("no Python on this page")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    names = {"__name__": page.stem}
    for line, code in python:
        # The empty lines make a traceback point to the line of the page.
        exec(compile("\n" * line + code, str(page), "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_block_escapes(page: Path):
    assert page.read_text(encoding="utf-8").count("\n```") == 2 * len(blocks(page))
    assert {language for language, _, _ in blocks(page)} <= {"python", "bash", "console", "text", "{eval-rst}", "{toctree}"}


@pytest.mark.parametrize("module", ["backbones", "datasets", "ensemble", "metrics"])
def test_api_page_lists_everything_public(module: str):
    listed = re.findall(r"^   (\w+)$", (ROOT / "docs" / "api.md").read_text(encoding="utf-8"), re.MULTILINE)
    public = importlib.import_module(f"skcnn.{module}").__all__
    assert set(public) <= set(listed)
