"""The content of the HTML page of a comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skcnn._page.page import render
from skcnn._plot.theme import SERIES
from skcnn._text import label_text, percent_text
from skcnn.report._classifier_page import shown_image
from skcnn.report._differences import draw_differences
from skcnn.report._svg import WIDTH, inline_svg

if TYPE_CHECKING:
    from skcnn.report._compared import ComparedFindings


def render_comparison(compared: ComparedFindings, *, n_images: int) -> str:
    """Return the HTML of a comparison."""
    frame = compared.frame
    classes = compared.class_frame("f1")
    change = classes.iloc[:, 1:].sub(classes.iloc[:, 0], axis=0).to_numpy()
    displays = compared.image_displays(n_images) if n_images else []
    sections = {
        "metrics": "Side by side",
        "images": "Images",
        "classes": "Class by class",
        "made": "Provenance",
    }
    if not displays:
        del sections["images"]
    return render(
        "skcnn.report",
        "comparison.html",
        script="page.js",
        classes=classes.index,
        sections=sections,
        comparison=compared,
        level=percent_text(compared.confidence_level),
        metrics=[
            (label, [frame.loc[(metric, name)] for name in compared.names])
            for metric, label in compared.shown_metrics.items()
        ],
        image=_image(compared),
        galleries=[
            {
                "title": display.name,
                "hint": "With the predictions of the other classifier, the most confident error first.",
                "images": [shown_image(image) for image in display.thumbnails().itertuples(index=False)],
            }
            for display in displays
        ],
        agreement=[row for _, row in compared.agreement_frame.iterrows()],
        agreement_labels={
            "both_right": "by both",
            "only_first": f"only by {compared.names[0]}",
            "only_this": f"only by {compared.names[1]}" if len(compared.names) == 2 else "only by this one",
            "both_wrong": "by neither",
        },
        rows=list(zip(classes.index, classes.to_numpy(), change, strict=True)),
    )


def _image(compared: ComparedFindings) -> dict[str, Any]:
    others = compared.names[1:]

    def draw(ax: Any) -> None:
        draw_differences(compared, ax)
        if ax.get_legend() is not None:  # It is below the plot.
            ax.get_legend().remove()

    colors = [f"series-{number % len(SERIES)}" for number in range(len(others))]
    height = 1 + 7 * (0.2 + 0.2 * len(others))
    return {
        "title": f"Difference from {label_text(compared.names[0])}",
        "svg": inline_svg(draw, (WIDTH, height), "Differences between the classifiers"),
        "caption": "A filled dot is a difference whose interval excludes 0. The sign of the log-loss is reversed, so "
        "that to the right is always better.",
        "legend": [{"color": color, "label": name, "value": None} for color, name in zip(colors, others, strict=True)],
    }
