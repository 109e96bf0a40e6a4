"""The pages as files (read with the standard library's parser) and as people see them (in headless Chromium)."""

import base64
import functools
import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
from html import escape, unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import skcnn.report
from skcnn._text import metric_text, signed_text
from skcnn.metrics import operating_point, threshold_table
from skcnn.report import ClassifierReport, RegressionReport, compare_reports
from skcnn.report._comparison_page import render_comparison

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


def made_up(
    names: list[str], n_samples: int, missing: int | None = None, *, name: str | None = None, X=None, seed: int = 0
) -> ClassifierReport:
    rng = np.random.default_rng(0)
    y_true = rng.integers(0, len(names), n_samples)
    y_true[y_true == missing] = 0
    y_score = np.random.default_rng(seed + 1).normal(size=(n_samples, len(names)))
    y_score[np.arange(n_samples), y_true] += 2.5
    if missing is not None:
        y_score[:, missing] = -np.inf
    y_score = np.exp(y_score) / np.exp(y_score).sum(axis=1, keepdims=True)
    return ClassifierReport.from_predictions(
        np.array(names)[y_true], y_score, classes=names, name=name or names[0], X=X
    )


def images(n_samples: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n_samples, 12, 9, 3), dtype=np.uint8)


@functools.cache
def report_of(task: str) -> ClassifierReport:
    if task == "flowers":
        return made_up(["daisy", "dandelion", "roses", "sunflowers", "tulips"], 700, X=images(700))
    if task == "two classes":
        return made_up(["healthy", "ill"], 300)
    if task == "two odd classes":
        return made_up(ODD_NAMES[5:7], 60, X=[f"nowhere/{'x' * 60}{number}.jpg" for number in range(60)])
    if task == "odd":
        # The first of each kind is an image, the others are files that are not there.
        files = [
            images(1)[0],
            *(f"nowhere/{name.replace('/', '-')}/{i}.jpg" for i, name in enumerate(ODD_NAMES * 50)),
        ]
        return made_up(ODD_NAMES, 400, missing=len(ODD_NAMES) - 1, X=files[:400])
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
        self.feed(html.replace("<wbr>", ""))  # Where a name may break is no part of it.

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.text.append(data)


@functools.cache
def comparison_of(task: str):
    if task == "two reports":
        names = ODD_NAMES[:-1]
        reports = [made_up(names, 300, name=name, seed=seed, X=images(300)) for seed, name in enumerate(ODD_NAMES[:2])]
    else:
        names = [f"class {number}" for number in range(5)]
        reports = [made_up(names, 300, name="a model", seed=seed) for seed in range(4)]
    return compare_reports(reports, n_resamples=50)


@functools.cache
def numbers_of(task: str) -> RegressionReport:
    """One target in large numbers with negative ones; several with odd names, of very different sizes."""
    rng = np.random.default_rng(0)
    if task == "numbers":
        true = rng.normal(0, 12_345_678, 300)
        return RegressionReport.from_predictions(true, 0.7 * true + rng.normal(0, 4e6, 300), X=images(300))
    scale = 10.0 ** np.arange(-4, 4)
    true = rng.normal(3, 1, (60, 8)) * scale
    files = [images(1)[0], *(f"nowhere/{'x' * 60}{number}.jpg" for number in range(59))]
    predicted = true + rng.normal(0, np.linspace(0.2, 2, 8), true.shape) * scale
    return RegressionReport.from_predictions(true, predicted, target_names=ODD_NAMES, X=files, name=ODD_NAMES[1])


REPORTS = ("flowers", "two classes", "two odd classes", "odd", "large counts", "120 classes")
NUMBERS = ("numbers", "odd numbers")
PAGES = (*REPORTS, *NUMBERS, "two reports", "four reports")


def page_of(report: ClassifierReport | RegressionReport) -> str:
    return report._page(report.frame(), 12)


@functools.cache
def html_of(task: str) -> str:
    if task in NUMBERS:
        return page_of(numbers_of(task))
    return (
        page_of(report_of(task)) if task in REPORTS else render_comparison(comparison_of(task)._compared, n_images=12)
    )


@pytest.fixture(params=REPORTS)
def written(request):
    return report_of(request.param), html_of(request.param)


@pytest.fixture(params=PAGES)
def page(request):
    return html_of(request.param)


def test_nothing_is_loaded_from_elsewhere(page):
    tags = Page(page).tags
    for tag, attributes in tags:
        assert tag not in ("iframe", "link", "object", "embed", "base", "form"), tag
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("src", "href", "xlink:href", "srcset", "action", "data"):
                assert value.startswith(("data:image/png;base64,", "data:image/jpeg;base64,", "#")), (tag, name, value)
            if name == "style":
                assert "url(" not in value
    assert "@import" not in page
    policy = next(a["content"] for tag, a in tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")


def test_the_one_script_is_ours_and_the_policy_names_its_hash(page):
    (script,) = re.findall("<script>(.*?)</script>", page, re.DOTALL)
    assert page.count("<script") == 1
    assert script == (Path(skcnn.report.__file__).parent / "templates" / "page.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = next(a["content"] for _, a in Page(page).tags if a.get("http-equiv") == "Content-Security-Policy")
    assert f"script-src 'sha256-{digest}';" in policy


def test_contents_lead_to_every_section(page):
    tags = Page(page).tags
    sections = [attributes["id"] for tag, attributes in tags if tag == "section"]
    assert [attributes["href"] for tag, attributes in tags if tag == "a"] == [f"#{section}" for section in sections]
    assert len(sections) >= 3


def test_thresholds_of_two_classes_are_told():
    html, report = html_of("two classes"), report_of("two classes")
    text = Page(html).text
    assert "Metrics by threshold" in text
    predictions = report._findings.predictions
    point = operating_point(predictions.true, predictions.score[:, 1], min_recall=0.95)
    assert repr(float(point["threshold"])) in text
    for recall in (0.5, 0.8, 0.9, 0.95, 0.99):
        assert f"recall \u2265 {recall}" in text
    table = html[html.index("19 thresholds") :]
    assert [float(value) for value in re.findall('scope="row" data-value="([^"]+)"', table)] == list(
        np.arange(1, 20) / 20
    )
    assert "Thresholds" not in Page(html_of("flowers")).text


def test_numbers_in_sortable_tables_carry_their_value():
    report = report_of("120 classes")
    table = re.search('<table class="sortable" id="every-class">.*?</table>', html_of("120 classes"), re.DOTALL)[0]
    values = [float(a["data-value"]) for tag, a in Page(table).tags if tag == "td"]
    np.testing.assert_array_equal(np.reshape(values, (120, 6)), report.classification_frame.to_numpy())


@pytest.mark.parametrize(("task", "there"), [("flowers", False), ("odd", True), ("four reports", False)])
def test_many_classes_have_a_filter(task, there):
    assert ("find" in [attributes.get("id") for _, attributes in Page(html_of(task)).tags]) is there


def test_every_class_and_metric_is_there(written):
    report, html = written
    text = Page(html).text
    for label in report.classes:
        assert label in text
    for metric, label in report.headline_labels.items():
        value = report.headline[metric]
        # There is no tile for what is not defined; the notes are about it.
        assert (label in text) == (not np.isnan(value))
        if label in text:
            assert f"{value:.3f}" in text
    assert report.summary in text
    for note in report.notes:
        assert note in text
    for key, value in report.provenance.items():
        assert key in text
        assert value in text
    images = [attributes["aria-label"] for tag, attributes in Page(html).tags if tag == "svg"]
    matrices = ["Confusion matrix of all classes", "Confusion matrix of the most confused classes"]
    expected = matrices if len(report.classes) > 12 else matrices[:1]
    scored = ["ROC curves", "Precision-recall curves", "Reliability diagram"]
    scored += ["Threshold curves"] * (len(report.classes) == 2)
    assert images == expected + scored * bool(report.curve_displays())


def test_intervals_are_on_the_page(written):
    report, html = written
    frame = report.frame().dropna()
    text = Page(html).text
    for row in frame.itertuples():
        assert f"{metric_text(row.low)} to {metric_text(row.high)}" in text


def test_comparison_has_every_figure():
    comparison = comparison_of("two reports")
    text = Page(html_of("two reports")).text
    frame = comparison.frame()
    for column, write in (("value", metric_text), ("difference", signed_text)):
        for value in frame[column].dropna():
            assert any(write(value) == part.strip() for part in text)
    for count in comparison.agreement_frame.iloc[0, :4]:
        assert str(int(count)) in text
    for label in comparison.class_frame().index:
        assert label in text
    assert comparison.summary in text


def test_images_are_inlined_with_their_names():
    report, page = report_of("flowers"), Page(html_of("flowers"))
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    worst, right = report.image_displays()
    assert [image["title"] for image in images] == [
        f"row {row}" for row in [*worst.frame()["row"], *right.frame()["row"]]
    ]
    first = worst.frame().iloc[0]
    assert images[0]["alt"] == f"{first['predicted']}, true class {first['true']}"
    assert metric_text(first["predicted_score"]) in page.text
    assert (images[0]["width"], images[0]["height"]) == ("9", "12")


def test_names_of_files_are_seen_and_long_ones_are_shortened_in_the_middle(tmp_path):
    folder = tmp_path / "ill"
    folder.mkdir()
    names = ["short.png", f"{'a' * 40}_{'b' * 40}_17.png", "none.png"]
    for name, pixels in zip(names[:2], images(2), strict=True):
        Image.fromarray(pixels).save(folder / name)
    X = [folder / name for name in names]
    html = page_of(ClassifierReport.from_predictions(["a", "a", "b"], [0.9, 0.8, 0.3], X=X))
    shown = re.findall('<p class="file" title="([^"]+)">([^<]+)</p>', html)
    assert shown == [
        ("ill/short.png", "short.png"),
        (f"ill/{names[1]}", f"{'a' * 18}\u2026{'b' * 10}_17.png"),
        ("ill/none.png", "none.png"),
    ]


def test_a_comparison_shows_the_images_that_one_alone_has_right():
    comparison, page = comparison_of("two reports"), Page(html_of("two reports"))
    titles = [attributes["title"] for tag, attributes in page.tags if tag == "img"]
    rows = [row for display in comparison.image_displays() for row in display.frame()["row"]]
    assert titles == [f"row {row}" for row in rows]
    assert len(rows) == 24


def test_images_may_be_left_out(tmp_path):
    html = report_of("flowers").to_html(tmp_path / "report.html", n_images=0).read_text("utf-8")
    assert "<img" not in html
    assert 'id="images"' not in html


def test_a_file_is_told_by_folder_and_name_only(tmp_path):
    folder = tmp_path / 'a "quoted" name'
    folder.mkdir()
    files = [folder / f'{number} ">.png' for number in range(3)]
    for file, pixels in zip(files, images(3), strict=True):
        Image.fromarray(pixels).save(file)
    report = ClassifierReport.from_predictions(["a", "b", "b"], [0.2, 0.4, 0.7], X=files)
    html = page_of(report)
    titles = [attributes["title"] for tag, attributes in Page(html).tags if tag == "img"]
    assert titles == ['a "quoted" name/1 ">.png', 'a "quoted" name/0 ">.png', 'a "quoted" name/2 ">.png']
    assert str(tmp_path) not in html


def test_names_in_the_page_are_unique(page):
    names = [attributes["id"] for _, attributes in Page(page).tags if "id" in attributes]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("task", ["odd", "two reports"])
def test_names_from_the_data_are_escaped(task):
    html = html_of(task)
    page = Page(html)
    assert "<script>alert" not in html
    assert not [attributes for tag, attributes in page.tags if tag == "img" and attributes["src"] == "x"]
    assert "<b>more" not in html
    assert "<script>alert(1)</script>" in "".join(page.text)
    assert "{{ 7 * 7 }}" in page.text
    # Names in attributes come out of the parser as they went in, and no attribute broke out of its quotes.
    in_attributes = {a["data-classes"] for _, a in page.tags if "data-classes" in a}
    assert set(ODD_NAMES[:-1]) <= in_attributes
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith(("on", '"'))]


def test_undefined_metrics_are_written_as_such():
    assert report_of("odd").classification_frame.loc["missing"].isna().sum() == 5
    table = re.search('<table class="sortable" id="every-class">.*?</table>', html_of("odd"), re.DOTALL)[0]
    assert Page(table).text.count("n/a") == 5
    assert table.count('data-value="nan"') == 5


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


@pytest.mark.slow
def test_page_of_10_000_samples_of_120_classes_is_no_more_than_5_mb(tmp_path):
    report = made_up([f"class {number}" for number in range(120)], 10_000, X=images(10_000))
    assert report.to_html(tmp_path / "report.html").stat().st_size < 5_000_000


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
for (const details of document.querySelectorAll("details")) details.open = true;
const faults = [], box = element => element.getBoundingClientRect();
const say = element => (element.textContent || element.tagName).trim().slice(0, 30);
if (document.documentElement.scrollWidth > innerWidth) faults.push("the page is wider than the window");
const boxes = ".scroll, dd, dt, li, p, h1, h2, h3, td, th, figcaption, summary, nav, .gallery";
for (const part of document.querySelectorAll(boxes))
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
FRAMES = """<!DOCTYPE html><meta charset="utf-8"><title></title><script>
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
    dom, complaints = in_chromium(path, folder, *options)
    title = re.search("<title>(.+?)</title>", dom)
    assert title, complaints[-2000:]
    seen = json.loads(unescape(title[1]))
    assert len(seen) == len(tasks) * len(widths)
    return seen


def in_chromium(path, folder, *options: str) -> tuple[str, str]:
    """Return the DOM of a page once its scripts have run, and what Chromium wrote to its standard error."""
    command = [
        CHROMIUM,
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *("--disable-dev-shm-usage", f"--user-data-dir={folder / 'profile'}", "--window-size=1400,2400"),
        # Messages between frames come after the page has loaded: let them.
        "--virtual-time-budget=10000",
        *options,
        "--dump-dom",
        path.as_uri(),
    ]
    environment = {**os.environ, "HOME": str(folder)}
    result = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, env=environment)
    return result.stdout, result.stderr


needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


@needs_chromium
def test_in_chromium_nothing_is_cut_and_nothing_overlaps(tmp_path):
    # Four reports side by side are wider than a telephone: their table scrolls.
    tasks = [task for task in PAGES if task != "four reports"]
    seen = shown(tasks, [390, 1280], tmp_path)
    assert sorted(page["width"] for page in seen) == [390] * len(tasks) + [1280] * len(tasks)
    for page in seen:
        assert page["faults"] == [], page
        assert page["smallest"] >= 7, page


@needs_chromium
@pytest.mark.parametrize(("scheme", "paper"), [(1, "rgb(255, 255, 255)"), (0, "rgb(20, 23, 27)")])
def test_in_chromium_the_page_is_light_or_dark(scheme, paper, tmp_path):
    (page,) = shown(["flowers"], [390], tmp_path, f"--blink-settings=preferredColorScheme={scheme}")
    assert page["paper"] == paper


@needs_chromium
def test_in_chromium_the_page_as_it_is_runs_its_script_and_complains_of_nothing(tmp_path):
    path = report_of("odd").to_html(tmp_path / "report.html")
    dom, complaints = in_chromium(path, tmp_path, "--enable-logging=stderr")
    assert "CONSOLE" not in complaints
    tags = Page(dom).tags
    # Headers have become buttons, and the filter is shown: the policy let the script run, and it ran to its end.
    assert sum(tag == "button" for tag, _ in tags) >= 11
    assert next(attributes for _, attributes in tags if attributes.get("class") == "find").keys() == {"class", "role"}
    rows = re.search('<table class="sortable" id="every-class">.*?</table>', dom, re.DOTALL)[0]
    assert rows.count("<tr data-") == len(ODD_NAMES)


def points_of(html: str) -> tuple[list[list[float]], dict[str, str]]:
    chooser = next(attributes for _, attributes in Page(html).tags if attributes.get("class") == "chooser")
    return json.loads(chooser["data-points"]), chooser


def test_thresholds_to_choose_from_are_those_of_the_table():
    report = report_of("two classes")
    points, chooser = points_of(html_of("two classes"))
    table = report.threshold_display().frame().iloc[:0:-1]  # without infinity, from the lowest
    assert points == table[["threshold", "tp", "fp"]].to_numpy().tolist()
    assert float(chooser["data-positives"]) == report.classification_frame.loc["ill", "support"]
    assert float(chooser["data-negatives"]) == report.classification_frame.loc["healthy", "support"]
    assert "hidden" in chooser  # Without the script it does nothing.
    assert 'class="chooser"' not in html_of("flowers")


def test_many_thresholds_are_thinned_and_requirements_stay_exact():
    rng = np.random.default_rng(0)
    y_true = rng.integers(0, 2, 4000)
    y_score = rng.random(4000) * 0.5 + 0.5 * y_true * rng.random(4000)
    html = page_of(ClassifierReport.from_predictions(y_true, y_score))
    points, _ = points_of(html)
    assert 490 < len(points) <= 500
    for recall in (0.5, 0.8, 0.9, 0.95, 0.99):
        point = operating_point(y_true, y_score, min_recall=recall)
        assert point[["threshold", "tp", "fp"]].tolist() in points
    assert points == sorted(points)
    assert points[0] == [y_score.min(), float(y_true.sum()), float((y_true == 0).sum())]


# The window reports what is shown at first, and after the slider was moved to both ends.
CHOOSING = """
<script>
const slider = document.getElementById("threshold"), seen = [];
const shown = () => Object.fromEntries(
  [...document.querySelectorAll("[data-shown]")].map(part => [part.dataset.shown, part.textContent]));
for (const place of [slider.value, slider.min, slider.max]) {
  slider.value = place;
  slider.dispatchEvent(new Event("input"));
  seen.push({...shown(), visible: slider.offsetWidth > 0});
}
document.title = JSON.stringify(seen);
</script>
"""


@needs_chromium
def test_in_chromium_a_threshold_is_chosen_with_the_slider(tmp_path):
    path = tmp_path / "choosing.html"
    page = re.sub('<meta http-equiv="Content-Security-Policy"[^>]*>', "", html_of("two classes"))
    path.write_text(page + CHOOSING, "utf-8")
    dom, _ = in_chromium(path, tmp_path)
    usual, lowest, highest = json.loads(unescape(re.search("<title>(.+?)</title>", dom)[1]))
    predictions = report_of("two classes")._findings.predictions
    score = predictions.score[:, 1]
    for seen, threshold in ((usual, score[score >= 0.5].min()), (lowest, score.min()), (highest, score.max())):
        assert seen.pop("visible")
        assert float(seen.pop("threshold")) == threshold
        (row,) = threshold_table(predictions.true, score, thresholds=[threshold]).itertuples()
        assert seen == {
            **{name: str(getattr(row, name)) for name in ("tp", "fp", "tn", "fn")},
            "recall": metric_text(row.tpr),
            "precision": metric_text(row.ppv),
        }
    # What the report says of the usual threshold.
    assert int(usual["tp"]) == report_of("two classes").confusion_frame.loc["ill", "ill"]


# What a person does with the keyboard and the mouse; the window reports the rows that are left, in order.
ACTIONS = """
<script>
const table = document.getElementById("every-class"), field = document.getElementById("find");
const names = () => [...table.tBodies[0].rows].filter(row => row.offsetParent).map(row => row.cells[0].textContent);
const header = column => table.tHead.rows[0].cells[column];
const seen = {first: names()};
const click = column => {
  header(column).firstChild.click();
  return [header(column).getAttribute("aria-sort"), names()];
};
seen.numbers = [click(3), click(3), click(3)];
seen.names = [click(0), click(0)];
field.value = "SCRIPT"; field.dispatchEvent(new Event("input"));
seen.filtered = names();
seen.said = document.querySelector("output").textContent;
field.value = "no such class"; field.dispatchEvent(new Event("input"));
seen.nothing = names();
seen.height = table.offsetHeight;
field.value = ""; field.dispatchEvent(new Event("input"));
seen.focus = (header(1).firstChild.focus(), document.activeElement === header(1).firstChild);
document.title = JSON.stringify(seen);
</script>
"""


@needs_chromium
def test_in_chromium_tables_are_sorted_and_filtered(tmp_path):
    path = tmp_path / "acting.html"
    page = re.sub('<meta http-equiv="Content-Security-Policy"[^>]*>', "", html_of("odd"))
    path.write_text(page + ACTIONS, "utf-8")
    dom, _ = in_chromium(path, tmp_path)
    seen = json.loads(unescape(re.search("<title>(.+?)</title>", dom)[1]))
    recall = report_of("odd").classification_frame["recall"]
    assert seen["first"] == ODD_NAMES
    down, up, back = seen["numbers"]
    # What is not defined comes last either way.
    assert down == ["descending", list(recall.sort_values(ascending=False, kind="stable").index)]
    assert up == ["ascending", list(recall.sort_values(kind="stable").index)]
    assert back == [None, ODD_NAMES]
    (ascending, names), (descending, reverse) = seen["names"]
    assert (ascending, descending) == ("ascending", "descending")
    assert names == reverse[::-1]
    assert names.index("a very long class name indeed, with commas, that goes on and on") < names.index("missing")
    assert seen["filtered"] == ["<script>alert(1)</script>"]
    assert seen["said"] == "1 of 8"
    assert seen["nothing"] == []
    assert seen["height"] == 0
    assert seen["focus"] is True


def test_a_page_holds_no_marks_that_hide_or_turn_text(tmp_path):
    odd = "a\u202eb\u2028c\ud800d\x00e"
    report = ClassifierReport.from_predictions(["e", "f"] * 3, [0.2, 0.8] * 3, name=odd)
    comparison = compare_reports([report, report])
    for page in (report.to_html(tmp_path / "a.html"), comparison.to_html(tmp_path / "b.html")):
        text = page.read_text("utf-8")
        assert r"a\u202eb\u2028c\ud800d\x00e" in text
        assert not set("\u202e\u2028\x00") & set(text)


def test_a_folder_is_no_place_for_a_page(tmp_path):
    with pytest.raises(IsADirectoryError, match=r"is a folder; give the path of a file"):
        made_up(["a", "b"], 10).to_html(tmp_path)
    assert list(tmp_path.parent.glob(".*.part")) == []
