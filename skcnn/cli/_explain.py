"""``skcnn explain``: where in images a saved model looked, or what a detector sees in windows."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from skcnn._files import replacing
from skcnn._text import listing, printable_text
from skcnn.cli._arguments import image_path, model_path, output_path
from skcnn.cli._common import add_command, names_text
from skcnn.cli._data import add_images, add_skip_bad, list_images
from skcnn.cli._image_files import check_replaces_none

FORMATS = (".png", ".jpg", ".pdf", ".svg")
_MOST = 100
_DPI = 200
"""Heat maps and images of the usual size, 224 pixels, keep their pixels."""


def add_to(commands: Any) -> None:
    parser = add_command(
        commands,
        "explain",
        run,
        "show which regions of images raised the score of a class, a mask or a similarity (Grad-CAM)",
        epilog="The figure shows each image, and beside it the same with the heat laid over it, below the class.\n"
        "Prints a tab-separated line per image: path, class, score of the class before the softmax.\n\n"
        "It explains networks with a linear classifier: what `skcnn fit` writes, CNNClassifier, and pipelines of\n"
        "BottleneckFeatures, scalers or PCA, and a linear classifier. Of a segmenter it shows which surroundings made\n"
        "pixels those of the class; of a TripletEmbedding what makes images similar to that of --reference.\n"
        "Of a SlidingWindowDetector it shows how probable the class is in the window around each place; the score is\n"
        "that of the best window.\n\n"
        "examples:\n"
        "  skcnn explain flowers.skcnn a.jpg b.jpg -o heat.png\n"
        "  skcnn explain flowers.skcnn a.jpg -o heat.png --label roses\n"
        "  skcnn explain embedding.skcnn a.jpg b.jpg -o heat.png --reference c.jpg",
    )
    parser.add_argument("model", type=model_path, help="a file that `skcnn fit` wrote")
    add_images(parser)
    parser.add_argument(
        "-o",
        "--output",
        type=_figure_path,
        metavar="FIGURE",
        required=True,
        help="such as heat.png, .jpg, .pdf or .svg",
    )
    parser.add_argument(
        "--label",
        metavar="LABEL",
        help="the class to explain (default: the predicted one of each image, or that of the best window; of a "
        "segmenter the one with most pixels, but the first)",
    )
    parser.add_argument(
        "--reference",
        type=image_path,
        metavar="IMAGE",
        help="for a model of vectors: the image that the similarity is to",
    )
    parser.add_argument(
        "--layer",
        metavar="LAYER",
        help="layer whose maps are shown: earlier ones are finer, but less specific (default: the last that has a map)",
    )
    add_skip_bad(parser)


def run(options: argparse.Namespace) -> None:
    paths = list_images(options).frame["path"].tolist()
    if len(paths) > _MOST:
        raise ValueError(f"{len(paths):,} images; one figure shows at most {_MOST}. Give fewer of them.")
    check_replaces_none(options.output, paths if options.reference is None else [*paths, options.reference])

    from skcnn.persistence import load

    display = _display(load(options.model), paths, options)
    figure = display.plot().ax_.figure.figure
    with replacing(options.output, durable=False) as unfinished:
        figure.savefig(unfinished, format=Path(options.output).suffix[1:].lower(), dpi=_DPI)
    for path, row in zip(paths, display.frame().itertuples(), strict=True):
        print(f"{printable_text(path)}\t{printable_text(row.target)}\t{row.score:.4f}")
    print(f"Figure: {options.output}", file=sys.stderr)


def _display(model: Any, paths: list[str], options: argparse.Namespace) -> Any:
    from skcnn.inspection import GradCAMDisplay, WindowHeatDisplay, check_explainable

    detector = getattr(model, "best_estimator_", model)
    if hasattr(detector, "score_maps"):
        for name, value in (("--layer", options.layer), ("--reference", options.reference)):
            if value is not None:
                raise ValueError(f"{name} {value} needs another model; {options.model} looks at windows.")
        return WindowHeatDisplay.from_estimator(detector, paths, target=_target(detector, options))
    try:
        check_explainable(model)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{options.model} cannot be explained. {error}") from error
    has_classes = hasattr(getattr(model, "best_estimator_", model), "classes_")
    if has_classes != (options.reference is None):
        raise ValueError(
            f"--reference {options.reference} needs a model of vectors; {options.model} has classes."
            if has_classes
            else f"{options.model} is a model of vectors: say with --reference which image the similarity is to."
        )
    if not has_classes and options.label is not None:
        raise ValueError(f"--label {options.label} needs a model of classes; {options.model} is one of vectors.")
    return GradCAMDisplay.from_estimator(
        model, paths, target=_target(model, options), reference=options.reference, layer=options.layer
    )


def _figure_path(text: str) -> str:
    """Read the path of a figure to write."""
    if Path(text).suffix.lower() not in FORMATS:
        raise argparse.ArgumentTypeError(f"got {text}; expected a name that ends in {listing(FORMATS)}")
    return output_path(text)


def _target(model: Any, options: argparse.Namespace) -> Any:
    """Return the label of the class that is written like --label: labels may be numbers. None if it is not given."""
    if options.label is None:
        return None
    classes = getattr(model, "best_estimator_", model).classes_
    for label in classes.tolist():
        if str(label) == options.label:
            return label
    raise ValueError(f"--label {options.label}; the classes of the model are {names_text(classes)}.")
