"""The frame of a report's page, and of what a notebook shows: the top, and where the report comes from."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from skcnn._page.page import render, render_part
from skcnn._text import percent_text
from skcnn.metrics.parts import CONFIDENCE_LEVEL, N_RESAMPLES
from skcnn.report._report_text import tiles_of

if TYPE_CHECKING:
    import pandas as pd

    from skcnn.report._findings import Findings


class Said(NamedTuple):
    """A line below an image on a page: a label, what stands before it, and a number at the line's end, as text."""

    label: Any
    before: str = ""
    number: str = ""
    look: str = ""
    """ "right", "wrong" or "": a class of the style sheet."""


class Shown(NamedTuple):
    """An image on a page."""

    image: Any
    """A row of ``thumbnails()`` of a Display: "row", "path", "data_uri", "width", "height" and "reason"."""
    alt: str
    """What it shows, for people who cannot see it."""
    lines: Sequence[Said]
    """What stands below."""
    classes: Sequence[Any] = ()
    """Labels by which it is found where a page can be filtered."""


def render_report(
    findings: Findings,
    frame: pd.DataFrame,
    template: str,
    sections: dict[str, str],
    *,
    classes: Collection[Any] = (),
    **content: Any,
) -> str:
    """Return the HTML of a report.

    Parameters
    ----------
    findings : Findings
        What was found.
    frame : DataFrame
        The metrics at the top, with their intervals.
    template : str
        The template of the task, which extends ``report.html``.
    sections : dict of str to str
        Anchor and heading of each section. Those without a heading are left out. "Provenance" comes last by itself.
    classes : collection, default=()
        Labels of the classes that the page can be filtered by.
    **content
        What the template names.
    """
    shown = {anchor: heading for anchor, heading in sections.items() if heading}
    return render(
        "skcnn.report",
        template,
        script="page.js",
        classes=classes,
        sections={**shown, "made": "Provenance"},
        **_top(findings, frame),
        **content,
    )


def render_for_notebook(findings: Findings, frame: pd.DataFrame, template: str, **content: Any) -> str:
    """Return a report as HTML for the output of a cell: no script, no headings, a style for its own element alone.

    ``template`` is that of the task, which extends ``notebook.html``. Images of samples are left out: notebooks are
    passed on.
    """
    return render_part("skcnn.report", template, **_top(findings, frame), **content)


def scope_of(findings: Findings) -> str:
    """Return what names start with in a part of a page that may hold several reports."""
    return f"skcnn-{findings.digest[:12]}-"


def _top(findings: Findings, frame: pd.DataFrame) -> dict[str, Any]:
    return {
        "report": findings,
        "headline": tiles_of(findings, frame),
        "level": percent_text(CONFIDENCE_LEVEL),
        "n_resamples": N_RESAMPLES,
        "notes": findings.notes_on(frame),
    }
