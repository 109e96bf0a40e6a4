"""The page as a file (read with the standard library's parser) and as people see it (in headless Chromium)."""

import functools
import json
import os
import re
import shutil
import stat
import subprocess
from html import escape, unescape
from html.parser import HTMLParser

import numpy as np
import pytest

from skcnn.metrics import ClassifierReport
from skcnn.metrics._page import render_page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ODD_NAMES = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "cost $5 and $6 & <b>more</b>",
    "_hidden",
    "{{ 7 * 7 }}",
    "a very long class name indeed, with commas, that goes on and on",
    "n02085620-" + "x" * 60,
    "missing",
]


def made_up(names: list[str], n_samples: int, missing: int | None = None) -> ClassifierReport:
    rng = np.random.default_rng(0)
    y_true = rng.integers(0, len(names), n_samples)
    y_true[y_true == missing] = 0
    y_score = rng.normal(size=(n_samples, len(names)))
    y_score[np.arange(n_samples), y_true] += 2.5
    if missing is not None:
        y_score[:, missing] = -np.inf
    y_score = np.exp(y_score) / np.exp(y_score).sum(axis=1, keepdims=True)
    return ClassifierReport.from_predictions(np.array(names)[y_true], y_score, classes=names, name=names[0])


@functools.cache
def report_of(task: str) -> ClassifierReport:
    if task == "flowers":
        return made_up(["daisy", "dandelion", "roses", "sunflowers", "tulips"], 700)
    if task == "odd":
        return made_up(ODD_NAMES, 400, missing=len(ODD_NAMES) - 1)
    if task == "large counts":
        y_true = np.repeat(np.arange(12), 12)
        y_pred = np.tile(np.arange(12), 12)
        names = np.array([f"Norwegian elkhound {number}" for number in range(12)])
        count = np.where(y_true == y_pred, 12_345, np.tile([1, 678], 72))
        return ClassifierReport.from_predictions(names[y_true], y_pred=names[y_pred], sample_weight=count)
    return made_up([f"n02{85620 + number:06d}-Norwegian_elkhound-{number}" for number in range(120)], 3000)


class Page(HTMLParser):
    """Tags with their attributes, and the text outside the style sheet."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text.append(data)


TASKS = ("flowers", "odd", "large counts", "120 classes")


@functools.cache
def html_of(task: str) -> str:
    return render_page(report_of(task))


@pytest.fixture(params=TASKS)
def written(request):
    return report_of(request.param), html_of(request.param)


def test_nothing_is_loaded_from_elsewhere(written):
    _, html = written
    page = Page(html)
    for tag, attributes in page.tags:
        assert tag not in ("script", "iframe", "link", "object", "embed", "base", "form"), tag
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("src", "href", "xlink:href", "srcset", "action", "data"):
                assert value.startswith(("data:image/png;base64,", "#")), (tag, name, value)
            if name == "style":
                assert "url(" not in value
    assert "@import" not in html
    policy = next(a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")


def test_every_class_and_figure_is_there(written):
    report, html = written
    text = Page(html).text
    for label in report.classes:
        assert label in text
    for figure, label in report.headline_labels.items():
        assert label in text
        assert f"{report.headline[figure]:.3f}".replace("nan", "n/a") in text
    assert report.summary in text
    for note in report.notes:
        assert note in text
    for key, value in report.provenance.items():
        assert key in text
        assert value in text
    pictures = [attributes["aria-label"] for tag, attributes in Page(html).tags if tag == "svg"]
    matrices = ["Confusion matrix of all classes", "Confusion matrix of the most confused classes"]
    expected = matrices if len(report.classes) > 12 else matrices[:1]
    assert pictures == expected + ["ROC curves", "Precision-recall curves"] * bool(report.curve_displays())


def test_names_in_the_page_are_unique(written):
    names = [attributes["id"] for _, attributes in Page(written[1]).tags if "id" in attributes]
    assert len(names) == len(set(names))


def test_names_from_the_data_are_escaped():
    html = html_of("odd")
    assert "<script" not in html
    assert "<img" not in html
    assert "<b>more" not in html
    text = Page(html).text
    assert "<script>alert(1)</script>: classifier report" in text
    assert "{{ 7 * 7 }}" in text


def test_undefined_figures_are_written_as_such():
    assert report_of("odd").classification_frame.loc["missing"].isna().sum() == 5
    assert Page(html_of("odd")).text.count("n/a") == 5


def test_no_scores_no_curves(tmp_path):
    report = ClassifierReport.from_predictions(["a", "b"], y_pred=["a", "a"])
    page = Page(report.to_html(tmp_path / "report.html").read_text("utf-8"))
    assert "Curves" not in page.text
    assert [attributes["aria-label"] for tag, attributes in page.tags if tag == "svg"] == [
        "Confusion matrix of all classes"
    ]


@pytest.mark.parametrize("y_true", [["a", "a", "a"], ["a", "b", "a"]], ids=["one class", "two classes"])
def test_small_tasks_are_written(y_true, tmp_path):
    report = ClassifierReport.from_predictions(y_true, [0.2, 0.7, 0.6], classes=["a", "b"])
    assert report.to_html(tmp_path / "report.html").stat().st_size > 10_000


def test_the_same_report_is_the_same_page(tmp_path):
    report = report_of("flowers")
    assert report.to_html(tmp_path / "1.html").read_bytes() == report.to_html(str(tmp_path / "2.html")).read_bytes()


def test_page_of_120_classes_is_small():
    assert len(html_of("120 classes").encode()) < 1_000_000


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_page_is_replaced_whole_or_not_at_all(step, tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("old")
    report = report_of("flowers")

    def fail(*_):
        raise OSError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(os, step, fail)
        with pytest.raises(OSError, match="disk full"):
            report.to_html(path)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["report.html"]
    assert report.to_html(path) == path
    assert path.read_text("utf-8").startswith("<!DOCTYPE html>")
    assert os.listdir(tmp_path) == ["report.html"]


def test_rights_and_links_are_those_of_an_ordinary_file(tmp_path):
    (tmp_path / "real").mkdir()
    link, ordinary = tmp_path / "link.html", tmp_path / "ordinary"
    link.symlink_to(tmp_path / "real" / "report.html")
    ordinary.touch()
    report_of("flowers").to_html(link)
    assert link.is_symlink()
    assert stat.S_IMODE(link.stat().st_mode) == stat.S_IMODE(ordinary.stat().st_mode)


def test_missing_folder_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"There is no folder '.*nowhere' for 'report.html'; make it first"):
        report_of("flowers").to_html(tmp_path / "nowhere" / "report.html")


# What a person would see as cut or overlapping. Letters may touch the box of a neighbour by a hair.
LAYOUT = """
<script>
const faults = [], box = element => element.getBoundingClientRect();
const say = element => (element.textContent || element.tagName).trim().slice(0, 30);
if (document.documentElement.scrollWidth > innerWidth) faults.push("the page is wider than the window");
for (const part of document.querySelectorAll(".scroll, dd, dt, li, p, h1, h2, h3, td, th, figcaption"))
  if (part.scrollWidth > part.clientWidth + 1) faults.push("cut: " + say(part));
let smallest = Infinity;
for (const svg of document.querySelectorAll("svg")) {
  const frame = box(svg), texts = [...svg.querySelectorAll("text")], scale = frame.width / svg.viewBox.baseVal.width;
  const fault = what => faults.push(svg.getAttribute("aria-label") + ": " + what);
  texts.forEach((text, i) => {
    const a = box(text);
    smallest = Math.min(smallest, parseFloat(getComputedStyle(text).fontSize) * scale);
    if (a.left < frame.left - 1 || a.right > frame.right + 1 || a.top < frame.top - 1 || a.bottom > frame.bottom + 1)
      fault("cut: " + say(text));
    for (const other of texts.slice(i + 1)) {
      const b = box(other);
      if (Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 &&
          Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 2)
        fault("overlap: " + say(text) + " / " + say(other));
    }
  });
}
const paper = getComputedStyle(document.body).backgroundColor;
parent.postMessage({task: window.name, width: innerWidth, faults, smallest, paper}, "*");
</script>
"""
# A window of Chromium is at least 500 pixels wide; a frame is as wide as a telephone.
FRAMES = """<!DOCTYPE html><title></title><script>
const seen = [];
onmessage = message => { seen.push(message.data); document.title = JSON.stringify(seen); };
</script>
"""


def shown(tasks: list[str], widths: list[int], folder, *options: str) -> list[dict]:
    """Show pages in Chromium, and return what the script above found."""
    frames = FRAMES
    for task in tasks:
        page = re.sub('<meta http-equiv="Content-Security-Policy"[^>]*>', "", html_of(task)) + LAYOUT
        for width in widths:
            size = f"border: 0; width: {width}px; height: 4000px"
            frames += f'<iframe name="{task}" style="{size}" srcdoc="{escape(page)}"></iframe>'
    path = folder / "frames.html"
    path.write_text(frames, "utf-8")
    command = [
        CHROMIUM,
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *("--disable-dev-shm-usage", f"--user-data-dir={folder / 'profile'}", "--window-size=1400,2400"),
        *options,
        "--dump-dom",
        path.as_uri(),
    ]
    environment = {**os.environ, "HOME": str(folder)}
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    title = re.search("<title>(.+?)</title>", result.stdout)
    assert title, result.stderr[-2000:]
    seen = json.loads(unescape(title[1]))
    assert len(seen) == len(tasks) * len(widths)
    return seen


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_in_chromium_nothing_is_cut_and_nothing_overlaps(tmp_path):
    seen = shown(list(TASKS), [390, 1280], tmp_path)
    assert sorted(page["width"] for page in seen) == [390] * len(TASKS) + [1280] * len(TASKS)
    for page in seen:
        assert page["faults"] == [], page
        assert page["smallest"] >= 7, page


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.parametrize(("scheme", "paper"), [(1, "rgb(255, 255, 255)"), (0, "rgb(20, 23, 27)")])
def test_in_chromium_the_page_is_light_or_dark(scheme, paper, tmp_path):
    (page,) = shown(["flowers"], [390], tmp_path, f"--blink-settings=preferredColorScheme={scheme}")
    assert page["paper"] == paper
