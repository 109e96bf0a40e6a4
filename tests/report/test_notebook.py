"""What a notebook shows of a report: a part of a page that is not ours."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from skcnn._text import metric_text
from skcnn.report import ClassifierReport

ODD = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>']


def made_up(names, n_samples=200, seed=0):
    rng = np.random.default_rng(seed)
    true = rng.integers(0, len(names), n_samples)
    score = rng.random((n_samples, len(names)))
    score[np.arange(n_samples), true] += 0.6
    return ClassifierReport.from_predictions(
        np.array(names)[true], score / score.sum(axis=1, keepdims=True), classes=names, name=names[0]
    )


class Part(HTMLParser):
    """The tags of a part of a page with their attributes, its text, and whether every element is closed."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text, self.styles, self.open = [], [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag != "wbr":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        (self.styles if self.open[-1:] == ["style"] else self.text).append(data)


@pytest.fixture(scope="module")
def report():
    return made_up(["daisy", "roses", "tulips"])


@pytest.fixture(scope="module")
def html(report):
    return report._repr_html_()


def test_it_is_one_element_with_its_tables_and_figures(report, html):
    part = Part(html)
    assert part.open == []
    assert part.tags[0] == ("div", {"class": "skcnn-report"})
    assert html.startswith("<div")
    assert html.endswith("</div>")
    for row in report.frame().itertuples():
        assert metric_text(row.value) in part.text
        assert f"{metric_text(row.low)} to {metric_text(row.high)}" in part.text
    assert "95\u00a0% interval" in part.text
    assert report.summary in part.text
    for heading in ("Confusion matrix", "Most confused classes", "Class by class"):
        assert heading in part.text
    images = [attributes["aria-label"] for tag, attributes in part.tags if tag == "svg"]
    assert images == ["Confusion matrix of all classes", "ROC curves", "Precision-recall curves"]


def test_nothing_is_loaded_runs_or_stands_among_the_headings_of_the_notebook(html):
    for tag, attributes in Part(html).tags:
        assert not re.fullmatch("script|iframe|link|object|embed|base|form|input|button|h[1-6]", tag)
        for name, value in attributes.items():
            assert not name.startswith("on")
            assert name not in ("src", "href") or value.startswith(("data:image/png;base64,", "#"))
    assert "@import" not in html
    assert "url(http" not in html


def test_every_rule_of_style_is_for_its_own_element(html):
    (style,) = Part(html).styles
    style = re.sub(r"/\*.*?\*/", "", style, flags=re.DOTALL)
    selectors = [one.strip() for rule in re.findall(r"([^{}]+)\{", style) for one in rule.split(",")]
    selectors = [one for one in selectors if not one.startswith("@media")]
    assert len(selectors) > 20
    assert all(re.match(r"\.skcnn-report( |$)", one) for one in selectors), selectors


def test_names_are_unique_also_beside_another_report(html):
    other = made_up(["daisy", "roses", "tulips"], seed=1)._repr_html_()
    names = [attributes["id"] for _, attributes in Part(html + other).tags if "id" in attributes]
    assert names
    assert len(names) == len(set(names))
    for name in set(re.findall(r"url\(#([^)]+)\)", html)) | set(re.findall(r'href="#([^"]+)"', html)):
        assert name in names


def test_names_from_the_data_are_escaped():
    part = Part(made_up(ODD)._repr_html_())
    assert not [tag for tag, _ in part.tags if tag in ("script", "img")]
    assert ODD[0] in "".join(part.text)


def test_many_classes_are_those_of_lowest_recall_and_few_bytes():
    report = made_up([f"class {number}" for number in range(120)], 2000)
    html = report._repr_html_()
    assert "Lowest recall, 10 of 120 classes" in Part(html).text
    weakest = report.classification_frame["recall"].sort_values(kind="stable").index[:10]
    rows = re.findall(r'<tr><th scope="row">(class \d+)</th><td>\d+</td><td data', html)
    assert rows == list(weakest)
    assert len(html.encode()) < 500_000


def test_without_scores_and_without_mistakes():
    html = ClassifierReport.from_predictions(["a", "b"], y_pred=["a", "b"])._repr_html_()
    assert "Most confused classes" not in html
    assert "Macro ROC AUC: no scores" not in html
    assert "no scores: none were given" in html
    assert html.count("<svg") == 1
