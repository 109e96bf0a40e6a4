"""Images that a command writes to a folder, one per image that it was given."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from skcnn._files import replacing
from skcnn._text import printable_text

if TYPE_CHECKING:
    import numpy as np


def folder_path(text: str) -> str:
    """Read the path of a folder to write to, which may be new."""
    path = Path(text).expanduser()
    there = next(place for place in (path, *path.absolute().parents) if place.exists())
    if not there.is_dir():
        raise NotADirectoryError(f"{text}: {there} is a file; expected a folder, or the name of a new one")
    if not os.access(there, os.W_OK):
        raise PermissionError(f"{text} cannot be written")
    return str(path)


def files_in(folder: str, paths: list[str], suffix: str) -> list[Path]:
    """Return a file per image: its name is that of the image, numbered where several images have one.

    Parameters
    ----------
    folder : str
    paths : list of str
        Of images.
    suffix : str
        Of the files, such as ".png".

    Returns
    -------
    list of Path

    Raises
    ------
    ValueError
        If a file would replace one of the images.
    """
    names: set[str] = set()
    files = [Path(folder) / _unused(_stem(path), suffix, names) for path in paths]
    images = {os.path.realpath(path) for path in paths if "://" not in path}
    for file in files:
        if os.path.realpath(file) in images:
            raise ValueError(
                f"{printable_text(file)} is one of the images, and would be replaced; give another folder."
            )
    return files


def check_replaces_none(file: str, paths: Iterable[str]) -> None:
    """Raise ValueError if a file that will be written is one of the images that are read."""
    if os.path.realpath(file) in {os.path.realpath(path) for path in paths if "://" not in path}:
        raise ValueError(f"{printable_text(file)} is one of the images, and would be replaced; give another name.")


def write_image(pixels: Any, file: Path, form: str, **options: Any) -> None:
    """Write an image, of NumPy or Pillow, to a file that appears whole or not at all; make its folder if it is new."""
    from PIL import Image

    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file, durable=False) as unfinished:
        image.save(unfinished, form, **options)


def palette_image(labels: np.ndarray, colors: dict[int, tuple[int, int, int]]) -> Any:
    """Return labels (height, width), uint8, as an image of Pillow with a palette; labels without a colour are black."""
    from PIL import Image

    image = Image.fromarray(labels).convert("L")
    palette = bytearray(3 * 256)
    for label, color in colors.items():
        palette[3 * label : 3 * label + 3] = bytes(color)
    image.putpalette(bytes(palette))
    return image


def _stem(path: str) -> str:
    return Path(urlsplit(path).path if "://" in path else path).stem or "image"


def _unused(stem: str, suffix: str, names: set[str]) -> str:
    """Return a name that no image has yet, and remember it; file systems may not tell A from a."""
    name, number = f"{stem}{suffix}", 1
    while name.lower() in names:
        number += 1
        name = f"{stem}_{number}{suffix}"
    names.add(name.lower())
    return name
