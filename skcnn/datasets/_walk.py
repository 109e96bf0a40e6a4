"""The images in a folder, at any depth."""

from __future__ import annotations

import os
from collections.abc import Iterator

from skcnn.datasets._folder import image_extensions
from skcnn.datasets._natural import natural_key


def walk_images(folder: str | os.PathLike[str]) -> Iterator[str]:
    """Yield the paths of the images in a folder and in the folders in it, in natural order ('2' before '10').

    Files count as images by their extension. Hidden files and folders are left out; links to folders are not followed.

    Parameters
    ----------
    folder : path-like
        The folder.

    Yields
    ------
    str
        The path of an image, which begins with ``folder``.
    """
    extensions = image_extensions()
    for here, inner, files in os.walk(os.fspath(folder)):
        inner[:] = sorted((name for name in inner if not name.startswith(".")), key=natural_key)
        for name in sorted(files, key=natural_key):
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in extensions:
                yield os.path.join(here, name)
