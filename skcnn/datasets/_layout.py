"""How folders of annotated images are laid out: files by name, lists of splits, what is missing."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from skcnn._files import check_regular
from skcnn._text import counted, did_you_mean, listing
from skcnn.datasets._folder import image_extensions


def existing_folder(path: str | os.PathLike[str]) -> Path:
    """Return a folder; ``~`` is the home folder."""
    folder = Path(os.path.expanduser(os.fspath(path)))
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {str(folder)!r} (searched from {os.getcwd()!r}).")
    return folder


def images_by_stem(folder: Path) -> dict[str, str]:
    """Return the images in a folder by their names without extensions."""
    extensions = image_extensions()
    found: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in extensions and not path.name.startswith("."):
            if path.stem in found:
                raise ValueError(
                    f"{found[path.stem]!r} and {str(path)!r} have the same name but for the extension, so that "
                    "annotations may belong to either; rename or remove one."
                )
            found[path.stem] = str(path)
    return found


def split_of(folder: Path, split: str) -> list[str]:
    """Return the names in a list of images."""
    path = folder / f"{split}.txt"
    if not path.is_file():
        known = sorted(file.stem for file in folder.glob("*.txt")) if folder.is_dir() else []
        raise FileNotFoundError(
            f"split={split!r}, and there is no {str(path)!r}; lists there: {listing(known) or 'none'}."
            f"{did_you_mean(split, known)}"
        )
    # Lists of one class have a second column: 1, 0 or -1.
    lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    return [parts[0] for parts in lines if parts]


def read_annotations(source: str, read: Any) -> Any:
    """Return what ``read`` makes of the content of a file; its errors name the file."""
    check_regular(source, "a file of annotations")
    try:
        return read(Path(source).read_bytes())
    except ValueError as error:
        raise ValueError(f"{source!r}: {error}") from None


def read_coco(
    annotations: str | os.PathLike[str],
    root: str | os.PathLike[str] | None,
    read: Callable[[dict[str, Any]], tuple[Any, ...]],
) -> tuple[Any, ...]:
    """Read a file in COCO's form, and find its images.

    Parameters
    ----------
    annotations : path-like
        The file.
    root : path-like or None
        Folder of the images; None is that of the file.
    read : callable
        Takes COCO's object, and returns a tuple whose first item holds the names of the images.

    Returns
    -------
    tuple
        What ``read`` returns, with the paths of images in place of their names.
    """
    path = Path(os.path.expanduser(os.fspath(annotations)))
    folder = path.parent if root is None else existing_folder(root)

    def read_object(content: bytes) -> tuple[Any, ...]:
        coco = json.loads(content)
        if not isinstance(coco, dict):
            raise ValueError(f"a JSON {type(coco).__name__}; expected COCO's object of images, categories, annotations")
        return read(coco)

    names, *rest = read_annotations(str(path), read_object)
    files = [os.path.join(folder, name) for name in names]
    check_there([name for name, file in zip(names, files, strict=True) if not os.path.exists(file)], folder, "image")
    return files, *rest


def check_found(stems: list[str], folder: Path, what: str) -> None:
    """Raise an error where there is none of these."""
    if not stems:
        raise FileNotFoundError(f"There is no {what} in {str(folder)!r}.")


def check_there(missing: list[str], folder: Path, what: str) -> None:
    """Raise an error that names what is missing."""
    if missing:
        raise FileNotFoundError(
            f"{counted(len(missing), what)} not found in {str(folder)!r}: {listing(missing)}. Put them there, or "
            "remove their annotations."
        )


def warn_unlabelled(stems: list[str], what: str, advice: str) -> None:
    """Warn of images that are left out."""
    if stems:
        warnings.warn(
            f"{counted(len(stems), 'image')} without {what} left out: {listing(stems)}. {advice}",
            stacklevel=3,
        )
