"""The content of the HTML page of a comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skcnn.metrics._page import render
from skcnn.metrics._svg import WIDTH, inline_svg
from skcnn.metrics._text import label_text, percent_text
from skcnn.metrics._theme import SERIES

if TYPE_CHECKING:
    from skcnn.metrics._report_comparison import ReportComparison


def render_comparison(comparison: ReportComparison, *, n_images: int) -> str:
    """Return the HTML of a comparison."""
    frame, first = comparison.frame(), comparison.reports[0]
    classes = comparison.class_frame()
    change = classes.iloc[:, 1:].sub(classes.iloc[:, 0], axis=0).to_numpy()
    displays = comparison.image_displays(n_images) if n_images else []
    sections = {
        "metrics": "Side by side",
        "images": "Images",
        "classes": "Class by class",
        "made": "Provenance",
    }
    if not displays:
        del sections["images"]
    return render(
        "comparison.html",
        classes=classes.index,
        sections=sections,
        comparison=comparison,
        level=percent_text(comparison.confidence_level),
        metrics=[
            (label, [frame.loc[(metric, name)] for name in comparison.names])
            for metric, label in first.headline_labels.items()
        ],
        image=_image(comparison),
        galleries=[
            {
                "title": display.name,
                "hint": "With the predictions of the other classifier, the most confident error first.",
                "images": list(display.thumbnails().itertuples(index=False)),
            }
            for display in displays
        ],
        agreement=[row for _, row in comparison.agreement_frame.iterrows()],
        agreement_labels={
            "both_right": "by both",
            "only_first": f"only by {comparison.names[0]}",
            "only_this": f"only by {comparison.names[1]}" if len(comparison.names) == 2 else "only by this one",
            "both_wrong": "by neither",
        },
        rows=list(zip(classes.index, classes.to_numpy(), change, strict=True)),
    )


def _image(comparison: ReportComparison) -> dict[str, Any]:
    others = comparison.names[1:]

    def draw(ax: Any) -> None:
        comparison.plot(ax)
        if ax.get_legend() is not None:  # It is below the plot.
            ax.get_legend().remove()

    colors = [f"series-{number % len(SERIES)}" for number in range(len(others))]
    height = 1 + 7 * (0.2 + 0.2 * len(others))
    return {
        "title": f"Difference from {label_text(comparison.names[0])}",
        "svg": inline_svg(draw, (WIDTH, height), "Differences between the classifiers"),
        "caption": "A filled dot is a difference whose interval excludes 0. The sign of the log-loss is reversed, so "
        "that to the right is always better.",
        "legend": [{"color": color, "label": name, "value": None} for color, name in zip(colors, others, strict=True)],
    }
