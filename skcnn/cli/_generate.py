"""``skcnn generate``: new images from a saved generator."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skcnn._files import replacing
from skcnn._text import counted
from skcnn.cli._arguments import UnusableError, count, model_path, output_folder, output_path, whole_number
from skcnn.cli._common import add_command

if TYPE_CHECKING:
    import numpy as np

_GAP = 2  # pixels between the images of a grid
#: Endings that mean a file, which is not one that is written here.
_OTHER_FILES = (".jpg", ".jpeg", ".webp", ".gif", ".tif", ".tiff", ".bmp", ".pdf", ".svg", ".skcnn")


def add_to(commands: Any) -> None:
    parser = add_command(
        commands,
        "generate",
        run,
        "make new images with a saved ImageGAN or VariationalAutoencoder",
        epilog="Writes one PNG file per image into a folder, or all of them as one grid (a name that ends in .png).\n"
        "No image in the folder is replaced: the numbers go on after the largest one there.\n\n"
        "examples:\n"
        "  skcnn generate digits.skcnn -n 100 -o new/\n"
        "  skcnn generate digits.skcnn -n 30 --label 7 -o sevens/\n"
        "  skcnn generate digits.skcnn -n 64 -o grid.png --scale 4",
    )
    parser.add_argument("model", type=model_path, help="a file that `skcnn.save` wrote, for instance of an ImageGAN")
    parser.add_argument(
        "-n", "--number", type=whole_number, default=64, metavar="N", help="how many images (default: %(default)s)"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=_output,
        metavar="FOLDER|FILE",
        required=True,
        help="a folder, created if needed, or a .png file for one grid",
    )
    parser.add_argument("--label", metavar="LABEL", help="the class of all images (default: all classes)")
    parser.add_argument("--scale", type=whole_number, default=1, metavar="K", help="enlarge pixels K times")
    parser.add_argument(
        "--seed", type=count, default=0, metavar="N", help="other seeds give other images (default: %(default)s)"
    )


def _output(text: str) -> str:
    """Read the path of a folder, or of a file for one grid."""
    path = Path(text)
    if path.suffix.lower() == ".png" and not path.is_dir():
        return output_path(text)
    if "://" in text or (path.suffix.lower() in _OTHER_FILES and not path.is_dir()):
        raise argparse.ArgumentTypeError(f"got {text}; expected a folder, or a name that ends in .png for one grid")
    return output_folder(text)


def run(options: argparse.Namespace) -> None:
    from skcnn.persistence import load

    model = load(options.model)
    if not hasattr(model, "sample"):
        raise UnusableError(
            f"{options.model} holds a {type(model).__name__}, which generates nothing; expected an ImageGAN or a "
            "VariationalAutoencoder"
        )
    images, labels = _sampled(model, options)
    if options.scale > 1:
        images = images.repeat(options.scale, axis=1).repeat(options.scale, axis=2)
    folder = Path(options.output)
    if folder.suffix.lower() == ".png" and not folder.is_dir():
        _write(_grid(images), folder)
        print(f"{options.output}: {counted(len(images), 'image')}")
        return
    folder.mkdir(parents=True, exist_ok=True)
    n_before = _largest_number(folder)
    digits = len(str(n_before + len(images)))
    for place, image in enumerate(images):
        label = "" if labels is None else f"_{_file_name(labels[place])}"
        _write(image, folder / f"{n_before + place + 1:0{digits}}{label}.png")
    numbers = f", from number {n_before + 1:,} on: the others were there before" if n_before else ""
    print(f"{folder}: {counted(len(images), 'image')}{numbers}")


def _largest_number(folder: Path) -> int:
    """Return the largest number that a file in a folder has in front, 0 if there is none."""
    numbers = [re.match(r"\d{1,15}(?=[_.])", path.name) for path in folder.iterdir()]
    return max((int(number[0]) for number in numbers if number), default=0)


def _sampled(model: Any, options: argparse.Namespace) -> tuple[np.ndarray, np.ndarray | None]:
    """Return images, and their labels where there are classes."""
    import numpy as np

    classes = getattr(model, "classes_", None)
    if classes is None:
        if options.label is not None:
            raise UnusableError(f"--label {options.label}: the images of {options.model} have no classes")
        return model.sample(options.number, random_state=options.seed), None
    # Classes in turn, in the order of a grid; by what they are called, which is all that a shell knows.
    labels = np.resize(classes, options.number)
    if options.label is not None:
        known = {str(label): label for label in classes.tolist()}
        if options.label not in known:
            raise UnusableError(f"--label {options.label}; expected one of the classes {', '.join(known)}")
        labels = np.full(options.number, known[options.label], dtype=classes.dtype)
    return model.sample(options.number, labels, random_state=options.seed), labels


def _file_name(label: Any) -> str:
    return "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in str(label))[:64]


def _grid(images: np.ndarray) -> np.ndarray:
    """Return images side by side, about as many in a row as there are rows."""
    import numpy as np

    n_columns = int(np.ceil(np.sqrt(len(images))))
    n_rows = -(-len(images) // n_columns)
    height, width = images.shape[1:3]
    shape = (n_rows * (height + _GAP) - _GAP, n_columns * (width + _GAP) - _GAP, *images.shape[3:])
    grid = np.full(shape, 255, np.uint8)
    for number, image in enumerate(images):
        row, column = divmod(number, n_columns)
        top, left = row * (height + _GAP), column * (width + _GAP)
        grid[top : top + height, left : left + width] = image
    return grid


def _write(image: np.ndarray, path: Path) -> None:
    from PIL import Image

    with replacing(path) as unfinished, open(unfinished, "wb") as file:
        Image.fromarray(image).save(file, format="PNG")
